"""Root file systems of images, made by hand."""

import base64
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping

from root_files import Root

SITE = "/opt/venv/lib/python3.13/site-packages"
DATE = 1_700_000_000


Entry = tuple[tarfile.TarInfo, bytes]


def entry(path: str, content: bytes | None = b"", **fields: object) -> Entry:
    """Return an entry of an archive: a file, or a folder if there is no content."""
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode, info.mtime, info.size = 0o644, DATE, len(content or b"")
    if content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for name, value in fields.items():
        setattr(info, name, value)
    return info, content or b""


def root(*entries: Entry) -> Root:
    """Return a root file system of these entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return Root(tarfile.open(fileobj=stream))


def distribution(
    name: str,
    version: str,
    files: Mapping[str, bytes] = {},
    record: Iterable[str] | None = None,
    metadata: str = "",
) -> list[Entry]:
    """Return the entries of an installed distribution."""
    folder = f"{SITE}/{name.replace('-', '_')}-{version}.dist-info"
    rows = [f"{path},sha256={digest(content)},{len(content)}" for path, content in files.items()]
    listed = "\n".join(rows if record is None else record)
    header = f"Name: {name}\nVersion: {version}\n{metadata}\nName: no\n"
    return [
        entry(f"{folder}/METADATA", header.encode()),
        entry(f"{folder}/RECORD", f"{listed}\n".encode()),
        *(entry(f"{SITE}/{path}", content) for path, content in files.items()),
    ]


def digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
