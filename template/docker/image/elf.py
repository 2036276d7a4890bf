"""Read what a program or shared library needs, from its ELF file, and find it as ld.so does.

Sources: elf(5), and ld.so(8) for the order of the search.
"""

import functools
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x7fELF"
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
# The libraries that musl's linker is itself, whatever their version (load_library in its
# ldso/dynlink.c). Alpine's name for it, libc.musl-x86_64.so.1, is a link that has to be there.
MUSL_ITSELF = re.compile(r"lib(?:c|pthread|rt|m|dl|util|xnet)\.so")
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29


@dataclass(frozen=True)
class Elf:
    """What the dynamic linker reads of one file: names as they stand in it."""

    path: Path
    machine: tuple[int, int]  # word size and instruction set
    interpreter: str | None
    needed: tuple[str, ...]
    search_path: tuple[str, ...]


@functools.cache
def read(path: Path) -> Elf | None:
    """Return what the ELF file at ``path`` needs; None if it is another kind of file."""
    # What a library needs may have the name of a folder.
    if not os.path.isfile(path):
        return None
    with path.open("rb") as file:
        return parse(path, MAGIC + file.read()) if file.read(4) == MAGIC else None


def parse(path: Path, data: bytes) -> Elf | None:
    """Return what an ELF file with this content needs; None if it cannot be read."""
    try:
        return _parse(path, data)
    except (struct.error, IndexError, OverflowError, StopIteration, ValueError):
        return None


def _parse(path: Path, data: bytes) -> Elf:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", data, 18)[0]
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    segments = [_segment(data, start + index * size, wide, order) for index in range(count)]
    interpreter, needed, search = None, [], []
    # Of each kind there is one.
    one = {kind: slice(offset, offset + length) for kind, offset, _, length in segments[::-1]}
    if PT_INTERP in one:
        interpreter = data[one[PT_INTERP]].rstrip(b"\0").decode()
    if PT_DYNAMIC in one:
        entries = list(_dynamic(data[one[PT_DYNAMIC]], wide, order))
        address = next(value for tag, value in entries if tag == DT_STRTAB)
        strings = _file_offset(segments, address)
        needed = [_string(data, strings + at) for tag, at in entries if tag == DT_NEEDED]
        # DT_RUNPATH, where there is one, makes the linker ignore DT_RPATH.
        paths = {tag: at for tag, at in entries if tag in (DT_RPATH, DT_RUNPATH)}
        if paths:
            search = _string(data, strings + paths[max(paths)]).split(":")
    return Elf(path, (data[4], machine), interpreter, tuple(needed), tuple(search))


def _segment(data: bytes, at: int, wide: bool, order: str) -> tuple[int, int, int, int]:
    """Return a program header's type, file offset, virtual address and length in the file."""
    if wide:
        kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, at)
    else:
        kind, offset, address, _, length = struct.unpack_from(order + "IIIII", data, at)
    return kind, offset, address, length


def _dynamic(section: bytes, wide: bool, order: str) -> Iterator[tuple[int, int]]:
    entry = struct.Struct(order + ("qQ" if wide else "iI"))
    usable = len(section) - len(section) % entry.size
    return entry.iter_unpack(section[:usable])


def _file_offset(segments: Iterable[tuple[int, int, int, int]], address: int) -> int:
    """Return where in the file the byte at a virtual address is."""
    return next(
        address - start + offset
        for kind, offset, start, length in segments
        if kind == PT_LOAD and start <= address < start + length
    )


def _string(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


class Linker:
    """Finds libraries as the dynamic linker of this system would."""

    def __init__(
        self, folders: Iterable[Path], bundled: Iterable[Path] = (), musl: Path | None = None
    ) -> None:
        """Take the folders of the system that are searched, in their order, and bundled libraries.

        A library that a wheel brings may have no path to it: it is found by its name when another
        module has loaded it before. ``musl`` is the linker of that C library, where it is in use.
        """
        self._folders = list(folders)
        self._bundled = {path.name: path for path in bundled}
        self._musl = musl

    @classmethod
    def of_this_system(cls, bundled: Iterable[Path] = ()) -> "Linker":
        """Return the linker of the Python that runs this program."""
        python = interpreter()
        linker = Path(python.interpreter or "")
        musl = linker if linker.name.startswith("ld-musl-") else None
        return cls(_musl_folders(linker) if musl else _glibc_folders(), bundled, musl)

    def find(self, name: str, user: Elf) -> Path | None:
        """Return the library that ``user`` gets for ``name``; None if there is none."""
        if "/" in name:
            return Path(name) if os.path.isfile(name) else None
        if self._musl and MUSL_ITSELF.match(name):
            return self._musl
        origin = str(self.real(user.path).parent)
        own = [Path(_expand(folder, origin)) for folder in user.search_path if folder]
        for folder in (*own, *self._folders):
            candidate = folder / name
            found = self.read(candidate)
            if found is not None and found.machine == user.machine:
                return Path(os.path.normpath(candidate))
        return self._bundled.get(name)

    def read(self, path: Path) -> Elf | None:
        """Return a file as ``read`` does: of another root, whoever knows that one."""
        return read(path)

    def real(self, path: Path) -> Path:
        """Return a path without links."""
        return path.resolve()


def _expand(folder: str, origin: str) -> str:
    return folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)


@dataclass
class Closure:
    """What some ELF files need, directly or not, each with the files that ask for it."""

    found: Mapping[Path, list[Elf]]
    missing: Mapping[str, list[Elf]]


def closure(roots: Iterable[Elf], linker: Linker) -> Closure:
    """Return the libraries and dynamic linkers that ``roots`` need, directly or not."""
    found: dict[Path, list[Elf]] = {}
    missing: dict[str, list[Elf]] = {}
    waiting = list(roots)
    while waiting:
        user = waiting.pop()
        for name in (*user.needed, *([user.interpreter] if user.interpreter else [])):
            library = linker.find(name, user)
            if library is None:
                missing.setdefault(name, []).append(user)
                continue
            needed = linker.read(library)
            if library not in found and needed:
                waiting.append(needed)
            found.setdefault(library, []).append(user)
    return Closure(found, missing)


def files(folders: Iterable[Path]) -> Iterator[Elf]:
    """Yield every program and shared library below ``folders``."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and (found := read(path)):
                yield found


def interpreter() -> Elf:
    """Return the Python that runs this program: what it is made for, and by which linker."""
    python = read(Path(os.path.realpath(sys.executable)))
    assert python is not None, "the interpreter is a program"
    return python


def _glibc_folders() -> list[Path]:
    """Return the folders that the dynamic linker's own cache names (ldconfig(8))."""
    cache = subprocess.run(
        ["/sbin/ldconfig", "--print-cache"], check=True, capture_output=True, text=True
    ).stdout
    libraries = [line.split(" => ")[1] for line in cache.splitlines() if " => " in line]
    # Variants for newer processors would tie the image to the machine that builds it.
    found = [Path(library).parent for library in libraries if "glibc-hwcaps" not in library]
    return list(dict.fromkeys(found))


def _musl_folders(linker: Path) -> list[Path]:
    """Return the folders that musl searches (its manual, Environment Variables)."""
    listing = Path("/etc", f"{linker.name.removesuffix('.so.1')}.path")
    text = listing.read_text() if listing.exists() else "/lib:/usr/local/lib:/usr/lib"
    return [Path(folder) for folder in re.split(r"[:\n]", text.strip())]
