"""Split pyproject.toml and poetry.lock into one file for each stage that needs a part of them.

    python3 docker/image/split_facts.py PROJECT OUTPUT

A build step is repeated when a file that it reads changes, so every file has one fact: main.json
and development.json (the locked packages to install, without and with the development groups),
system.json (the system packages), wheel-settings.json ([tool.seedpod.wheels]), trim.json
([tool.seedpod.trim]), test-programs.json, test-runs.json and not-imported.json
([tool.seedpod.test]), image.json, data.json and step.json ([tool.seedpod.image], and what stages
read of it), folders.json (path dependencies on folders), and pyproject.toml (what building the
project's wheel needs). On the host, it checks all of that before anything is built; own-package.txt
tells which way the project's own package is built, and sessions install
requirements-development.txt, then requirements-own.txt, which has no hashes.
"""

import json
import sys
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import declaration
import package_metadata
import poetry_lock
import project_settings
from errors import ended_by_errors
from poetry_lock import Selection

# Of [tool.seedpod.image], what the project's own step reads.
STEP = ("environment", "step", "step-output")


def facts(project: Path) -> dict[str, str]:
    """Return the texts of all files, by their names; raises BuildError for what cannot be built."""
    lock = poetry_lock.load(project)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project_settings.extras(pyproject)
    main = poetry_lock.select(lock, [poetry_lock.MAIN], extras)
    groups = [poetry_lock.MAIN, *poetry_lock.default_groups(lock)]
    try:
        development = poetry_lock.select(lock, groups, extras)
    except poetry_lock.LockError as error:
        # Main alone decides about production; who installs development says it.
        development = replace(main, refused=str(error))
    package_metadata.check_folders(pyproject, [x.path for x in development.folders])
    image = project_settings.image_settings(pyproject)
    own = [f"-e {_address(project, '.')}"]
    everywhere = ("", poetry_lock.python_marker(lock.python_versions))
    for folder in development.folders:
        address = _address(project, folder.path)
        # pip knows no condition for what it installs as editable.
        own.append(
            f"-e {address}"
            if folder.marker in everywhere
            else f"{folder.name} @ {address} ; {folder.marker}"
        )
    own += [commit.requirement for commit in development.commits]
    packages = [
        replace(package, url=_address(project, package.path)) if package.path else package
        for package in development.packages
    ]
    requirements = poetry_lock.requirements_file(development.options, packages)
    return {
        "main.json": json.dumps(asdict(main)),
        "development.json": json.dumps(asdict(development)),
        "requirements-development.txt": requirements,
        "requirements-own.txt": "".join(f"{line}\n" for line in own),
        "folders.json": json.dumps(_folders(main, development)),
        "system.json": json.dumps(declaration.facts(declaration.load(pyproject)), sort_keys=True),
        "wheel-settings.json": json.dumps(project_settings.wheel_settings(pyproject)),
        "trim.json": json.dumps(project_settings.trim(pyproject), sort_keys=True),
        "test-programs.json": json.dumps(project_settings.test_programs(pyproject)),
        "own-package.txt": _own_package(pyproject, development),
        "image.json": json.dumps(image, sort_keys=True),
        "data.json": json.dumps(image.get("data", [])),
        "step.json": json.dumps({key: image[key] for key in STEP if key in image}, sort_keys=True),
        "test-runs.json": json.dumps(project_settings.test_runs(pyproject)),
        "not-imported.json": json.dumps(project_settings.not_imported(pyproject)),
        "pyproject.toml": package_metadata.build_part(pyproject),
    }


def _address(project: Path, path: str) -> str:
    """Return the address of a path, which needs no quotes in a requirements file."""
    return (project / path).resolve().as_uri()


def _folders(main: Selection, development: Selection) -> dict[str, list[dict[str, Any]]]:
    """Return the folders that production needs, and all that development needs."""
    chosen = {"main": main, "development": development}
    return {name: [*map(asdict, selection.folders)] for name, selection in chosen.items()}


def _own_package(pyproject: dict[str, Any], development: Selection) -> str:
    """Return which of the Dockerfile's ways builds the project's own package."""
    if development.folders or any(package.path for package in development.packages):
        return "paths"
    return "simple" if package_metadata.is_simple(pyproject) else "other"


def main() -> None:
    """Write the files of the project in the first folder named into the second."""
    project, output = map(Path, sys.argv[1:])
    with ended_by_errors():
        files = facts(project)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
