"""Collect what path dependencies name, in the project's folder or outside of it.

    python3 docker/image/path_dependencies.py PROJECT OUTPUT [ROOT FOLDER]

Out: the files and folders, each where it is as seen from the project, which is in FOLDER; and
paths.json, which has their places in OUTPUT by their paths in poetry.lock. With ROOT and FOLDER
(docker build --build-context local=ROOT), what is outside of the project is in ROOT, where the
project would be in FOLDER. Without them, as a session calls it, it is where the path says, only
that is collected, and FOLDER is printed, none if there is nothing.
"""

import itertools
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from errors import ended_by_errors
from package_metadata import PackageError, check_forms

PATHS = "paths.json"
# What is made of sources, or beside them, and is large; and what has passwords.
IGNORED = (
    *("*.py[co]", ".git", ".mypy_cache", ".nox", ".ruff_cache", ".tox", ".venv", ".wheels"),
    *("__pycache__", "node_modules"),
    *(".env", ".env.*", "auth.toml", "pip.env", "poetry.toml"),
)
# As "poetry add ../lib" writes it, and as Poetry reads it, too.
DIRECT = re.compile(r"\s*+([\w.-]++)[^@;]*+@\s*+(file:[^\s;]+|\.{1,2}/[^\s;]+)")


def named(pyproject: dict[str, Any], *, groups: bool) -> Iterator[str]:
    """Yield the paths that a project depends on, of its groups only if these are asked for.

    Source: https://python-poetry.org/docs/dependency-specification/#path-dependencies. Raises
    PackageError for a path that no build has.
    """
    poetry, project = pyproject.get("tool", {}).get("poetry", {}), pyproject.get("project", {})
    lists = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    tables = [poetry.get("dependencies", {})]
    if groups:
        lists += pyproject.get("dependency-groups", {}).values()
        tables.append(poetry.get("dev-dependencies", {}))
        found = poetry.get("group", {}).values()
        tables += (group.get("dependencies", {}) for group in found if isinstance(group, dict))
    for table in tables:
        for value in table.values():
            for wanted in value if isinstance(value, list) else [value]:
                if isinstance(wanted, dict) and isinstance(wanted.get("path"), str):
                    yield wanted["path"]
    for requirement in itertools.chain(*lists):
        direct = DIRECT.match(requirement) if isinstance(requirement, str) else None
        if direct and direct[2].startswith("file:"):
            raise PackageError(
                f"The path of {direct[1]}, {direct[2]}, is on one machine only. Write "
                f'"{direct[1]}" there, and in [tool.poetry.dependencies] the path from here: '
                f'{direct[1]} = {{ path = "../{direct[1]}" }}'
            )
        if direct:
            yield direct[2]


def collect(project: Path, locate: Callable[[str], Path]) -> dict[str, Path]:
    """Return the places of path dependencies, and of theirs, by their paths from the project.

    Raises PackageError for one that is not there.
    """
    found: dict[str, Path] = {}
    waiting = [posixpath.normpath(x) for x in named(_pyproject(project), groups=True)]
    while waiting:
        path = waiting.pop()
        if path in (*found, "."):
            continue
        if posixpath.isabs(path) or ":" in path:
            raise PackageError(
                f"The path dependency {path} is on one machine only. Write its path from here."
            )
        found[path] = place = locate(path)
        if (place / "pyproject.toml").exists():
            further = named(_pyproject(place), groups=False)
            waiting += (posixpath.normpath(posixpath.join(path, x)) for x in further)
    return found


def _pyproject(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        pyproject = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PackageError(f"{path} cannot be read ({error}). Correct it.") from error
    check_forms(pyproject)
    return pyproject


def is_outside(path: str) -> bool:
    """Tell whether a path from the project leads out of it."""
    return path.split("/", maxsplit=1)[0] == ".."


def on_this_machine(project: Path) -> Callable[[str], Path]:
    """Return a function that finds a path where it says; it raises PackageError."""

    def locate(path: str) -> Path:
        # A name may be too long for any file.
        if not os.path.exists(project / path):
            raise PackageError(
                f"The path dependency {path} does not exist. Correct it in pyproject.toml."
            )
        return project / path

    return locate


def in_a_build(project: Path, root: Path, folder: str) -> Callable[[str], Path]:
    """Return a function that finds a path in one of two build contexts; it raises PackageError."""

    def locate(path: str) -> Path:
        place = posixpath.normpath(posixpath.join(folder, path))
        if not is_outside(path):
            if not os.path.exists(project / path):
                raise PackageError(
                    f"The path dependency {path} is not in the build context. "
                    f"Add !{path.partition('/')[0]} to .dockerignore, or correct pyproject.toml."
                )
            return project / path
        if is_outside(place) or not os.path.exists(root / place):
            raise PackageError(
                f"The path dependency {path} is outside of the build context. Build by a session "
                "of Nox; or add the folder that has it and this one, and where this one is there: "
                "--build-context local=../.. --build-arg PROJECT_FOLDER=FOLDER/NAME"
            )
        return root / place

    return locate


def ignored(folder: Path) -> Callable[[str, list[str]], set[str]]:
    """Return a function that names what is not copied of a folder in it, for shutil.copytree.

    Where there is a Git repository, that is what Git ignores, too.
    """
    never = shutil.ignore_patterns(*IGNORED)
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=False)
    except FileNotFoundError:
        return never
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    if done.returncode or not names:
        return never
    known = {folder / name for name in names}
    # Of a repository in this one Git names the folder alone.
    whole = {path for path in known if path.is_dir()}
    known |= {parent for path in known for parent in path.parents}

    def ignore(current: str, entries: list[str]) -> set[str]:
        here = Path(current)
        if whole & {here, *here.parents}:
            return never(current, entries)
        return never(current, entries) | {x for x in entries if here / x not in known}

    return ignore


def copy(found: dict[str, Path], folder: str, output: Path) -> None:
    """Copy files and folders to their places, and write which path has which."""
    places = {path: posixpath.normpath(posixpath.join(folder, path)) for path in found}
    for path, source in found.items():
        target = output / places[path]
        if any(parent.as_posix() in places.values() for parent in Path(places[path]).parents):
            continue  # It comes with the folder that it is in.
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=ignored(source))
            else:
                shutil.copy2(source, target)
        except OSError as error:  # One for all files, or a list of what each of them was.
            told = error.args[0][0][2] if isinstance(error, shutil.Error) else error
            raise PackageError(
                f"The path dependency {path} cannot be copied ({told}). Remove that file, or let "
                "Git ignore it."
            ) from error
    output.mkdir(parents=True, exist_ok=True)
    (output / PATHS).write_text(json.dumps(places, sort_keys=True), encoding="utf-8")


def collected(path: str, output: Path) -> Path:
    """Return where a path of poetry.lock is in what was collected; raises PackageError."""
    file = output / PATHS
    places = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    place = places.get(posixpath.normpath(path))
    if place is None:
        raise PackageError(
            f"This build lacks the path dependency {path}. Build with --build-arg "
            "OWN_PACKAGE=paths, or for compose write OWN_PACKAGE=paths into .env; sessions of "
            "Nox do it by themselves."
        )
    return output / str(place)


def main() -> None:
    """Collect for the project in the first folder named."""
    project, output, *elsewhere = sys.argv[1:]
    with ended_by_errors():
        if elsewhere:
            root, folder = elsewhere
            found = collect(Path(project), in_a_build(Path(project), Path(root), folder))
            copy(found, folder, Path(output))
            return
        here = Path(project).resolve()
        found = collect(here, on_this_machine(here))
        outside = {path: place for path, place in found.items() if is_outside(path)}
        if outside:
            places = [os.path.normpath(place) for place in outside.values()]
            common = os.path.commonpath([here, *map(os.path.dirname, places)])
            folder = Path(os.path.relpath(here, common)).as_posix()
            copy(outside, folder, Path(output))
            # Names are in UTF-8 here, whatever a terminal would have.
            sys.stdout.buffer.write(folder.encode())


if __name__ == "__main__":
    main()
