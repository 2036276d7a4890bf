"""Read which packages are installed in a root file system, from the database of dpkg or of apk.

Sources: dpkg-query(1) with deb-control(5), and https://wiki.alpinelinux.org/wiki/Apk_spec for
lib/apk/db/installed.
"""

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from declaration import NAME

DPKG = Path("var/lib/dpkg")
APK = Path("lib/apk/db/installed")
# What programs and people use to build other programs: the Debian archive's sections for it.
BUILD_SECTIONS = ("devel", "libdevel")


@dataclass(frozen=True)
class Installed:
    """An installed package; of what it depends on, each entry lists names that satisfy it."""

    name: str
    version: str
    architecture: str
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    for_building: bool
    record: str


class Database:
    """The packages that are installed below ``root``, by their names."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Read the database below ``root``; without one there are no packages."""
        self._root = root
        read = _dpkg if (root / DPKG / "status").exists() else _apk
        self.packages: Mapping[str, Installed] = {x.name: x for x in read(root)}
        self._folders: dict[str, str] = {}

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return the packages of ``names`` that are installed and all that they depend on."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            for name in self._providers.get(waiting.pop(), ()):
                if name not in found:
                    found.add(name)
                    waiting += [x for entry in self.packages[name].depends for x in entry]
        return found

    def files(self, name: str) -> list[Path]:
        """Return the paths that a package has, as they are after installation."""
        return [Path("/", path) for path in self._listings.get(name, ()) if "\0" not in path]

    def records(self, names: Iterable[str]) -> Mapping[Path, str]:
        """Return the files of a database that has only these packages, for scanners of images.

        Of dpkg it is a file for each package in status.d, the convention of the distroless images.
        """
        stanzas = {name: f"{self.packages[name].record}\n" for name in sorted(names)}
        if (self._root / DPKG).exists():
            return {Path("/", DPKG, "status.d", name): text for name, text in stanzas.items()}
        return {Path("/", APK): "\n".join(stanzas.values())} if stanzas else {}

    def owner(self, path: Path) -> str | None:
        """Return the package of a file; None if it is none's.

        A link belongs to the package that has the link, wherever it leads.
        """
        return self._owners.get(self._real(str(path)))

    def libraries(self) -> Iterator[tuple[str, str]]:
        """Yield the name of every shared library, with the package that has it."""
        for path, package in self._owners.items():
            name = os.path.basename(path)
            if ".so" in name:
                yield name, package

    @functools.cached_property
    def _owners(self) -> Mapping[str, str]:
        return {self._real(str(path)): name for name in self.packages for path in self.files(name)}

    def _real(self, path: str) -> str:
        """Return a path with the links on the way to it resolved, below the root."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            real = os.path.realpath(self._root / folder.lstrip("/"))
            self._folders[folder] = os.path.join("/", os.path.relpath(real, self._root))
        return os.path.normpath(os.path.join(self._folders[folder], name))

    @functools.cached_property
    def _providers(self) -> Mapping[str, list[str]]:
        providers: dict[str, list[str]] = {}
        for package in self.packages.values():
            for name in {package.name, *package.provides}:
                providers.setdefault(name, []).append(package.name)
        return providers

    @functools.cached_property
    def _listings(self) -> Mapping[str, list[str]]:
        if (self._root / DPKG).exists():
            return _dpkg_listings(self._root)
        return {name: list(_apk_files(x.record)) for name, x in self.packages.items()}


def _dpkg(root: Path) -> Iterator[Installed]:
    for stanza in _text(root / DPKG / "status").strip().split("\n\n"):
        fields = dict(re.findall(r"^(\S+): (.*(?:\n .*)*)", stanza, flags=re.M))
        named = NAME.fullmatch(fields.get("Package", ""))
        if named and fields.get("Status", "").endswith(" installed"):
            depends = ", ".join(filter(None, map(fields.get, ("Pre-Depends", "Depends"))))
            yield Installed(
                fields["Package"],
                fields.get("Version", ""),
                fields.get("Architecture", ""),
                tuple(tuple(_names(entry, "|")) for entry in depends.split(",") if entry),
                tuple(_names(fields.get("Provides", ""), ",")),
                fields.get("Section", "").rpartition("/")[2] in BUILD_SECTIONS,
                stanza,
            )


def _text(path: Path) -> str:
    """Return a text that may have names of files in any encoding."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _names(entry: str, separator: str) -> Iterator[str]:
    """Yield the names in a list of relationships: NAME[:ARCHITECTURE] [(RELATION VERSION)]."""
    for part in entry.split(separator):
        if part.strip():
            yield re.split(r"[\s:(]", part.strip(), maxsplit=1)[0]


def _dpkg_listings(root: Path) -> dict[str, list[str]]:
    return {
        listing.stem.split(":")[0]: [*filter(None, _text(listing).split("\n"))]
        for listing in sorted((root / DPKG / "info").glob("*.list"))
    }


def _apk(root: Path) -> Iterator[Installed]:
    path = root / APK
    text = _text(path) if path.exists() else ""
    for stanza in filter(None, text.strip().split("\n\n")):
        fields = dict(re.findall(r"^([A-Za-z]):(.*)", stanza, flags=re.M))
        if not NAME.fullmatch(fields.get("P", "")):
            continue
        names = [re.split(r"[<>=~]", x, maxsplit=1)[0] for x in fields.get("D", "").split()]
        yield Installed(
            fields["P"],
            fields.get("V", ""),
            fields.get("A", ""),
            tuple((name,) for name in names if not name.startswith("!")),
            tuple(re.split(r"[<>=~]", x, maxsplit=1)[0] for x in fields.get("p", "").split()),
            fields["P"].endswith("-dev"),
            stanza,
        )


def _apk_files(record: str) -> Iterator[str]:
    """Yield the files of a record: R: names one in the folder that the last F: named."""
    folder = ""
    for line in record.splitlines():
        if line.startswith("F:"):
            folder = line[2:]
        elif line.startswith("R:"):
            yield os.path.join(folder, line[2:])
