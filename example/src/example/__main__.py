"""Run the application: its command and "python -m" both come here."""

import os
import signal
import sys

import uvicorn


def main() -> None:
    """Serve until SIGTERM or SIGINT; HOST and PORT say where."""
    # The server hands the signal back after it has stopped in good order: that is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8000"))
    uvicorn.run("example.app:app", host=host, port=port)


if __name__ == "__main__":
    main()
