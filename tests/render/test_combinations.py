"""Every combination of answers gives a project, with the files that belong to it, and clean.

1152 at the time of writing. Tools look at the projects that hold a file which none before had.
"""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.combinations import ANSWERS_FILE, Combination, remove, render_all
from tests.render.conftest import TOOLS, check, choices
from tests.render.test_files import expected_files

# Nothing but Copier reads them; that they parse and hold what they should is asked of each.
NOT_CHECKED = (ANSWERS_FILE, "LICENSE", "README.md", "pyproject.toml")


@pytest.fixture(scope="session")
def combinations(
    working_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, list[Combination]]:
    """Return how many combinations there are, and those with a file that is new in them.

    A project whose files are not those that it should have raises.
    """
    offered = choices()
    rows = [dict(zip(offered, values, strict=True)) for values in product(*offered.values())]
    folder = tmp_path_factory.mktemp("combinations")
    known: set[tuple[str, str]] = set()
    kept = []
    for combination in render_all(rows, working_tree, folder):
        assert set(combination.digests) == expected_files(combination.answers)
        files = {item for item in combination.digests.items() if item[0] not in NOT_CHECKED}
        if files <= known:
            remove(combination)
        else:
            known |= files
            kept.append(combination)
    print(f"{len(rows)} combinations, {len(kept)} of them with files that no other has")
    return len(rows), kept


def test_every_combination_renders(
    combinations: tuple[int, list[Combination]], questions: dict[str, dict[str, Any]]
) -> None:
    """It has exactly its files, each of which parses and holds no rest of a template."""
    count = 1
    for name, answers in choices().items():
        assert questions[name].get("when", True), "it is a question and not computed"
        count *= len(answers)
    assert combinations[0] == count


def test_every_file_is_clean(combinations: tuple[int, list[Combination]]) -> None:
    """Python is formatted and without findings, as are YAML and the Dockerfile."""
    for combination in combinations[1]:
        folder = combination.folder
        check([str(TOOLS / "ruff"), "check", "--no-cache", "."], folder)
        check([str(TOOLS / "ruff"), "format", "--check", "--no-cache", "."], folder)
        check([str(TOOLS / "yamllint"), "--strict", "."], folder)
        check([str(TOOLS / "hadolint"), "Dockerfile"], folder)


def test_the_hooks_run_these_tools(combinations: tuple[int, list[Combination]]) -> None:
    configuration = yaml.safe_load(
        (combinations[1][0].folder / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    )
    hooks = {hook["id"]: hook["entry"] for hook in configuration["repos"][0]["hooks"]}
    assert hooks["hadolint"] == "hadolint"
    assert hooks["yamllint"] == "yamllint --strict"
