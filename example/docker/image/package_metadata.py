"""What pyproject.toml says of the project's own package, and of building it (PEP 517, PEP 621)."""

import json
import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from errors import BuildError

POETRY_CORE = "poetry.core.masonry.api"
# What Poetry writes by itself; any other constraint is uv's to follow.
TODAY = r"poetry-core(>=2[.\d]*)?(,?<3[.\d]*)?"
# What the Dockerfile copies for a simple project.
LICENCE = re.compile(r"(AUTHORS|COPYING|LICENCE|LICENSE|NOTICE)[^/]*|LICENSES/.*")
# Tools that build nothing: an edit of their tables makes no other wheel.
UNRELATED = (
    *("black", "commitizen", "coverage", "isort", "mypy", "nox", "pylint", "pyright", "pytest"),
    *("ruff", "seedpod", "sys", "tox"),
)
# What the programs read of pyproject.toml, besides [tool.seedpod] and [tool.sys]; * is any name.
WORDS: dict[type, str] = {dict: "a table", list: "a list", str: "a text"}
FORMS: dict[str, type] = {
    "build-system": dict,
    "build-system.requires": list,
    "build-system.requires.*": str,
    "dependency-groups": dict,
    "dependency-groups.*": list,
    "project": dict,
    "project.dependencies": list,
    "project.license.file": str,
    "project.license-files": list,
    "project.license-files.*": str,
    "project.optional-dependencies": dict,
    "project.optional-dependencies.*": list,
    "tool": dict,
    "tool.poetry": dict,
    "tool.poetry.dependencies": dict,
    "tool.poetry.dev-dependencies": dict,
    "tool.poetry.group": dict,
    "tool.poetry.group.*": dict,
    "tool.poetry.group.*.dependencies": dict,
    "tool.poetry.include": list,
    "tool.poetry.include.*.path": str,
    "tool.poetry.packages": list,
    "tool.poetry.packages.*": dict,
    "tool.poetry.packages.*.from": str,
    "tool.poetry.packages.*.include": str,
    "tool.poetry.scripts": dict,
    "tool.setuptools": dict,
    "tool.setuptools.py-modules": list,
    "tools": dict,
}


class PackageError(BuildError):
    """A project of which no wheel can be made as it is."""

    subject = "Package"


def check_forms(pyproject: dict[str, Any]) -> None:
    """Raise PackageError for a table, a list or a text where something else is expected."""
    for name, value, form in misfits(pyproject, FORMS):
        raise PackageError(f"{name} in pyproject.toml is {value!r}. Write {WORDS[form]} there.")


def misfits(document: dict[str, Any], forms: dict[str, type]) -> Iterator[tuple[str, Any, type]]:
    """Yield what is in a document in another form than it should be: its name, it, and the form.

    In: the forms by paths, in which * is any name.
    """
    for path, form in forms.items():
        for name, value in _found(document, path.split(".")):
            if not isinstance(value, form):
                yield name, value, form


def _found(node: Any, keys: list[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is at a path, with its name; an item of a list has that of the list."""
    if not keys:
        yield name, node
    elif isinstance(node, list) and keys[0] == "*":
        for item in node:
            yield from _found(item, keys[1:], f"An entry of {name}")
    elif isinstance(node, dict):
        for key in node if keys[0] == "*" else node.keys() & {keys[0]}:
            yield from _found(node[key], keys[1:], f"{name}.{key}" if name else key)


def is_plain(pyproject: dict[str, Any]) -> bool:
    """Tell whether poetry-core of today alone builds the project, without a script of its own."""
    system = pyproject.get("build-system", {})
    alone = re.fullmatch(TODAY, "".join("|".join(system.get("requires", [])).split()))
    script = pyproject.get("tool", {}).get("poetry", {}).get("build")
    return bool(alone) and system.get("build-backend") == POETRY_CORE and not script


def is_simple(pyproject: dict[str, Any]) -> bool:
    """Tell whether a plain project has what it packs in src/, and licences beside it."""
    project, poetry = pyproject.get("project", {}), pyproject.get("tool", {}).get("poetry", {})
    packages = [x for x in poetry.get("packages", []) if "wheel" in str(x.get("format", "wheel"))]
    licences = [*project.get("license-files", [])]
    if isinstance(project.get("license"), dict):
        licences += filter(None, [project["license"].get("file")])
    return (
        is_plain(pyproject)
        and bool(packages)
        and all(package.get("from") == "src" for package in packages)
        and not poetry.get("include")
        and not any(isinstance(x, dict) for x in poetry.get("scripts", {}).values())
        and all(LICENCE.fullmatch(name) for name in licences)
    )


def check_folders(pyproject: dict[str, Any], folders: list[str]) -> None:
    """Raise PackageError for path dependencies on folders if nothing would install them."""
    poetry = pyproject.get("tool", {}).get("poetry", {})
    if folders and poetry.get("package-mode") is False:
        raise PackageError(
            f"{folders[0]} is a path dependency on a folder, which is installed with the project's "
            "own package, and package-mode = false says that there is none. Name a wheel of it, "
            "or take it from Git or an index."
        )


def name(pyproject: dict[str, Any]) -> str:
    """Return the project's name, which Poetry 1 had in a table of its own; raises PackageError."""
    poetry = pyproject.get("tool", {}).get("poetry", {})
    found = pyproject.get("project", poetry).get("name")
    if not isinstance(found, str):
        raise PackageError("pyproject.toml has no name of the project. Write it into [project].")
    return found


def build_part(pyproject: dict[str, Any]) -> str:
    """Return, as TOML, the part of pyproject.toml that decides what the project's wheel is."""
    project, tools = pyproject.get("project"), pyproject.get("tool", {})
    if is_plain(pyproject):
        # The README is the package's description on an index; in an image nobody reads it.
        poetry = {key: x for key, x in tools.get("poetry", {}).items() if key != "readme"}
        if project:
            project = {key: value for key, value in project.items() if key != "readme"}
        tools = {"poetry": poetry}
    kept = {"build-system": pyproject.get("build-system"), "project": project}
    kept["tool"] = {key: value for key, value in tools.items() if key not in UNRELATED}
    return "".join(f"{key} = {toml_value(x)}\n" for key, x in kept.items() if x is not None)


def toml_value(value: Any) -> str:
    """Return ``value`` as TOML, tables inline (https://toml.io/en/v1.0.0#inline-table).

    JSON's strings, numbers and booleans are TOML's, too.
    """
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float):
        # JSON knows neither nan nor inf.
        return repr(value)
    # U+007F is the one character that JSON leaves as it is and TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
