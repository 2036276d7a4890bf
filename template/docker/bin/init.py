#!/opt/venv/bin/python3 -BIS
"""Run a command below the first process of a container, as tini(1) does.

    init COMMAND …

The kernel gives the first process no signal that it does not handle (pid_namespaces(7)), and most
programs handle none: they would be killed after ten seconds. It passes signals on, leaves the
terminal to the command, and collects processes that were left behind. The exit status is that of
the command, 128 and its number after a signal, 127 if there is no such command.
"""

import os
import signal
import sys
from contextlib import suppress

# They come from the program's own fault, or from the terminal, which the command has.
OWN = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}
TERMINAL = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP)


def start(command: list[str], handled: set[int]) -> int:
    """Start a command with the signals and the terminal that it would have alone; its number."""
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    with suppress(OSError):  # There is no terminal.
        os.tcsetpgrp(0, os.getpid())
    # Python ignores the first two, and a command would, too; for an interrupt it has a handler.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        if number != signal.SIGINT or signal.getsignal(number) == signal.default_int_handler:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        names = sorted(os.listdir(os.path.dirname(sys.executable)))
        there = ", ".join(x for x in names if not x.lower().startswith(("activate", "python")))
        print(
            f"{command[0]} cannot be run ({error.strerror}). Name one of these in command of "
            f"[tool.seedpod.image], then run nox -s lock: {there}",
            file=sys.stderr,
            flush=True,
        )
    os._exit(127)


def wait(child: int, handled: set[int]) -> int:
    """Pass signals on until the command has ended, and return its exit status."""
    while True:
        number = signal.sigwait(handled)
        if number in TERMINAL:
            continue
        if number != signal.SIGCHLD:
            with suppress(ProcessLookupError):
                os.kill(child, number)
            continue
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    status = os.waitstatus_to_exitcode(ended[1])
                    return status if status >= 0 else 128 - status


def main() -> None:
    """Run the command that the arguments are."""
    if len(sys.argv) < 2:
        sys.exit("Usage: init COMMAND …")
    handled = set[int](signal.valid_signals()) - OWN
    # Ignored, as a parent may have left it, it would tell of no process that has ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Blocked, none is lost before it is waited for.
    signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    child = start(sys.argv[1:], handled)
    sys.exit(wait(child, handled))


if __name__ == "__main__":
    main()
