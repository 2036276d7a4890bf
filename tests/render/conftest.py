"""One project for each row of answers that together contain every pair of choices."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.render.combinations import Renderer
from tests.render.questions import PACKAGE, PROJECT, Answers, choices, label, pairwise


@pytest.fixture(scope="session")
def renderer(working_tree: Path) -> Renderer:
    """Return the template as it stands, which it renders without Copier."""
    return Renderer(working_tree)


@pytest.fixture(scope="session", params=pairwise(choices()), ids=label)
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return one row of answers."""
    row: Answers = request.param
    return row


@pytest.fixture(scope="session")
def projects() -> dict[str, Path]:
    """Return the projects that were made so far: a file of tests after another wants them again."""
    return {}


@pytest.fixture(scope="session")
def project(
    answers: Answers,
    projects: dict[str, Path],
    draft: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the project made from ``answers``; no test changes it."""
    name = label(answers)
    if name not in projects:
        projects[name] = draft(tmp_path_factory.mktemp("projects") / "myapp", **answers)
    return projects[name]


@pytest.fixture(scope="module")
def made(
    answers: Answers, draft: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the project made from a file's own ``answers``, PROJECT; no test changes it."""
    names = {"project_name": PROJECT, "package_name": PACKAGE}
    return draft(tmp_path_factory.mktemp("projects") / "folder", **names, **answers)


@pytest.fixture
def copied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that project to change, and be there."""
    folder = Path(shutil.copytree(made, tmp_path / "folder"))
    monkeypatch.chdir(folder)
    return folder
