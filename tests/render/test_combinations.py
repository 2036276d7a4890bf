"""Every combination of answers gives a project, with the files that belong to it, and clean.

1248 at the time of writing. Tools look at one project for each file which none before had.
"""

import hashlib
import itertools
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.combinations import ANSWERS_FILE, Renderer, every_row
from tests.render.questions import KINDS, TOOLS, Answers, asked, check, choices
from tests.render.test_files import expected_files, files

# Nothing but Copier reads them; that they parse and hold what they should is asked of each.
NOT_CHECKED = ("LICENSE", "README.md", "docker/ruff.toml", "pyproject.toml")


Rows = list[tuple[Answers, dict[str, str]]]


@pytest.fixture(scope="session")
def rendered(renderer: Renderer) -> Rows:
    """Return every combination of answers with the digests of its files, the defaults first."""
    return [(row, renderer.files(row)) for row in ({}, *every_row())]


def test_every_combination_renders(rendered: Rows, questions: dict[str, dict[str, Any]]) -> None:
    """It has exactly its files, each of which parses and holds no rest of a template."""
    count = 0
    for kinds in KINDS:
        offered = choices(kinds)
        assert all(asked(questions[name], kind) for name in offered for kind in kinds)
        count += math.prod(map(len, offered.values()))
    # A catalogue is another template: test_catalogue.py.
    assert {*itertools.chain(*KINDS), "catalogue"} == {*questions["kind"]["choices"].values()}
    assert len(rendered) == count + 1
    for answers, digests in rendered[1:]:
        assert {*digests, ANSWERS_FILE} == expected_files(answers)


def test_copier_makes_the_same(project: Path, answers: Answers, renderer: Renderer) -> None:
    """Byte for byte, and it records the answers."""
    contents = {
        name: (project / name).read_bytes() for name in files(project) if name != ANSWERS_FILE
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert digests == renderer.files(answers)
    stored = yaml.safe_load((project / ANSWERS_FILE).read_text(encoding="utf-8"))
    for name, answer in answers.items():
        assert stored[name] == (yaml.safe_load(answer) if answer.startswith("[") else answer)


@pytest.fixture(scope="session")
def distinct(rendered: Rows, renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of projects in which each distinct file is there once.

    Tools read the settings of the project that a file lies in.
    """
    folder = tmp_path_factory.mktemp("combinations")
    known: set[tuple[str, str]] = set()
    number = 0
    for answers, digests in rendered:
        new = {item for item in digests.items() if item[0] not in NOT_CHECKED} - known
        if new:
            project = folder / str(number) / "myapp"
            renderer.write(answers, project)
            for item in known.intersection(digests.items()):
                (project / item[0]).unlink()
            known |= new
            number += 1
    print(f"{len(rendered)} combinations, {number} of them with files that no other has")
    return folder


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
    """Of those that only the name of the base image sets apart, one."""
    texts = {
        re.sub(r"(?m)^ARG PYTHON_IMAGE=.*", "", path.read_text(encoding="utf-8")): str(path)
        for path in distinct.glob("*/*/Dockerfile")
    }
    assert len(texts) > 1
    check([str(TOOLS / "hadolint"), *texts.values()], distinct)


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
