"""support/engines.py: the table of what was run on each engine."""

import os
from pathlib import Path

import pytest

from support import SupportError, engine, engines
from support.docker import Client
from support.paths import REPOSITORY


def test_every_file_of_tests_that_a_column_names_is_there() -> None:
    named = [part for column in engines.COLUMNS.values() for part in column if ".py" in part]
    assert named
    assert not [name for name in named if not (REPOSITORY / name).is_file()]


def test_a_file_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    cell = engines._cell(("pytest", "tests/docker/test_none.py"), tmp_path / "log", Client())
    assert not cell.good
    assert str(cell) == "no tests/docker/test_none.py"


@pytest.mark.parametrize(
    ("tests", "verdict", "good"),
    [
        ("def test_one(): pass", "1 passed", True),
        ("def test_one(): pass\ndef test_two(): assert 0", "1 passed, 1 failed", False),
        ("import pytest\ndef test_one(): pytest.skip('no')", "1 skipped", True),
        ("import none_such", "1 failed", False),
        ("", "no tests", False),
    ],
    ids=["passed", "failed", "skipped", "broken", "none"],
)
def test_a_cell_counts_the_tests(tmp_path: Path, tests: str, verdict: str, good: bool) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(tests)
    arguments = ("pytest", str(file), f"--rootdir={tmp_path}", f"--config-file={os.devnull}")
    cell = engines._cell(arguments, tmp_path / "log", Client())
    assert (cell.verdict, cell.good) == (verdict, good)
    assert (tmp_path / "log").stat().st_size > 0


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(SupportError, match=r"no engine none .*sid-overlay2") as error:
        engines.run("sid-overlay2", "none")
    assert all(name in str(error.value) for name in engines.TESTED)


def test_each_engine_is_one_that_can_be_started() -> None:
    assert set(engines.TESTED.values()) <= set(engine.VARIANTS)
    assert engine.DEFAULT in engines.TESTED.values()
