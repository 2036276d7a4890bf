"""Assemble what only the tests need, to be laid over production.

    python3 docker/image/assemble_test.py PACKAGES packages.json programs.json BEFORE BELOW ROOT

In: the folder with the packages that only development has, the system packages and the programs
that the tests need, the root file system before system packages were installed here, and the one of
production. ROOT gets the system packages whole, the programs, the libraries that these or PACKAGES
need, and a file that lets Python look into PACKAGES after it has looked into the environment.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

import file_tree
from errors import ended_by_errors
from file_tree import Tree
from installed_packages import Database
from project_settings import SettingError
from set_dates import set_dates

FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
# The path configuration files of Python's module site.
HOOK = "import site; site.addsitedir({!r})\n"


def add_program(tree: Tree, name: str) -> None:
    """Add a program by all its paths; SettingError if it has none."""
    paths = [Path(folder, name) for folder in FOLDERS if Path(folder, name).exists()]
    if not paths:
        raise SettingError(
            f"programs in [tool.seedpod.test] names {name}, which the image does not have. "
            "Declare its package in a group of [tool.sys]."
        )
    for path in paths:
        tree.add(path)


def add_hook(tree: Tree, packages: Path) -> None:
    """Let Python find the packages, with their own path configuration files."""
    site = Path(sysconfig.get_path("purelib"))
    folder = packages / site.relative_to(sys.prefix)
    tree.write(site / "packages_of_tests.pth", HOOK.format(str(folder)))


def leave_out(root: Path, below: Path, before: Path) -> None:
    """Remove from a root file system what another one has, and folders that are empty then.

    So are modules of the interpreter: production has all that it should have, some as bytecode
    alone, in front of which a source would be.
    """
    library = Path(sysconfig.get_path("stdlib")).relative_to("/")
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
            continue
        name = path.relative_to(root)
        is_module = name.is_relative_to(library) and os.path.lexists(before / name)
        if is_module or os.path.lexists(below / name):
            path.unlink()


def main() -> None:
    """Assemble what the arguments name."""
    packages, declared, programs, before, below, root = map(Path, sys.argv[1:])
    names = json.loads(declared.read_text()).get("packages", ())
    tree = Tree(root)
    file_tree.add_packages(tree, Database(), names)
    if names:
        file_tree.add_what_installation_made(tree, before)
    with ended_by_errors():
        for name in json.loads(programs.read_text()):
            add_program(tree, name)
    remedy = "Declare the package that has it in a group of [tool.sys]."
    file_tree.add_libraries(tree, packages, remedy)
    add_hook(tree, packages)
    leave_out(root, below, before)
    set_dates(root)


if __name__ == "__main__":
    main()
