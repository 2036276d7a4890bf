"""The sources of the libraries in Alpine's packages, from the releases of Debian that have them."""

import functools
import re
import tarfile
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support import SupportError, debian, downloads

TABLE = Path(__file__).with_name("packages") / "sources.toml"
TARBALL = re.compile(r"_(?P<version>[^_]+)\.orig\.tar\.(?:bz2|gz|xz)")


@dataclass(frozen=True)
class Way:
    """Where a source may come from: a package of a release, and the folder in it."""

    release: str
    package: str
    folder: str = ""

    def __str__(self) -> str:
        """Say it for a message."""
        return f"{self.package} of Debian {self.release}"


def read_table(text: str) -> dict[str, list[Way]]:
    """Return the ways of each library in the table ``text``."""
    return {
        name: [Way(**{"package": name, **way}) for way in entry["ways"]]
        for name, entry in tomllib.loads(text).items()
    }


def collect(folder: Path) -> dict[str, str]:
    """Unpack the source of each library into ``folder``, and return where each comes from.

    Each gets a folder of its name, and a file with its version in the folder ``versions``. Raises
    UnavailableError when no release serves one of them.
    """
    (folder / "versions").mkdir(parents=True)
    used = {}
    with tempfile.TemporaryDirectory() as work:
        # Lists are fetched once for each release, and only where they are asked.
        apt = functools.cache(lambda release: debian.Apt(release, Path(work)))

        def way(name: str, source: Way) -> Callable[[], str]:
            return lambda: _unpack(name, source, apt(source.release), folder)

        for name, sources in read_table(TABLE.read_text()).items():
            ways = [(str(source), way(name, source)) for source in sources]
            where, version = downloads.first(f"the source of {name}", ways)
            (folder / "versions" / name).write_text(f"{version}\n")
            used[name] = f"{version} ({where})"
    return used


def _unpack(name: str, source: Way, apt: debian.Apt, folder: Path) -> str:
    """Unpack ``source`` as ``name`` into ``folder`` and return the version of its package."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        apt.download_source(source.package, Path(work))
        found = {path: TARBALL.search(path.name) for path in Path(work).iterdir()}
        tarball, version = next(
            ((path, match["version"]) for path, match in found.items() if match), (None, "")
        )
        if tarball is None:
            raise SupportError(
                f"{source} has no tarball of its author. Name another way in {TABLE.name}."
            )
        with tarfile.open(tarball) as archive:
            members = []
            for member in archive:
                # The first part is the author's folder, whatever its name.
                inner = member.name.partition("/")[2]
                if inner == source.folder or inner.startswith(f"{source.folder}/".lstrip("/")):
                    member.name = f"{name}/{inner.removeprefix(source.folder).lstrip('/')}"
                    members.append(member)
            # Python 3.11.2, which Debian 12 has, takes no argument for it.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder, members)
    return version
