"""Print the modules of the standard library that nothing in an image names: as JSON, a list.

It runs in the image; arguments are folders with further code. A module counts as named if any code
that can be reached has a statement that imports it, or its name as text: where modules are imported
by one, and in compiled modules. Code is reached from what Python has loaded when it starts, from
all that is installed, and, of what only the tests need, from pytest and its plugins.
"""

import dis
import glob
import importlib.util
import json
import marshal
import os
import re
import sys
import sysconfig
from collections.abc import Collection, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from types import CodeType

STDLIB = sysconfig.get_path("stdlib")
# Of the stage of the tests: what production does not have.
TESTS = "/opt/test/"
# The interpreter itself imports these: to start, to show an error, for a prompt.
BY_ITSELF = (
    *("_collections_abc", "_compat_pickle", "_pylong", "_pyrepl", "_sitebuiltins", "_strptime"),
    *("codecs", "copyreg", "encodings", "importlib", "io", "linecache", "locale", "pickle"),
    *("pkgutil", "readline", "rlcompleter", "runpy", "site", "sysconfig", "threading", "tokenize"),
    *("traceback", "types", "typing", "warnings", "weakref", "zipimport"),
)
# Of modules of Python 2, for old pickles.
TABLE = "_compat_pickle"
# The standard library imports it where a module is run as a program.
SELF_TEST = "doctest"
# What a module in C imports, it has as a text that ends with a zero.
C_TEXT = re.compile(rb"(?<![\w.])([A-Za-z_][\w.]*)\0")
# What imports modules by a text.
BY_TEXT = {"__import__", "import_module", "find_spec"}
# In front of the code: https://docs.python.org/3/library/importlib.html, PEP 552.
HEAD = 16


def files(folder: str) -> Iterator[str]:
    """Yield the modules below a folder."""
    for place, folders, names in os.walk(folder):
        folders[:] = [x for x in folders if x not in ("__pycache__", "site-packages")]
        for name in names:
            if name.endswith((".py", ".pyc", *EXTENSION_SUFFIXES)):
                yield os.path.join(place, name)


def code(path: str) -> CodeType | None:
    """Return the code of a module; None if it is compiled, or for another Python."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        if path.endswith(".pyc"):
            found = marshal.loads(content[HEAD:])
        else:
            cached = importlib.util.cache_from_source(path)
            if os.path.exists(cached):
                return code(cached)
            found = compile(content, path, "exec", dont_inherit=True)
    except (OSError, EOFError, SyntaxError, TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, CodeType) else None


def named(path: str, known: Collection[str]) -> set[str]:
    """Return those of the known names that a module has."""
    if path.endswith(tuple(EXTENSION_SUFFIXES)):
        with open(path, "rb") as file:
            content = file.read()
        if path.startswith(STDLIB):
            found = {x.partition(b".")[0].decode() for x in C_TEXT.findall(content)}
            return found.intersection(known)
        # Other languages have their texts without an end.
        return {name for name in known if name.encode() in content}
    found, texts = set[str](), set[str]()
    by_text, waiting = False, [code(path)]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        # To read all instructions takes a while.
        if any(name.partition(".")[0] in known for name in each.co_names):
            imports = (x.argval for x in dis.get_instructions(each) if x.opname == "IMPORT_NAME")
            found.update(str(name).partition(".")[0] for name in imports)
        by_text |= not BY_TEXT.isdisjoint(each.co_names)
        for value in each.co_consts:
            # Those of a table are together.
            group = value if isinstance(value, tuple | frozenset) else (value,)
            texts.update(x for x in group if isinstance(x, str))
        waiting += [x for x in each.co_consts if isinstance(x, CodeType)]
    found.update(x.partition(".")[0] for x in texts if by_text or "." in x)
    return found.intersection(known)


def plugins(folder: str) -> Iterator[str]:
    """Yield pytest and the packages of its plugins, of what is installed in a folder."""
    yield "pytest"
    for file in glob.iglob(f"{glob.escape(folder)}/*.dist-info/entry_points.txt"):
        with open(file, encoding="utf-8", errors="replace") as lines:
            section = lines.read().partition("[pytest11]")[2].partition("[")[0]
        yield from re.findall(r"=\s*(\w+)", section)


def main() -> None:
    """Print them."""
    modules: dict[str, list[str]] = {}
    for path in files(STDLIB):
        parts = os.path.relpath(path, STDLIB).split(os.sep)
        first = parts[1] if parts[0] == "lib-dynload" else parts[0]
        modules.setdefault(first.partition(".")[0], []).append(path)
    known, own = {*modules}, list[str]()
    started = {name.partition(".")[0] for name in (*sys.modules, *BY_ITSELF)}
    for folder in {*map(os.path.abspath, sys.path)}:
        if folder.startswith(TESTS):
            started.update(plugins(folder))
            for path in files(folder):
                first = os.path.relpath(path, folder).split(os.sep)[0]
                modules.setdefault(first.partition(".")[0], []).append(path)
        elif not folder.startswith(STDLIB):
            own += files(folder)
    # What production has does without what only the tests need.
    waiting = started | {name for path in own for name in named(path, known)}
    tests = (path for folder in sys.argv[1:] for path in files(folder))
    waiting |= {name for path in tests for name in named(path, modules)}
    waiting &= modules.keys()
    reached = set[str]()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if name != TABLE:
            for path in modules[name]:
                not_needed = {SELF_TEST} if path.startswith(STDLIB) else set[str]()
                waiting |= named(path, modules) - reached - not_needed
    # What belongs to the build of this interpreter is named by a computed text.
    left = {x for x in known - reached if not x.startswith("_sysconfigdata")}
    relative = {name: [os.path.relpath(x, STDLIB) for x in modules[name]] for name in left}
    print(json.dumps(relative))


if __name__ == "__main__":
    main()
