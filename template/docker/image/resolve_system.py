"""Resolve the declared system packages, with what they depend on, against this image's archive.

    python3 docker/image/resolve_system.py system.json resolved.json

In: what docker/image/split_facts.py wrote. Out: an entry of sys.lock.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import package_managers
import select_system
import versions
from declaration import LOCK_VERSION, Section
from errors import ended_by_errors
from installed_packages import Database
from package_managers import Manager, ManagerError, Package


def resolve(manager: Manager, section: Section) -> list[dict[str, Any]]:
    """Return every package that a set of the section installs: name, version, processor, sets.

    Raises ManagerError for a package that is not available, and for one whose versions differ
    between the sets, because the development image has them all.
    """
    found: dict[str, tuple[Package, list[str]]] = {}
    for title, packages in section.sets().items():
        wanted = {name: requirement.version for name, requirement in packages.items()}
        for package in _resolve_set(manager, wanted, section.title):
            other, sets = found.setdefault(package.name, (package, []))
            if other != package:
                raise ManagerError(
                    f"[{section.title}] needs {package.name} {package.version} for {title} and "
                    f"{other.version} for {sets[0]}. Declare one version for both."
                )
            sets.append(title)
    return [{**asdict(package), "sets": sets} for _, (package, sets) in sorted(found.items())]


def _resolve_set(manager: Manager, wanted: dict[str, str], title: str) -> list[Package]:
    if not wanted:
        return []
    chosen = versions.choose(manager, wanted, f"[{title}] in pyproject.toml")
    resolved = manager.resolve(chosen) if chosen else []
    there = Database().packages
    kept = wanted.keys() - {package.name for package in resolved}
    installed = (there[name] for name in kept)
    return [*resolved, *(Package(x.name, x.version, x.architecture) for x in installed)]


def main() -> None:
    """Resolve what the first file declares for this image and write it to the second."""
    declared, output = map(Path, sys.argv[1:])
    with ended_by_errors():
        name, section = select_system.of_this_image(declared)
        manager = package_managers.of_this_image()
        content = {
            "lock-version": LOCK_VERSION,
            "release": name,
            "architecture": manager.architecture,
            "declaration": section.digest(),
            "package": resolve(manager, section),
            "archive-date": manager.date(),
        }
    output.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
