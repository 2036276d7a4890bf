"""Plan which locked packages have to be compiled for this image, and choose the wheels made before.

    /opt/tools/bin/python3 docker/wheelhouse.py METADATA poetry.lock WHEELHOUSE OUTPUT

In: the settings and the requirements that docker/metadata.py wrote, the lock file, the wheelhouse
(docker/wheels.py fills it). Out: wheels.json, which is the plan; for each of these requirements a
folder to install from, which has the wheels of the wheelhouse that it needs and a requirements file
that takes them for what they are.
"""

import hashlib
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.tags import Tag, sys_tags
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import Version

MANIFEST = "wheels.json"
# Where a stage mounts the folder that it installs from.
INSTALLED_FROM = "/wheels"
# The requirements, and the folders that stages install from.
SETS = {"requirements.txt": "main", "requirements-development.txt": "development"}
ENTRY = re.compile(r"(?P<name>[^=\s]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))?(?: --hash=.+)?")


class WheelhouseError(Exception):
    """A wheelhouse that cannot be used: one sentence says why, one what to do."""


@dataclass(frozen=True)
class Locked:
    """A line of a requirements file: a package in one version."""

    name: str
    version: str
    text: str

    @property
    def requirement(self) -> str:
        """Return the line without its hashes."""
        return self.text.partition(" --hash=")[0]


def read(text: str) -> tuple[list[str], list[Locked]]:
    """Return the options of a requirements file, and the packages that apply to this Python."""
    options, packages = [], []
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        entry = ENTRY.fullmatch(line)
        if entry is None:
            options.append(line)
        elif entry["marker"] is None or Marker(entry["marker"]).evaluate():
            packages.append(Locked(canonicalize_name(entry["name"]), entry["version"], line))
    return options, packages


def platform_tag(tags: Iterable[Tag]) -> str:
    """Return the name of a platform's wheels: its Python, C library and processor."""
    first = next(tag for tag in tags if not tag.platform.startswith("linux_"))
    return f"{first.interpreter}-{first.platform}"


def to_compile(
    packages: Iterable[Locked],
    files: Mapping[tuple[str, str], Iterable[str]],
    no_binary: Collection[str],
    tags: Collection[Tag],
) -> list[str]:
    """Return the names of the packages that have no wheel here, or whose wheels are not wanted.

    In: the file names that the lock has for each name and version; the tags that this Python takes.
    """
    return [
        package.name
        for package in packages
        if package.name in no_binary
        or not any(_fits(file, tags) for file in files[package.name, package.version])
    ]


def _fits(file: str, tags: Collection[Tag]) -> bool:
    try:
        return not parse_wheel_filename(file)[3].isdisjoint(tags)
    except InvalidWheelFilename:
        return False


def select(
    packages: Iterable[Locked], folder: Path, tags: Collection[Tag], no_binary: Collection[str]
) -> dict[tuple[str, str], tuple[Path, str]]:
    """Return the wheel, with its digest, for each of the packages that the wheelhouse has.

    Of a package in ``no_binary`` a wheel that came from the index is none. Raises WheelhouseError
    for a wheel that is not as it was when it was made.
    """
    manifest = folder / MANIFEST
    entries = json.loads(manifest.read_text()) if manifest.exists() else {}
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


def requirements(
    options: Iterable[str],
    packages: Iterable[Locked],
    wheels: Mapping[tuple[str, str], tuple[Path, str]],
    no_binary: Collection[str],
) -> str:
    """Return a requirements file that takes a wheel of the wheelhouse for what the lock has.

    A package that is there is known by its own digest, because the lock has none of what was
    compiled here. If all are there, no index is asked.
    """
    packages = list(packages)
    missing = [package for package in packages if (package.name, package.version) not in wheels]
    lines = [f"--no-binary {package.name}" for package in missing if package.name in no_binary]
    lines += [*options] if missing else ["--no-index"]
    lines += [f"--find-links {INSTALLED_FROM}"] if wheels else []
    for package in packages:
        made = wheels.get((package.name, package.version))
        lines.append(f"{package.requirement} --hash=sha256:{made[1]}" if made else package.text)
    return "".join(f"{line}\n" for line in lines)


def announcement(names: Collection[str], no_binary: Collection[str], count: int, tag: str) -> str:
    """Return in words which packages will be compiled: no wheel fits, or none is wanted."""
    if not names:
        return ""
    interpreter, _, platform = tag.partition("-")
    chosen = [name for name in names if name in no_binary]
    lacking = [name for name in names if name not in no_binary]
    parts = []
    if lacking:
        family = platform.partition("_")[0]
        parts.append(
            f"{len(lacking)} of {count} packages have no {family} wheel for {interpreter}: "
            f"{', '.join(lacking)}."
        )
    if chosen:
        parts.append(f"{len(chosen)} of {count} are not taken as wheels: {', '.join(chosen)}.")
    return " ".join([*parts, "Expect compiling."])


def main() -> None:
    """Write the plan and the folders to install from."""
    metadata, lock, house, output = map(Path, sys.argv[1:])
    settings = {
        name: [*map(canonicalize_name, packages)]
        for name, packages in json.loads((metadata / MANIFEST).read_text()).items()
    }
    files: dict[tuple[str, str], list[str]] = {
        (canonicalize_name(package["name"]), package["version"]): [
            x["file"] for x in package["files"]
        ]
        for package in tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
    }
    tags = list(sys_tags())
    tag = platform_tag(tags)
    no_binary = settings["no-binary"]
    for name, folder in SETS.items():
        options, packages = read((metadata / name).read_text(encoding="utf-8"))
        try:
            wheels = select(packages, house / tag, set(tags), no_binary)
        except WheelhouseError as error:
            sys.exit(f"Wheels: {error}")
        installed_from = output / "wheels" / folder
        installed_from.mkdir(parents=True)
        for path, _ in wheels.values():
            shutil.copy2(path, installed_from)
        text = requirements(options, packages, wheels, no_binary)
        (installed_from / "requirements.txt").write_text(text, encoding="utf-8")
    # The last of the sets has all of the others.
    source = to_compile(packages, files, no_binary, set(tags))
    made = {name for name, _ in wheels}
    lacking = [name for name in source if name not in made]
    text = announcement(lacking, no_binary, len(packages), tag)
    if text:
        print(text)
    plan = {**settings, "tag": tag, "compile": source, "announcement": text}
    (output / MANIFEST).write_text(json.dumps(plan, sort_keys=True))


if __name__ == "__main__":
    main()
