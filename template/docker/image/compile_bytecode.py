"""Compile the modules of an environment, so that the same sources have the same bytecode.

What a process has compiled before shows in what it compiles next: how often a text is used decides
how it is written (https://github.com/python/cpython/issues/78274). So each folder has a process of
its own, which has compiled nothing else, whatever the number of processors and whichever is first.
"""

import compileall
import os
import py_compile
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

# Valid whatever the date of its source, so that no container compiles again.
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def compile_tree(root: Path) -> None:
    """Compile all modules in a folder and in those below; what is no module is passed over."""
    each_in_a_process(_compile_folder, {path.parent for path in root.rglob("*.py")})


def _compile_folder(folder: Path) -> None:
    # A test may have a syntax error on purpose, which is nobody's concern here.
    warnings.simplefilter("ignore")
    with suppress(Exception):
        compileall.compile_dir(str(folder), maxlevels=0, quiet=2, invalidation_mode=UNCHECKED)


def each_in_a_process(work: Callable[[Path], None], folders: Iterable[Path]) -> None:
    """Call ``work`` for each folder in a process of its own, one at a time for each processor.

    Raises ChildProcessError if a call fails; its traceback is printed.
    """
    processors, running, failed = os.cpu_count() or 1, 0, 0
    for folder in sorted(folders):
        if running == processors:
            failed |= os.wait()[1]
            running -= 1
        if os.fork() == 0:
            try:
                work(folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        running += 1
    for _ in range(running):
        failed |= os.wait()[1]
    if failed:
        raise ChildProcessError("Modules cannot be compiled.")
