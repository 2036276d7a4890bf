"""Collect what path dependencies name, in the project's folder or outside of it.

    python3 docker/image/path_dependencies.py PROJECT OUTPUT [ROOT FOLDER]

Out: the files and folders, each where it is as seen from the project, which is in FOLDER; and
paths.json, which has their places in OUTPUT by their paths in poetry.lock. With ROOT and FOLDER
(docker build --build-context local=ROOT), what is outside of the project is in ROOT, where the
project would be in FOLDER. Without them, as a session calls it, it is where the path says, only
that is collected, and FOLDER is printed, none if there is nothing.
"""

import json
import os
import posixpath
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from errors import ended_by_errors
from package_metadata import PackageError

PATHS = "paths.json"
# What is made of sources, or beside them, and is large.
IGNORED = ("*.py[co]", ".git", ".mypy_cache", ".nox", ".ruff_cache", ".tox", ".venv", ".wheels")
IGNORED_TOO = ("__pycache__", "node_modules")


def named(pyproject: dict[str, Any], *, groups: bool) -> Iterator[str]:
    """Yield the paths that a project depends on, of its groups only if these are asked for.

    Source: https://python-poetry.org/docs/dependency-specification/#path-dependencies.
    """
    poetry = pyproject.get("tool", {}).get("poetry", {})
    tables = [poetry.get("dependencies", {})]
    if groups:
        tables.append(poetry.get("dev-dependencies", {}))
        found = poetry.get("group", {}).values()
        tables += (group.get("dependencies", {}) for group in found if isinstance(group, dict))
    for table in tables:
        for value in table.values():
            for wanted in value if isinstance(value, list) else [value]:
                if isinstance(wanted, dict) and isinstance(wanted.get("path"), str):
                    yield wanted["path"]


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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read ({error}). Correct it.") from error


def is_outside(path: str) -> bool:
    """Tell whether a path from the project leads out of it."""
    return path.split("/", maxsplit=1)[0] == ".."


def on_this_machine(project: Path) -> Callable[[str], Path]:
    """Return a function that finds a path where it says; it raises PackageError."""

    def locate(path: str) -> Path:
        if not (project / path).exists():
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
            if not (project / path).exists():
                raise PackageError(
                    f"The path dependency {path} is not in the build context. "
                    f"Add !{path.partition('/')[0]} to .dockerignore, or correct pyproject.toml."
                )
            return project / path
        if is_outside(place) or not (root / place).exists():
            raise PackageError(
                f"The path dependency {path} is outside of the build context. Build by a session "
                "of Nox; or add the folder that has it and this one, and where this one is there: "
                "--build-context local=../.. --build-arg PROJECT_FOLDER=FOLDER/NAME"
            )
        return root / place

    return locate


def copy(found: dict[str, Path], folder: str, output: Path) -> None:
    """Copy files and folders to their places, and write which path has which."""
    places = {path: posixpath.normpath(posixpath.join(folder, path)) for path in found}
    for path, source in found.items():
        target = output / places[path]
        if any(parent.as_posix() in places.values() for parent in Path(places[path]).parents):
            continue  # It comes with the folder that it is in.
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns(*IGNORED, *IGNORED_TOO)
            shutil.copytree(source, target, symlinks=True, ignore=ignored)
        else:
            shutil.copy2(source, target)
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
