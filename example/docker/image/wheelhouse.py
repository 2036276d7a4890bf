"""A wheelhouse: for each platform a folder of wheels, and a manifest of them by file name."""

import hashlib
import json
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
    """Return, of what split_facts.py wrote, the packages that apply to this Python."""
    content = json.loads(file.read_text(encoding="utf-8"))
    for kind in ("packages", "commits", "folders"):
        packages = (Chosen(**package) for package in content[kind])
        content[kind] = [x for x in packages if not x.marker or Marker(x.marker).evaluate()]
    return Selection(**content)


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the manifest in a platform's folder; an empty one where there is none."""
    for name in (MANIFEST, OLD_MANIFEST):
        if (folder / name).exists():
            entries: dict[str, dict[str, Any]] = json.loads((folder / name).read_text())
            return entries
    return {}


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
        if key and path.exists() and not wheel_tags.isdisjoint(tags):
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
