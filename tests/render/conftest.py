"""One project for each row of answers that together hold every pair of choices."""

from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import pytest
import yaml

COPIER_YML = Path(__file__).resolve().parent.parent.parent / "copier.yml"

Answers = dict[str, str]


def choices() -> dict[str, list[str]]:
    """Return what can be chosen in each question that has choices."""
    configuration = yaml.safe_load(COPIER_YML.read_text(encoding="utf-8"))
    return {
        name: list(
            value["choices"].values() if isinstance(value["choices"], dict) else value["choices"]
        )
        for name, value in configuration.items()
        if isinstance(value, dict) and "choices" in value
    }


def pairwise(choices: dict[str, list[str]]) -> list[Answers]:
    """Return few rows of answers in which each pair of choices of two questions occurs."""

    def pairs(row: Answers) -> set[tuple[tuple[str, str], ...]]:
        return set(combinations(row.items(), 2))

    rows = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    missing = set().union(*map(pairs, rows))
    chosen = []
    while missing:
        chosen.append(max(rows, key=lambda row: len(missing & pairs(row))))
        missing -= pairs(chosen[-1])
    return chosen


@pytest.fixture(scope="session", params=pairwise(choices()), ids=lambda row: "-".join(row.values()))
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return one row of answers."""
    row: Answers = request.param
    return row


@pytest.fixture(scope="session")
def project(
    answers: Answers, copy: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the project made from ``answers``; no test changes it."""
    return copy(tmp_path_factory.mktemp("projects") / "myapp", **answers)
