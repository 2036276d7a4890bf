"""docker/host/pins.py: the date of the commit, and the base image of sys.lock."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pins
import pytest
from session import SessionError

Program = Callable[..., Path]
DIGEST = f"sha256:{'0a1b' * 16}"
ENTRY = """
[[image]]
release = "debian13"
architecture = "{architecture}"
declaration = "sha256:1"
base-image = "{image}"
base-image-digest = "{digest}"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, a project that is in no repository."""
    for name in ("PYTHON_IMAGE", "SOURCE_DATE_EPOCH"):
        # Set first, so that it is removed in the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text("ARG PYTHON_IMAGE=python:3.13-slim\n")
    return tmp_path


def commit(date: str) -> None:
    """Commit something at a date."""
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    dated = {**os.environ, "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": date}
    subprocess.run(["git", "init", "--quiet", "."], check=True)
    subprocess.run(
        ["git", *who, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True, env=dated
    )


def lock(*entries: tuple[str, str, str]) -> None:
    """Write sys.lock with an entry for each processor, image and digest."""
    texts = [ENTRY.format(architecture=a, image=i, digest=d) for a, i, d in entries]
    pins.LOCK.write_text("version = 1\n" + "".join(texts))


def test_the_date_is_that_of_the_commit() -> None:
    commit("2026-11-30T12:00:00Z")
    assert pins.source_date() == "1796040000"


def test_what_git_says_of_signatures_is_no_date(program: Program) -> None:
    program("git", {"log": "gpg: Signature made today\n1796040000\n"})
    assert pins.source_date() == ""


def test_a_lock_of_an_earlier_version_names_no_image_to_use() -> None:
    """Its digest could be an old one, or of another registry."""
    lock(("amd64", "python:3.13-slim", DIGEST))
    text = pins.LOCK.read_text().replace("base-image-digest", "base-digest")
    pins.LOCK.write_text(text)
    assert used() is None


def test_a_date_of_the_environment_counts_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    commit("2026-11-30T12:00:00Z")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert pins.source_date() == "1000000000"


def test_where_nothing_is_committed_there_is_no_date() -> None:
    assert pins.source_date() == ""
    subprocess.run(["git", "init", "--quiet", "."], check=True)
    assert pins.source_date() == ""


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", "1" * 12, "1\n"], ids=ascii)
def test_a_date_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(SessionError, match=r"^SOURCE_DATE_EPOCH is .+\. Remove it, or write"):
        pins.source_date()


def used() -> str | None:
    """Return the base image that builds take then."""
    pins.use_base_image()
    return os.environ.get("PYTHON_IMAGE")


def test_builds_take_the_digest_of_the_lock() -> None:
    lock(("amd64", "python:3.13-slim", DIGEST))
    assert used() == f"python:3.13-slim@{DIGEST}"
    # Once is as good as twice.
    assert used() == f"python:3.13-slim@{DIGEST}"


def test_the_digest_is_for_the_image_that_is_named_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock(("amd64", "other:1", DIGEST), ("arm64", "mirror.example/python:3.13", DIGEST))
    assert used() is None
    monkeypatch.setenv("PYTHON_IMAGE", "mirror.example/python:3.13")
    assert used() == f"mirror.example/python:3.13@{DIGEST}"


@pytest.mark.parametrize("digest", ["", "sha256:0", "sha256:1; echo", f"{DIGEST} x"])
def test_what_is_no_digest_is_not_used(digest: str) -> None:
    lock(("amd64", "python:3.13-slim", digest))
    assert used() is None


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n", "image = 5\n", "[[image]]\nx = 1\n", "\0"])
def test_a_lock_that_cannot_be_read_names_nothing(text: str) -> None:
    pins.LOCK.write_text(text)
    assert used() is None


def test_a_project_with_neither_a_lock_nor_a_dockerfile_names_nothing() -> None:
    Path("Dockerfile").unlink()
    assert used() is None


@pytest.mark.parametrize(
    "line", ["archive-date = 2026-01-01", "other = 1", "declaration = 1", "x = [1]"]
)
def test_an_entry_of_another_form_is_none(line: str) -> None:
    text = ENTRY.format(architecture="amd64", image="x", digest=DIGEST)
    if "declaration" in line:
        text = text.replace('declaration = "sha256:1"\n', "")
    Path("sys.lock").write_text(f"{text}{line}\n", encoding="utf-8")
    assert pins.lock_entries() == []
