"""An interrupt ends a session, also where Python loses it on its way."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

HOST = REPOSITORY / "template/docker/host"
LOST = """
import interrupts, signal

class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # What is raised here, Python only prints.

uninterrupted = interrupts.install()
{lines}
print("went on")
"""
PLACES = {
    "before": "Lost()\nwith uninterrupted():\n    print('started')",
    "during": "with uninterrupted():\n    Lost()",
}


def run(lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOST.format(lines=lines)],
        env={"PYTHONPATH": str(HOST)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_that_was_lost_ends_what_comes_next(place: str) -> None:
    done = run(PLACES[place])
    assert (done.returncode, done.stdout) == (-2, "")
    assert "KeyboardInterrupt" in done.stderr.splitlines()[-1]


def test_without_an_interrupt_all_goes_on() -> None:
    done = run("with uninterrupted():\n    print('started')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\nwent on\n", "")
