"""docker/bin/wait_for.py waits until addresses accept connections, on real sockets."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent.parent / "template/docker/bin/wait_for.py"
# Shorter than any wait for a socket of this machine, and enough to notice that one is closed.
SOON = "--seconds=0.3"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def start(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; it does not outlive the test."""
    command = [sys.executable, str(PROGRAM), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Sockets:
    """Addresses of this machine."""

    def __init__(self, stack: ExitStack) -> None:
        """Remember what closes the sockets in the end."""
        self.stack = stack

    def closed(self, host: str = "127.0.0.1") -> tuple[socket.socket, str]:
        """Return a socket that refuses connections until it listens, and its address."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = self.stack.enter_context(socket.socket(family))
        found.bind((host, 0))
        return found, f"{f'[{host}]' if ':' in host else host}:{found.getsockname()[1]}"

    def open(self, host: str = "127.0.0.1") -> str:
        """Return an address that accepts connections."""
        found, address = self.closed(host)
        found.listen()
        return address

    def silent(self) -> str:
        """Return an address that neither accepts nor refuses: its queue is full."""
        found, address = self.closed()
        found.listen(0)
        for _ in range(3):
            client = self.stack.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(found.getsockname())
        return address


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    """Return what makes sockets; all are closed at the end."""
    with ExitStack() as stack:
        yield Sockets(stack)


@pytest.fixture
def ipv6() -> None:
    """Skip a test on a machine whose loopback has no address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


def test_it_succeeds_in_silence_when_an_address_accepts(sockets: Sockets) -> None:
    done = run(sockets.open())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_address_has_to_accept(sockets: Sockets) -> None:
    """Wherever in the line the one is that does not."""
    assert run(*(sockets.open() for _ in range(3))).returncode == 0
    for position in range(3):
        addresses = [sockets.open(), sockets.open()]
        _, closed = sockets.closed()
        addresses.insert(position, closed)
        done = run(SOON, *addresses)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{closed} does not answer within 0.3 s. ")


def test_it_waits_for_an_address_that_opens_later(sockets: Sockets) -> None:
    later, address = sockets.closed()
    with start(sockets.open(), address) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        later.listen()
        assert process.wait(60) == 0


def test_it_waits_for_several_that_open_one_after_the_other(sockets: Sockets) -> None:
    """In another order than they are named."""
    first, second = sockets.closed(), sockets.closed()
    with start(first[1], second[1]) as process:
        second[0].listen()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        first[0].listen()
        assert process.wait(60) == 0


def refuses(done: subprocess.CompletedProcess[str], address: str, seconds: str) -> None:
    """Hold a failure against what it has to say: a problem and a remedy, and nothing else."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"{address} does not answer within {seconds} s. "
        "Read the log of that service, or wait longer with --seconds.\n"
    )


@pytest.mark.parametrize(
    ("option", "seconds"),
    [(["--seconds=0.3"], "0.3"), (["--seconds", "1"], "1"), (["--seconds", "0"], "0")],
    ids=" ".join,
)
def test_after_the_time_limit_it_says_which_address_does_not_answer(
    sockets: Sockets, option: list[str], seconds: str
) -> None:
    _, address = sockets.closed()
    refuses(run(*option, address), address, seconds)


def test_without_time_one_attempt_is_made(sockets: Sockets) -> None:
    assert run("--seconds=0", sockets.open()).returncode == 0


def test_an_address_that_neither_accepts_nor_refuses_does_not_answer(sockets: Sockets) -> None:
    """The system itself would try for minutes."""
    address = sockets.silent()
    refuses(run(SOON, address), address, "0.3")


@pytest.mark.parametrize(
    "host", ["nowhere.invalid", "no..name", "x" * 64, "no name"], ids=lambda host: host[:20]
)
def test_a_host_that_nobody_knows_does_not_answer(host: str) -> None:
    """Its name may be known soon: that of a service is when its container starts."""
    refuses(run(SOON, f"{host}:80"), f"{host}:80", "0.3")


@pytest.mark.usefixtures("ipv6")
def test_an_address_of_ipv6_stands_in_brackets(sockets: Sockets) -> None:
    assert run(sockets.open("::1")).returncode == 0


@pytest.mark.usefixtures("ipv6")
def test_an_address_of_ipv6_that_does_not_answer_is_named_as_it_was_given(
    sockets: Sockets,
) -> None:
    _, address = sockets.closed("::1")
    refuses(run(SOON, address), address, "0.3")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--", "true"],
        ["--seconds=1"],
        ["--seconds", "soon", "localhost:80"],
        ["--nonsense", "localhost:80"],
        ["localhost"],
        ["localhost:"],
        [":80"],
        ["localhost:http"],
        ["localhost:0"],
        ["localhost:65536"],
        ["localhost:-1"],
        ["localhost:80", ""],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_told_from_a_service_that_does_not_answer(
    arguments: list[str],
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: wait-for [--seconds N] HOST:PORT … [-- COMMAND …]\n")
    assert "Traceback" not in done.stderr


def test_an_address_without_a_port_is_named_with_a_remedy() -> None:
    assert "postgres is no address. Write HOST:PORT." in run("postgres").stderr


def test_help_is_no_error() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "--seconds" in done.stdout


def python(code: str) -> list[str]:
    """Return the end of a line that runs Python code."""
    return ["--", sys.executable, "-c", code]


@pytest.mark.parametrize("status", [0, 1, 2, 17])
def test_the_command_is_run_with_an_exit_status_of_its_own(sockets: Sockets, status: int) -> None:
    done = run(sockets.open(), *python(f"print('run'); raise SystemExit({status})"))
    assert (done.returncode, done.stdout, done.stderr) == (status, "run\n", "")


def test_the_command_gets_its_arguments_as_they_are(sockets: Sockets) -> None:
    """Also those that this program knows itself."""
    code = "import sys; print(sys.argv[1:])"
    arguments = ["--seconds", "x y", "--", "$HOME", ""]
    done = run(sockets.open(), *python(code), *arguments)
    assert done.stdout == f"{arguments}\n"


def test_the_command_takes_the_place_of_the_program(sockets: Sockets) -> None:
    """What signals the one that was started signals the command."""
    with start(sockets.open(), *python("import os; print(os.getpid())")) as process:
        output, _ = process.communicate(timeout=60)
        assert int(output) == process.pid


def test_the_command_is_not_run_when_an_address_does_not_answer(sockets: Sockets) -> None:
    _, address = sockets.closed()
    refuses(run(SOON, address, *python("print('run')")), address, "0.3")


def test_a_command_that_is_missing_is_named_with_a_remedy(sockets: Sockets) -> None:
    done = run(sockets.open(), "--", "command-that-is-not-there", "argument")
    assert done.returncode == 1
    assert done.stderr == (
        "command-that-is-not-there cannot be run (No such file or directory). "
        "Correct what follows --.\n"
    )


def test_nothing_after_the_dashes_is_no_command(sockets: Sockets) -> None:
    assert run(sockets.open(), "--").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_without_a_traceback(sockets: Sockets, number: signal.Signals) -> None:
    """Also as the first process of a container, which ignores what it does not handle itself."""
    _, address = sockets.closed()
    # The first address tells that the program is at work.
    ready = sockets.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    ready.settimeout(60)
    with start(f"127.0.0.1:{ready.getsockname()[1]}", address) as process:
        ready.accept()[0].close()
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == ""
