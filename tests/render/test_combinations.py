"""Every combination of answers gives a project, with the files that belong to it, and clean.

1152 at the time of writing. Tools look at one project for each file which none before had.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.combinations import ANSWERS_FILE, Renderer, every_row
from tests.render.conftest import TOOLS, Answers, check, choices
from tests.render.test_files import expected_files, files

# Nothing but Copier reads them; that they parse and hold what they should is asked of each.
NOT_CHECKED = ("LICENSE", "README.md", "pyproject.toml")


@pytest.fixture(scope="session")
def rendered(working_tree: Path) -> list[tuple[Answers, dict[str, str]]]:
    """Return every combination of answers with the digests of its files, the defaults first."""
    renderer = Renderer(working_tree)
    return [(row, renderer.files(row)) for row in ({}, *every_row())]


@pytest.fixture(scope="session")
def copied(
    rendered: list[tuple[Answers, dict[str, str]]],
    draft: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Path, tuple[Answers, dict[str, str]]]:
    """Return projects that together hold each distinct file, as Copier itself copies them."""
    folder = tmp_path_factory.mktemp("combinations")
    known: set[tuple[str, str]] = set()
    made: dict[Path, tuple[Answers, dict[str, str]]] = {}
    for answers, digests in rendered:
        new = {item for item in digests.items() if item[0] not in NOT_CHECKED} - known
        if new:
            known |= new
            project = draft(folder / str(len(made)) / "myapp", **answers)
            made[project] = (answers, digests)
    print(f"{len(rendered)} combinations, {len(made)} of them with files that no other has")
    return made


def test_every_combination_renders(
    rendered: list[tuple[Answers, dict[str, str]]], questions: dict[str, dict[str, Any]]
) -> None:
    """It has exactly its files, each of which parses and holds no rest of a template."""
    count = 1
    for name, offered in choices().items():
        assert questions[name].get("when", True), "it is a question and not computed"
        count *= len(offered)
    assert len(rendered) == count + 1
    for answers, digests in rendered[1:]:
        assert {*digests, ANSWERS_FILE} == expected_files(answers)


def test_copier_makes_the_same(copied: dict[Path, tuple[Answers, dict[str, str]]]) -> None:
    """Byte for byte, and it records the answers."""
    for project, (answers, digests) in copied.items():
        names = files(project) - {ANSWERS_FILE}
        contents = {name: (project / name).read_bytes() for name in names}
        assert {
            name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
        } == digests
        stored = yaml.safe_load((project / ANSWERS_FILE).read_text(encoding="utf-8"))
        for name, answer in answers.items():
            assert stored[name] == (yaml.safe_load(answer) if answer.startswith("[") else answer)


@pytest.fixture(scope="session")
def distinct(copied: dict[Path, tuple[Answers, dict[str, str]]]) -> Path:
    """Return the folder of all these projects, in which each distinct file is there once.

    Tools read the settings of the project that a file lies in.
    """
    known: set[tuple[str, str]] = set()
    for project, (_, digests) in copied.items():
        for item in digests.items():
            if item in known and item[0] not in NOT_CHECKED:
                (project / item[0]).unlink()
            known.add(item)
    return next(iter(copied)).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--check", "--no-cache", "."],
        ["yamllint", "--strict", "--config-file=0/myapp/.yamllint.yaml", "."],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_file_is_clean(distinct: Path, command: list[str]) -> None:
    """Python is formatted and without findings, as is YAML."""
    check([str(TOOLS / command[0]), *command[1:]], distinct)


def test_every_dockerfile_is_clean(distinct: Path) -> None:
    dockerfiles = sorted(map(str, distinct.glob("*/*/Dockerfile")))
    assert dockerfiles
    check([str(TOOLS / "hadolint"), *dockerfiles], distinct)


def test_a_finding_would_be_found(distinct: Path, tmp_path: Path) -> None:
    """With the settings of the project, in the way in which all of them are looked at."""
    project = Path(shutil.copytree(distinct / "0/myapp", tmp_path / "0/myapp"))
    (project / "src/myapp/wrong.py").write_text("import os\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="F401"):
        check([str(TOOLS / "ruff"), "check", "--no-cache", "."], tmp_path)


def test_the_hooks_run_these_tools(distinct: Path) -> None:
    configuration = yaml.safe_load(
        (distinct / "0/myapp/.pre-commit-config.yaml").read_text(encoding="utf-8")
    )
    hooks = {hook["id"]: hook["entry"] for hook in configuration["repos"][0]["hooks"]}
    assert hooks["hadolint"] == "hadolint"
    assert hooks["yamllint"] == "yamllint --strict"
