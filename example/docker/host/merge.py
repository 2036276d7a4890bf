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
MARKER = re.compile(rf"^[<|=>]{{{MARKER_SIZE}}}(?: .*)?\n", flags=re.MULTILINE)
BLANK_OR_COMMENT = re.compile(r"\s*(#.*)?")
HEADER = re.compile(r"\s*(\[.+\])\s*(#.*)?")
LONGEST_LINE = 100
# The parts of a table or a list by their names: the blank lines and comments above, and the text.
Units = dict[str, tuple[str, str]]


class UndecidedError(Exception):
    """What both sides changed is not made of whole keys, tables or elements of a list."""


# A merged text, and the values in it that the template has changed in another way than the owner.
Merge = tuple[str, list[str]]


def appended(old: str, own: str, new: str) -> Merge | None:
    """Return the template's new text and what its owner added at the end; None for other edits.

    ``old`` and ``new`` are the template's texts, ``own`` is what the owner made of the old one.
    """
    return (new + own.removeprefix(old), []) if own.startswith(old) else None


def by_key(old: str, own: str, new: str) -> Merge | None:
    """Return the merge of a TOML file, None if something is left for its owner to decide.

    ``old`` and ``new`` are the template's texts, ``own`` is what the owner made of the old one.
    """
    try:
        text = "".join(_pieces(old, own, new))
        values = [_named(tomllib.loads(side)) for side in (old, own, new)]
        found = _named(tomllib.loads(text))
    except (UndecidedError, tomllib.TOMLDecodeError):
        return None
    disputed: list[str] = []
    return (text, disputed) if found == _merged(*values, disputed=disputed) else None


def _pieces(old: str, own: str, new: str) -> Iterator[str]:
    """Yield the text as Git merges it, with units merged where it has a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("own", "old", "new")]
        for file, text in zip(files, (own, old, new), strict=True):
            file.write_text(text, encoding="utf-8", newline="")
        options = ("-p", "--diff3", f"--marker-size={MARKER_SIZE}")
        # Its exit status is the number of conflicts.
        output = subprocess.run(
            ["git", "merge-file", *options, *files], stdout=subprocess.PIPE, check=False
        ).stdout
    lines = iter(MARKER.split(output.decode()))
    for common in lines:
        yield common
        mine, base, theirs = (next(lines, "") for _ in range(3))
        yield _merge_units(base, mine, theirs)


def _merge_units(*sides: str) -> str:
    try:
        old, own, new = map(_tables, sides)
    except tomllib.TOMLDecodeError:
        return _joined(*map(_elements, sides))
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
        body = line if line.rstrip().endswith(",") else f"{line.rstrip()},\n"
        try:
            name = "+".join(map(_name, map(str, tomllib.loads(f"list = [{body}]")["list"])))
        except tomllib.TOMLDecodeError as error:
            raise UndecidedError from error
        units[line if name in units else name] = (above, body)
        above = ""
    units["end"] = (above, "")
    return units


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
    if own == old:
        return new
    try:
        versions = [tomllib.loads(text) for text in (old, own, new)]
    except tomllib.TOMLDecodeError:
        return own
    for key, value in versions[1].items():
        before, mine, theirs = (_named(version.get(key, [])) for version in versions)
        if theirs in (before, mine):
            return own
        # The owner's is another comment or layout. A list may have comments inside.
        if mine == before or (isinstance(value, list) and "#" in own + new):
            raise UndecidedError
        if isinstance(value, list) and all(
            isinstance(side, dict) for side in (before, mine, theirs)
        ):
            return _list(key, [*_merged(before, mine, theirs, disputed=[]).values()])
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

    These are added to ``disputed``, with the template's.
    """
    result: dict[str, Any] = {}
    for key in dict.fromkeys([*own, *new]):
        before, mine, theirs = (version.get(key) for version in (old, own, new))
        if isinstance(mine, dict) and isinstance(theirs, dict):
            known = before if isinstance(before, dict) else {}
            result[key] = _merged(known, mine, theirs, disputed=disputed, table=f"{table}{key}.")
        elif mine is None or theirs is None:
            # One has added it, or one has deleted it; what the owner has changed is kept.
            if before is None or mine not in (None, before):
                result[key] = theirs if mine is None else mine
        else:
            result[key] = theirs if mine == before else mine
            if mine not in (before, theirs) and theirs != before:
                disputed.append(f"{table}{key} = {mine!r} (the template has {theirs!r})")
    return result


def _named(value: Any) -> Any:
    """Return a value of TOML in which lists of texts are tables, with a name for each element."""
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        names = [_name(item) for item in value]
        return dict(zip(names if len({*names}) == len(names) else value, value, strict=True))
    return value


def _name(element: str) -> str:
    """Return the name in a requirement; all of another text."""
    return re.split(r"[\s\[<>=!~;@]", element, maxsplit=1)[0] or element
