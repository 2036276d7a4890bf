"""docker/host/wheels.py says before what is compiled and after what was made."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import wheels

Exports = Callable[..., list[str]]
Run = Callable[..., list[str]]

TAG = "cp313-musllinux_1_2_x86_64"
ANNOUNCEMENT = "1 of 3 packages have no musllinux wheel for cp313: cffi. Expect compiling."


def entry(origin: str, seconds: float, size: int, new: bool = True) -> dict[str, Any]:
    return {"sha256": "aa", "origin": origin, "seconds": seconds, "size": size, "new": new}


MANIFEST = {
    "pycparser-3.0-py3-none-any.whl": entry("index", 0.4, 48_000),
    "cffi-2.0-cp313-cp313-linux_x86_64.whl": entry("built", 61.25, 1_234_567),
    "click-8.3-py3-none-any.whl": entry("index", 3.0, 108_000, new=False),
}


def test_each_wheel_has_a_line_with_origin_seconds_and_size() -> None:
    assert wheels.table(MANIFEST).splitlines() == [
        "cffi-2.0-cp313-cp313-linux_x86_64.whl  built     61.2 s     1.23 MB",
        "click-8.3-py3-none-any.whl             index       kept     0.11 MB",
        "pycparser-3.0-py3-none-any.whl         index      0.4 s     0.05 MB",
    ]


def test_no_wheels_are_no_lines() -> None:
    assert wheels.table({}) == ""
    assert wheels.summary({}).startswith("0 wheels: 0 built, ")


def test_the_summary_counts_what_was_done_now() -> None:
    assert wheels.summary(MANIFEST) == "3 wheels: 1 built, 1 taken from the index, 1 kept."
    kept = {name: {**x, "new": False} for name, x in MANIFEST.items()}
    assert wheels.summary(kept) == "3 wheels: 0 built, 0 taken from the index, 3 kept."


def test_what_the_manifest_does_not_name_is_deleted(tmp_path: Path) -> None:
    """Only wheels: whatever else an owner keeps there stays."""
    kept = {"click-8.3-py3-none-any.whl", "manifest.json", "notes.txt"}
    for name in (*kept, "old-2.0-py3-none-any.whl", "old-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    assert wheels.prune(tmp_path, MANIFEST) == [
        "old-1.0-py3-none-any.whl",
        "old-2.0-py3-none-any.whl",
    ]
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_what_is_compiled_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    wheels.announce({"tag": TAG, "announcement": ANNOUNCEMENT, "refused": ""}, only_binary=False)
    assert capsys.readouterr().out == f"{ANNOUNCEMENT}\n"


@pytest.mark.parametrize("only_binary", [False, True])
def test_where_nothing_is_compiled_nothing_is_said(
    capsys: pytest.CaptureFixture[str], only_binary: bool
) -> None:
    wheels.announce({"tag": TAG, "announcement": "", "refused": ""}, only_binary=only_binary)
    assert capsys.readouterr().out == ""


def test_what_must_not_be_compiled_is_an_error_with_a_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as error:
        wheels.announce({"tag": TAG, "announcement": ANNOUNCEMENT, "refused": ""}, only_binary=True)
    # Text as the code of an exit is printed, and the status is 1.
    assert error.value.code == "Lock versions that have wheels, or leave --only-binary out."
    assert capsys.readouterr().out == f"{ANNOUNCEMENT}\n"


def test_what_can_neither_be_taken_nor_compiled_ends_it() -> None:
    with pytest.raises(SystemExit, match="bare 1 has no sources"):
        wheels.announce(
            {"tag": TAG, "announcement": "", "refused": "bare 1 has no sources. Lock another."},
            only_binary=False,
        )


def test_what_was_made_is_told_and_what_is_not_locked_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the plan's own platform only."""
    here, elsewhere = tmp_path / TAG, tmp_path / "cp312-manylinux_2_41_x86_64"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(MANIFEST))
        (folder / "old-1.0-py3-none-any.whl").touch()
    wheels.report(here)
    assert capsys.readouterr().out.splitlines() == [
        "old-1.0-py3-none-any.whl is not locked any more and deleted.",
        *wheels.table(MANIFEST).splitlines(),
        f"{here}: {wheels.summary(MANIFEST)}",
    ]
    assert not list(here.glob("*.whl"))
    assert list(elsewhere.glob("*.whl"))


@pytest.mark.parametrize("content", [None, "", "{"], ids=repr)
def test_without_a_manifest_that_can_be_read_no_wheel_is_deleted(
    tmp_path: Path, content: str | None
) -> None:
    wheel = tmp_path / "old-1.0-py3-none-any.whl"
    wheel.touch()
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises((FileNotFoundError, json.JSONDecodeError)):
        wheels.report(tmp_path)
    assert wheel.exists()


@pytest.fixture
def run(exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program in a folder, and returns the stages that it builds.

    Of three packages one has to be compiled.
    """
    monkeypatch.chdir(tmp_path)
    plan = {"tag": TAG, "announcement": ANNOUNCEMENT, "refused": ""}
    files = {
        "wheel-plan": ("wheel-plan.json", plan),
        "wheelhouse": (f"{TAG}/manifest.json", MANIFEST),
    }

    def run(*arguments: str) -> list[str]:
        built = exports(files)
        monkeypatch.setattr(sys, "argv", ["wheels.py", *arguments])
        with suppress(SystemExit):
            wheels.main()
        return built

    return run


def test_the_announcement_comes_before_the_wheels(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == ["wheel-plan", "wheelhouse"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == ANNOUNCEMENT
    assert out[-1] == f".wheels/{TAG}: {wheels.summary(MANIFEST)}"


def test_what_must_not_be_compiled_is_not(run: Run, tmp_path: Path) -> None:
    assert run("--only-binary") == ["wheel-plan"]
    assert not (tmp_path / ".wheels").exists()


def test_other_arguments_build_nothing(run: Run) -> None:
    assert run("--only-binary", "lxml") == run("lxml") == []
