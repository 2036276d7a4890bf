"""docker/host/client.py ends a failed command with what is wrong and what to do about it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import client
import pytest

PROGRAM = Path(client.__file__)


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program on a command, with these variables of the environment."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def mock(code: str) -> list[str]:
    """Return a command that stands in for a client, and says so."""
    return [sys.executable, "-c", f"import sys; print('a mock', file=sys.stderr); {code}"]


@pytest.mark.parametrize("status", [0, 1, 17, 125])
def test_the_exit_status_is_that_of_the_client(status: int) -> None:
    assert run(*mock(f"sys.exit({status})")).returncode == status


def test_a_client_that_a_signal_ends_gives_the_status_of_a_shell() -> None:
    done = run(*mock("import os; os.kill(os.getpid(), 15)"))
    assert done.returncode == 128 + signal.SIGTERM


def test_output_passes_through() -> None:
    done = run(*mock("print('out'); print('err: Ünï', file=sys.stderr); sys.exit(3)"))
    assert done.stdout == "out\n"
    assert done.stderr == "a mock\nerr: Ünï\n"


def test_output_passes_through_as_it_comes() -> None:
    command = mock("sys.stderr.write('step 1\\n'); sys.stderr.flush(); sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stderr
        assert [process.stderr.readline(), process.stderr.readline()] == ["a mock\n", "step 1\n"]
        process.stdin.close()
        assert process.wait(20) == 0


def test_bytes_that_are_no_text_do_no_harm() -> None:
    done = run(*mock(r"sys.stderr.buffer.write(b'\xff\xfe\n'); sys.exit(4)"))
    assert done.returncode == 4


def test_the_explanation_is_the_last_line() -> None:
    done = run(*mock("print('x: no space left on device', file=sys.stderr); sys.exit(1)"))
    assert done.stderr.splitlines()[-1].startswith("The engine's disk is full. ")


def test_what_a_build_passed_over_is_the_last_line() -> None:
    note = "x.so needs libldap.so.2, which is not in this image. Run nox -s sys_check."
    lines = f"#12 0.531 {note}\\n#12 DONE 0.7s\\n"
    done = run(*mock(f"sys.stderr.write('{lines}')"))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-3:] == ["#12 DONE 0.7s", "", note]


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (
            "#9 1.2 x.c:1:10: fatal error: libpq-fe.h: No such file or directory",
            "header libpq-fe.h",
        ),
        ("#9 1.2 Error: pg_config executable not found.", "program pg_config"),
        ("#9 1.2 /usr/bin/ld: cannot find -lpq: No such file or directory", "library pq"),
        ("x: no space left on device", None),
    ],
)
@pytest.mark.parametrize("known", ["The package has it.", ""])
def test_who_compiles_is_told_what_has_the_missing_part_if_that_is_known(
    line: str, asked: str | None, known: str
) -> None:
    questions: list[str] = []

    def look_up(kind: str, name: str) -> str:
        questions.append(f"{kind} {name}")
        return known

    plain = client.explain([line])
    told = client.explain([line], look_up)
    assert plain
    assert questions == ([asked] if asked else [])
    assert told == (f"{plain.split('. ')[0]}. {known}" if asked and known else plain)


def test_a_signal_ends_what_looks_something_up(tmp_path: Path) -> None:
    """It has the status of that signal, at once."""
    started = tmp_path / "started"
    line = "#9 1.2 x.c:1:10: fatal error: libpq-fe.h: No such file or directory"
    command = ["sh", "-c", f"echo '{line}' >&2; exit 1"]
    program = (
        "import pathlib, time, client\n"
        "def look_up(*_):\n"
        f"    pathlib.Path({str(started)!r}).touch()\n"
        "    time.sleep(60)\n"
        f"client.run({command!r}, look_up)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parent)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    deadline = time.monotonic() + 30
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=30) == -signal.SIGTERM


def test_a_command_that_succeeds_is_not_explained() -> None:
    done = run(*mock("print('x: no space left on device', file=sys.stderr)"))
    assert done.stderr == "a mock\nx: no space left on device\n"


def test_what_long_help_follows_does_not_hide_the_message() -> None:
    """Docker 26 without compose prints 85 lines of help after the message."""
    code = (
        "print(\"unknown flag: --build\\nSee 'docker --help'.\\n\", file=sys.stderr); "
        "print('help\\n' * 85, file=sys.stderr); sys.exit(125)"
    )
    assert "has no compose command." in run(*mock(code)).stderr


def test_a_program_that_is_missing_is_named_with_a_remedy(tmp_path: Path) -> None:
    done = run("docker", "build", PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "The program docker is not installed. Install Docker 23 or later.\n"


@pytest.mark.parametrize("content", [b"", b"\x7fELF of another machine"])
def test_a_program_that_does_not_run_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "docker").write_bytes(content)
    (tmp_path / "docker").chmod(0o700 if content else 0o600)
    done = run("docker", "build", PATH=str(tmp_path))
    assert done.returncode == 1
    assert re.fullmatch(
        r"The program docker cannot be run \(.+\)\. Install Docker 23 or later\.\n", done.stderr
    )


def test_what_a_client_prints_is_returned(capfd: pytest.CaptureFixture[str]) -> None:
    assert client.output(mock("print('one\\ntwo')")) == "one\ntwo\n"
    assert capfd.readouterr() == ("", "a mock\n")


def test_a_client_that_fails_ends_the_program_with_its_status_and_the_explanation(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = "print('half'); print('x: no space left on device', file=sys.stderr); sys.exit(7)"
    with pytest.raises(SystemExit) as error:
        client.output(mock(code))
    assert error.value.code == 7
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("The engine's disk is full. ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ignored", [False, True])
def test_signals_do_afterwards_what_they_did_before(number: int, ignored: bool) -> None:
    """What is ignored stays so all the time, as for what a shell runs in the background."""
    before = signal.SIG_IGN if ignored else signal.default_int_handler
    outside = signal.signal(number, before)
    try:
        with client.Client(mock("")) as running:
            assert (signal.getsignal(number) == before) is ignored
            assert running.attend() == 0
            assert running.finish() == 0
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, outside)


def test_somebody_looks_while_a_client_runs(tmp_path: Path) -> None:
    """It ends when that was done."""
    seen = tmp_path / "seen"
    wait = "[time.sleep(0.05) for _ in range(400) if not os.path.exists(path)]"
    code = f"import os, time; path = {str(seen)!r}; {wait}; sys.exit(5)"
    with client.Client(mock(code)) as running:
        started = time.monotonic()
        assert running.attend(seen.touch) == 0
        assert running.finish() == 5
        assert time.monotonic() - started < 10


def test_an_interrupt_is_left_to_the_client() -> None:
    """Ctrl-C reaches both; the client ends in good order, and its status is passed on."""
    code = (
        "import signal, time; signal.signal(2, lambda *_: sys.exit(130)); "
        "print('ready', file=sys.stderr, flush=True); time.sleep(20)"
    )
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), *mock(code)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr
        assert [process.stderr.readline(), process.stderr.readline()] == ["a mock\n", "ready\n"]
        started = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(15) == 130
        assert "Traceback" not in process.stderr.read()
        assert time.monotonic() - started < 10
