"""Merge a file where the lines of its owner meet those of the template: pyproject.toml by key.

To Git, two neighbours are one change: an owner's budget and the template's of another stage. This
takes Git's merge of the lines. In each of its conflicts it tells keys, tables and elements of lists
apart, each with the comments above it. A value that both sides changed stays the owner's. The
result is read and compared with a merge of the values: an edit that would be lost leaves Git's
conflict as it is.
"""

import json
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Longer than any line of signs in a file.
MARKER_SIZE = 60
SIGNS = "|".join(re.escape(sign * MARKER_SIZE) for sign in "<|=>")
MARKER = re.compile(rf"^(?:{SIGNS})(?: .*)?\n", flags=re.MULTILINE)
# Git's own, and how it calls the sides.
LABEL = re.compile(r"^([<>]{7}) .*", flags=re.MULTILINE)
BLANK_OR_COMMENT = re.compile(r"\s*(#.*)?")
HEADER = re.compile(r"\s*(\[.+\])\s*(#.*)?")
LONGEST_LINE = 100
# The parts of a table or a list by their names: the blank lines and comments above, and the text.
Units = dict[str, tuple[str, str]]
# A merged text, and in words what the owner and the template have changed in different ways.
Merge = tuple[str, list[str]]


class UndecidedError(Exception):
    """What both sides changed is not made of whole keys, tables or elements of a list."""


def untouched(text: str, old: str, own: str, new: str) -> bool:
    """Tell whether a text with conflicts is what Git's merge left: nobody has written to it since.

    ``old`` and ``new`` are the template's texts, ``own`` is what the owner made of the old one.
    """
    return LABEL.sub(r"\1", text) == LABEL.sub(r"\1", _merge_file(old, own, new))


def appended(old: str, own: str, new: str) -> Merge | None:
    """Return the template's new text and what its owner added at the end; None for other edits.

    In: as ``untouched``.
    """
    return (new + own.removeprefix(old), []) if own.startswith(old) else None


def by_key(old: str, own: str, new: str) -> Merge | None:
    """Return the merge of a TOML file, None if something is left for its owner to decide.

    In: as ``untouched``.
    """
    disputed: list[str] = []
    try:
        # First, because pieces of what is no TOML would be parsed again with each line.
        wanted = _merged(*map(tomllib.loads, (old, own, new)), disputed=disputed)
        text = "".join(_pieces(old, own, new))
        same = _sorted(tomllib.loads(text)) == _sorted(wanted)
    except (UndecidedError, ValueError, RecursionError):
        return None
    return (text, disputed) if same else None


def _merge_file(old: str, own: str, new: str, *options: str) -> str:
    """Return Git's merge of the lines of three texts."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("own", "old", "new")]
        for file, text in zip(files, (own, old, new), strict=True):
            file.write_text(text, encoding="utf-8", newline="")
        # Its exit status is the number of conflicts.
        done = subprocess.run(
            ["git", "merge-file", "-p", *options, *files], capture_output=True, check=False
        )
    return done.stdout.decode()


def _pieces(old: str, own: str, new: str) -> Iterator[str]:
    """Yield the text as Git merges it, with units merged where it has a conflict."""
    options = ("--diff3", f"--marker-size={MARKER_SIZE}")
    lines = iter(MARKER.split(_merge_file(old, own, new, *options)))
    for common in lines:
        yield common
        mine, base, theirs = (next(lines, "") for _ in range(3))
        yield _merge_units(base, mine, theirs)


def _merge_units(*sides: str) -> str:
    try:
        old, own, new = map(_tables, sides)
    except tomllib.TOMLDecodeError:
        before, mine, theirs = map(_elements, sides)
        if [x for x in before if x in mine] != [x for x in mine if x in before]:
            # The order may matter to its owner.
            raise UndecidedError from None
        return _joined(before, mine, theirs)
    names = [name for name in dict.fromkeys([*new, *own]) if name in own or name not in old]
    return "".join(_joined(*(side.get(name, {}) for side in (old, own, new))) for name in names)


def _tables(text: str) -> dict[str, Units]:
    """Return the tables in lines of TOML; the first, without a name, goes on from above."""
    tables: dict[str, Units] = {"": {}}
    above, body, name = "", "", ""
    for line in text.splitlines(keepends=True):
        header = HEADER.fullmatch(line.rstrip())
        if not body and BLANK_OR_COMMENT.fullmatch(line.rstrip()):
            above += line
        elif header and not body:
            # The tables of an array have the same header.
            name = header.group(1) + " " * sum(key.strip() == header.group(1) for key in tables)
            tables[name] = {"[": (above, line)}
            above = ""
        else:
            body += line
            try:
                tomllib.loads(body)
            except tomllib.TOMLDecodeError:
                continue
            tables[name][body.partition("=")[0].strip()] = (above, body)
            above = body = ""
    tomllib.loads(body)
    tables[name]["end"] = (above, "")
    return tables


def _elements(text: str) -> Units:
    """Return the elements of a list, one or more in each line; UndecidedError for other lines."""
    units: Units = {}
    above = ""
    for line in text.splitlines(keepends=True):
        if BLANK_OR_COMMENT.fullmatch(line.rstrip()):
            above += line
            continue
        body, elements = line, _parsed(line)
        if _parsed(f"{line}''") is None:
            # There is no comma yet.
            body = f"{line.rstrip()},\n"
        if not elements or any(map(_is_option, elements)) or ("#" in body and body != line):
            raise UndecidedError
        name = "+".join(_name(str(element)) for element in elements)
        units[line if name in units else name] = (above, body)
        above = ""
    units["end"] = (above, "")
    return units


def _parsed(elements: str) -> list[Any] | None:
    """Return the values of lines in a list; None if these are not whole elements."""
    try:
        values: list[Any] = tomllib.loads(f"list = [\n{elements}\n]")["list"]
    except tomllib.TOMLDecodeError:
        return None
    return values


def _joined(old: Units, own: Units, new: Units) -> str:
    """Return the text of one table or list."""
    text = ""
    for name in sorted(dict.fromkeys([*new, *own]), key="end".__eq__):
        if name in own and name in new:
            sides = zip(old.get(name, ("", "")), own[name], new[name], strict=True)
            above, body = (_chosen(*versions) for versions in sides)
            text += above + body
        elif name not in old or own.get(name, old[name]) != old[name]:
            text += "".join(own.get(name) or new[name])
    return text


def _chosen(old: str, own: str, new: str) -> str:
    """Return one of three texts: comments, or a key with its value, or an element of a list."""
    if own == old or new in (old, own):
        return new if own == old else own
    try:
        versions = [tomllib.loads(text) for text in (old, own, new)]
    except tomllib.TOMLDecodeError:
        return own
    for key in versions[1]:
        before, mine, theirs = (version.get(key) for version in versions)
        if theirs in (before, mine):
            return own
        lists = _by_name(before, mine, theirs)
        # The owner's is another comment or layout. A list may have comments inside.
        if mine == before or (lists and "#" in own + new):
            raise UndecidedError
        return _list(key, [*_merged(*lists, disputed=[]).values()]) if lists else own
    if "#" in new:
        raise UndecidedError
    return own


def _list(key: str, elements: list[str]) -> str:
    """Return a key with a list, in one line if it fits."""
    # What JSON writes of a string is TOML, too.
    texts = [json.dumps(element, ensure_ascii=False) for element in elements]
    line = f"{key} = [{', '.join(texts)}]\n"
    lines = "".join(f"    {text},\n" for text in texts)
    return line if len(line) <= LONGEST_LINE else f"{key} = [\n{lines}]\n"


def _merged(
    old: Mapping[str, Any],
    own: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    disputed: list[str],
    table: str = "",
) -> dict[str, Any]:
    """Return the values of three versions of a table, merged, the owner's if both changed one.

    These are added to ``disputed``, in words.
    """
    result: dict[str, Any] = {}
    for key in dict.fromkeys([*own, *new, *old]):
        before, mine, theirs = (version.get(key) for version in (old, own, new))
        name = f"{table}{key}"
        if isinstance(mine, dict) and isinstance(theirs, dict):
            known = before if isinstance(before, dict) else {}
            value: Any = _merged(known, mine, theirs, disputed=disputed, table=f"{name}.")
        elif mine == before or theirs in (before, mine):
            value = theirs if mine == before else mine
        elif None not in (mine, theirs) and (lists := _by_name(before, mine, theirs)):
            value = [*_merged(*lists, disputed=disputed, table=f"{name}: ").values()]
        else:
            value = mine
            disputed.append(f"{name} is {_said(mine)}, the template's is {_said(theirs)}")
        if value is not None:
            result[key] = value
    return result


def _said(value: Any) -> str:
    return "deleted" if value is None else repr(value)


def _by_name(*versions: Any) -> tuple[dict[str, str], ...]:
    """Return lists of texts as tables, with a name for each element; nothing for other values.

    That is the name of a requirement, or all of it where one is there several times.
    """
    lists = [[] if version is None else version for version in versions]
    texts = [item for x in lists for item in (x if isinstance(x, list) else [None])]
    if not all(isinstance(item, str) and not _is_option(item) for item in texts):
        return ()
    for key in (_name, str):
        tables = tuple({key(item): item for item in x} for x in lists)
        if [len(x) for x in tables] == [len(x) for x in lists]:
            return tables
    return ()


def _is_option(element: Any) -> bool:
    """Tell whether it may belong to the element that follows, as -p in those of pytest."""
    return isinstance(element, str) and element.startswith("-")


def _name(element: str) -> str:
    """Return the name in a requirement; all of another text."""
    return re.split(r"[\s\[<>=!~;@]", element, maxsplit=1)[0] or element


def _sorted(value: Any) -> Any:
    """Return a value of TOML with lists of texts in one order: that of a merge is none of them."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value
