"""What names the state that a build belongs to, so that an old commit makes the image that it made.

The date of an image is that of its commit (SOURCE_DATE_EPOCH, which the environment may have:
https://reproducible-builds.org/specs/source-date-epoch), and its base image is the one of sys.lock.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from session import SessionError, git, read_text

LOCK = Path("sys.lock")
# Earlier locks have a base-digest, which was of any registry, and no build took.
PINNED = "base-image-digest"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SECONDS = re.compile(r"[0-9]{1,11}")


def source_date() -> str:
    """Return the seconds of the commit's date; empty without one. Raises SessionError."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given and not SECONDS.fullmatch(given):
        raise SessionError(
            f"SOURCE_DATE_EPOCH is {given!r}. Remove it, or write the seconds since 1970, as "
            "git log -1 --format=%ct prints them."
        )
    try:
        found = given or git("log", "-1", "--no-show-signature", "--format=%ct").strip()
    except SessionError:
        # No repository, no commit yet, no Git.
        return ""
    return found if SECONDS.fullmatch(found) else ""


def named_base_image() -> str:
    """Return the base image's name: PYTHON_IMAGE, else the one that the Dockerfile has."""
    dockerfile = Path("Dockerfile")
    text = read_text(dockerfile) if dockerfile.exists() else ""
    line = re.search(r"^ARG PYTHON_IMAGE=(\S+)", text, flags=re.MULTILINE)
    return os.environ.get("PYTHON_IMAGE") or (line[1] if line else "")


def use_base_image() -> None:
    """Let builds, those of compose, too, take the digest that sys.lock has for the base image."""
    name = named_base_image()
    for entry in lock_entries():
        digest = entry.get(PINNED)
        if entry.get("base-image") == name and DIGEST.fullmatch(str(digest)):
            os.environ["PYTHON_IMAGE"] = f"{name}@{digest}"


def lock_entries(version: int | None = None) -> list[dict[str, Any]]:
    """Return the entries of sys.lock; none if it is not there or cannot be read any more.

    In: the version that its format has to have, if only one is of use.
    """
    try:
        content = tomllib.loads(LOCK.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return []
    entries = content.get("image")
    if version not in (None, content.get("version")) or not isinstance(entries, list):
        return []
    return entries if all(map(_is_entry, entries)) else []


def _is_entry(entry: Any) -> bool:
    """Tell whether an entry of a lock has what every entry has, and only texts and lists."""
    packages = entry.get("package", []) if isinstance(entry, dict) else None
    return (
        isinstance(packages, list)
        and _has_texts({**entry, "package": ""}, "release", "architecture", "declaration")
        and all(_has_texts(package, "name", "version") for package in packages)
    )


def _has_texts(entry: Any, *names: str) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), str) for name in names)
        and all(isinstance(value, (str, list)) for value in entry.values())
        and all(isinstance(x, str) for value in entry.values() for x in value)
    )
