"""Let signals end a session in good order: what it has started is removed then."""

import signal

SIGNALS = [
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # The last one is not everywhere.
    if (number := getattr(signal, name, None)) is not None
]


def install() -> None:
    """Let a job that is cancelled or loses its terminal end as after Ctrl-C.

    What is ignored stays so: nohup, and what a shell runs in the background.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    """End the program; what follows until it has ended cannot disturb that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
