"""Let ctypes.util.find_library() find libraries where there is neither ldconfig nor a compiler.

    python3 docker/image/extend_ctypes.py

It asks these programs (https://docs.python.org/3/library/ctypes.html#finding-shared-libraries), and
neither the minimal runtime nor Alpine has them. Then library_folders.py looks into the folders.
"""

import ctypes.util
import py_compile
from pathlib import Path

from compile_bytecode import UNCHECKED

MODULE = Path(__file__).with_name("library_folders.py")
ADDED = """

# Added by docker/image/extend_ctypes.py.
from ctypes import _folders
_ask_programs = find_library


def find_library(name):
    return _ask_programs(name) or _folders.find_library(name)
"""


def extend(util: Path) -> None:
    """Add to ctypes/util.py, and compile it and what it imports; a second time changes nothing."""
    text = util.read_text(encoding="utf-8")
    folders = util.with_name("_folders.py")
    folders.write_bytes(MODULE.read_bytes())
    util.write_text(text.removesuffix(ADDED) + ADDED, encoding="utf-8")
    for path in (util, folders):
        py_compile.compile(str(path), invalidation_mode=UNCHECKED, doraise=True)


if __name__ == "__main__":
    extend(Path(ctypes.util.__file__))
