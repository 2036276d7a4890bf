"""docker/host/template.py says what a later template brings, and what an update left open."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from session import SessionError

import template

PROGRAM = Path(template.__file__)
CHANGELOG = """# Changelog

## Unreleased

not yet

## 1.10.0 — later

ten

## 1.9.0

nine

## 0.1.0 — first

one
"""


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as nobody in particular."""
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    subprocess.run(["git", "-C", str(folder), *user, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project made from release 0.1.0 of a template that has two later ones."""
    source, folder = tmp_path / "source", tmp_path / "project"
    for path in (source, folder):
        path.mkdir()
        git(path, "init", "--quiet")
    (source / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    for tag in ("0.1.0", "v1.9.0", "v1.10.0", "v2.0.0rc1", "nightly"):
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--allow-empty", "--message", tag)
        git(source, "tag", tag)
    (folder / ".copier-answers.yml").write_text(f"_commit: 0.1.0\n_src_path: {source}\nkind: web\n")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder."""
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_news_are_the_releases_after_the_projects_own(project: Path) -> None:
    """Ten is more than nine, and what is not released is no news."""
    done = run(project, "news")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## 1.10.0 — later\n\nten\n\n## 1.9.0\n")
    assert "one" not in done.stdout
    assert "not yet" not in done.stdout


def test_a_project_of_the_latest_release_has_no_news(project: Path) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("0.1.0", "v1.10.0"))
    assert run(project, "news").stdout == "The template's changelog names no later release.\n"


def test_a_project_made_between_releases_is_told_of_all(project: Path) -> None:
    """Git describes its version then by the tag before it and the commit."""
    assert template.version("v1.9.0-3-gabcdef") == (1, 9, 0)
    assert template.version("abcdef0") is None


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ("", "has no _src_path. Restore the file"),
        ("_commit: 0.1.0\n_src_path: /nowhere\n", "git clone failed. Fix what it reported"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(project: Path, answers: str, problem: str) -> None:
    (project / ".copier-answers.yml").write_text(answers)
    done = run(project, "news")
    assert done.returncode == 1
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_each_conflict_is_named_with_file_and_line(project: Path) -> None:
    (project / "a file").write_text(
        "one\n<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n"
        "<<<<<<< before updating\n=======\n>>>>>>> after updating\n"
    )
    (project / "Dockerfile.rej").write_text("@@ -1 +1 @@\n")
    (project / "binary").write_bytes(b"\xff\n<<<<<<<\n")
    done = run(project, "conflicts")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:-1] == ["  Dockerfile.rej", "  a file:2", "  a file:7"]


def test_a_clean_update_has_nothing_to_say(project: Path) -> None:
    done = run(project, "conflicts")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "arguments", "command"),
    [
        ("updates.py", ["conflicts"], ["conflicts"]),
        ("updates.py", ["news"], ["news"]),
        ("updates.py", [], []),
        ("template_update.py", [], ["finish"]),
        ("template_update.py", ["HEAD~7"], ["finish", "HEAD~7"]),
    ],
)
def test_the_old_names_of_its_commands_still_work(
    project: Path, name: str, arguments: list[str], command: list[str]
) -> None:
    """An update begins with the noxfile of the version before."""
    (project / "Dockerfile.rej").write_text("@@ -1 +1 @@\n")
    old = [sys.executable, str(PROGRAM.parent.parent / name), *arguments]
    done = subprocess.run(old, cwd=project, capture_output=True, text=True, check=False)
    expected = run(project, *command)
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout)
    assert done.stderr == expected.stderr
    assert "Traceback" not in done.stderr


def test_the_program_says_how_it_is_used(project: Path) -> None:
    done = run(project, "anything")
    assert done.returncode == 1
    assert "python docker/host/template.py news" in done.stderr


def test_answers_with_line_ends_of_windows_are_read(project: Path) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_bytes(answers.read_bytes().replace(b"\n", b"\r\n"))
    assert run(project, "news").stdout.startswith("## 1.10.0 — later\n")


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"_commit: \xfc\n"], ids=repr)
def test_an_update_by_damaged_answers_is_refused_with_a_remedy(
    project: Path, content: bytes
) -> None:
    (project / ".copier-answers.yml").write_bytes(content)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "damaged")
    for command in ("news", "finish"):
        done = run(project, command)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert re.search(r"\. (Restore the file from Git|Save it as UTF-8)", done.stderr)


def test_a_release_that_no_version_has_is_none() -> None:
    assert template.version("9" * 5_000) is None


def test_an_answer_with_a_null_byte_is_none() -> None:
    with pytest.raises(SessionError, match="has no _src_path"):
        template.answer("_src_path", "_src_path: a\0b\n")


def test_an_address_is_no_option_of_git(project: Path) -> None:
    (project / template.ANSWERS).write_text("_commit: v1\n_src_path: --upload-pack=x\n")
    assert "repository '--upload-pack=x' does not exist" in run(project, "news").stderr
