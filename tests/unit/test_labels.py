"""docker/host/labels.py says in an image what it is and what of, and nothing that is private."""

import subprocess
from pathlib import Path

import labels
import project_file
import pytest

PREFIX = "org.opencontainers.image."
PYPROJECT = """
[project]
name = "shop"
version = "1.4"
description = "Sells\\nthings"
license = "MIT"

[project.urls]
Homepage = "https://shop.example"
Source = "https://code.example"
documentation = "https://docs.example"
"""


def git(*arguments: str) -> str:
    """Run git in this folder, as nobody in particular."""
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    done = subprocess.run(["git", *user, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of a project that is no repository yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    return tmp_path


def found(date: str = "", base: str = "python:3.13-slim") -> dict[str, str]:
    """Return the labels of the project here that are not empty, without their prefix."""
    result = labels.of(project_file.read(), date, base)
    return {name.removeprefix(PREFIX): text for name, text in result.items() if text}


def test_an_image_says_what_it_is_and_its_base() -> None:
    assert found(base=f"python:3.13-slim@sha256:{'0' * 64}") == {
        "title": "shop",
        "version": "1.4",
        "description": "Sells things",
        "licenses": "MIT",
        "url": "https://shop.example",
        "documentation": "https://docs.example",
        "base.name": "python:3.13-slim",
        "base.digest": f"sha256:{'0' * 64}",
    }


def test_the_commit_is_named_if_the_files_are_those_of_the_commit() -> None:
    git("init", "--quiet")
    assert "revision" not in found("0")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    git("remote", "add", "origin", "https://user:secret@code.example/shop.git")
    assert (
        found("1700000000").items()
        >= {
            "revision": git("rev-parse", "HEAD"),
            "created": "2023-11-14T22:13:20+00:00",
            "source": "https://code.example/shop.git",
        }.items()
    )
    Path("new").write_text("", encoding="utf-8")
    assert not {"revision", "created", "source"} & found("1700000000").keys()


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@code.example:team/shop.git", "https://code.example/team/shop.git"),
        ("ssh://git@code.example:22/team/shop", "https://code.example/team/shop"),
        ("https://code.example:8443/shop?token=secret", "https://code.example:8443/shop"),
        ("https://user:secret@code.example/shop", "https://code.example/shop"),
        ("/srv/git/shop", ""),
        ("../shop", ""),
        ("C:\\git\\shop", ""),
        ("file:///srv/git/shop", ""),
        ("https://[::1/shop", ""),
    ],
)
def test_an_address_has_neither_a_login_nor_a_folder_of_this_machine(
    remote: str, address: str
) -> None:
    assert labels.address(remote) == address


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\nurls = 1\nlicense = {text = 'x'}\n"])
def test_what_is_no_text_is_no_label(text: str) -> None:
    Path("pyproject.toml").write_text(text or "[tool.poetry]\nname = 'x'\n", encoding="utf-8")
    assert found() == {"title": "x", "base.name": "python:3.13-slim"}


def test_what_is_not_known_is_empty_since_a_base_image_may_have_it() -> None:
    result = labels.of({"project": {"name": "x"}}, "", "python:3.13-slim")
    empty = {name.removeprefix(PREFIX) for name, text in result.items() if not text}
    assert empty == {
        *("base.digest", "created", "description", "documentation", "licenses", "revision"),
        *("source", "url", "version"),
    }


def test_path_dependencies_beside_the_folder_belong_to_the_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shop").mkdir()
    Path("pyproject.toml").rename("shop/pyproject.toml")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    Path("library.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(folder / "shop")
    assert "revision" in found()
    monkeypatch.setenv("LOCAL_CONTEXT", "/elsewhere")
    assert "revision" not in found()


def test_what_the_project_says_itself_counts() -> None:
    own = f'\n[tool.seedpod.image]\nlabels = {{ "{PREFIX}title" = "Our shop" }}\n'
    Path("pyproject.toml").write_text(PYPROJECT + own, encoding="utf-8")
    assert "title" not in found()


def test_a_date_that_no_calendar_has_is_none() -> None:
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    assert "created" not in found("99999999999999")


def test_an_address_that_cannot_be_read_is_none() -> None:
    assert labels.address("https://[") == ""
