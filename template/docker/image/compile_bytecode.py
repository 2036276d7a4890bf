"""Compile the modules of an environment, so that the same sources have the same bytecode.

What a process has compiled before shows in what it compiles next: how often a text is used decides
how it is written (https://github.com/python/cpython/issues/78274). So each folder has a process of
its own, which has compiled nothing else, whatever the number of processors and whichever is first.
"""

import compileall
import os
import py_compile
import warnings
from pathlib import Path

# Valid whatever the date of its source, so that no container compiles again.
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def compile_tree(root: Path) -> None:
    """Compile all modules in a folder and in those below; what is no module is passed over."""
    processors, running = os.cpu_count() or 1, 0
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        if running == processors:
            os.wait()
            running -= 1
        if os.fork() == 0:
            _compile_folder(str(folder))
        running += 1
    for _ in range(running):
        os.wait()


def _compile_folder(folder: str) -> None:
    """Compile the modules of one folder, and end this process."""
    try:
        # A test may have a syntax error on purpose, which is nobody's concern here.
        warnings.simplefilter("ignore")
        compileall.compile_dir(folder, maxlevels=0, quiet=2, invalidation_mode=UNCHECKED)
    finally:
        os._exit(0)
