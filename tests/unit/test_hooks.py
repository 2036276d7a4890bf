"""docker/host/hooks.py makes a repository of a folder of one, for pre-commit."""

import os
import subprocess
from pathlib import Path

import hooks
import pytest
from session import SessionError

from tests.conftest import git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a project below the top of a repository, beside another one."""
    top = tmp_path / "ours ü"
    project = top / "services/shop ü"
    for path in (project / "ä file", project / "docker/a b.py", top / "other/bad.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    (project / "docker/a b.py").chmod(0o755)
    git(top, "init", "--quiet")
    git(top, "add", "--all")
    (project / "unknown").touch()
    monkeypatch.chdir(project)
    return project


def seen(folder: Path, *arguments: str) -> str:
    """Return what Git prints where pre-commit runs it."""
    variables = {"GIT_DIR": str(folder), "GIT_WORK_TREE": os.getcwd()}
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.usefixtures("project")
def test_only_files_of_this_folder_that_git_knows_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "git"
    hooks.make_repository(folder)
    assert seen(folder, "ls-files").splitlines() == ["docker/a b.py", "ä file"]
    assert seen(folder, "rev-parse", "--show-prefix") == "\n"
    assert seen(folder, "diff", "--name-only") == ""


def test_a_change_is_seen_and_the_repository_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    before = git(project, "status", "--short")
    hooks.make_repository(tmp_path / "git")
    (project / "ä file").write_text("other\n")
    assert "+other" in seen(tmp_path / "git", "diff")
    assert git(project, "ls-files", "--stage", "--full-name")
    (project / "ä file").write_text("text\n")
    assert git(project, "status", "--short") == before


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in the place of pre-commit, which writes down where it was run, and fails."""
    program = tmp_path / "bin/pre-commit"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > "$RAN"\ngit ls-files >> "$RAN"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    monkeypatch.setattr("engine.check", lambda: None)
    return tmp_path / "ran"


@pytest.mark.parametrize("at_the_top", [False, True])
def test_hooks_see_this_folder_and_their_status_is_ours(
    project: Path, ran: Path, monkeypatch: pytest.MonkeyPatch, at_the_top: bool
) -> None:
    if at_the_top:
        monkeypatch.chdir(project.parent.parent)
    git(project, "config", "core.quotePath", "false")
    assert hooks.run("one") == 3
    told, *files = ran.read_text().splitlines()
    assert told == "run --all-files --show-diff-on-failure one"
    assert ("other/bad.py" in files) is at_the_top
    assert len(files) == (3 if at_the_top else 2)


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("name", [".gitlab-ci.yml", ".github"])
def test_a_pipeline_that_nobody_reads_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    hooks.run()
    assert capsys.readouterr().out == ""
    (project / name).touch()
    hooks.run()
    assert capsys.readouterr().out.startswith(f"{name} is read only at the top of the repository. ")


@pytest.mark.usefixtures("ran")
def test_without_a_repository_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SessionError, match=r"^The hooks check what Git knows of\. Run: git init"):
        hooks.run()
