"""Show a build in one line of a terminal, and keep its log for a failure.

The line says how long it takes, which stage is built, and what is compiled now. Where there is no
terminal, as in CI, BuildKit's plain log is shown as it comes, and so it is where BUILDKIT_PROGRESS
or an option of docker build names a kind of log.

Source of the log's format:
https://github.com/moby/buildkit/blob/master/util/progress/progressui/printer.go
"""

import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

LOGS = Path("build/logs")
# A line of a step: its number, then its name, its state, or a line of its output with the seconds.
STEP = re.compile(r"#(\d+) (.*)")
NAME = re.compile(r"\[(?:internal\] (.+)|([^\]]+)\] .+)")
ENDED = re.compile(r"(?:DONE|CACHED|CANCELED|ERROR)\b")
# As uv and pip say what they compile, and that they have.
BEGUN = re.compile(r"[\d.]+ +Building (?:wheel for (\S+) .*: started|(\S+?)(?:==| @ ))")
MADE = re.compile(r"[\d.]+ +(?:Building wheel for (\S+) .*: finished|Built (\S+?)(?:==| @ ))")
# What a step announces before it takes long (docker/image/select_wheels.py).
ANNOUNCED = re.compile(r"[\d.]+ (.+ Expect compiling\.)$")


def chosen(command: Sequence[str]) -> bool:
    """Tell whether a build is shown in one line, or as the log of its own kind."""
    plain = any(word.split("=")[0] in ("--progress", "--quiet", "-q") for word in command)
    settings = ("BUILDKIT_PROGRESS", "CI")
    return (
        command[0] == "docker"
        and not plain
        and not any(map(os.environ.get, settings))
        and os.environ.get("TERM") != "dumb"
        and sys.stderr.isatty()
    )


class Progress:
    """A line on a terminal that says what a build does; two threads may use it."""

    def __init__(self, title: str, log: TextIO, screen: TextIO, kept: Path) -> None:
        """Take the build's name, its log's file, the terminal, and where the log is kept."""
        self.kept, self._title, self._log, self._screen = kept, title, log, screen
        self._started, self._shown = time.monotonic(), 0
        self._lock = threading.Lock()
        # What is under way: the name of each step by its number, and the wheels of each.
        self._steps: dict[str, str] = {}
        self._wheels: dict[str, set[str]] = {}

    def read(self, line: str) -> None:
        """Take a line of the log; what belongs to no step, like an error, is shown as it is."""
        with self._lock:
            # The disk may be full, and a process that was left may write when all is over.
            with suppress(OSError, ValueError):
                self._log.write(line)
            found = STEP.match(line)
            told = ANNOUNCED.match(found[2]) if found else None
            if found:
                self._follow(*found.groups())
            if told or (not found and line.strip()):
                self._clear()
                self._screen.write(f"{told[1]}\n" if told else line)
            self._draw()

    def _follow(self, number: str, text: str) -> None:
        named = NAME.match(text)
        if named or text.startswith("exporting"):
            # Its name comes again with its next lines: the one that moved last is the last.
            self._steps.pop(number, None)
            self._steps[number] = (named[1] or named[2]) if named else text
        if ENDED.match(text):
            self._steps.pop(number, None)
            self._wheels.pop(number, None)
        if begun := BEGUN.match(text):
            self._wheels.setdefault(number, set()).add(begun[1] or begun[2])
        if made := MADE.match(text):
            self._wheels.get(number, set()).discard(made[1] or made[2])

    def draw(self) -> None:
        """Show the line anew: time has passed."""
        # The terminal may be gone.
        with self._lock, suppress(OSError):
            self._draw()

    def clear(self) -> None:
        """Remove the line."""
        with self._lock, suppress(OSError):
            self._clear()
            self._screen.flush()

    def _draw(self) -> None:
        width = self._width()
        text = self.text()[:width]
        self._screen.write(f"\r{text.ljust(min(self._shown, width))}")
        self._shown = len(text)
        self._screen.flush()

    def _clear(self) -> None:
        self._screen.write(f"\r{' ' * min(self._shown, self._width())}\r")
        self._shown = 0

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._screen.fileno()).columns
        except OSError:
            columns = 0
        return (columns or 80) - 1

    def text(self) -> str:
        """Return the line: the build, its time in minutes and seconds, step, what is compiled."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        words = [f"{self._title} {minutes}:{seconds:02}"]
        compiled = sorted({name for wheels in self._wheels.values() for name in wheels})
        # The one that compiles, else the one that moved last.
        running = [x for x in self._steps if self._wheels.get(x)] or list(self._steps)
        if running:
            words.append(self._steps[running[-1]])
        if compiled:
            words.append(f"compiling {', '.join(compiled)}")
        return "  ".join(words)


@contextmanager
def following(title: str, command: Sequence[str]) -> Iterator[Progress | None]:
    """Show a build whose command this is; yield what its log goes through, None if that is plain.

    The log stays in a file, which is named if the build fails.
    """
    kept, log, text = LOGS / f"{title}.txt", None, f"{shlex.join(command)}\n"
    # Another session may build the same stage.
    path = kept.with_name(f".{kept.name}-{os.getpid()}")
    if chosen(command):
        # Nothing is lost where it cannot be kept: then it is shown.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            opened = path.open("w", buffering=1, encoding="utf-8", errors="replace")
            opened.write(text)
            log = opened
    if log is None:
        sys.stderr.write(text)
        sys.stderr.flush()
        yield None
        return
    shown = Progress(title, log, sys.stderr, kept)
    shown.draw()
    try:
        yield shown
    finally:
        shown.clear()
        with suppress(OSError):
            log.close()
        with suppress(OSError):
            path.replace(kept)
