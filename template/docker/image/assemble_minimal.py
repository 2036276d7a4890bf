"""Assemble the root file system of the minimal runtime: a Python without a distribution around it.

    python3 docker/image/assemble_minimal.py VENV packages.json stdlib-exclude.txt BASE ROOT

ROOT gets the interpreter, the standard library as bytecode without what the second list excludes,
the system packages in the first list with what they depend on and what their installation made
(BASE is the root file system before that), every shared library that one of these or anything in
the virtual environment needs, certificates, time zones, users, and the package database entries of
all that, so that scanners see what is there. The virtual environment itself is a layer of its own
and not copied.
"""

import calendar
import fnmatch
import json
import os
import py_compile
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import elf
import installation
from installed_packages import Database

# Loaded by the C library at run time, so that no ELF file names it: ending a thread unwinds it.
UNWINDER = "libgcc_s.so.1"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DATA = (
    "/etc/alpine-release",
    "/etc/debian_version",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/protocols",
    "/etc/services",
    "/usr/lib/locale/C.utf8",
    "/usr/share/zoneinfo",
)
# An interactive Python edits lines in a terminal that is described (terminfo(5)).
TERMINALS = (
    "dumb",
    "linux",
    "screen-256color",
    "tmux-256color",
    "vt100",
    "xterm",
    "xterm-256color",
)
TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo")
# Second copies of all time zones, for systems that count leap seconds.
DATA_EXCLUDE = ("/usr/share/zoneinfo/posix", "/usr/share/zoneinfo/right")
USERS = ("root", "nobody", "app")
# Of declared packages: what nothing loads. Licences are added with the packages' records.
UNREAD = tuple(f"/usr/share/{name}/" for name in ("bug", "doc", "info", "lintian", "man"))
# The date of everything, in seconds: programs that pack files refuse dates before 1980.
EPOCH = calendar.timegm((1980, 1, 1, 0, 0, 0))


class Tree:
    """A root file system that grows by copies of this one's files, symbolic links kept."""

    def __init__(self, root: Path) -> None:
        """Start an empty tree in the folder ``root``."""
        self.root = root
        self.copied: set[Path] = set()
        self._whole: set[Path] = set()
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

    def compile(self, path: Path) -> None:
        """Add a module's bytecode in the place of its source."""
        target = self.at(path.with_suffix(".pyc"))
        target.parent.mkdir(parents=True, exist_ok=True)
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), str(target), str(path), True, invalidation_mode=unchecked)
        self.copied.add(path)

    def write(self, path: Path, text: str) -> None:
        """Write a generated file."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text)

    def at(self, path: Path) -> Path:
        """Return where ``path`` is in the tree."""
        return self.root / path.relative_to("/")

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
        self.at(folder).mkdir(exist_ok=True)
        shutil.copystat(folder, self.at(folder))


def base_interpreter(environment: Path) -> Path:
    """Return the interpreter by the name that the virtual environment links to."""
    path = environment / "bin/python3"
    while path.is_relative_to(environment):
        path = path.parent / path.readlink()
    return path


def standard_library(exclude: Iterable[str]) -> Iterator[Path]:
    """Yield every file of the standard library that is kept."""
    patterns = list(exclude)
    stdlib = Path(sysconfig.get_path("stdlib"))
    for path in sorted(stdlib.rglob("*")):
        name = path.relative_to(stdlib).as_posix()
        skip = "__pycache__" in name or name.startswith(("site-packages/", "dist-packages/"))
        if path.is_file() and not skip and not any(fnmatch.fnmatch(name, p) for p in patterns):
            yield path


def add_standard_library(tree: Tree, exclude: Iterable[str]) -> None:
    """Add the standard library: its modules as bytecode without the source, the rest as it is.

    A module's bytecode in the place of its source is imported like it (Python's documentation,
    "Compiled Python files"). With both, the library would be 10 MB larger.
    """
    # The interpreter finds its prefix by this folder, which a build may leave without a module.
    tree.at(Path(sysconfig.get_path("stdlib"), "lib-dynload")).mkdir(parents=True)
    for path in standard_library(exclude):
        if path.suffix == ".py":
            tree.compile(path)
        else:
            tree.add(path)


def add_users(tree: Tree, base: Path) -> None:
    """Write /etc/passwd and /etc/group with the few users that a container or a package needs."""
    for name in ("passwd", "group"):
        lines = Path("/etc", name).read_text().splitlines(keepends=True)
        before = base / "etc" / name
        names = (*USERS, "nogroup")
        made = set(lines).difference(before.read_text().splitlines(keepends=True))
        kept = (x for x in lines if x.split(":")[0] in names or x in made)
        tree.write(Path("/etc", name), "".join(kept))


def add_terminals(tree: Tree) -> None:
    """Add the descriptions of a few terminals, from wherever the base image has them."""
    for folder in TERMINFO:
        for name in TERMINALS:
            path = Path(folder, name[0], name)
            if path.exists():
                tree.add(path)


def add_certificates(tree: Tree) -> None:
    """Add the system's certificates where Python's OpenSSL looks for one file of them."""
    if CERTIFICATES.exists():
        tree.add(CERTIFICATES)
        default = Path(ssl.get_default_verify_paths().openssl_cafile)
        if default != CERTIFICATES:
            tree.at(default).parent.mkdir(parents=True, exist_ok=True)
            tree.at(default).symlink_to(CERTIFICATES)


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


def report_programs_without_interpreter(tree: Tree, database: Database) -> None:
    """Name the scripts that cannot run here, and the package to declare for them."""
    lacking: dict[str, list[str]] = {}
    for path in sorted(tree.copied):
        if path.parent.name in ("bin", "sbin") and path.is_file():
            with path.open("rb") as file:
                line = file.readline(200)
            words = line[2:].split() if line.startswith(b"#!") else []
            # What env runs is named behind it.
            for word in words[: 2 if words and words[0].endswith(b"/env") else 1]:
                program = Path("/usr/bin", os.fsdecode(word))
                if not tree.at(Path(os.path.realpath(program))).exists():
                    lacking.setdefault(str(program), []).append(path.name)
    for interpreter, names in lacking.items():
        package = database.owner(Path(interpreter)) or "a package that has it"
        print(
            f"{', '.join(names)} need {interpreter}, which is not in this image. "
            f"Declare {package}, too, if the application runs them.",
            file=sys.stderr,
        )


def add_package_records(tree: Tree, database: Database) -> None:
    """Add the records of the packages that copied files belong to, with their licences."""
    owners = {owner for path in tree.copied if (owner := database.owner(path))}
    for path, text in database.records(owners).items():
        tree.write(path, text)
    for name in sorted(owners):
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.is_file():
            tree.add(licence)


def set_dates(root: Path) -> None:
    """Give everything one date, so that the same input makes the same layer."""
    for path in (root, *root.rglob("*")):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def add_libraries(tree: Tree, environment: Path) -> None:
    """Add the shared libraries that programs in the tree and the virtual environment need.

    A library that is nowhere is reported and passed over: an extension module whose optional
    library is missing fails when it is imported, here as in the full runtime.
    """
    own = list(elf.files([environment]))
    # Read where they come from: a search path may be relative to where a file is.
    copied = (elf.read(path) for path in sorted(tree.copied) if path.is_file())
    users = [*filter(None, copied), *own]
    linker = elf.Linker.of_this_system([user.path for user in own])
    needed = elf.closure(users, linker)
    for name, needing in needed.missing.items():
        print(
            f"{needing[0].path} needs {name}, which is not in this image. "
            "Run nox -s sys_check, which names its package.",
            file=sys.stderr,
        )
    unwinder = linker.find(UNWINDER, users[0])
    for path in sorted({*needed.found, *([unwinder] if unwinder else [])}):
        if not path.is_relative_to(environment):
            tree.add(path)


def main() -> None:
    """Assemble the runtime for a virtual environment and two lists in a folder."""
    environment, packages, exclude_list, base, root = map(Path, sys.argv[1:])
    declared = json.loads(packages.read_text()).get("packages", ())
    exclude = [x for x in exclude_list.read_text().split("\n") if x and not x.startswith("#")]
    database = Database()
    tree = Tree(root)
    add_standard_library(tree, exclude)
    tree.add(base_interpreter(environment))
    add_packages(tree, database, declared)
    if declared:
        add_what_installation_made(tree, base)
    add_libraries(tree, environment)
    for name in DATA:
        if os.path.exists(name):
            tree.add(Path(name))
    for name in DATA_EXCLUDE:
        shutil.rmtree(tree.at(Path(name)), ignore_errors=True)
    add_terminals(tree)
    add_certificates(tree)
    add_users(tree, base)
    add_package_records(tree, database)
    report_programs_without_interpreter(tree, database)
    if tree.at(Path("/etc/ld.so.conf")).exists():
        subprocess.run(["/sbin/ldconfig", "-r", str(root)], check=True)
    tree.at(Path("/tmp")).mkdir(exist_ok=True)
    set_dates(root)
    tree.at(Path("/tmp")).chmod(0o1777)


if __name__ == "__main__":
    main()
