"""Say in the labels of an image what it is and what it was made of, by the names that OCI has.

https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys
"""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import project_file
from session import SessionError, git

PREFIX = "org.opencontainers.image."
# [project.urls] may have anything; these are what tools know by a label of their own.
LINKS = {"documentation": "documentation", "homepage": "url"}
# As git clone takes it for SSH: [USER@]HOST:PATH.
SHORT_ADDRESS = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]{2,}):(?P<path>(?!//).+)")


def of(pyproject: dict[str, Any], date: str, base_image: str) -> dict[str, str]:
    """Return the labels of an image, by their names.

    In: pyproject.toml; the seconds of the commit's date, empty for none; the base image's name,
    which may end in its digest. A commit is named only if the files are those of the commit.
    """
    project = project_file.table(pyproject)
    name, _, digest = base_image.partition("@")
    found = {
        "title": project.get("name"),
        "description": project.get("description"),
        "version": project.get("version"),
        "licenses": project.get("license"),
        "base.name": name,
        "base.digest": digest,
        **_links(project.get("urls")),
        **_commit(date),
    }
    image = project_file.setting("image")
    own = image.get("labels", {}) if isinstance(image, dict) else {}
    # An image inherits the labels of its base image: what is not known here is empty.
    texts = {key: text if isinstance(text, str) else "" for key, text in found.items()}
    return {
        f"{PREFIX}{key}": " ".join(text.split())
        for key, text in texts.items()
        # What the project itself says in [tool.seedpod.image] counts.
        if f"{PREFIX}{key}" not in own
    }


def address(remote: str) -> str:
    """Return a repository's address as a browser has it, without what logs in; empty for none."""
    if "://" not in remote:
        short = SHORT_ADDRESS.fullmatch(remote)
        # A folder of this machine is nobody else's business.
        return f"https://{short['host']}/{short['path']}" if short else ""
    try:
        parts = urlsplit(remote)
    except ValueError:
        return ""
    if not parts.hostname or parts.scheme == "file":
        return ""
    is_web = parts.scheme in ("http", "https")
    host = parts.netloc.rpartition("@")[2] if is_web else parts.hostname
    return urlunsplit((parts.scheme if is_web else "https", host, parts.path, "", ""))


def _links(urls: Any) -> dict[str, Any]:
    links = urls.items() if isinstance(urls, dict) else ()
    found = {LINKS[key.lower()]: link for key, link in links if key.lower() in LINKS}
    return dict.fromkeys(LINKS.values()) | found


def _commit(date: str) -> dict[str, str]:
    """Return the labels that name the commit and its date; empty where files differ from it."""
    found = dict.fromkeys(("created", "revision", "source"), "")
    # No repository, no commit yet, no Git; no remote; a date that no calendar has.
    with suppress(SessionError, OverflowError, ValueError, OSError):
        # Path dependencies may be anywhere in the repository.
        place = ":/" if os.environ.get("LOCAL_CONTEXT") else "."
        if git("status", "--porcelain", "--", place).strip():
            return found
        found["revision"] = git("rev-parse", "--verify", "HEAD").strip()
        if date:
            found["created"] = datetime.fromtimestamp(int(date), UTC).isoformat()
        found["source"] = address(git("remote", "get-url", "origin").strip())
    return found
