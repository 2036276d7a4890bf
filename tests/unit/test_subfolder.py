"""docker/host/subfolder.py makes a repository of a folder of one, for pre-commit."""

import os
import subprocess
from pathlib import Path

import pytest
import subfolder

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
    folder = tmp_path / "new/git"
    subfolder.make(folder)
    assert seen(folder, "ls-files").splitlines() == ["docker/a b.py", "ä file"]
    assert seen(folder, "rev-parse", "--show-prefix") == "\n"
    assert seen(folder, "diff", "--name-only") == ""


def test_a_change_is_seen_and_the_repository_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    before = git(project, "status", "--short")
    subfolder.make(tmp_path / "git")
    (project / "ä file").write_text("other\n")
    assert "+other" in seen(tmp_path / "git", "diff")
    assert git(project, "ls-files", "--stage", "--full-name")
    (project / "ä file").write_text("text\n")
    assert git(project, "status", "--short") == before


def test_a_second_time_what_is_gone_is_seen_no_more(project: Path, tmp_path: Path) -> None:
    subfolder.make(tmp_path / "git")
    git(project, "rm", "--quiet", "--force", "ä file")
    subfolder.make(tmp_path / "git")
    assert seen(tmp_path / "git", "ls-files").splitlines() == ["docker/a b.py"]


@pytest.mark.parametrize("name", [".gitlab-ci.yml", ".github"])
def test_a_pipeline_that_nobody_reads_is_named(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    subfolder.make(tmp_path / "git")
    assert capsys.readouterr().out == ""
    (project / name).touch()
    subfolder.make(tmp_path / "git")
    assert capsys.readouterr().out.startswith(f"{name} is read only at the top of the repository. ")
