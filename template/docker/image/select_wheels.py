"""Plan which locked packages have to be compiled for this image, and choose the wheels made before.

    /opt/tools/bin/python3 docker/image/select_wheels.py FACTS WHEELHOUSE OUTPUT

In: the folder with what docker/image/split_facts.py wrote, and the wheelhouse, which
docker/image/make_wheels.py fills. Out: wheel-plan.json; and for production, for the tests (what
development has and production has not) and for development a folder to install from, which has the
wheels of the wheelhouse that it needs and a requirements file that takes them for what they are.
"""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

import wheelhouse
from errors import ended_by_errors
from poetry_lock import Chosen, requirement_line

# Where a stage mounts the folder that it installs from.
INSTALLED_FROM = "/wheels"


def to_compile(
    packages: Iterable[Chosen], no_binary: Collection[str], tags: Collection[Tag]
) -> list[str]:
    """Return the names of the packages that have no wheel for these tags, or want none."""
    return [
        package.name
        for package in packages
        if package.name in no_binary or not any(_fits(file, tags) for file in package.files)
    ]


def _fits(file: str, tags: Collection[Tag]) -> bool:
    try:
        return not parse_wheel_filename(file)[3].isdisjoint(tags)
    except InvalidWheelFilename:
        return False


def requirements(
    options: Iterable[str],
    packages: Iterable[Chosen],
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
        hashes = [f"sha256:{made[1]}"] if made else package.hashes
        lines.append(requirement_line(package.release if made else package.requirement, hashes))
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
    facts, house, output = map(Path, sys.argv[1:])
    settings = {
        name: [*map(canonicalize_name, packages)]
        for name, packages in json.loads((facts / "wheel-settings.json").read_text()).items()
    }
    tags = list(sys_tags())
    tag = wheelhouse.platform_tag(tags)
    no_binary = settings["no-binary"]
    main = wheelhouse.read_selection(facts / "main.json")
    development = wheelhouse.read_selection(facts / "development.json")
    shipped = {package.name for package in main.packages}
    only_there = [package for package in development.packages if package.name not in shipped]
    sets = {
        "main": main,
        "test": replace(development, packages=only_there),
        # The last has all that the others have.
        "development": development,
    }
    for name, selection in sets.items():
        packages = selection.packages
        with ended_by_errors():
            wheels = wheelhouse.select(packages, house / tag, set(tags), no_binary)
        installed_from = output / "wheels" / name
        installed_from.mkdir(parents=True)
        for path, _ in wheels.values():
            shutil.copy2(path, installed_from)
        text = requirements(selection.options, packages, wheels, no_binary)
        (installed_from / "requirements.txt").write_text(text, encoding="utf-8")
        if selection.refused:
            told = f"{wheelhouse.WheelhouseError.subject}: {selection.refused}\n"
            (installed_from / "refused.txt").write_text(told, encoding="utf-8")
    source = to_compile(packages, no_binary, set(tags))
    made = {name for name, _ in wheels}
    lacking = [name for name in source if name not in made]
    text = announcement(lacking, no_binary, len(packages), tag)
    if text:
        print(text)
    plan = {**settings, "tag": tag, "compile": source, "announcement": text}
    (output / "wheel-plan.json").write_text(json.dumps(plan, sort_keys=True))


if __name__ == "__main__":
    main()
