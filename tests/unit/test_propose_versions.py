"""docker/image/propose_versions.py says which later versions need no compiler."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import propose_versions
import pytest
import wheelhouse
from packaging.tags import sys_tags
from poetry_lock import Chosen, Selection
from propose_versions import NoAnswerError

from tests.unit.locked import locked

MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]
Run = Callable[..., dict[str, str]]

PYPROJECT = """
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["raw==1.0", "other>=1.0"]
"""
LOCK = """
[[package]]
name = "other"
version = "1.0"
[package.dependencies]
inner = "1.0"
Free = ">=1.0"
many = [{version = ">=1.0", markers = "os_name == 'posix'"}, {version = "<2.0", optional = true}]
"""
# Says what it was asked, and answers as uv does.
UV = """#!/bin/sh
cat >> "$0.asked"; echo " from ${UV_DEFAULT_INDEX:-default} ${UV_INDEX:-}" >> "$0.asked"
cat "$0.says" 2>/dev/null
[ ! -e "$0.fails" ] || { cat "$0.fails" >&2; exit "$(cat "$0.status")"; }
"""


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program in place of uv."""
    program = tmp_path / "bin/uv"
    program.parent.mkdir()
    program.write_text(UV)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return program


def says(uv: Path, answer: str = "", *, error: str = "", status: int = 0) -> None:
    """Let the program answer, or fail."""
    uv.with_name("uv.says").write_text(answer)
    if error:
        uv.with_name("uv.fails").write_text(error)
        uv.with_name("uv.status").write_text(str(status))


def asked(uv: Path) -> list[str]:
    """Return what it was asked."""
    file = uv.with_name("uv.asked")
    return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with a project and its lock."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "poetry.lock").write_text(LOCK)
    return folder


@pytest.fixture
def run(project: Path, tmp_path: Path, uv: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program for locked packages, and returns what it says."""

    def run(
        packages: Iterable[Chosen],
        sources: Mapping[str, str] | None = None,
        no_binary: Iterable[str] = (),
    ) -> dict[str, str]:
        assert uv.exists()
        facts, output = tmp_path / "facts", tmp_path / "proposal.json"
        facts.mkdir()
        selection = asdict(Selection([], [*packages], sources=dict(sources or {})))
        (facts / "development.json").write_text(json.dumps(selection))
        (facts / "wheel-settings.json").write_text(json.dumps({"no-binary": [*no_binary]}))
        arguments = map(str, [facts, project, tmp_path / "house", output])
        monkeypatch.setattr(sys, "argv", ["propose_versions.py", *arguments])
        propose_versions.main()
        content: dict[str, str] = json.loads(output.read_text())
        return content

    return run


def raw(name: str = "raw", **fields: Any) -> Chosen:
    """Return a package that has no wheel."""
    [package] = locked(f"{name}==1.0", files=[f"{name}-1.0.tar.gz"])
    return replace(package, **fields)


def test_where_nothing_is_compiled_no_index_is_asked(run: Run, uv: Path) -> None:
    packages = locked("one==1.0", files=["one-1.0-py3-none-any.whl"])
    assert run(packages) == {"announcement": "", "refused": ""}
    assert asked(uv) == []


def test_a_later_version_is_proposed_with_a_command_that_takes_it(run: Run, uv: Path) -> None:
    says(uv, "raw==1.4")
    told = run([raw()])["announcement"]
    assert told.startswith("1 of 1 packages have no ")
    assert told.endswith(
        ": raw. Expect compiling. raw 1.0 has none, 1.4 has one: allow it in pyproject.toml, then "
        "run nox -s lock -- raw."
    )
    assert asked(uv) == ["raw>1.0 from default "]


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("raw", "1.4", [""]),
        ("inner", "1.4", ["other"]),
        ("free", "1.4", []),
        ("many", "1.4", []),
        ("many", "2.0", []),
        ("unknown", "2.0", []),
    ],
)
def test_who_holds_a_package_back_is_known_from_project_and_lock(
    project: Path, name: str, version: str, expected: list[str]
) -> None:
    required = propose_versions.requirements(project)
    assert propose_versions.holders(name, version, required) == expected


@pytest.mark.parametrize(
    ("held_by", "told"),
    [
        ([], "1.4 has one: run nox -s lock -- raw."),
        ([""], "1.4 has one: allow it in pyproject.toml, then run nox -s lock -- raw."),
        (
            ["other"],
            "1.4 has one, which other as locked excludes: allow later versions of other in "
            "pyproject.toml, then run nox -s lock -- raw other.",
        ),
    ],
)
def test_what_has_to_be_changed_for_it_is_said(held_by: list[str], told: str) -> None:
    assert propose_versions.proposal(raw(), "1.4", held_by) == f"raw 1.0 has none, {told}"


def test_without_a_later_version_there_is_no_proposal(run: Run, uv: Path) -> None:
    says(uv, error="error: No solution found", status=propose_versions.NO_VERSION)
    assert run([raw()])["announcement"].endswith(": raw. Expect compiling.")


def test_an_index_that_does_not_answer_is_asked_once_and_is_no_error(run: Run, uv: Path) -> None:
    says(uv, error="error: Failed to fetch: there\n  cause: refused", status=2)
    assert run([raw(), raw("inner")])["announcement"].endswith(
        "Expect compiling. Later versions are not looked up, because the index did not answer: "
        "Failed to fetch: there."
    )
    assert len(asked(uv)) == 1


def test_an_address_is_named_without_user_and_password(run: Run, uv: Path) -> None:
    says(uv, error="error: invalid value 'http://joe:p@ss@index.example:9x/simple'", status=2)
    told = run([raw()])["announcement"]
    assert told.endswith("invalid value 'http://index.example:9x/simple'.")


def test_a_local_version_is_asked_for_as_the_one_that_it_was_made_of(run: Run, uv: Path) -> None:
    run([raw(version="1.0+cpu")])
    assert asked(uv) == ["raw>1.0 from default "]


@pytest.mark.parametrize(("version", "expected"), [("1.0", []), ("2.1", []), ("3.0", ["other"])])
def test_who_asks_otherwise_for_each_python_holds_what_it_allows_nowhere(
    version: str, expected: list[str]
) -> None:
    required = [("other", "raw", "<2"), ("other", "raw", ">=2,<3"), ("other", "more", "<1")]
    assert propose_versions.holders("raw", version, required) == expected


def test_a_package_of_a_named_index_is_looked_up_there_alone_with_its_login(
    run: Run, uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", "https://more.example/simple")
    monkeypatch.setenv("POETRY_HTTP_BASIC_OURS_USERNAME", "joe")
    monkeypatch.setenv("POETRY_HTTP_BASIC_OURS_PASSWORD", "p@ss")
    sources = {"open": "https://open.example", "ours": "https://ours.example/simple"}
    run([raw(source="ours"), raw("inner", source="open"), raw("free")], sources)
    assert asked(uv) == [
        "raw>1.0 from https://joe:p%40ss@ours.example/simple ",
        "inner>1.0 from https://open.example ",
        "free>1.0 from default https://more.example/simple",
    ]


def test_nothing_is_looked_up_for_what_is_compiled_by_choice_or_has_an_address(
    run: Run, uv: Path
) -> None:
    run([raw(), raw("at", url="https://files.example/at.zip")], no_binary=["raw"])
    assert asked(uv) == []


def test_what_was_made_before_is_not_compiled(
    run: Run, uv: Path, tmp_path: Path, make_wheel: MakeWheel, make_house: MakeHouse
) -> None:
    folder = tmp_path / "house" / wheelhouse.platform_tag(sys_tags())
    make_house(folder, [make_wheel(folder, "raw")])
    assert run([raw()])["announcement"] == ""
    assert asked(uv) == []


def test_what_can_neither_be_taken_nor_compiled_is_refused(run: Run) -> None:
    bare = replace(raw("bare"), files=["bare-1.0-cp27-none-any.whl"])
    told = run([bare, raw()])
    assert told["refused"].startswith("bare 1.0 has no sources, and wheels only for cp27: ")
    assert "Expect" not in told["announcement"]


def test_an_index_is_unanswered_unless_uv_says_that_there_is_no_version(uv: Path) -> None:
    says(uv, error="error: timed out", status=2)
    with pytest.raises(NoAnswerError, match="timed out"):
        propose_versions.later_version(raw(), {"PATH": f"{uv.parent}:/bin"})


@pytest.mark.parametrize(
    "wrong",
    [
        "name = 1",
        'name = "x"\nversion = "1"\ndependencies = ["!"]',
        'name = "x"\nversion = "1"\n[dependency-groups]\ntest = [{ include-group = 1 }]',
    ],
)
def test_a_project_that_poetry_refuses_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr("propose_versions.later_version", lambda *_: "8.2")
    (tmp_path / "pyproject.toml").write_text(f"[project]\n{wrong}\n", encoding="utf-8")
    [told] = propose_versions.proposals(locked("click==8.1"), {}, tmp_path)
    assert told.startswith("Later versions are not looked up, because Poetry refuses this: ")


def test_a_lock_without_packages_requires_nothing(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\nversion = "1"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    (tmp_path / "poetry.lock").touch()
    assert [*propose_versions.requirements(tmp_path)] == []
