"""Split pyproject.toml and poetry.lock into one file for each stage that needs a part of them.

    python3 docker/image/split_facts.py PROJECT OUTPUT

A build step is repeated when a file that it reads changes, so every file has one fact: main.json
and development.json (the locked packages to install, without and with the development groups),
system.json (the system packages), wheel-settings.json ([tool.seedpod.wheels]), pyproject.toml (what
building the project's wheel needs) and application.txt (the project's name). On the host, it checks
all of that before anything is built, and requirements-development.txt is what sessions install.
"""

import json
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import declaration
import poetry_lock
from errors import BuildError, ended_by_errors

# The README is the package's description on an index; in an image nobody reads it.
BUILD_TABLES = ("build-system", "project")
WHEEL_SETTINGS = ("build-first", "no-binary", "no-build-isolation")
UNUSED_FIELDS = ("readme",)


class WheelSettingError(BuildError):
    """Settings of wheels that cannot be followed."""

    subject = "Wheels"


def build_metadata(pyproject: dict[str, Any]) -> dict[str, Any]:
    """Return the part of pyproject.toml that decides the project's wheel."""
    kept = {name: pyproject[name] for name in BUILD_TABLES if name in pyproject}
    kept["project"] = {
        field: value for field, value in kept["project"].items() if field not in UNUSED_FIELDS
    }
    poetry = pyproject.get("tool", {}).get("poetry", {})
    kept["tool"] = {
        "poetry": {field: value for field, value in poetry.items() if field not in UNUSED_FIELDS}
    }
    return kept


def wheel_settings(pyproject: dict[str, Any]) -> dict[str, list[str]]:
    """Return the lists of package names in [tool.seedpod.wheels]: what to compile, in which way.

    Raises WheelSettingError for anything else.
    """
    table = pyproject.get("tool", {}).get("seedpod", {}).get("wheels", {})
    if not isinstance(table, dict):
        raise WheelSettingError(
            f"wheels in [tool.seedpod] is {table!r}. Write a table, [tool.seedpod.wheels]."
        )
    unknown = sorted(table.keys() - set(WHEEL_SETTINGS))
    if unknown:
        raise WheelSettingError(
            f"[tool.seedpod.wheels] has no use for {unknown[0]!r}. "
            f"It takes {', '.join(WHEEL_SETTINGS)}."
        )
    for name, value in table.items():
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            raise WheelSettingError(
                f"{name} in [tool.seedpod.wheels] is {value!r}. "
                'Write a list of names like ["lxml"].'
            )
    return {name: table.get(name, []) for name in WHEEL_SETTINGS}


def toml_value(value: Any) -> str:
    """Return ``value`` as TOML, tables inline (https://toml.io/en/v1.0.0#inline-table).

    JSON's strings, numbers and booleans are TOML's, too.
    """
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    # U+007F is the one character that JSON leaves as it is and TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def facts(project: Path) -> dict[str, str]:
    """Return the texts of all files, by their names; raises BuildError for what cannot be built."""
    lock = poetry_lock.load(project)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    extras = pyproject.get("tool", {}).get("seedpod", {}).get("extras", [])
    main = poetry_lock.select(lock, [poetry_lock.MAIN], extras)
    groups = [poetry_lock.MAIN, *poetry_lock.default_groups(lock)]
    development = poetry_lock.select(lock, groups, extras)
    build = build_metadata(pyproject)
    requirements = poetry_lock.requirements_file(development.options, development.packages)
    return {
        "main.json": json.dumps(asdict(main)),
        "development.json": json.dumps(asdict(development)),
        "requirements-development.txt": requirements,
        "system.json": json.dumps(declaration.facts(declaration.load(pyproject)), sort_keys=True),
        "wheel-settings.json": json.dumps(wheel_settings(pyproject), sort_keys=True),
        "pyproject.toml": "".join(f"{key} = {toml_value(build[key])}\n" for key in build),
        "application.txt": f"{pyproject['project']['name']}\n",
    }


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
