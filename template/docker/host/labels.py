"""Say in the labels of an image what it is and what it was made of, by the names that OCI has.

https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys
"""

import re
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
    own = project_file.setting("image").get("labels", {})
    return {
        f"{PREFIX}{key}": " ".join(text.split())
        for key, text in found.items()
        # What the project itself says in [tool.seedpod.image] counts.
        if isinstance(text, str) and text.strip() and f"{PREFIX}{key}" not in own
    }


def address(remote: str) -> str:
    """Return a repository's address as a browser has it, without what logs in; empty for none."""
    if "://" not in remote:
        short = SHORT_ADDRESS.fullmatch(remote)
        # A folder of this machine is nobody else's business.
        return f"https://{short['host']}/{short['path']}" if short else ""
    parts = urlsplit(remote)
    if not parts.hostname or parts.scheme == "file":
        return ""
    is_web = parts.scheme in ("http", "https")
    host = parts.netloc.rpartition("@")[2] if is_web else parts.hostname
    return urlunsplit((parts.scheme if is_web else "https", host, parts.path, "", ""))


def _links(urls: Any) -> dict[str, Any]:
    links = urls.items() if isinstance(urls, dict) else ()
    return {LINKS[key.lower()]: link for key, link in links if key.lower() in LINKS}


def _commit(date: str) -> dict[str, str]:
    """Return the labels that name the commit and its date; none where files differ from it."""
    try:
        if git("status", "--porcelain", "--", ".").strip():
            return {}
        found = {"revision": git("rev-parse", "--verify", "HEAD").strip()}
        if date:
            found["created"] = datetime.fromtimestamp(int(date), UTC).isoformat()
    except (SessionError, OverflowError, ValueError, OSError):
        # No repository, no commit yet, no Git; a date that no calendar has.
        return {}
    try:
        return found | {"source": address(git("remote", "get-url", "origin").strip())}
    except SessionError:
        return found
