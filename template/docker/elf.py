"""Read what a program or shared library needs, from its ELF file, and find it as ld.so does.

Sources: elf(5), and ld.so(8) for the order of the search.
"""

import functools
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
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
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
        data = b"\x7fELF" + file.read()
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
    for kind, offset, _, length in segments:
        if kind == PT_INTERP:
            interpreter = data[offset : offset + length].rstrip(b"\0").decode()
        elif kind == PT_DYNAMIC:
            entries = list(_dynamic(data[offset : offset + length], wide, order))
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

    def __init__(self, folders: Iterable[Path]) -> None:
        """Take the folders of the system that are searched, in their order."""
        self._folders = list(folders)

    def find(self, name: str, user: Elf) -> Path | None:
        """Return the library that ``user`` gets for ``name``; None if there is none."""
        if "/" in name:
            return Path(name) if Path(name).exists() else None
        origin = str(user.path.resolve().parent)
        own = [Path(_expand(folder, origin)) for folder in user.search_path if folder]
        for folder in (*own, *self._folders):
            candidate = folder / name
            if candidate.exists() and self._fits(candidate, user):
                return Path(os.path.normpath(candidate))
        return None

    @staticmethod
    def _fits(candidate: Path, user: Elf) -> bool:
        found = read(candidate)
        return found is not None and found.machine == user.machine


def _expand(folder: str, origin: str) -> str:
    return folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
