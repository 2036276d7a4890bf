"""Assemble the standard library of the minimal runtime: a layer that no new lock changes.

    python3 docker/image/assemble_library.py stdlib-exclude.txt ROOT

ROOT gets the standard library without what the list excludes: its modules as bytecode without the
source, the rest as it is.
"""

import py_compile
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from compile_bytecode import UNCHECKED, each_in_a_process
from errors import ended_by_errors
from file_tree import Tree
from set_dates import set_dates
from standard_library import excluded, standard_library


def add_standard_library(tree: Tree, exclude: Iterable[str]) -> None:
    """Add the standard library: its modules as bytecode without the source, the rest as it is.

    A module's bytecode in the place of its source is imported like it (Python's documentation,
    "Compiled Python files"). With both, the library would be 10 MB larger.
    """
    # The interpreter finds its prefix by this folder, which a build may leave without a module.
    tree.at(Path(sysconfig.get_path("stdlib"), "lib-dynload")).mkdir(parents=True)
    modules: dict[Path, list[Path]] = {}
    for path in standard_library(exclude):
        if path.suffix == ".py":
            modules.setdefault(path.parent, []).append(path)
        else:
            tree.add(path)

    def compile_folder(folder: Path) -> None:
        tree.at(folder).mkdir(parents=True, exist_ok=True)
        for path in modules[folder]:
            target = str(tree.at(path.with_suffix(".pyc")))
            py_compile.compile(str(path), target, str(path), True, invalidation_mode=UNCHECKED)

    each_in_a_process(compile_folder, modules)


def main() -> None:
    """Assemble it without what a list excludes, in a folder."""
    exclude_list, root = map(Path, sys.argv[1:])
    with ended_by_errors():
        exclude = excluded(exclude_list)
    add_standard_library(Tree(root), exclude)
    set_dates(root)


if __name__ == "__main__":
    main()
