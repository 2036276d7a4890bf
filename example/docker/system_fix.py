"""Write into pyproject.toml what the check of the system packages found, with tomlkit.

    python docker/system_fix.py report.json pyproject.toml

A missing package is added, one that is for building moves to the other table; comments and order
stay. What seems unused may be loaded by name, so that stays, too, for its owner to decide.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

RUN, BUILD = "dependencies", "dev-dependencies"


def fix(text: str, key: str, findings: Iterable[Mapping[str, Any]]) -> str:
    """Return pyproject.toml's text with the findings mended in the section with a key."""
    document = tomlkit.parse(text)
    for finding in findings:
        package = finding["package"]
        if finding["kind"] == "missing" and package:
            _table(document, "tool", "sys", key, RUN)[package] = "*"
        elif finding["kind"] == "build-only":
            run = _table(document, "tool", "sys", key, RUN)
            if package in run:
                version = run.pop(package)
                _table(document, "tool", "sys", key, BUILD).setdefault(package, version)
    return tomlkit.dumps(document)


def _table(document: tomlkit.TOMLDocument, *names: str) -> Table:
    """Return a table, made where it is not there yet."""
    table: Any = document
    for name in names[:-1]:
        if name not in table:
            table[name] = tomlkit.table(is_super_table=True)
        table = table[name]
    if names[-1] not in table:
        table[names[-1]] = tomlkit.table()
    found: Table = table[names[-1]]
    return found


def main() -> None:
    """Mend the file named second by the report named first."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    path = Path(sys.argv[2])
    # Bytes, because reading as text would change the ends of lines.
    fixed = fix(path.read_bytes().decode(), report["key"], report["findings"])
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(fixed.encode())
    shutil.copymode(path, new)
    new.replace(path)


if __name__ == "__main__":
    main()
