"""The sessions that run on the host, in a project whose Python is the one that runs Nox."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import git
from tests.docker.projects import Made, Make


@pytest.fixture(scope="module", params=["web", pytest.param("cli", marks=pytest.mark.proofs)])
def project(request: pytest.FixtureRequest, make: Make) -> Made:
    """Return a project of each kind; the hooks need a Git repository."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = make(kind=request.param, python_version=version)
    made.run("git", "init", "--quiet")
    made.run("git", "add", "--all")
    return made


@pytest.mark.parametrize(
    "session", [pytest.param("lint", marks=pytest.mark.proofs), "typecheck", "tests"]
)
def test_a_new_project_passes(project: Made, session: str) -> None:
    output = project.session(session)
    assert "skipped" not in output
    changed = project.run("git", "diff", "--name-only").stdout
    assert changed == ""


def test_without_a_repository_lint_says_what_to_do(fresh: Made, tmp_path: Path) -> None:
    output = fresh.refused("lint", GIT_CEILING_DIRECTORIES=str(fresh.folder.parent))
    assert "git init && git add --all" in output


def test_a_type_error_and_a_failing_test_are_found(project: Made) -> None:
    (project.folder / "tests/test_wrong.py").write_text(
        "def test_wrong() -> None:\n    number: int = 'text'\n    assert number == 1\n"
    )
    try:
        assert "Incompatible types in assignment" in project.refused("typecheck")
        assert "1 failed" in project.refused("tests")
    finally:
        (project.folder / "tests/test_wrong.py").unlink()


@pytest.mark.proofs
def test_in_a_folder_of_a_repository_lint_checks_that_folder_alone(
    project: Made, tmp_path: Path
) -> None:
    top = tmp_path / "ours"
    mine = Made(top / "services/shöp app", project.variables)
    shutil.copytree(project.folder, mine.folder, ignore=shutil.ignore_patterns(".git", ".nox"))
    other = top / "other/bad.py"
    other.parent.mkdir()
    other.write_text("import os\nx=1\n")
    (top / "Dockerfile").write_text("FROM ubuntu\n")
    git(top, "init", "--quiet")
    git(top, "add", "--all")
    output = mine.session("lint")
    for hook in ("hadolint", "yamllint", "poetry check --lock", "ruff format"):
        assert re.search(rf"^{hook}\.+Passed$", output, flags=re.MULTILINE), output
    assert git(top, "diff", "--name-only") == ""
    # What is wrong here is found as ever, and corrected here.
    next((mine.folder / "src").glob("*/__main__.py")).write_text("x=1\n")
    assert "ruff format" in mine.refused("lint")
    assert git(top, "diff", "--name-only").count("__main__.py") == 1
    assert other.read_text() == "import os\nx=1\n"


@pytest.mark.proofs
@pytest.mark.parametrize(
    ("name", "text"), [("Dockerfile.rej", "@@"), ("notes.txt", "<<<<<<< before updating\n")]
)
def test_what_an_update_left_undecided_is_not_committed(
    project: Made, name: str, text: str
) -> None:
    (project.folder / name).write_text(text)
    project.run("git", "add", "--all")
    try:
        assert name in project.refused("lint")
    finally:
        project.run("git", "rm", "--force", "--quiet", name)
