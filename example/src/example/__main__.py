"""Run the application: its command and "python -m" both come here."""

import argparse
import os
import signal
import sys
from importlib import import_module


def main() -> None:
    """Serve until SIGTERM or SIGINT; HOST and PORT say where."""
    # The first process of a container ignores every signal that it does not handle. An exception
    # would get lost in some of what an import calls.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # It has no options: any that is given ends it with status 2, and --help says so.
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.prog = "example"
    parser.parse_args()
    # Their import takes a while, in which the signal may come.
    import uvicorn

    import_module("example.app")
    # The server hands it back after it has stopped in good order: that is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # No host stands for every address, of IPv4 and of IPv6.
    host, port = os.environ.get("HOST", ""), int(os.environ.get("PORT", "8000"))
    uvicorn.run("example.app:app", host=host, port=port)


if __name__ == "__main__":
    main()
