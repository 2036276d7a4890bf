"""Whatever a session started is gone after it, however it ends."""

import fcntl
import functools
import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.docker.projects import Made, Make, fetch, wait_until

# Long enough for every signal, and no test waits for its end.
SLEEP = "import time\n\n\ndef test_slow() -> None:\n    time.sleep(120)\n"
# A request that takes longer than it takes to stop.
SLOW = """

@app.get("/slow")
def slow() -> str:
    import time

    print("begun", flush=True)
    time.sleep(3)
    return "completed"
"""
SESSIONS = {
    "docker_check": ["docker_check"],
    "docker_run": ["docker_run"],
    "docker_test": ["docker_test"],
    "up": ["up"],
    "shell": ["shell", "--", "sleep", "120"],
}
CONTAINERS = ("ps", "--all", "{{.Names}}")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def project(make: Make) -> Made:
    """Return a project whose images are built and whose tests take long."""
    made = make()
    (made.folder / "tests/test_slow.py").write_text(SLEEP)
    app = next((made.folder / "src").glob("*/app.py"))
    app.write_text(app.read_text(encoding="utf-8") + SLOW, encoding="utf-8")
    for stage in ("development", "test", "production"):
        made.session("docker_dev", f"--target={stage}", f"--tag={made.name}:{stage}")
    return made


@contextmanager
def started(project: Made, port: str, *command: str, terminal: bool) -> Iterator[tuple[int, int]]:
    """Run Nox in a session of its own; give its number, and its terminal's other side or -1."""
    ours, theirs = pty.openpty() if terminal else (-1, os.open(os.devnull, os.O_RDWR))
    process = subprocess.Popen(
        ["nox", "--session", *command],
        cwd=project.folder,
        env={**project.environment(), "PORT": port},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=functools.partial(_prepare, terminal=terminal),  # noqa: PLW1509
    )
    os.close(theirs)
    if terminal:
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    yield process.pid, ours
    status = process.wait(60)
    # What is typed goes through to the application, whose status it is.
    assert status != 0 or terminal
    if terminal:
        with suppress(OSError):
            os.close(ours)


def _prepare(*, terminal: bool) -> None:
    """Give the process its terminal; what a shell ignores in the background is not ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _drain(terminal: int) -> None:
    with suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass


def left(project: Made) -> list[str]:
    """Return the containers, networks and volumes of a project, its sessions' own among them."""
    kinds = (("network", "ls", "{{.Name}}"), ("volume", "ls", "{{.Name}}"))
    return [name for kind in (CONTAINERS, *kinds) for name in named(project, *kind)]


def named(project: Made, *listing: str) -> list[str]:
    """Return what a command of Docker lists of a project; its last word is the form of a line."""
    *command, form = listing
    names = project.docker(*command, "--format", form).splitlines()
    return [name for name in names if name.startswith((project.name, project.folder.name))]


def running(project: Made) -> bool:
    """Tell whether a container of the project runs that a session started."""
    names = named(project, *CONTAINERS)
    return any(name.endswith("-1") or "-run-" in name for name in names)


def processes(session: int) -> list[str]:
    """Return the processes of a session (proc(5), stat); a zombie is none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, number, *_ = path.read_text().rpartition(")")[2].split()
            if int(number) == session and state != "Z":
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
    return found


def interrupt(process: int, terminal: int, number: signal.Signals, *, alone: bool) -> None:
    """Send a signal as a keyboard, a shell or a supervisor does."""
    if terminal >= 0 and number == signal.SIGINT and not alone:
        os.write(terminal, b"\x03")
    elif alone:
        os.kill(process, number)
    else:
        os.killpg(process, number)


def check(
    project: Made, port: str, session: str, number: signal.Signals, *, terminal: bool, alone: bool
) -> None:
    command = SESSIONS[session]
    with started(project, port, *command, terminal=terminal) as (process, ours):
        wait_until(lambda: running(project), 60)
        if session in ("docker_run", "up"):
            assert project.name in fetch(f"http://127.0.0.1:{port}/", 60)
        interrupt(process, ours, number, alone=alone)
    assert left(project) == []
    assert processes(process) == []


@pytest.mark.parametrize(
    ("session", "number"),
    [
        *(("docker_run", number) for number in SIGNALS),
        ("docker_check", signal.SIGINT),
        ("docker_test", signal.SIGTERM),
        ("up", signal.SIGINT),
        ("shell", signal.SIGTERM),
    ],
)
def test_an_interrupted_session_leaves_nothing_behind(
    project: Made, port: str, session: str, number: signal.Signals
) -> None:
    """With a terminal the signal reaches the group, as from a keyboard; without, Nox alone."""
    terminal = number != signal.SIGTERM
    check(project, port, session, number, terminal=terminal, alone=not terminal)


@pytest.mark.proofs
@pytest.mark.parametrize("mode", ["pipe-group", "pipe-alone", "terminal-group", "terminal-alone"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("session", SESSIONS)
def test_five_of_five(
    project: Made, port: str, session: str, number: signal.Signals, mode: str
) -> None:
    terminal, alone = "terminal" in mode, "alone" in mode
    for _ in range(5):
        check(project, port, session, number, terminal=terminal, alone=alone)


@pytest.mark.parametrize("session", ["docker_check", "docker_run"])
def test_a_session_whose_nox_is_killed_is_cleaned_up_all_the_same(
    project: Made, port: str, session: str
) -> None:
    with started(project, port, session, terminal=False) as (process, _):
        wait_until(lambda: running(project), 60)
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: left(project) == [])
    wait_until(lambda: processes(process) == [])


@pytest.mark.parametrize("seconds", [0.5, 3])
def test_an_interrupt_before_the_application_runs_leaves_nothing_behind(
    project: Made, port: str, seconds: float
) -> None:
    """While the image is built or containers are made; a second one while they are removed."""
    with started(project, port, "up", terminal=False) as (process, _):
        with suppress(AssertionError):
            wait_until(lambda: False, seconds)
        for _turn in range(3):
            with suppress(ProcessLookupError, AssertionError):
                os.killpg(process, signal.SIGINT)
                wait_until(lambda: False, 0.3)
    assert left(project) == []
    assert processes(process) == []


def test_a_request_that_is_being_answered_is_completed(
    project: Made, serve: Callable[..., str]
) -> None:
    name = f"{project.name}-slow"
    address = serve(project, f"--name={name}")
    fetch(f"{address}/healthz")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(fetch, f"{address}/slow")
        wait_until(lambda: "begun" in project.docker("logs", name))
        stopped = pool.submit(project.docker, "stop", name)
        assert not answer.done()
        stopped.result()
        assert answer.result() == '"completed"'
    assert project.docker("inspect", "--format={{.State.ExitCode}}", name) == "0"


def test_what_ran_before_a_session_still_runs_after_it(project: Made, port: str) -> None:
    project.session("up", "--detach", PORT=port)
    try:
        before = project.docker("compose", "ps", "--quiet")
        project.session("up", "run", "--rm", project.name, "true")
        assert project.docker("compose", "ps", "--quiet") == before != ""
    finally:
        project.session("up", "down")
    assert left(project) == []
