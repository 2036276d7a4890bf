"""Assemble the root file system of the minimal runtime: a Python without a distribution around it.

    python3 docker/image/assemble_minimal.py VENV packages.json stdlib-exclude.txt BASE ROOT

ROOT gets the interpreter, the system packages in the first list with what they depend on and what
their installation made (BASE is the root file system before that), every shared library that one of
these, the standard library or anything in the virtual environment needs, certificates, time zones,
users, and the package database entries of all that, so that scanners see what is there. The
standard library (without what the second list excludes) and the virtual environment are layers of
their own and not copied.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import file_tree
from errors import ended_by_errors
from file_tree import Tree
from installation import differ
from installed_packages import Database
from set_dates import set_dates
from standard_library import excluded, standard_library

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


def base_interpreter(environment: Path) -> Path:
    """Return the interpreter by the name that the virtual environment links to."""
    path = environment / "bin/python3"
    while path.is_relative_to(environment):
        path = path.parent / path.readlink()
    return path


def in_own_layer(exclude: Iterable[str], base: Path) -> Iterator[Path]:
    """Yield the files of the standard library that have a layer of their own.

    What declared packages have added since, or replaced, has not.
    """
    for path in standard_library(exclude, base):
        if not differ(path, base / path.relative_to("/")):
            yield path


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
        # The package openssl brings this link.
        if default != CERTIFICATES and not os.path.lexists(tree.at(default)):
            tree.at(default).parent.mkdir(parents=True, exist_ok=True)
            tree.at(default).symlink_to(CERTIFICATES)


def report_programs_without_interpreter(tree: Tree, database: Database) -> None:
    """Name the scripts that cannot run here, and the package to declare for them."""
    lacking: dict[str, list[str]] = {}
    for path in sorted(tree.copied):
        if path.parent.name in ("bin", "sbin") and path.is_file():
            with path.open("rb") as file:
                line = file.readline(200)
            words = line[2:].split() if line.startswith(b"#!") and b"\0" not in line else []
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


def main() -> None:
    """Assemble the runtime for a virtual environment and two lists in a folder."""
    environment, packages, exclude_list, base, root = map(Path, sys.argv[1:])
    declared = json.loads(packages.read_text()).get("packages", ())
    with ended_by_errors():
        exclude = excluded(exclude_list)
    database = Database()
    tree = Tree(root)
    tree.copied.update(in_own_layer(exclude, base))
    tree.add(base_interpreter(environment))
    file_tree.add_packages(tree, database, declared)
    if declared:
        file_tree.add_what_installation_made(tree, base)
    file_tree.add_libraries(tree, environment, "Run nox -s sys_check, which names its package.")
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
        # For its next run, with numbers of this file system.
        shutil.rmtree(tree.at(Path("/var/cache/ldconfig")), ignore_errors=True)
    tree.at(Path("/tmp")).mkdir(exist_ok=True)
    set_dates(root)
    tree.at(Path("/tmp")).chmod(0o1777)


if __name__ == "__main__":
    main()
