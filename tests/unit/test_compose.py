"""docker/host/compose.py leaves no lock of a "watch", and says what is not well in a container."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import compose
import pytest


@pytest.mark.parametrize("place", ["XDG_RUNTIME_DIR", "HOME"])
def test_a_lock_of_a_process_that_has_ended_goes_and_any_other_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """The next process with its number would lock the project."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(place, str(tmp_path))
    folder = tmp_path if place == "XDG_RUNTIME_DIR" else tmp_path / ".docker/docker-compose"
    folder.mkdir(parents=True, exist_ok=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, text in {"ended": ended.pid, "runs": os.getpid(), "damaged": "x"}.items():
        (folder / f"{name}.pid").write_text(str(text))
        compose.unlock(name)
    compose.unlock("none")
    assert sorted(path.name for path in folder.iterdir()) == ["damaged.pid", "runs.pid"]


Program = Callable[..., Path]


def log(*outputs: str) -> str:
    """Return what an engine tells of a container's checks."""
    return json.dumps([{"ExitCode": 1, "Output": output} for output in outputs])


TOLD = (
    "The container is unhealthy: {}. Correct health in [tool.seedpod.image], or what it asks for."
)


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (
            log("first", "Traceback …\n  line\nHTTP Error 404: Not Found\n"),
            "HTTP Error 404: Not Found",
        ),
        (log("ünï\n\n"), "ünï"),
        (log(""), "its check says nothing"),
        (log(), "its check says nothing"),
        ("null", "its check says nothing"),
        ("", "its check says nothing"),
    ],
)
def test_an_unhealthy_container_is_told_once_with_the_last_that_its_check_said(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recorded: str,
    said: str,
) -> None:
    monkeypatch.setattr(compose, "HEALTH_SECONDS", 0)
    calls = program("docker", {"ps": "0a1b\n", "inspect": recorded})
    health = compose.Health("12-34")
    health.look()
    assert capsys.readouterr().err == f"\n{TOLD.format(said)}\n"
    asked = calls.read_text()
    assert "--filter=label=seedpod.run=12-34 --filter=health=unhealthy\n" in asked
    health.look()
    assert capsys.readouterr().err == ""
    assert calls.read_text() == asked


@pytest.mark.parametrize("status", [0, 1])
def test_a_container_that_is_well_and_an_engine_that_fails_are_nothing_to_tell(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    monkeypatch.setattr(compose, "HEALTH_SECONDS", 0)
    calls = program("docker", {"ps": ""}, status)
    health = compose.Health("12-34")
    for _ in range(2):
        health.look()
    assert capsys.readouterr() == ("", "")
    assert len(calls.read_text().splitlines()) == 2


def test_the_engine_is_not_asked_each_second(program: Program) -> None:
    calls = program("docker", {"ps": "0a1b\n"})
    health = compose.Health("12-34")
    for _ in range(5):
        health.look()
    assert calls.read_text() == ""


# It takes a moment for each command of compose.
SLOW = """#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in *config*) ;; compose*) sleep 0.2 ;; esac
"""


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        (["run", "--rm", "web"], True),
        (["up"], False),
        (["up", "--detach"], False),
        (["exec", "web", "ls"], False),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["shop-1", ""])
def test_only_a_run_asks_and_for_its_own_container_alone(
    program: Program, monkeypatch: pytest.MonkeyPatch, command: list[str], asks: bool, name: str
) -> None:
    """What else runs in the project is for whoever started it, and not the command's."""
    monkeypatch.setattr(compose, "HEALTH_SECONDS", 0)
    calls = program("docker")
    calls.with_suffix("").write_text(SLOW)
    compose.run(command, name=name)
    text = calls.read_text()
    marks = re.findall(r"run --label=seedpod\.run=(\S+) ", text)
    asked = re.findall(r"--filter=label=seedpod\.run=(\S+) --filter=health=unhealthy", text)
    assert bool(asked) is ("health=unhealthy" in text) is asks
    assert set(asked) == set(marks)


# ID, service, state and status, as "docker ps" shows them.
SERVICES = {
    "well": "running\tUp 2 minutes (healthy)",
    "plain": "running\tUp 2 minutes",
    "done": "exited\tExited (0) 1 second ago",
    "failed": "exited\tExited (1) 1 second ago",
    "tens": "exited\tExited (10) 1 second ago",
    "sick": "running\tUp 2 minutes (unhealthy)",
    "again": "restarting\tRestarting (1) 1 second ago",
}


@pytest.fixture
def shown(program: Program) -> Path:
    """Have a project with these services, each of which says something; return docker's calls."""
    lines = "".join(f"{name}\t{name}\t{rest}\n" for name, rest in SERVICES.items())
    return program("docker", {"ps": lines, "logs": "its last line\n"})


@pytest.mark.usefixtures("shown")
def test_the_last_lines_of_services_that_are_not_well_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compose.show_failed("shop")
    blocks = capsys.readouterr().err.split("\nThe last lines of ")[1:]
    names = ("failed", "tens", "sick", "again")
    assert blocks == [f"{name}:\nits last line\n\n" for name in names]


# It fails as compose does, until its containers are removed.
FAILING = """#!/bin/sh
case "$1" in
    compose) exit "$STATUS" ;;
    rm) touch "$0.removed" ;;
    logs) echo "cannot start" ;;
    ps) [ -e "$0.removed" ] || printf '0a\\tdatabase\\texited\\tExited (1)\\n' ;;
esac
"""


@pytest.fixture
def failing(program: Program) -> Path:
    """Return a docker that fails, and notes it when containers are removed."""
    docker = program("docker").with_suffix("")
    docker.write_text(FAILING)
    return docker


@pytest.mark.parametrize(("name", "is_shown"), [("shop-1", True), ("", False)])
def test_a_command_that_fails_shows_why_in_a_project_of_its_own_before_that_is_removed(
    failing: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    is_shown: bool,
) -> None:
    """The services of a developer tell it to whoever started them."""
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(SystemExit) as error:
        compose.run(["run", "web"], name=name)
    assert error.value.code == 3
    assert ("The last lines of database:\ncannot start\n" in capfd.readouterr().err) is is_shown
    assert Path(f"{failing}.removed").exists() is bool(name)


def test_a_command_that_succeeds_shows_nothing(
    failing: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATUS", "0")
    compose.run(["run", "web"], name="shop-1")
    assert capfd.readouterr().err == ""
    assert Path(f"{failing}.removed").exists()
