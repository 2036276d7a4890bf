"""What the programs of sessions share: errors for users, whole files, answers of docker and Git."""

import errno
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# As shells have it: 128 and the number of SIGINT.
INTERRUPTED = 130
INSTALL = {
    "docker": "Install Docker 23 or later.",
    "git": "Install it.",
    "podman": "Install Podman 4.3 or later, or set CONTAINER_ENGINE=docker.",
}
# What to do about a file by the kind of its error; the system's own words say what is wrong.
IN_THE_WAY = "Move it away: sessions need another kind of file there."
NO_RIGHTS = "Give this user the right to read and to write it."
NO_ROOM = "Make room on its disk."
REMEDIES = {
    errno.EACCES: NO_RIGHTS,
    errno.EBUSY: "Mount its folder, and not the file alone.",
    errno.EDQUOT: NO_ROOM,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.ENOENT: "Restore it from Git, or make it.",
    errno.ENOSPC: NO_ROOM,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EPERM: NO_RIGHTS,
    errno.EROFS: "Mount it so that it can be written, or work in a copy of the project elsewhere.",
}


class SessionError(Exception):
    """One sentence on what is wrong, and one on what to do."""


@contextmanager
def ended_by_errors() -> Iterator[None]:
    """End the program without a traceback, by what is wrong and what to do, or by an interrupt.

    A SessionError says so itself. An OSError is about a file, or a program that does not start.
    """
    try:
        yield
    except SessionError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(reason(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def naming(program: str) -> Iterator[None]:
    """Name a program in the OSError of its start, which on Windows names no file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, program) from error


def reason(error: OSError) -> str:
    """Return which file or program cannot be used, and what to do about it."""
    # What is written to a disk that is full names no file.
    name = "A file" if error.filename is None else os.fsdecode(error.filename)
    if name in INSTALL and isinstance(error, FileNotFoundError):
        return f"The program {name} is not installed. {INSTALL[name]}"
    if name in INSTALL:
        return f"The program {name} cannot be run ({error.strerror}). {INSTALL[name]}"
    remedy = REMEDIES.get(error.errno or 0, "Correct it.")
    return f"{name} cannot be used ({error.strerror or error}). {remedy}"


def cache(name: str) -> Path:
    """Return the path of a file or folder that is kept for later runs, in the user's folder."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A user without a home, as in a container of a pipeline, leaves the "~".
    return Path(home if os.path.isabs(home) else "build/cache", "seedpod", name)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if the file is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def read_text(path: Path) -> str:
    """Return the text of a file, its line ends as they are; raises SessionError."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise SessionError(f"{path} cannot be read ({error}). Save it as UTF-8.") from error
    except OSError as error:
        raise SessionError(reason(error)) from error


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
    except OSError as error:
        # The other file is none that a user knows.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def docker_client() -> str:
    """Return the client of the container engine in use: docker, or podman; raises SessionError."""
    name = os.environ.get("CONTAINER_ENGINE") or "docker"
    if name not in ("docker", "podman"):
        raise SessionError(f"CONTAINER_ENGINE is {name!r}. Write docker or podman.")
    return name


def is_podman() -> bool:
    """Tell whether Podman is in Docker's place; raises SessionError."""
    return docker_client() == "podman"


def only_docker(session: str) -> None:
    """Raise SessionError for a session that Podman cannot do, if that is in Docker's place."""
    if is_podman():
        raise SessionError(
            f"{session} does not work with Podman. Run it with Docker: CONTAINER_ENGINE=docker"
        )


def docker(*arguments: str) -> str:
    """Return what docker, or podman in its place, prints; SessionError if it fails."""
    return _output(docker_client(), *arguments)


def git(*arguments: str, folder: str = ".", stdin: str = "") -> str:
    """Return what Git prints in a folder; SessionError if it fails."""
    return _output("git", "-C", folder, *arguments, stdin=stdin)


def _output(*command: str, stdin: str = "") -> str:
    try:
        with naming(command[0]):
            # Names of files may be anything, and go back to Git as they came.
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="surrogateescape",
            )
    except OSError as error:
        raise SessionError(reason(error)) from error
    if done.returncode:
        told = done.stderr.strip() or "no message"
        verb = command[3] if command[0] == "git" else command[1]
        raise SessionError(f"{command[0]} {verb} failed. Fix what it reported: {told}")
    return done.stdout
