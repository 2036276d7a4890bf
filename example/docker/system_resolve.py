"""Resolve the declared system packages, with what they depend on, against this image's archive.

python3 docker/system_resolve.py PROJECT resolved.json
"""

import json
import platform
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import install
import managers
import system
from managers import Manager, ManagerError, Package
from packages import Database


def resolve(manager: Manager, section: system.Section) -> list[dict[str, Any]]:
    """Return every package that a set of the section installs: name, version, processor, sets.

    Raises ManagerError for a package that is not to be had, and for one whose versions differ
    between the sets, because the development image has them all.
    """
    found: dict[str, tuple[Package, list[str]]] = {}
    for title, packages in section.sets().items():
        versions = {name: wanted.version for name, wanted in packages.items()}
        for package in _resolve_set(manager, versions, section.title):
            other, sets = found.setdefault(package.name, (package, []))
            if other != package:
                raise ManagerError(
                    f"[{section.title}] needs {package.name} {package.version} for {title} and "
                    f"{other.version} for {sets[0]}. Declare one version for both."
                )
            sets.append(title)
    return [{**asdict(package), "sets": sets} for _, (package, sets) in sorted(found.items())]


def _resolve_set(manager: Manager, versions: dict[str, str], title: str) -> list[Package]:
    if not versions:
        return []
    chosen = install.choose(manager, versions, f"[{title}] in pyproject.toml")
    resolved = manager.resolve(chosen) if chosen else []
    there = Database().packages
    kept = versions.keys() - {package.name for package in resolved}
    installed = (there[name] for name in kept)
    return [*resolved, *(Package(x.name, x.version, x.architecture) for x in installed)]


def main() -> None:
    """Resolve what the project in the first folder declares and write it to the second path."""
    project, output = map(Path, sys.argv[1:])
    name = system.release(platform.freedesktop_os_release())
    try:
        pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        section = system.choose(system.load(pyproject), name)
        manager = managers.of_this_image()
        content = {
            "release": name,
            "architecture": manager.architecture,
            "declaration": section.digest(),
            "package": resolve(manager, section),
            "archive-date": manager.date(),
        }
    except (ManagerError, system.DeclarationError) as error:
        sys.exit(f"System packages: {error}")
    output.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
