"""Let signals end a session in good order: what it has started is removed then."""

import os
import signal

SIGNALS = [
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # The last one is not everywhere.
    if (number := getattr(signal, name, None)) is not None
]
# What was ignored from the beginning stays so: by nohup, and by a shell for its background.
HANDLED = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
# Who started this program.
PARENT = os.getppid()


def is_orphan() -> bool:
    """Tell whether who started this program has ended before it, which only a kill does."""
    return os.getppid() != PARENT


def install() -> None:
    """Let a job that is cancelled or loses its terminal end as after Ctrl-C."""
    for number in HANDLED:
        signal.signal(number, _interrupt)


def ignore() -> None:
    """Let signals change nothing any more."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(*_: object) -> None:
    """End the program; what follows until it has ended cannot disturb that."""
    ignore()
    raise KeyboardInterrupt
