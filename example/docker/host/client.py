"""Run a container engine's client; if it fails, end with what is wrong and what to do about it.

    python docker/host/client.py docker build …

The output passes through as it comes and the exit status is the client's own.
"""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Self

import interrupts
import settings
from causes import CAUSES
from progress import Progress
from session import ended_by_errors, naming

KEPT_LINES = 200
END_SECONDS = 10
HANGUP = 1
# What a build found and passed over, behind BuildKit's time stamp.
NOTE = re.compile(r"^(?:#\d+ )?[\d.]+ (.+, which is not in this image\. .+)$")
# What the problem of a cause says where a system package is missing.
LACKING = re.compile(r"A wheel is compiled here, and the (header|library|program) ")
# As uv and pip name what they build.
COMPILED = r"Failed to build `([^`\s]+)`|Failed building wheel for (\S+)|for `([^`\s]+@[^`\s]+)`"


def no_remedy(_: str, __: str) -> str:
    """Know of no package that has what a compilation lacks."""
    return ""


def explain(lines: Iterable[str], look_up: Callable[[str, str], str] = no_remedy) -> str | None:
    """Return what is wrong and what to do, judged by the last lines of output; None if unknown.

    ``look_up`` returns what to do about a header, a library or a program that a compilation lacks,
    if it knows: it is called with the kind and the name.
    """
    text = "\n".join(lines) + "\n"
    for expression, problem, remedy in CAUSES:
        found = re.search(expression, text, flags=re.MULTILINE)
        if found:
            subject = next((group for group in found.groups() if group), "")
            compiled = re.search(COMPILED, text)
            name = next(filter(None, compiled.groups())) if compiled else ""
            wheel = f"A wheel of {name} is" if name else "A wheel is"
            lacking = LACKING.match(problem)
            known = look_up(lacking[1], subject) if lacking else ""
            told = problem.format(subject).replace("A wheel is", wheel)
            return f"{told} {known or remedy}".rstrip()
    return None


class Client:
    """A client that runs: its messages are shown as they come, and kept to be explained.

    As a context, it receives the signals that are meant to end the program.
    """

    def __init__(self, command: Sequence[str], progress: Progress | None = None) -> None:
        """Start the command; raises OSError where that is not possible.

        Its messages go through ``progress`` if there is one.
        """
        self.received: list[int] = []
        self.handlers: dict[int, Any] = {}
        for number in interrupts.SIGNALS:
            # What is ignored stays so: nohup, and what a shell runs in the background.
            if signal.getsignal(number) != signal.SIG_IGN:
                self.handlers[number] = signal.signal(number, self._receive)
        with naming(command[0]):
            self.process = subprocess.Popen(
                command,
                stderr=subprocess.PIPE,
                env={**os.environ, **settings.proxies_of_docker()},
            )
        # Only BuildKit has time stamps, by which the causes know a step's own lines.
        self.stamp = "0 " if command[:2] == ["podman", "build"] else ""
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.progress, self.show = progress, progress.read if progress else _show
        self.reader = threading.Thread(target=self._relay, daemon=True)
        self.reader.start()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let signals do what they did before."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        self.received.append(number)

    def _relay(self) -> None:
        assert self.process.stderr is not None
        # A step may show its own progress in one line, which stays one.
        with io.TextIOWrapper(self.process.stderr, errors="replace", newline="\n") as messages:
            for line in messages:
                self.last.append(self.stamp + line.rstrip("\r\n"))
                # The terminal may be gone; the client is not to wait for it.
                with suppress(OSError):
                    self.show(line)

    def attend(self, look: Callable[[], None] = lambda: None) -> int:
        """Wait until the client ends, and return 0, or the number of a signal that came before.

        A parent that was killed counts as a terminal that is gone. Each second it calls ``look``.
        """
        while self.process.poll() is None and not self.received:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)
            look()
            if interrupts.is_orphan():
                self.received.append(HANGUP)
        return self.received[0] if self.received else 0

    def end(self, seconds: float) -> None:
        """See to it that the client ends, which may take so many seconds by itself."""
        for stop in (self.process.terminate, self.process.kill):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=seconds)
                return
            stop()
            seconds = END_SECONDS
        self.process.wait()

    def finish(self, look_up: Callable[[str, str], str] = no_remedy) -> int:
        """Say where its log is and why the client failed; return its status as a shell does.

        ``look_up`` is as in ``explain``.
        """
        status = self.process.wait()
        # Who inherited its end of the pipe must not keep this program.
        self.reader.join(timeout=5)
        if self.progress:
            self.progress.clear()
        if not status:
            for found in filter(None, map(NOTE.match, self.last)):
                print(f"\n{found[1]}", file=sys.stderr)
        elif not self.received:
            if self.progress:
                print(f"\nThe whole log is in {self.progress.kept}.", file=sys.stderr)
            if reason := explain(list(self.last), look_up):
                print(f"\n{reason}", file=sys.stderr)
        return status if status >= 0 else 128 - status


def _show(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def run(
    command: Sequence[str],
    look_up: Callable[[str, str], str] = no_remedy,
    progress: Progress | None = None,
) -> None:
    """Run a command to its end; ends the program with the command's status if that is not 0.

    ``look_up`` is as in ``explain``, ``progress`` as in ``Client``.
    """
    with Client(command, progress) as client:
        number = client.attend(progress.draw if progress else lambda: None)
        if number:
            # The keyboard's interrupt reaches the client too, which ends its work in good order.
            deadline = time.monotonic() + (END_SECONDS if number == signal.SIGINT else 0)
            while client.process.poll() is None and client.received == [signal.SIGINT]:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            client.end(0)
        client.process.wait()
    # Signals have their own meaning again: they end what looks something up, too.
    status = client.finish(look_up)
    # An interrupted client is no success, whatever it says.
    if status or number:
        sys.exit(status or 128 + number)


def output(command: Sequence[str]) -> str:
    """Return what a command prints; ends the program as ``run`` does, which reads its messages."""
    program = [sys.executable, __file__, *command]
    done = subprocess.run(program, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    with ended_by_errors():
        run(sys.argv[1:])
