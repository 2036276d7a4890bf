"""What can be answered to the questions of copier.yml, and rows of answers to test with."""

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import jinja2
import yaml
from allpairspy import AllPairs  # type: ignore[import-untyped]

COPIER_YML = Path(__file__).resolve().parent.parent.parent / "copier.yml"
TOOLS = Path(sys.executable).parent

Answers = dict[str, str]
# Names of a project that differ, so that one in the place of the other shows.
PROJECT, PACKAGE = "corner-shop", "till"


class ComposeLoader(yaml.SafeLoader):
    """YAML with the tag by which an overlay takes away what stands in the file below it."""


ComposeLoader.add_constructor("!reset", lambda loader, node: None)


def load_compose(path: Path) -> dict[str, Any]:
    """Return what a compose file says; what it resets is None."""
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), ComposeLoader)
    return document


# Kinds with a package of their own, which are asked the same questions, and each of the others.
APPLICATIONS = ("web", "cli")
KINDS = (APPLICATIONS, ("tool",), ("notebook",))


def choices(kinds: tuple[str, ...] = APPLICATIONS) -> dict[str, list[str]]:
    """Return what can be answered to each question with choices that projects of kinds are asked.

    Where several can be chosen, each subset is an answer, written as on copier's command line.
    """
    configuration = yaml.safe_load(COPIER_YML.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {"kind": [*kinds]}
    for name, value in configuration.items():
        if isinstance(value, dict) and "choices" in value and asked(value, kinds[0]):
            offered = value["choices"]
            values = list(offered.values() if isinstance(offered, dict) else offered)
            found.setdefault(name, subsets(values) if value.get("multiselect") else values)
    return found


def asked(question: dict[str, Any], kind: str) -> bool:
    """Tell whether a project of a kind is asked a question."""
    when = str(question.get("when", True))
    return str(jinja2.Template(when).render(kind=kind)) == "True"


def subsets(values: list[str]) -> list[str]:
    """Return each subset of values as a list in YAML, the smallest first."""
    sizes = range(len(values) + 1)
    return [f"[{', '.join(few)}]" for size in sizes for few in combinations(values, size)]


def services(answers: Answers) -> list[str]:
    """Return the services that a row of answers chooses."""
    chosen: list[str] = yaml.safe_load(answers.get("services", "[]"))
    return chosen


def label(answers: Answers) -> str:
    """Return a row of answers as it stands in the name of a test."""
    texts = [answer.strip("[]").replace(", ", "+") for answer in answers.values()]
    return "-".join(text or "none" for text in texts)


def pairwise(
    offered: dict[str, list[str]], allowed: Callable[[Answers], bool] = lambda _: True
) -> list[Answers]:
    """Return few rows of answers in which each pair of answers to two questions occurs.

    Rows that are not ``allowed``, which is asked of their beginnings, too, are left out.
    """

    def keep(row: list[str]) -> bool:
        return allowed(dict(zip(offered, row, strict=False)))

    found = AllPairs(offered.values(), filter_func=keep)
    rows = [dict(zip(offered, row, strict=True)) for row in found]
    # It may miss pairs when rows are left out.
    covered = {pair for row in rows for pair in combinations(row.items(), 2)}
    for values in product(*offered.values()):
        row = dict(zip(offered, values, strict=True))
        pairs = set(combinations(row.items(), 2))
        if pairs - covered and allowed(row):
            rows.append(row)
            covered |= pairs
    return rows


def hooks_of_projects() -> list[dict[str, Any]]:
    """Return the hooks that projects may have, whatever is answered."""
    path = COPIER_YML.parent / "template/.pre-commit-config.yaml.jinja"
    text = re.sub(r"(?m)^\{%.*\n", "", path.read_text(encoding="utf-8"))
    [repository] = yaml.safe_load(text)["repos"]
    found: list[dict[str, Any]] = repository["hooks"]
    return found


def check(command: list[str], folder: Path) -> None:
    """Run a check in ``folder``; it has to find nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
