"""A wheelhouse: for each platform a folder of wheels, and a manifest of them by file name."""

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from errors import BuildError
from poetry_lock import Chosen, Selection

MANIFEST = "manifest.json"
# As Seedpod 0.1 named it; wheelhouses outlive the template that made them.
OLD_MANIFEST = "wheels.json"


class WheelhouseError(BuildError):
    """A wheelhouse that cannot be used or filled."""

    subject = "Wheels"


def read_selection(file: Path) -> Selection:
    """Return, of what split_facts.py wrote, the packages that apply to this Python.

    Raises WheelhouseError for one whose version or marker cannot be read.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    for kind in ("packages", "commits", "folders"):
        content[kind] = [x for x in (Chosen(**found) for found in content[kind]) if _applies(x)]
    return Selection(**content)


def _applies(package: Chosen) -> bool:
    try:
        Version(package.version)
        return not package.marker or Marker(package.marker).evaluate()
    except ValueError as error:
        told = " ".join(str(error).split())
        raise WheelhouseError(
            f"{package.name} cannot be read in poetry.lock ({told}). Run nox -s lock."
        ) from error


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the manifest in a platform's folder; an empty one where there is none.

    Raises WheelhouseError for another kind of file.
    """
    for path in (folder / name for name in (MANIFEST, OLD_MANIFEST)):
        if path.exists():
            try:
                entries = json.loads(path.read_text(encoding="utf-8"))
                return {name: _entry(name, entry) for name, entry in entries.items()}
            except (AttributeError, OSError, RecursionError, ValueError) as error:
                raise WheelhouseError(
                    f"The wheelhouse has a damaged file {path.name} ({error}). "
                    f"Delete .wheels/{folder.name} and run nox -s docker_wheels."
                ) from error
    return {}


def _entry(name: str, entry: Any) -> dict[str, Any]:
    """Return an entry of a manifest as it should be; raises ValueError."""
    parse_wheel_filename(name)
    if (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in ("origin", "sha256"))
        and all(isinstance(entry.get(key), (int, float)) for key in ("seconds", "size"))
    ):
        return entry
    raise ValueError(name)


def platform_tag(tags: Iterable[Tag]) -> str:
    """Return the name of a platform's wheels: its Python, C library and processor."""
    first = next(tag for tag in tags if not tag.platform.startswith("linux_"))
    return f"{first.interpreter}-{first.platform}"


def select(
    packages: Iterable[Chosen], folder: Path, tags: Collection[Tag], no_binary: Collection[str]
) -> dict[tuple[str, str], tuple[Path, str]]:
    """Return the wheel, with its digest, for each of the packages that the wheelhouse has.

    Of a package in ``no_binary`` a wheel from the index does not count. Raises WheelhouseError for
    a wheel that is not as it was when it was made.
    """
    entries = read_manifest(folder)
    # A lock may write a version in another way than the name of a wheel has it.
    wanted = {(x.name, Version(x.version)): (x.name, x.version) for x in packages}
    found = {}
    for name, entry in entries.items():
        distribution, version, _, wheel_tags = parse_wheel_filename(name)
        key = wanted.get((distribution, version))
        path = folder / name
        if distribution in no_binary and entry["origin"] != "built":
            continue
        if key and os.path.exists(path) and not wheel_tags.isdisjoint(tags):
            if digest(path) != entry["sha256"]:
                raise WheelhouseError(
                    f"{name} in the wheelhouse has changed since it was made. "
                    "Delete it and run nox -s docker_wheels."
                )
            found[key] = (path, entry["sha256"])
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
