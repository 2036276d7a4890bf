"""Write the page with the treemap of an image, and read what an earlier one has.

The page is treemap.html with the data in it, as JSON in an element of its own: no script runs
that is not in that file, and it asks no server.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from contents import NOTHING, Change, Contents, File, Layer, Owner, Sizes, tree
from session import SessionError, reason
from sizes import shorten

TEMPLATE = Path(__file__).with_name("treemap.html")
# In the template it is empty.
START, END = '<script type="application/json" id="data">', "</script>"
DATA = re.compile(rf"{re.escape(START)}(.*?){END}", re.DOTALL)
# Raised if it changes what a part of the data means.
FORMAT = 1


def page(contents: Contents, before: str = "", changes: Sequence[Change] = ()) -> str:
    """Return the page of an image; with the name of an earlier one, what changed since that."""
    data = {
        "format": FORMAT,
        "image": contents.name,
        "size": contents.size,
        "layers": [[shorten(x.instruction), [*_groups(x.files)]] for x in contents.layers],
        "before": before,
        "changes": [[x.kind, x.name, *x.versions, *x.sizes, x.verdict] for x in changes],
    }
    # In ASCII, half of a character stays one. Nothing in it ends the element.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    start, _, end = TEMPLATE.read_text(encoding="utf-8").partition(START + END)
    return f"{start}{START}{text}{END}{end}"


def _groups(files: Iterable[File]) -> Iterator[list[Any]]:
    """Yield for each package in a layer its kind, name, version and tree of files."""
    found: defaultdict[Owner, list[tuple[str, int]]] = defaultdict(list)
    for file in files:
        found[file.owner].append((file.path, file.size))
    for owner, owned in sorted(found.items()):
        yield [owner.kind, owner.name, owner.version, tree(owned)]


def earlier(file: Path) -> tuple[str, Sizes] | None:
    """Return the name of the image that a page is about, and what was in it.

    None if there is no such page, or of another version. Raises SessionError.
    """
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, ValueError) as error:
        told = reason(error) if isinstance(error, OSError) else f"{file} is no page. Remove it."
        raise SessionError(told) from error
    found = DATA.search(text)
    try:
        data = json.loads(found[1]) if found else {}
        if data.get("format") != FORMAT:
            return None
        layers = [Layer(instruction, [*_files(groups)]) for instruction, groups in data["layers"]]
        return str(data["image"]), Contents(str(data["image"]), layers).sizes()
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _files(groups: Iterable[Any]) -> Iterator[File]:
    for kind, name, version, entries in groups:
        owner = Owner(kind, name, version) if kind != NOTHING else Owner(NOTHING)
        for path, size in _paths(entries, ""):
            yield File(path, int(size), owner)


def _paths(entries: Iterable[Any], above: str) -> Iterator[tuple[str, int]]:
    for name, content in entries:
        path = f"{above}/{name}"
        if isinstance(content, list):
            yield from _paths(content, path)
        else:
            yield path, content
