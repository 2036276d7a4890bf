"""What all programs on request begin and end with."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import interrupts
import settings
from session import ended_by_errors


@contextmanager
def running() -> Iterator[None]:
    """Run a program with the settings of this machine; errors and interrupts end it in a sentence.

    What an image says of itself, and what its files are called, may be any text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    interrupts.install()
    settings.apply()
    with ended_by_errors():
        yield
