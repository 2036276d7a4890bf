"""Sessions that are killed, at random moments that are the same in each run."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.docker.projects import Made, wait_until

TIMES = int(os.environ.get("SEEDPOD_KILLS", "50"))


def processes(folder: Path) -> list[str]:
    """Return the commands of processes that work in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if place.resolve().is_relative_to(folder):
                found.append((place.parent / "cmdline").read_text().replace("\0", " "))
    return found


def kill(project: Made, seconds: float, *command: str, alone: bool = False) -> bool:
    """Run Nox and kill it after a time: all of it, or its own process alone; tell whether it ran.

    What is left of it has to end soon, and no container may stay.
    """
    process = subprocess.Popen(
        ["nox", "--session", *command],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    ran = process.poll() is None
    if ran:
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not processes(project.folder), 60)
    wait_until(lambda: project.docker("ps", "--quiet", f"--filter=name={project.name}-") == "", 60)
    return ran


def moments(count: int, seconds: float) -> Iterator[tuple[float, bool]]:
    """Yield random moments, the same in each run, and whether Nox is killed alone."""
    source = random.Random(17)
    for number in range(count):
        yield source.uniform(0.3, seconds), bool(number % 2)
