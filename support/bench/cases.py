"""The cases: what has changed since the last build. Each edit can be made once more."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.bench import applications
from support.bench.applications import (
    ADDED,
    ADDED_SYSTEM,
    MORE,
    PLAIN,
    add_dependency,
    set_lock,
    set_locked_version,
    substitute,
)
from support.bench.ways import Way

SYSTEM_MARKER = "#: system packages"
Edit = Callable[[Way, Path, int], None]


def nothing(way: Way, folder: Path, number: int) -> None:
    """Leave everything as it is."""


def edit_source(way: Way, folder: Path, number: int) -> None:
    """Append a comment to a module."""
    module = next(path for path in folder.glob("src/*/*.py") if path.stem in ("app", "cli"))
    with module.open("a", encoding="utf-8") as file:
        file.write(f"# edit {number}\n")


def edit_tool(way: Way, folder: Path, number: int) -> None:
    """Insert a comment into a table of pyproject.toml that decides nothing about the image."""
    substitute(folder / "pyproject.toml", r"^\[tool\.ruff\]$", f"[tool.ruff]\n# edit {number}")


def edit_version(way: Way, folder: Path, number: int) -> None:
    """Give the project another version, in uv's lock too."""
    version = f"0.1.{number}"
    substitute(folder / "pyproject.toml", r'^version = ".*"$', f'version = "{version}"')
    if way.lock == "uv.lock":
        set_locked_version(folder, version)


def more_dependencies(way: Way, folder: Path, number: int) -> None:
    """Declare and lock one dependency more."""
    fewer_dependencies(way, folder, number)
    add_dependency(folder / "pyproject.toml")
    set_lock(way, folder, MORE)


def fewer_dependencies(way: Way, folder: Path, number: int) -> None:
    """Take it back."""
    _remove(folder / "pyproject.toml", ADDED)
    set_lock(way, folder, PLAIN)


def more_system(way: Way, folder: Path, number: int) -> None:
    """Declare a system package, which the application needs to run."""
    fewer_system(way, folder, number)
    name = ADDED_SYSTEM
    if way.is_peer:
        line = applications.install("debian", (name,))
        substitute(folder / "Dockerfile", f"^{SYSTEM_MARKER}$", f"{SYSTEM_MARKER}\n{line}")
    else:
        section = applications.release(folder / "pyproject.toml")
        with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(_system_table(section, name))


def fewer_system(way: Way, folder: Path, number: int) -> None:
    """Take it back."""
    name = ADDED_SYSTEM
    _remove(folder / "Dockerfile", applications.install("debian", (name,)) + "\n")
    section = applications.release(folder / "pyproject.toml")
    _remove(folder / "pyproject.toml", _system_table(section, name))


def _system_table(section: str, name: str) -> str:
    return f'\n[tool.sys.{section}.dependencies]\n{name} = "*"\n'


def _remove(path: Path, part: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(re.escape(part), "", text), encoding="utf-8")


@dataclass(frozen=True)
class Case:
    """What happens before a build that is timed, and how it is taken back after all of them."""

    name: str
    title: str
    edit: Edit = nothing
    undo: Edit = nothing
    new_base: bool = False  # the base image is another one
    new_caches: bool = False  # no package was ever downloaded: the cache mounts are empty
    from_registry: bool = False  # the builder has nothing, and takes layers from a registry
    new_image: bool = True  # the image must be another one than before, or the edit is lost

    def fits(self, way: Way, folder: Path) -> bool:
        """Tell whether a way has an answer to it."""
        if self.edit is not more_system or not way.is_peer:
            return True
        return SYSTEM_MARKER in (folder / "Dockerfile").read_text(encoding="utf-8")


COLD, NOTHING, SOURCE, TOOL, VERSION = "cold", "nothing", "source", "tool", "version"
DEPENDENCY, SYSTEM, BASE, REGISTRY = "dependency", "system", "base", "registry"
# In this order: each finds what the one before it has built. What an added dependency leaves behind
# is replaced by later cases, so that the last image is of the application without it.
_CASES = (
    Case(COLD, "cold: nothing built, nothing downloaded", new_base=True, new_caches=True),
    Case(NOTHING, "nothing changed", new_image=False),
    Case(DEPENDENCY, "one dependency added", more_dependencies, fewer_dependencies),
    Case(SOURCE, "source edit", edit_source),
    Case(TOOL, "[tool.*] edit", edit_tool, new_image=False),
    Case(VERSION, "version bump", edit_version),
    Case(SYSTEM, "one system package added", more_system, fewer_system),
    Case(BASE, "base image changed: nothing built, packages cached", new_base=True),
    # The name of the caches is part of a step's key: other ones would match no layer.
    Case(REGISTRY, "cold, layers of a registry", from_registry=True, new_image=False),
)
CASES = {case.name: case for case in _CASES}
TITLES = {case.name: case.title for case in _CASES}
