"""Find where Python modules load shared libraries by a name that stands in them.

No ELF file tells of these: ctypes.util.find_library("pq"), ctypes.CDLL("libmagic.so.1").
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CALLS = ("CDLL", "LoadLibrary", "PyDLL", "dlopen", "find_library")
# Nearly all modules are passed over by this, and not parsed.
MENTIONED = re.compile(rf"(?:{'|'.join(CALLS)})\(".encode())
# Of "libgobject-2.0.so.0", "gobject-2.0-0" and "gobject" what they have in common.
NAME = re.compile(r"(?:lib)?([A-Za-z][\w+]*(?:-[A-Za-z][\w+]*)*)[-.\d]*(?:so[.\d]*)?")
# The characters of a file's name (limits.h); of more, the pattern above would take hours.
LONGEST = 255
# What only Windows and macOS have.
ELSEWHERE = re.compile(
    r".*(?:\.dll|\.dylib|32)|msvcrt|ntdll|AppKit|Carbon|Cocoa|\w*Foundation|Security|System|objc"
)


def fits(library: str, file: str) -> bool:
    """Tell whether a file name may be that of a library that libraries() has named."""
    return re.match(rf"{re.escape(library)}[-.\d]*\.so", file) is not None


def libraries(module: Path) -> Iterator[tuple[str, int]]:
    """Yield the libraries that a module loads, like "libpq", each with the line of the call."""
    content = module.read_bytes()
    if not MENTIONED.search(content):
        return
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=args) if (
                called.endswith(CALLS)
            ):
                # Of several names for one library, the first one is Linux's.
                texts = [x.value for x in args if isinstance(x, ast.Constant)]
                text = next((x for x in texts if isinstance(x, str)), "")
                name = NAME.fullmatch(text[:LONGEST])
                if name and not ELSEWHERE.fullmatch(text):
                    yield f"lib{name[1]}", node.lineno
