"""docker/host/on_request.py fetches programs once, by the hash of the template's commit."""

import subprocess
import sys
from pathlib import Path

import pytest

import on_request

PROGRAM = Path(on_request.__file__)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as nobody in particular."""
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    command = ["git", "-C", str(folder), *user, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(source: Path, text: str, tag: str) -> None:
    """Commit a program with a text to a template, and tag it."""
    (source / "on_request").mkdir(exist_ok=True)
    (source / "on_request/program.py").write_text(text, encoding="utf-8")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", f"--message={tag}")
    git(source, "tag", "--force", tag)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a template with two releases."""
    folder = tmp_path / "Grüezi mitenand"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, "one", "v1.0.0")
    commit(folder, "two", "v2.0.0")
    return folder


@pytest.fixture
def project(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that was made from the first one, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEEDPOD_SOURCE", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    answers(folder, source, "v1.0.0")
    return folder


def answers(project: Path, source: Path, commit: str) -> None:
    text = f"_commit: {commit}\n_src_path: {source}\n"
    (project / ".copier-answers.yml").write_text(text, encoding="utf-8")


def run(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, str(PROGRAM), "programs"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def fetched(project: Path) -> str:
    """Return the text of the program that was fetched."""
    done = run(project)
    assert done.returncode == 0, done.stderr
    return (project / "programs/program.py").read_text(encoding="utf-8")


def test_programs_are_those_of_the_projects_commit_and_are_fetched_once(
    project: Path, source: Path
) -> None:
    assert fetched(project) == "one"
    source.rename(source.with_name("elsewhere"))
    assert fetched(project) == "one"


def test_a_tag_that_is_moved_is_not_followed(project: Path, source: Path) -> None:
    assert fetched(project) == "one"
    commit(source, "other", "v1.0.0")
    assert fetched(project) == "one"


def test_an_update_brings_others(project: Path, source: Path) -> None:
    assert fetched(project) == "one"
    answers(project, source, "v2.0.0")
    assert fetched(project) == "two"


def test_a_commit_between_releases_is_named_as_git_describes_it(
    project: Path, source: Path
) -> None:
    (source / "on_request/program.py").write_text("three", encoding="utf-8")
    git(source, "commit", "--quiet", "--all", "--message=three")
    answers(project, source, git(source, "describe", "--tags"))
    assert fetched(project) == "three"


def test_a_clone_takes_the_place_of_what_cannot_be_reached(
    project: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(project, source / "nowhere", "v1.0.0")
    refused = run(project)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "This session needs programs of the template's commit v1.0.0" in refused.stderr
    assert "SEEDPOD_SOURCE" in refused.stderr
    monkeypatch.setenv("SEEDPOD_SOURCE", str(source))
    assert fetched(project) == "one"


@pytest.mark.parametrize("name", ["v3.0.0", "v1.0.0-9-gabcdef0", "--help"])
def test_a_commit_that_is_not_there_is_named(project: Path, source: Path, name: str) -> None:
    answers(project, source, name)
    refused = run(project)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert f"has no commit {name} with the programs of this session. Name a clone" in refused.stderr
    assert not (project / "programs").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', "{"])
@pytest.mark.parametrize("pattern", ["commits.json", "programs/*"])
def test_a_damaged_cache_is_made_anew(
    project: Path, tmp_path: Path, content: str, pattern: str
) -> None:
    assert fetched(project) == "one"
    [file] = (tmp_path / "cache/seedpod").glob(pattern)
    file.write_text(content, encoding="utf-8")
    assert fetched(project) == "one"


def test_an_archive_that_was_cut_or_changed_is_fetched_anew(project: Path, tmp_path: Path) -> None:
    assert fetched(project) == "one"
    [file] = (tmp_path / "cache/seedpod/programs").iterdir()
    whole = file.read_bytes()
    middle = whole.index(b"program.py") + len(b"program.py")
    for content in (whole[: len(whole) // 2], whole[:middle] + b"\xff" + whole[middle + 1 :]):
        file.write_bytes(content)
        assert fetched(project) == "one"
    assert [*file.parent.iterdir()] == [file]


def test_a_cache_that_cannot_be_written_is_done_without(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert "Each run fetches anew" in done.stdout
    assert (project / "programs/program.py").read_text(encoding="utf-8") == "one"


def test_what_an_older_version_left_is_removed(project: Path) -> None:
    (project / "programs").mkdir()
    (project / "programs/old.py").write_text("", encoding="utf-8")
    assert fetched(project) == "one"
    assert not (project / "programs/old.py").exists()
