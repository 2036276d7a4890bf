"""What modules import, in functions, too, and what they name as text: read, and not run."""

import ast
import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import import_modules

SUFFIXES = (*EXTENSION_SUFFIXES, ".py")
# A name, or one below the package that the text is in, or the object in a module.
NAME = re.compile(r"\.*\w[\w.]*(:[\w.]+)?")


def module_name(path: Path) -> str:
    """Return the name of the module at a path below a folder for packages; empty if it is none."""
    suffix = next((x for x in SUFFIXES if path.name.endswith(x)), "")
    parts = [*path.parts[:-1], path.name.removesuffix(suffix)]
    if not suffix or "." in parts[-1]:
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names(module: Path, name: str, *, unprepared: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the modules that one may import, each with the number of the line.

    Of "from a import b", a.b may be a module, too. A text that is a name with a dot, or a relative
    one, may be imported by it.
    With ``unprepared`` those are left out that the module can do without (import_modules.py).
    """
    package = name if module.name.startswith("__init__.") else name.rpartition(".")[0]
    waiting: list[ast.AST] = []
    # Another Python's, made to be filled in, or nested too deep for any.
    with warnings.catch_warnings(), suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        warnings.simplefilter("ignore")
        waiting.append(ast.parse(module.read_bytes()))
    while waiting:
        node = waiting.pop()
        if unprepared and import_modules.is_prepared(node):
            continue
        waiting += ast.iter_child_nodes(node)
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.name, node.lineno) for alias in aliases)
            case ast.ImportFrom(module=text, level=level, names=aliases):
                base = _resolved(f"{'.' * level}{text or ''}", package)
                if base:
                    yield base, node.lineno
                    yield from ((f"{base}.{alias.name}", node.lineno) for alias in aliases)
            case ast.Constant(value=str(text)) if "." in text and not unprepared:
                if NAME.fullmatch(text):
                    yield _resolved(text.partition(":")[0], package), node.lineno


def _resolved(name: str, package: str) -> str:
    """Return an absolute name for one that may be relative; empty if it leads out of packages."""
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:
        return ""
