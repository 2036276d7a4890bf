"""What the programs of sessions share: errors for users, whole files, answers of docker and Git."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# As shells have it: 128 and the number of SIGINT.
INTERRUPTED = 130
NOT_INSTALLED = "The program {} is not installed. Install Docker 23 or later."


class SessionError(Exception):
    """One sentence on what is wrong, and one on what to do."""


@contextmanager
def ended_by_errors() -> Iterator[None]:
    """End the program without a traceback: by a SessionError's message, or by an interrupt."""
    try:
        yield
    except SessionError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if the file is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, its line ends as they are in ``text``; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Process numbers repeat among containers that share a folder.
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        if path.exists():
            partial.chmod(path.stat().st_mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def docker(*arguments: str) -> str:
    """Return what docker prints; SessionError if it fails."""
    return _output("docker", *arguments, missing=NOT_INSTALLED.format("docker"))


def git(*arguments: str, folder: str = ".", stdin: str = "") -> str:
    """Return what Git prints in a folder; SessionError if it fails."""
    options = ("-C", folder, *arguments)
    return _output("git", *options, stdin=stdin, missing="Git is not installed. Install it.")


def _output(*command: str, missing: str, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise SessionError(missing) from error
    if done.returncode:
        told = done.stderr.strip() or "no message"
        verb = command[3] if command[0] == "git" else command[1]
        raise SessionError(f"{command[0]} {verb} failed. Fix what it reported: {told}")
    return done.stdout
