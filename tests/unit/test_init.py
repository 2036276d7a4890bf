"""docker/bin/init.py runs a command as if it were alone, though it is not the first process."""

import ctypes
import os
import pty
import select
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent.parent / "template/docker/bin/init.py"
INIT = [sys.executable, "-IS", str(PROGRAM)]
PROC = Path("/proc/self/status").exists()

# It tells which signals it gets, until its input ends or a line comes, and then what it is told.
LISTENER = """
import os, select, signal, sys
def tell(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number in ends:
        os._exit(7)
ends = [int(x) for x in sys.argv[1:]]
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, tell)
print("ready", os.getpid(), flush=True)
# A signal that comes just before a long call is handled only after that.
while not select.select([sys.stdin], [], [], 0.1)[0]:
    pass
line = sys.stdin.readline()
print("read", line.strip(), flush=True)
"""


def run(*command: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command below the program to its end."""
    return subprocess.run(
        [*INIT, *command], check=False, capture_output=True, text=True, timeout=60, cwd=folder
    )


def code(text: str, *arguments: str) -> list[str]:
    """Return the command that runs Python code."""
    return [sys.executable, "-c", text, *arguments]


@contextmanager
def start(*command: str, first: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a command below the program; its input ends with the test, so that it does.

    In: what a Python program does that the program replaces then.
    """
    before = code(f"{first}\nimport os, sys\nos.execv(sys.argv[1], sys.argv[1:])") if first else []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*before, *INIT, *command], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def listening(*ends: int, first: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a command that tells which signals it gets, and ends with status 7 after some."""
    with start(*code(LISTENER, *map(str, ends)), first=first) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        yield process


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that the command writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rest(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit status, and what has been written since; the input is open until then."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.wait(60), process.stdout.read(), process.stderr.read()


# --- The command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 2, 17, 127, 255])
def test_the_exit_status_is_that_of_the_command(status: int) -> None:
    done = run("sh", "-c", f"echo out; echo err >&2; exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "err\n")


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "HUP", "PIPE", "SEGV", "ABRT", "USR1"])
def test_after_a_signal_the_exit_status_is_128_and_its_number(tmp_path: Path, name: str) -> None:
    done = run("sh", "-c", f"ulimit -c 0; kill -{name} $$; echo still", folder=tmp_path)
    number = signal.Signals[f"SIG{name}"]
    assert (done.returncode, done.stdout) == (128 + number, "")


def test_the_command_gets_its_arguments_as_they_are() -> None:
    arguments = ["--help", "a b", "$HOME", "", "--", "-c", "ü"]
    done = run(*code("import sys; print(ascii(sys.argv[1:]))", *arguments))
    assert done.stdout == f"{arguments!a}\n"


def test_the_command_has_the_input_and_the_environment() -> None:
    with start("sh", "-c", 'read line; echo "$line"; env') as process:
        output, _ = process.communicate("some text\n")
    lines = output.splitlines()
    assert lines[0] == "some text"
    assert f"PATH={os.environ['PATH']}" in lines
    assert process.returncode == 0


def test_the_command_is_found_on_the_path_or_by_its_own(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho run\n")
    program.chmod(0o755)
    assert run(program).stdout == "run\n"
    assert run("./program", folder=tmp_path).stdout == "run\n"
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*INIT, "program"],
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "run\n"


def test_the_command_is_a_process_below_it_with_a_group_of_its_own() -> None:
    with start(*code("import os; print(os.getppid(), os.getpgrp() == os.getpid())")) as process:
        output, errors = process.communicate(timeout=60)
    assert (output, errors) == (f"{process.pid} True\n", "")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return the folder of an environment's programs."""
    venv.EnvBuilder(symlinks=True).create(tmp_path / "venv")
    folder = tmp_path / "venv/bin"
    names = ("zebra", "shop", "Admin", "b", "x", "a", "m", "c", "activate.nu", "python3.99")
    for name in names:
        (folder / name).write_text("")
    return folder


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("absent", "No such file or directory"),
        ("/absent/program", "No such file or directory"),
        ("/", "Permission denied"),
        (__file__, "Permission denied"),
    ],
)
def test_a_command_that_cannot_be_run_is_named_with_those_that_could(
    environment: Path, command: str, reason: str
) -> None:
    done = subprocess.run(
        [environment / "python3", "-IS", PROGRAM, command, "argument"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == (
        f"{command} cannot be run ({reason}). Name one of these in command of "
        "[tool.seedpod.image], then run nox -s lock: Admin, a, b, c, m, shop, x, zebra\n"
    )


def test_without_a_command_its_usage_is_told() -> None:
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Usage: init COMMAND …\n")


def test_the_command_runs_without_any_input() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *INIT, "sh", "-c", "echo run"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "run\n", "")


# --- Signals --------------------------------------------------------------------------------------

PASSED = ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "WINCH", "ALRM", "PIPE", "RTMIN", "RTMAX"]


@pytest.mark.parametrize("name", [f"SIG{name}" for name in PASSED])
def test_signals_reach_the_command(name: str) -> None:
    """It may end with a status of its own."""
    number = signal.Signals[name]
    with listening(number) as process:
        process.send_signal(number)
        assert line_of(process) == name
        assert process.wait(60) == 7


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_ends_a_command_that_does_not_handle_it(name: str) -> None:
    """The kernel would not give it to the first process of a container."""
    number = signal.Signals[name]
    text = (
        f"import signal\nsignal.signal({number:d}, signal.SIG_DFL)\nprint(1, flush=True)\ninput()"
    )
    with start(*code(text)) as process:
        assert line_of(process) == "1"
        process.send_signal(number)
        assert rest(process) == (128 + number, "", "")


def test_a_command_may_go_on_after_a_signal() -> None:
    with listening() as process:
        for name in ("SIGTERM", "SIGUSR1", "SIGTERM", "SIGINT"):
            process.send_signal(signal.Signals[name])
            assert line_of(process) == name
        output, errors = process.communicate("end\n", timeout=60)
    assert (process.returncode, output, errors) == (0, "read end\n", "")


@pytest.mark.parametrize("name", ["SIGTSTP", "SIGTTIN", "SIGTTOU"])
def test_signals_of_the_terminal_are_not_passed_on(name: str) -> None:
    """The command has the terminal, and gets them from that."""
    last = signal.SIGRTMIN  # Of several signals the one with the lowest number comes first.
    with listening(last) as process:
        process.send_signal(signal.Signals[name])
        process.send_signal(last)
        assert rest(process) == (7, "SIGRTMIN\n", "")


def test_a_signal_before_the_command_has_started_is_not_lost() -> None:
    """It waits where it was blocked; what is put in front sends it to itself."""
    first = (
        "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    with start("sh", "-c", "read line; echo $line", first=first) as process:
        assert rest(process) == (128 + signal.SIGTERM, "", "")


def test_a_ctrl_c_before_the_command_has_started_leaves_no_traceback() -> None:
    first = (
        "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    with start("sh", "-c", "read line; echo $line", first=first) as process:
        assert rest(process) == (128 + signal.SIGINT, "", "")


@pytest.mark.skipif(not PROC, reason="needs /proc")
def test_the_command_has_the_signals_that_it_would_have_alone() -> None:
    """Blocked are none, ignored are those that were ignored before: Python ignores some more."""
    command = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]
    alone = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert run(*command).stdout == alone
    assert f"SigBlk:\t{0:016x}\n" in alone


@pytest.mark.parametrize("name", ["PIPE", "XFSZ"])
def test_what_python_ignores_ends_the_command(name: str) -> None:
    """A program whose reader is gone would go on."""
    done = run("sh", "-c", f"kill -{name} $$; echo still")
    assert done.returncode == 128 + signal.Signals[f"SIG{name}"]
    done = run("sh", "-c", "trap '' INT; kill -INT $$; echo still")
    assert (done.returncode, done.stdout) == (0, "still\n")


@pytest.mark.parametrize("name", ["HUP", "INT"])
def test_what_was_ignored_before_stays_ignored(name: str) -> None:
    """As nohup(1) does it, and a shell for what runs in the background."""
    first = f"import signal\nsignal.signal(signal.SIG{name}, signal.SIG_IGN)"
    with start("sh", "-c", f"kill -{name} $$; echo still", first=first) as process:
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "still\n")


def test_it_ends_with_the_command_though_ended_processes_were_ignored_before() -> None:
    first = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    with start("sh", "-c", "exit 3", first=first) as process:
        assert process.wait(5) == 3


# --- The terminal ---------------------------------------------------------------------------------


class Terminal:
    """A terminal, whose session begins with the program."""

    def __init__(self, *command: str) -> None:
        """Start a command in it."""
        self.own, other = pty.openpty()
        first = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        text = f"{first}\nimport os, sys\nos.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [*code(text), *INIT, *command],
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    def write(self, text: bytes) -> None:
        os.write(self.own, text)

    def read(self, end: str) -> str:
        """Return what is written until some text has come, or until the terminal is gone."""
        found = b""
        with suppress(OSError):
            while end.encode() not in found and select.select([self.own], [], [], 60)[0]:
                found += os.read(self.own, 1)
        return found.decode().replace("\r", "")

    def close(self) -> None:
        """End what is left: the terminal's end is one for the command, too."""
        self.process.kill()
        os.close(self.own)
        self.process.wait()


@contextmanager
def terminal(*command: str) -> Iterator[Terminal]:
    found = Terminal(*command)
    try:
        yield found
    finally:
        found.close()


def test_the_command_has_the_terminal() -> None:
    """In the foreground it may read what is typed, and its group gets what keys send."""
    text = (
        "import os\nprint(os.isatty(0), os.tcgetpgrp(0) == os.getpgrp() == os.getpid(),"
        " os.getsid(0) == os.getppid())\nprint('got', input())"
    )
    with terminal(*code(text)) as found:
        assert found.read("\n") == "True True True\n"
        found.write(b"some text\n")
        assert "got some text\n" in found.read("got some text\r\n").replace("\r", "")
        assert found.process.wait(60) == 0


@pytest.mark.parametrize(("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")])
def test_what_a_key_sends_reaches_the_command_once(key: bytes, name: str) -> None:
    """The program is not in its group, and has nothing to pass on."""
    last = signal.SIGRTMIN  # Of several signals the one with the lowest number comes first.
    with terminal(*code(LISTENER, f"{last:d}")) as found:
        found.read("ready ")
        found.read("\n")
        found.write(key)
        told = found.read(name)
        found.process.send_signal(last)
        told += found.read("SIGRTMIN\r\n")
        assert told.count(name) == 1
        assert found.process.wait(60) == 7


def test_a_key_ends_a_command_that_does_not_handle_it() -> None:
    with terminal("sh", "-c", "echo ready; exec sleep 60") as found:
        found.read("ready\r\n")
        found.write(b"\x03")
        assert found.process.wait(60) == 128 + signal.SIGINT


@pytest.mark.skipif(not PROC, reason="needs /proc")
def test_a_command_that_a_key_stops_goes_on_when_it_is_told_to() -> None:
    text = "import os\nprint('ready', os.getpid(), flush=True)\nprint('got', input())"
    with terminal(*code(text)) as found:
        found.read("ready ")
        number = int(found.read("\n"))
        found.write(b"\x1a")
        wait_until(number, "T")
        assert found.process.poll() is None
        found.process.send_signal(signal.SIGCONT)
        wait_until(number, "S")
        found.write(b"end\n")
        assert found.read("got end\r\n").endswith("got end\n")
        assert found.process.wait(60) == 0


def wait_until(number: int, state: str) -> None:
    """Wait until a process is in a state (proc(5)); a minute, and then it never will be."""
    for _ in range(600):
        text = Path(f"/proc/{number}/stat").read_text()
        if text.rpartition(")")[2].split()[0] == state:
            return
        time.sleep(0.1)
    pytest.fail(f"the process is in state {text}")


# --- Processes that were left behind --------------------------------------------------------------

SUBREAPER = "import ctypes\nassert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0"


def can_be_subreaper() -> bool:
    """Tell whether a process can get those that were left behind without being the first one."""
    if not sys.platform.startswith("linux"):
        return False
    found = ctypes.c_int()
    # PR_GET_CHILD_SUBREAPER
    return ctypes.CDLL(None).prctl(37, ctypes.byref(found), 0, 0, 0) == 0  # type: ignore[no-any-return]


subreaper = pytest.mark.skipif(not can_be_subreaper(), reason="needs a subreaper (prctl(2))")

# It leaves processes behind that end with its input, and ends when there are none left.
LEAVING = """
import os, sys, time
reading, writing = os.pipe()
for _ in range(int(sys.argv[1])):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    if os.fork():
        os._exit(0)
    while os.getppid() != int(sys.argv[2]):
        time.sleep(0.01)
    os.write(writing, b"%d\\n" % os.getpid())
    os.close(writing)
    sys.stdin.read()
    os._exit(9)
os.close(writing)
numbers = [int(line) for line in os.fdopen(reading)]
print("left", len(numbers), flush=True)
for number in numbers:
    for _ in range(600):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        sys.exit("not collected")
sys.exit(3)
"""


@subreaper
@pytest.mark.parametrize("count", [1, 40])
def test_processes_that_were_left_behind_are_collected(count: int) -> None:
    """Also when several end at once, and the exit status is still the command's."""
    with start(
        "sh", "-c", f'exec "$0" -c "$1" {count} $PPID', sys.executable, LEAVING, first=SUBREAPER
    ) as process:
        assert line_of(process) == f"left {count}"
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (3, "", "")


@subreaper
def test_it_does_not_wait_for_processes_that_were_left_behind() -> None:
    """In a container the kernel ends them with it."""
    with start("sh", "-c", "cat & echo $!; exit 4", first=SUBREAPER) as process:
        number = int(line_of(process))
        assert process.wait(60) == 4
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
