"""Plan which locked packages have to be compiled for this image, and choose the wheels made before.

    /opt/tools/bin/python3 docker/image/select_wheels.py FACTS WHEELHOUSE PATHS OUTPUT

In: the folder with what docker/image/split_facts.py wrote, the wheelhouse, which
docker/image/make_wheels.py fills, and what docker/image/path_dependencies.py collected. Out:
wheel-plan.json; and for production, for the tests (what development has and production has not) and
for development a folder for docker/image/install_locked.py, which has the wheels of the wheelhouse
that it needs and a requirements file that takes them for what they are.
"""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

import wheelhouse
from errors import ended_by_errors
from path_dependencies import collected
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
    return not _tags(file).isdisjoint(tags)


def _tags(file: str) -> frozenset[Tag]:
    """Return the tags in the name of a wheel; none of what is no such name."""
    try:
        return parse_wheel_filename(file)[3]
    except ValueError:  # Or it has a number that is longer than Python reads.
        return frozenset()


def unfit(packages: Iterable[Chosen], tags: Sequence[Tag]) -> str:
    """Return in words which packages can neither be taken nor compiled; empty if all can.

    In: packages that are not made yet, and the tags of this Python, the best one first.
    """
    told = [
        f"{package.name} {package.version} has no sources, and wheels only for "
        f"{', '.join(_made_for(package.files, tags))}"
        for package in packages
        if package.files and all(_is_for_others(file, set(tags)) for file in package.files)
    ]
    if not told:
        return ""
    return (
        f"{'; '.join(told)}: none for {wheelhouse.platform_tag(tags)}. Allow another version in "
        "pyproject.toml and lock it, or choose another Python: requires-python and PYTHON_IMAGE."
    )


def _is_for_others(file: str, tags: Collection[Tag]) -> bool:
    """Tell whether a file is surely a wheel for another Python: of others uv decides."""
    made_for = _tags(file)
    return bool(made_for) and made_for.isdisjoint(tags)


def _made_for(files: Iterable[str], tags: Iterable[Tag]) -> list[str]:
    """Return the interpreters that wheels are for; if this one is among them, the platforms."""
    found = {tag for file in files for tag in _tags(file)}
    ours = {(tag.interpreter, tag.abi) for tag in tags}
    platforms = {tag.platform for tag in found if (tag.interpreter, tag.abi) in ours}
    # cp39 comes before cp310.
    names = platforms or {tag.interpreter for tag in found}
    return sorted(names, key=lambda name: (len(name), name))


def requirements(
    options: Iterable[str],
    packages: Iterable[Chosen],
    wheels: Mapping[tuple[str, str], tuple[Path, str]],
    no_binary: Collection[str],
) -> str:
    """Return a requirements file that takes a wheel of the wheelhouse for what the lock has.

    A package that is there is known by its own digest, because the lock has none of what was
    compiled here. If all are there, no index is asked. Files of path dependencies are there, too.
    """
    packages = list(packages)
    missing = [
        package
        for package in packages
        if (package.name, package.version) not in wheels and not package.path.endswith(".whl")
    ]
    files = any(package.path for package in packages)
    lines = [f"--no-binary {package.name}" for package in missing if package.name in no_binary]
    # pip alone knows the other one, for addresses without TLS, which uv takes as they are.
    indexes = [option for option in options if not option.startswith("--trusted-host")]
    lines += indexes if missing else ["--no-index"]
    lines += [f"--find-links {INSTALLED_FROM}"] if wheels or files else []
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
        parts.append(
            f"{len(chosen)} of {count} are compiled because of no-binary: {', '.join(chosen)}."
        )
    return " ".join([*parts, "Expect compiling."])


def main() -> None:
    """Write the plan and the folders to install from."""
    facts, house, paths, output = map(Path, sys.argv[1:])
    settings = {
        name: [*map(canonicalize_name, packages)]
        for name, packages in json.loads((facts / "wheel-settings.json").read_text()).items()
    }
    tags = list(sys_tags())
    tag = wheelhouse.platform_tag(tags)
    no_binary = settings["no-binary"]
    with ended_by_errors():
        main = wheelhouse.read_selection(facts / "main.json")
        development = wheelhouse.read_selection(facts / "development.json")
    shipped = {package.name for package in main.packages}
    shipped |= {commit.name for commit in main.commits}
    only_there = replace(
        development,
        packages=[package for package in development.packages if package.name not in shipped],
        commits=[commit for commit in development.commits if commit.name not in shipped],
    )
    sets = {
        "main": main,
        "test": only_there,
        # The last has all that the others have.
        "development": development,
    }
    for name, selection in sets.items():
        packages = selection.packages
        installed_from = output / "wheels" / name
        installed_from.mkdir(parents=True)
        with ended_by_errors():
            indexed = [package for package in packages if not package.path]
            wheels = wheelhouse.select(indexed, house / tag, set(tags), no_binary)
            files = [collected(package.path, paths) for package in packages if package.path]
            for folder in selection.folders:
                collected(folder.path, paths)
            lacking = [x for x in packages if (x.name, x.version) not in wheels]
            refused = selection.refused or unfit(lacking, tags)
            # Main alone decides about production; who installs development says the other one.
            if name == "main" and refused:
                raise wheelhouse.WheelhouseError(refused)
        for path in (*files, *(path for path, _ in wheels.values())):
            shutil.copy2(path, installed_from)
        commits = "".join(f"{commit.requirement}\n" for commit in selection.commits)
        (installed_from / "commits.txt").write_text(commits, encoding="utf-8")
        # One package for each index: if that cannot be installed, its index is asked for it.
        wanted = {x.source: x.name for x in lacking if x.source}
        indexes = {"sources": selection.sources, "packages": wanted}
        (installed_from / "indexes.json").write_text(json.dumps(indexes))
        text = requirements(selection.options, packages, wheels, no_binary)
        (installed_from / "requirements.txt").write_text(text, encoding="utf-8")
        if refused:
            told = f"{wheelhouse.WheelhouseError.subject}: {refused}\n"
            (installed_from / "refused.txt").write_text(told, encoding="utf-8")
    # Of the last set, which has all.
    source = to_compile(packages, no_binary, set(tags))
    compiled = [package.name for package in lacking if package.name in source]
    text = "" if refused else announcement(compiled, no_binary, len(packages), tag)
    if text:
        print(text)
    # "nox -s docker_check" compares them with what is in the image. A folder's may have changed.
    versions = {x.name: x.version for x in (*main.packages, *main.commits)}
    plan = {
        **settings,
        "announcement": text,
        "compile": source,
        "main": {**versions, **{x.name: "" for x in main.folders}},
        "refused": refused,
        "tag": tag,
    }
    (output / "wheel-plan.json").write_text(json.dumps(plan, sort_keys=True))


if __name__ == "__main__":
    main()
