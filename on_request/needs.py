"""Which file of an image needs which shared library, as its dynamic linker would find it."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import elf
from contents import DATABASE
from paths import real, text
from root_files import Root

# ld.so(8) and musl's manual: what is searched after the folders that these files name.
LISTS = re.compile(r"/etc/(ld\.so\.conf(\.d/.+\.conf)?|ld-musl-.+\.path)")
FOLDERS = re.compile(r"(/usr(/local)?)?/lib(64|/[^/]+-linux-(gnu|musl)[^/]*)?")
MUSL = re.compile(r"(/usr)?/lib/ld-musl-[^/]+\.so\.1")


class Linker(elf.Linker):
    """Finds libraries in the root file system of an image."""

    def __init__(self, root: Root) -> None:
        """Take the files; what needs nothing and is needed by nothing counts, too."""
        self._root = root
        self._known: dict[str, elf.Elf | None] = {}
        self.files = {path: found for path, _ in root.files() if (found := self._parsed(path))}
        musl = next((Path(path) for path in self.files if MUSL.fullmatch(path)), None)
        named = [
            Path(line.strip())
            for path in sorted(root.entries)
            if LISTS.fullmatch(path)
            for line in re.split(r"[:\n]", text(root, path))
            if line.startswith("/")
        ]
        known = [Path(path) for path in sorted(root.entries) if FOLDERS.fullmatch(path)]
        super().__init__([*named, *known], map(Path, self.files), musl)

    def find(self, name: str, user: elf.Elf) -> Path | None:
        """Return the library that a file gets for a name, without links; None if there is none."""
        found = Path(name) if "/" in name else super().find(name, user)
        return self.real(found) if found and self.read(found) else None

    def read(self, path: Path) -> elf.Elf | None:
        """Return what a file of the image needs; None if it is no ELF file."""
        return self._parsed(real(self._root, str(path)))

    def real(self, path: Path) -> Path:
        """Return a path of the image without links."""
        return Path(real(self._root, str(path)))

    def _parsed(self, path: str) -> elf.Elf | None:
        if path not in self._known:
            content = b""
            if self._root.file(path):
                with self._root.open(path) as file:
                    if file.read(len(elf.MAGIC)) == elf.MAGIC:
                        content = elf.MAGIC + file.read()
            self._known[path] = elf.parse(Path(path), content) if content else None
        return self._known[path]


def users(root: Root) -> dict[str, set[str]]:
    """Return for each shared library, by its path without links, the files that need it."""
    linker = Linker(root)
    found = elf.closure(linker.files.values(), linker).found
    return {str(path): {str(user.path) for user in needed} for path, needed in found.items()}


def chains(start: str, needed_by: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield for each file that needs one, directly or not, a shortest chain: first that file.

    The nearest come first.
    """
    waiting, seen = [[start]], {start}
    for chain in waiting:
        if len(chain) > 1:
            yield chain
        for user in sorted(needed_by.get(chain[0], set()) - seen):
            seen.add(user)
            waiting.append([user, *chain])


def libraries(root: Root, name: str) -> list[str]:
    """Return the files that a user may mean by a name: a path, or that of a file or a link.

    A library has its name without what follows ".so", too, and without the hash that a wheel adds.
    """
    library = re.compile(rf"{re.escape(name)}(-[0-9a-f]{{8,}})?\.so(\..+)?")
    found: dict[str, None] = {}
    for path, entry in root.entries.items():
        last = posixpath.basename(path)
        is_named = name in (path, last) or library.fullmatch(last)
        if is_named and not entry.isdir() and not DATABASE.fullmatch(path):
            target = real(root, path)
            if root.file(target):
                found[target] = None
    return list(found)
