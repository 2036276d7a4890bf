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
import shutil
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
# As uv and pip say what they compile.
BEGUN = re.compile(r"[\d.]+ +Building (?:wheel for )?([\w.-]+)")
MADE = re.compile(r"[\d.]+ +(?:Built|Created wheel for|ERROR: Failed building wheel for) ([\w.-]+)")


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

    def __init__(self, title: str, log: TextIO, screen: TextIO) -> None:
        """Take the build's name, the file that keeps its log, and the terminal."""
        self.log, self._title, self._screen = log, title, screen
        self._started, self._shown = time.monotonic(), 0
        self._lock = threading.Lock()
        # What is under way: the name of each step by its number, and the wheels of each.
        self._steps: dict[str, str] = {}
        self._wheels: dict[str, list[str]] = {}

    def read(self, line: str) -> None:
        """Take a line of the log; what belongs to no step, like an error, is shown as it is."""
        with self._lock:
            # A full disk is a fault of the build, and the engine's own message says more.
            with suppress(OSError):
                self.log.write(line)
            if found := STEP.match(line):
                self._follow(*found.groups())
            elif line.strip():
                self._clear()
                self._screen.write(line)
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
        wheels = self._wheels.setdefault(number, [])
        if begun := BEGUN.match(text):
            wheels.append(begun[1])
        if (made := MADE.match(text)) and made[1] in wheels:
            wheels.remove(made[1])

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
        width = shutil.get_terminal_size().columns - 1
        text = self.text()[:width]
        self._screen.write(f"\r{text.ljust(min(self._shown, width))}")
        self._shown = len(text)
        self._screen.flush()

    def _clear(self) -> None:
        self._screen.write(f"\r{' ' * self._shown}\r")
        self._shown = 0

    def text(self) -> str:
        """Return the line: the build, its time in minutes and seconds, step, what is compiled."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        words = [f"{self._title} {minutes}:{seconds:02}"]
        compiled = [name for wheels in self._wheels.values() for name in wheels]
        # The one that compiles, else the one that moved last.
        running = [x for x in self._steps if self._wheels.get(x)] or list(self._steps)
        if running:
            words.append(self._steps[running[-1]])
        if compiled:
            words.append(f"compiling {', '.join(dict.fromkeys(compiled))}")
        return "  ".join(words)


@contextmanager
def following(title: str, command: Sequence[str]) -> Iterator[Progress | None]:
    """Show a build whose command this is; yield what its log goes through, None if that is plain.

    The log stays in a file, which is named if the build fails.
    """
    path, log = LOGS / f"{title}.txt", None
    if chosen(command):
        # Nothing is lost where it cannot be kept: then it is shown.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            log = path.open("w", encoding="utf-8", errors="replace")
    if log is None:
        print(shlex.join(command), file=sys.stderr, flush=True)
        yield None
        return
    with log:
        print(shlex.join(command), file=log)
        shown = Progress(title, log, sys.stderr)
        shown.draw()
        try:
            yield shown
        finally:
            shown.clear()
