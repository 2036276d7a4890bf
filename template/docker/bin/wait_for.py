#!/usr/bin/env python3
"""Wait until services accept connections, for whoever cannot use health checks.

    wait-for [--seconds N] HOST:PORT … [-- COMMAND …]

The exit status is 0 when all of them accept one, 1 when one does not in time (60 seconds, unless
told otherwise), 2 for wrong arguments, and the command's own where one is given.
"""

import argparse
import os
import signal
import socket
import sys
import time

DEFAULT_SECONDS = 60.0
ATTEMPT_SECONDS = 3.0
PAUSE_SECONDS = 0.1


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[IPv6 ADDRESS]:PORT``; ArgumentTypeError else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no address. Write HOST:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def answers(address: tuple[str, int], deadline: float) -> bool:
    """Tell whether an address accepts a connection before ``deadline`` (of time.monotonic())."""
    while True:
        left = deadline - time.monotonic()
        try:
            socket.create_connection(
                address, min(ATTEMPT_SECONDS, max(left, PAUSE_SECONDS))
            ).close()
        # What cannot be the name of a host is a UnicodeError.
        except (OSError, UnicodeError):
            if left <= 0:
                return False
            time.sleep(PAUSE_SECONDS)
        else:
            return True


def main() -> None:
    """Wait for the addresses that the arguments name, and run the command after them."""
    # The first process of a container ignores every signal that it does not handle.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(
        "wait-for", "wait-for [--seconds N] HOST:PORT … [-- COMMAND …]"
    )
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS)
    parser.add_argument("addresses", type=parse_address, nargs="+", metavar="HOST:PORT")
    arguments = parser.parse_args(sys.argv[1:end])
    deadline = time.monotonic() + arguments.seconds
    for host, port in arguments.addresses:
        if not answers((host, port), deadline):
            shown = f"[{host}]" if ":" in host else host
            sys.exit(
                f"{shown}:{port} does not answer within {arguments.seconds:g} s. "
                "Read the log of that service, or wait longer with --seconds."
            )
    command = sys.argv[end + 1 :]
    if command:
        try:
            os.execvp(command[0], command)
        except OSError as error:
            sys.exit(f"{command[0]} cannot be run ({error.strerror}). Correct what follows --.")


if __name__ == "__main__":
    main()
