"""A project that its owner left alone becomes what a fresh copy is, whatever the answers."""

import shutil
import tomllib
from collections import ChainMap
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.render.questions import APPLICATIONS, asked
from tests.update.history import FIRST, PRESENT, History, conflicts, differing, files, owned

# Answers that exist in every version.
ROWS: tuple[dict[str, str], ...] = (
    {},
    {"kind": "cli", "license": "proprietary", "runtime": "full"},
)
# Other answers to every question: those that the example in src and tests depends on, and others.
CHANGES_OF_THE_EXAMPLE: tuple[dict[str, str], ...] = (
    {"kind": "cli"},
    {"services": "[postgres, redis]"},
    {"project_name": "renamed", "package_name": "other"},
)
CHANGES: tuple[dict[str, str], ...] = (
    {"author": "Ada <ada@example.org>", "description": "It computes"},
    {"base": "alpine"},
    {"ci": "github"},
    {"ci": "gitlab"},
    {"deploy": "kubernetes"},
    {"license": "proprietary"},
    {"python_version": "3.12"},
    {"runtime": "full"},
)
ALL_CHANGES = dict(ChainMap(*CHANGES_OF_THE_EXAMPLE, *CHANGES))
# What only the template edits: a release may drop such a file.
PROGRAMS = "docker/"


def label(answers: dict[str, str]) -> str:
    """Return answers as they stand in the name of a test."""
    return ",".join(answers.values()) or "defaults"


def test_each_question_is_answered_otherwise_in_some_test() -> None:
    """That applications are asked; there was no other kind before."""
    configuration = yaml.safe_load((REPOSITORY / "copier.yml").read_text(encoding="utf-8"))
    questions = {name: value for name, value in configuration.items() if name[0] != "_"}
    known = {name for name, value in questions.items() if asked(value, APPLICATIONS[0])}
    assert ALL_CHANGES.keys() == known


@pytest.fixture(scope="session", params=ROWS, ids=label)
def updated(
    request: pytest.FixtureRequest,
    history: History,
    version: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, Path]:
    """Return a project as it was, updated, and made fresh by the present with its answers."""
    old = history.original(version, **request.param)
    project = history.project(tmp_path_factory.mktemp("updated"), version, **request.param)
    history.update(project)
    return old, project, history.original(PRESENT, **request.param)


def kept() -> set[str]:
    """Return the files that the template has dropped and that projects keep."""
    configuration = yaml.safe_load((REPOSITORY / "copier.yml").read_text(encoding="utf-8"))
    return {path[1:] for path in configuration["_exclude"] if path.startswith("/")}


def test_an_untouched_project_equals_a_fresh_copy_but_for_what_owners_rewrite(
    updated: tuple[Path, Path, Path],
) -> None:
    _, project, fresh = updated
    different = differing(project, fresh)
    assert different - owned(different) <= kept()
    assert conflicts(project) == []


def test_an_author_who_answered_two_questions_is_the_same(history: History, tmp_path: Path) -> None:
    project = history.project(tmp_path, FIRST, author_name="Ada", author_email="ada@example.org")
    history.update(project)
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert stored["author"] == "Ada <ada@example.org>"
    assert not stored.keys() & {"author_email", "author_name"}
    authors = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert authors["authors"] == [{"name": "Ada", "email": "ada@example.org"}]


def test_an_update_leaves_alone_what_owners_rewrite(updated: tuple[Path, Path, Path]) -> None:
    old, project, _ = updated
    assert owned(differing(old, project)) == set()


def test_no_file_that_its_owner_may_have_edited_is_deleted(
    updated: tuple[Path, Path, Path],
) -> None:
    old, project, _ = updated
    # Copier deletes it with the edits. A file that is dropped belongs into _exclude of copier.yml.
    deleted = files(old).keys() - files(project).keys()
    assert {name for name in deleted if not name.startswith(PROGRAMS)} == set()


def test_an_untouched_project_is_finished_to_a_fresh_copy_file_by_file(
    history: History, updated: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, project, fresh = updated
    twin = Path(shutil.copytree(project, tmp_path / "twin"))
    history.finish(twin)
    assert differing(twin, fresh) == set()


# For every change they are answered otherwise all at once, below.
@pytest.mark.proofs
@pytest.mark.parametrize("answers", CHANGES, ids=label)
def test_an_answer_can_change_with_the_update(
    history: History, tmp_path: Path, answers: dict[str, str]
) -> None:
    project = history.project(tmp_path, FIRST)
    history.update(project, **answers)
    different = differing(project, history.original(PRESENT, **answers))
    assert different - owned(different) <= kept()
    assert conflicts(project) == []


@pytest.mark.proofs
@pytest.mark.parametrize("answers", CHANGES_OF_THE_EXAMPLE, ids=label)
def test_an_untouched_example_follows_the_answers_when_the_update_is_finished(
    history: History, tmp_path: Path, answers: dict[str, str]
) -> None:
    project = history.project(tmp_path, FIRST)
    history.update(project, **answers)
    fresh = history.original(PRESENT, **answers)
    different = differing(project, fresh)
    assert different - owned(different) <= kept()
    history.finish(project)
    assert differing(project, fresh) == set()


def test_all_answers_can_change_at_once(history: History, version: str, tmp_path: Path) -> None:
    project = history.project(tmp_path, version)
    history.update(project, **ALL_CHANGES)
    history.finish(project)
    assert differing(project, history.original(PRESENT, **ALL_CHANGES)) == set()


@pytest.mark.parametrize(
    "answers", [{}, {"kind": "tool", "distribution": "httpie"}, {"kind": "notebook"}], ids=label
)
def test_an_answer_can_change_without_a_newer_version(
    history: History, tmp_path: Path, answers: dict[str, str]
) -> None:
    project = history.project(tmp_path, PRESENT, **answers)
    history.update(project, runtime="full")
    different = differing(project, history.original(PRESENT, **answers, runtime="full"))
    assert different == owned(different)
