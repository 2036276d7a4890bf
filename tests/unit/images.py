"""Images made by hand, and a mock of the docker client that saves them as engines do."""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MOCK = """#!{python}
# A mock of the docker client: it answers from images.json, and no engine is involved.
import json, pathlib, shutil, sys
folder = pathlib.Path({folder!r})
arguments = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(arguments[0] + "\\n")
images = json.loads((folder / "images.json").read_text())
if arguments[:2] == ["image", "inspect"]:
    names = arguments[2:]
else:
    names = [next((word for word in arguments if word in images), "")]
inspected = []
for name in names:
    if name not in images or arguments[0] in images[name]["fails"]:
        sys.exit("Error (from a mock of docker): No such image")
    if arguments[0] == "image":
        layers = images[name]["digests"]
        inspected.append({{"Id": images[name]["id"], "RootFS": {{"Layers": layers}}}})
    elif arguments[0] == "run":
        print(json.dumps(images[name]["distributions"]))
    elif arguments[0] == "save":
        shutil.copyfileobj(open(folder / images[name]["archive"], "rb"), sys.stdout.buffer)
if inspected:
    print(json.dumps(inspected))
"""
Entry = bytes | tarfile.TarInfo


def digest(content: bytes) -> str:
    """Return the digest by which stores and configurations know a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(files: Mapping[str, Entry]) -> bytes:
    """Return an archive of files with these contents, or of other members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    """Return a member that stands for another file (tarfile.LNKTYPE or SYMTYPE)."""
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def layer(size: int, name: str = "file") -> bytes:
    """Return the archive of a layer with one file of ``size`` bytes."""
    return archive({name: bytes(size)})


def configuration(layers: Sequence[bytes], instructions: Sequence[str]) -> dict[str, Any]:
    """Return an image's configuration; of the instructions, ENV makes no layer."""
    history = [
        {"created_by": text, **({"empty_layer": True} if text.startswith("ENV") else {})}
        for text in instructions
    ]
    return {"rootfs": {"diff_ids": [digest(layer) for layer in layers]}, "history": history}


def saved(stored: str, layers: Sequence[bytes], *configurations: dict[str, Any]) -> bytes:
    """Return what docker save writes.

    With overlay2 layers are plain ("oci", before Docker 25 "legacy"); with containerd's store they
    are packed as they were pulled or built ("gzip", or "members": in parts, as eStargz has them).
    """
    files: dict[str, Entry] = {}
    for number, content in enumerate(layers):
        if stored == "legacy":
            if content in layers[:number]:
                target = f"../{layers.index(content)}/layer.tar"
                files[f"{number}/layer.tar"] = link(tarfile.SYMTYPE, target)
            else:
                files |= {f"{number}/VERSION": b"1.0", f"{number}/layer.tar": content}
            continue
        blob = content
        if stored == "gzip":
            blob = gzip.compress(content, mtime=0)
        elif stored == "members":
            blob = gzip.compress(content[:700], mtime=0) + gzip.compress(content[700:], mtime=0)
        elif stored == "zstd":
            blob = b"\x28\xb5\x2f\xfd" + content
        files[f"blobs/sha256/{digest(blob).partition(':')[2]}"] = blob
    for document in configurations:
        text = json.dumps(document).encode()
        files[f"blobs/sha256/{digest(text).partition(':')[2]}"] = text
    files |= {"manifest.json": b"[{}]", "index.json": b"{}", "repositories": b"{}"}
    return archive(files)


class Engine:
    """What the mock of docker knows."""

    def __init__(self, folder: Path) -> None:
        """Put the mock into a folder."""
        self.folder = folder
        self.images: dict[str, dict[str, Any]] = {}
        program = folder / "docker"
        program.write_text(MOCK.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)

    def add(
        self,
        name: str,
        *layers: bytes,
        stored: str = "oci",
        instructions: Sequence[str] | None = None,
        archive: bytes | None = None,
        distributions: Mapping[str, int] | None = None,
        fails: Sequence[str] = (),
    ) -> None:
        """Add an image with these layers; ``archive`` is what docker saves, if that is unusual."""
        if instructions is None:
            instructions = [f"COPY {number}" for number, _ in enumerate(layers)]
        document = configuration(layers, instructions)
        file = self.folder / f"{name.replace(':', '-')}.tar"
        file.write_bytes(saved(stored, layers, document) if archive is None else archive)
        self.images[name] = {
            "id": digest(f"{stored} {document} {distributions}".encode()),
            "digests": document["rootfs"]["diff_ids"],
            "archive": file.name,
            "distributions": distributions or {},
            "fails": fails,
        }
        (self.folder / "images.json").write_text(json.dumps(self.images))

    @property
    def calls(self) -> list[str]:
        """Return what the mock was asked for."""
        return (self.folder / "calls").read_text().split()
