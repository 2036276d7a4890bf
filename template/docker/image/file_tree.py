"""A part of this root file system: what is copied, with all that it needs to run."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import elf
import installation
from installed_packages import Database

# Loaded by the C library at run time, so that no ELF file names it: ending a thread unwinds it.
UNWINDER = "libgcc_s.so.1"
# Of declared packages: what nothing loads. Licences are added with the packages' records.
UNREAD = tuple(f"/usr/share/{name}/" for name in ("bug", "doc", "info", "lintian", "man"))


class Tree:
    """A root file system that grows by copies of this one's files, symbolic links kept."""

    def __init__(self, root: Path) -> None:
        """Start an empty tree in the folder ``root``.

        What is in ``copied`` counts as copied, if only into another layer.
        """
        self.root = root
        self.copied: set[Path] = set()
        self._whole: set[Path] = set()
        self._made: set[Path] = set()
        root.mkdir(parents=True)

    def add(self, path: Path) -> None:
        """Copy the file, link or folder at ``path`` together with all links that lead to it."""
        path = self._follow(path)
        if path.is_dir():
            if path not in self._whole:
                self._whole.add(path)
                for entry in sorted(path.iterdir()):
                    self.add(entry)
        elif path not in self.copied and path.exists():
            shutil.copy2(path, self.at(path))
            self.copied.add(path)

    def add_entry(self, path: Path) -> None:
        """Copy what is at ``path``; of a folder only itself, and nothing if it is gone."""
        if path.is_dir():
            self._follow(path)
        elif os.path.lexists(path):
            self.add(path)

    def write(self, path: Path, text: str) -> None:
        """Write a generated file."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text, encoding="utf-8", errors="surrogateescape")

    def at(self, path: Path) -> Path:
        """Return where ``path`` is in the tree."""
        return Path(f"{self.root}{path}")

    def _follow(self, path: Path) -> Path:
        """Make the folders and links that lead to ``path`` and return where it really is."""
        here = Path("/")
        for part in path.parts[1:]:
            here /= part
            if here.is_symlink():
                self._link(here)
                rest = path.relative_to(here)
                return self._follow(Path(os.path.normpath(here.parent / here.readlink() / rest)))
            if here.is_dir():
                self._folder(here)
        return path

    def _link(self, link: Path) -> None:
        if not self.at(link).is_symlink():
            self.at(link).symlink_to(link.readlink())
            if not link.is_dir():
                self.copied.add(link)

    def _folder(self, folder: Path) -> None:
        if folder not in self._made:
            self._made.add(folder)
            self.at(folder).mkdir(exist_ok=True)
            shutil.copystat(folder, self.at(folder))


def add_packages(tree: Tree, database: Database, names: Iterable[str]) -> None:
    """Add packages and what they depend on, whole: what they load by name no ELF file tells."""
    for name in sorted(database.closure(names)):
        for path in database.files(name):
            if not str(path).startswith(UNREAD):
                tree.add_entry(path)


def add_what_installation_made(tree: Tree, base: Path) -> None:
    """Add what packages made when they were installed: caches, settings, alternatives."""
    library = sysconfig.get_path("stdlib")
    for path in installation.made(base):
        if not str(path).startswith((*UNREAD, library)):
            tree.add_entry(path)


def add_libraries(tree: Tree, environment: Path, remedy: str) -> None:
    """Add the shared libraries that programs in the tree and in a folder of packages need.

    In: also what to do about a library that one of these packages lacks.

    A library that is nowhere is reported and passed over: an extension module whose optional
    library is missing fails when it is imported, here as in the full runtime.
    """
    own = list(elf.files([environment]))
    # Read where they come from: a search path may be relative to where a file is.
    copied = (elf.read(path) for path in sorted(tree.copied) if path.is_file())
    users = [*filter(None, copied), *own]
    linker = elf.Linker.of_this_system([user.path for user in own])
    needed = elf.closure(users, linker)
    # Whoever starts a program like Java has loaded the libraries in its own folders before.
    there = {path.name for path in tree.copied}
    for name, needing in needed.missing.items():
        file = needing[0].path
        told = "Declare the package that has it, too, if the application uses that."
        if file.is_relative_to(environment):
            told = remedy
        if name not in there:
            print(f"{file} needs {name}, which is not in this image. {told}", file=sys.stderr)
    unwinder = linker.find(UNWINDER, users[0]) if users else None
    for path in sorted({*needed.found, *([unwinder] if unwinder else [])}):
        if not path.is_relative_to(environment):
            tree.add(path)
