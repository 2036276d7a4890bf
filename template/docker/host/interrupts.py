"""Let signals end a session in good order: what it has started is removed then."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

SIGNALS = [
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # The last one is not everywhere.
    if (number := getattr(signal, name, None)) is not None
]
# What was ignored from the beginning stays so: by nohup, and by a shell for its background.
HANDLED = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
# Who started this program.
PARENT = os.getppid()
RECEIVED: list[int] = []


def is_orphan() -> bool:
    """Tell whether who started this program has ended before it, which only a kill does."""
    return os.getppid() != PARENT


def install() -> Callable[[], AbstractContextManager[None]]:
    """Let a job that is cancelled or loses its terminal end as after Ctrl-C.

    Out: ``uninterrupted``.
    """
    for number in HANDLED:
        signal.signal(number, _interrupt)
    return uninterrupted


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt before and after what it surrounds, if a signal has come.

    Who waits for a process may miss that: CPython loses the status of one that ends just as the
    signal comes, and then takes it for 0. https://github.com/python/cpython/issues/96863
    """
    _end_if_interrupted()
    yield
    _end_if_interrupted()


def _end_if_interrupted() -> None:
    if RECEIVED:
        raise KeyboardInterrupt


def ignore() -> None:
    """Let signals change nothing any more."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, _: object) -> None:
    """End the program; what follows until it has ended cannot disturb that."""
    ignore()
    RECEIVED.append(number)
    raise KeyboardInterrupt
