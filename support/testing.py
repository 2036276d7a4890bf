"""The lanes of tests: the small loop, what every change has to pass, and the proofs."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from support import SupportError, engine
from support.paths import REPOSITORY, cache, files_key

ENGINE = "tests/docker"
FOLDERS = ("tests/unit", "tests/render", "tests/update", ENGINE)
# All tests of a file in one process, the files in the order of tests/conftest.py. Not loadgroup:
# pytest-xdist 3.8 does not tell pytest 9 of the groups, and each test would go its own way.
SIDE_BY_SIDE = ("--dist=loadfile", "--no-loadscope-reorder")
NO_PROOFS = ("-m", "not proofs")
# Tests wait for the network and for other processes: one more than this machine has processors.
PROCESSES = f"--numprocesses={(os.cpu_count() or 1) + 1}"
# BuildKit before 0.14 fails now and then in builds side by side ("inconsistent graph state").
BUILDS_SIDE_BY_SIDE = 27
# What takes long, by family; each is arguments of python -m. What tests cover of the programs is a
# figure that moves slowly, and measuring it slows all of them; its floor is in pyproject.toml. An
# option has to follow --cov, which would take a folder for what is measured.
PROOFS = {
    "coverage": (
        *("pytest", PROCESSES, *SIDE_BY_SIDE, *NO_PROOFS),
        *("--cov", "--cov-report=term", *FOLDERS[:-1]),
    ),
    "tests": ("pytest", "-m", "proofs", *FOLDERS),
    "engines": ("support", "engines"),
    "official": ("support", "official"),
}
# Bytes of images, build cache and projects after a run with an empty cache.
ROOM = 20_000_000_000
PASSED = REPOSITORY / "build/proofs.json"


def small_loop(*arguments: str) -> None:
    """Run the tests that need no engine and, but for installing, no network."""
    folders = () if any(part.startswith("tests/") for part in arguments) else FOLDERS[:2]
    _end(_pytest("--numprocesses=auto", *SIDE_BY_SIDE, *NO_PROOFS, *arguments, *folders))


def merge_lane(*arguments: str) -> None:
    """Run pytest, with an engine where tests/docker is chosen; by default all but the proofs."""
    if _asks_for_an_engine(arguments):
        os.environ.update(engine.ensure().variables)
    if arguments:
        _end(_pytest(*arguments))
    _warn_of_little_room()
    if engine.server_major() >= BUILDS_SIDE_BY_SIDE:
        _end(_pytest(PROCESSES, *SIDE_BY_SIDE, *NO_PROOFS, *FOLDERS))
    _end(
        _pytest(PROCESSES, *SIDE_BY_SIDE, *NO_PROOFS, *FOLDERS[:-1]),
        _pytest(*NO_PROOFS, ENGINE),
    )


def _warn_of_little_room() -> None:
    """Say before the whole lane that a disk may fill: nearly every test fails then."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        print(
            f"{folder} has {free / 1e9:.0f} GB of room, and from nothing the tests fill "
            f"{ROOM / 1e9:.0f} GB. Remove images and caches if they fail for it.",
            file=sys.stderr,
        )


def _asks_for_an_engine(arguments: Sequence[str]) -> bool:
    chosen = [part for part in arguments if part.split("/")[0] == "tests"]
    return not chosen or any(part in ("tests", "tests/") or ENGINE in part for part in chosen)


def proofs(*families: str) -> None:
    """Run what takes too long for every change; a family that passed on these files is skipped.

    Raises SupportError for a family that is none, and at the end when one failed.
    """
    unknown = set(families) - set(PROOFS)
    if unknown:
        raise SupportError(
            f"There are no proofs called {', '.join(sorted(unknown))}. "
            f"The families are {', '.join(PROOFS)}."
        )
    state = _state_of_the_files()
    passed = _read_passed(state)
    failed = []
    for name in families or PROOFS:
        if name in passed and not families:
            print(f"proofs: {name} passed on these files already, in {passed[name]:.0f} s")
            continue
        start = time.monotonic()
        command = [sys.executable, "-m", *PROOFS[name]]
        if subprocess.run(command, cwd=REPOSITORY, check=False).returncode:
            failed.append(name)
            continue
        passed[name] = time.monotonic() - start
        PASSED.parent.mkdir(exist_ok=True)
        PASSED.write_text(json.dumps({"state": state, "passed": passed}, indent=1))
    if failed:
        raise SupportError(
            f"These proofs failed: {', '.join(failed)}. "
            "Fix what they reported and run nox -s proofs again: it goes on with them."
        )


def _state_of_the_files() -> str:
    """Return a key that changes with any file that Git knows of, committed or not."""
    git = ("git", "-C", str(REPOSITORY))
    files = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    return files_key(REPOSITORY / name for name in set(files.split("\0")) - {""})


def _read_passed(state: str) -> dict[str, float]:
    """Return the seconds of what has passed in this state of the files, by family."""
    try:
        known = json.loads(PASSED.read_text())
    except (OSError, ValueError):
        return {}
    passed: dict[str, float] = known["passed"] if known.get("state") == state else {}
    return passed


def _pytest(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def _end(*statuses: int) -> None:
    """Exit with the first status that is not 0; of a run that was killed it is negative."""
    sys.exit(next(filter(None, statuses), 0))
