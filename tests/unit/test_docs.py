"""The documentation says what the code says."""

import re
from pathlib import Path

from causes import CAUSES

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCS = REPOSITORY / "docs"


def row(problem: str, remedy: str) -> str:
    """Return a line of the table of known failures."""
    return f"| {problem.format('…')} | {remedy} |"


def test_the_table_of_known_failures_is_that_of_the_program() -> None:
    text = (DOCS / "sessions.md").read_text(encoding="utf-8")
    section = text.split("## Known failures\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    # The first is for what programs of the image say, which have both sentences themselves.
    assert rows == [row(problem, remedy) for _, problem, remedy in CAUSES[1:]]


def test_the_map_of_support_names_each_of_its_files_and_no_others() -> None:
    """A folder stands for what is in it."""
    text = (DOCS / "development.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`support/.*?) \|", text, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(support/[^`]+)`", row)}
    there = {
        f"support/{path.name}{'/' if path.is_dir() else ''}"
        for path in (REPOSITORY / "support").iterdir()
        if path.name not in ("__init__.py", "__pycache__")
    }
    assert named == there
