"""docker/wheel_report.py says before what is compiled and after what was made."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wheel_report

Run = Callable[..., None]

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
    assert wheel_report.table(MANIFEST).splitlines() == [
        "cffi-2.0-cp313-cp313-linux_x86_64.whl  built     61.2 s     1.23 MB",
        "click-8.3-py3-none-any.whl             index      there     0.11 MB",
        "pycparser-3.0-py3-none-any.whl         index      0.4 s     0.05 MB",
    ]


def test_no_wheels_are_no_lines() -> None:
    assert wheel_report.table({}) == ""
    assert wheel_report.summary({}).startswith("0 wheels: 0 built, ")


def test_the_summary_counts_what_was_done_now() -> None:
    assert wheel_report.summary(MANIFEST) == ("3 wheels: 1 built, 1 taken from the index, 1 there.")
    there = {name: {**x, "new": False} for name, x in MANIFEST.items()}
    assert wheel_report.summary(there) == "3 wheels: 0 built, 0 taken from the index, 3 there."


def test_what_the_manifest_does_not_name_is_deleted(tmp_path: Path) -> None:
    """Wheels alone: whatever else an owner keeps there stays."""
    kept = {"click-8.3-py3-none-any.whl", "wheels.json", "notes.txt"}
    for name in (*kept, "old-2.0-py3-none-any.whl", "old-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    assert wheel_report.prune(tmp_path, MANIFEST) == [
        "old-1.0-py3-none-any.whl",
        "old-2.0-py3-none-any.whl",
    ]
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a step of the program on a plan."""
    plan = tmp_path / "wheels.json"

    def run(step: str, *arguments: str, announcement: str = "") -> None:
        plan.write_text(json.dumps({"tag": TAG, "announcement": announcement}))
        monkeypatch.setattr(sys, "argv", ["wheel_report.py", step, str(plan), *arguments])
        wheel_report.main()

    return run


def test_what_is_compiled_is_announced(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", announcement=ANNOUNCEMENT)
    assert capsys.readouterr().out == f"{ANNOUNCEMENT}\n"


@pytest.mark.parametrize("arguments", [[], ["--only-binary"]], ids=str)
def test_where_nothing_is_compiled_nothing_is_said(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    run("plan", *arguments)
    assert capsys.readouterr().out == ""


def test_what_must_not_be_compiled_is_an_error_with_a_remedy(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        run("plan", "--only-binary", announcement=ANNOUNCEMENT)
    # Text as the code of an exit is printed, and the status is 1.
    assert error.value.code == "Lock versions that have wheels, or leave --only-binary out."
    assert capsys.readouterr().out == f"{ANNOUNCEMENT}\n"


def test_what_was_made_is_told_and_what_is_not_locked_goes(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the plan's own platform alone."""
    here, elsewhere = tmp_path / TAG, tmp_path / "cp312-manylinux_2_41_x86_64"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "wheels.json").write_text(json.dumps(MANIFEST))
        (folder / "old-1.0-py3-none-any.whl").touch()
    run("done", str(tmp_path))
    assert capsys.readouterr().out.splitlines() == [
        "old-1.0-py3-none-any.whl is not locked any more and deleted.",
        *wheel_report.table(MANIFEST).splitlines(),
        f"{here}: {wheel_report.summary(MANIFEST)}",
    ]
    assert not list(here.glob("*.whl"))
    assert list(elsewhere.glob("*.whl"))
