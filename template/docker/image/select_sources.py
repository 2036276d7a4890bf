"""Select, of the build context, what the project's own wheel is made of.

    python3 docker/image/select_sources.py CONTEXT OUTPUT

Out: the folder to build in, with the part of pyproject.toml that building needs, which no edit of
anything else changes. What pyproject.toml names and the context lacks is an error, because most
backends leave it out without a word.
"""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from errors import ended_by_errors
from package_metadata import PackageError, build_part, check_forms, is_plain

# Of the context, what is never part of a wheel.
APART = {".wheels", "docker", "poetry.lock", "pyproject.toml", "sys.lock"}
# What is only there if pyproject.toml names it.
IF_NAMED = ("conftest.py", "pytest.ini", "rootfs", "tests")
# Fields with paths or patterns of paths; "*" is any key, and "**" the keys themselves.
FIELDS = (
    "project.license.file",
    "project.license-files",
    "project.readme",
    "project.readme.file",
    *(
        f"tool.hatch.build.{table}{field}"
        for table in ("", "targets.wheel.")
        for field in ("force-include.**", "hooks.*.path", "include", "only-include", "packages")
    ),
    "tool.hatch.build.targets.wheel.shared-data.**",
    "tool.hatch.version.path",
    "tool.pdm.build.includes",
    "tool.poetry.build",
    "tool.poetry.build.script",
    "tool.poetry.scripts.*.reference",
    "tool.setuptools.data-files.*",
    "tool.setuptools.dynamic.*.file",
    "tool.setuptools.package-dir.*",
    "tool.setuptools.packages.find.where",
    "tool.uv.build-backend.data.*",
    "tool.uv.build-backend.module-root",
)


def declared(pyproject: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the paths that should be there, patterns among them, each behind its field's name."""
    for field in FIELDS:
        for text in _values(pyproject, field.split(".")):
            yield field, text
    tools = pyproject.get("tool", {})
    for name in tools.get("setuptools", {}).get("py-modules", []):
        yield "tool.setuptools.py-modules", f"{name}.py"
    poetry = tools.get("poetry", {})
    for package in poetry.get("packages", []):
        if "wheel" in str(package.get("format", "wheel")):
            path = Path(package.get("from", ""), package.get("include", ""))
            yield "tool.poetry.packages", path.as_posix()
    for include in poetry.get("include", []):
        # Poetry packs it into source distributions, unless a format is named.
        if isinstance(include, dict) and "wheel" in str(include.get("format", "")):
            yield "tool.poetry.include", include.get("path", "")


def _values(node: Any, keys: list[str]) -> Iterator[str]:
    """Yield the texts at a place in a document, of lists each of their entries."""
    if not keys:
        yield from [x for x in (node if isinstance(node, list) else [node]) if isinstance(x, str)]
    elif isinstance(node, dict) and keys[0] == "**":
        yield from node
    elif isinstance(node, dict):
        for key in node if keys[0] == "*" else [keys[0]]:
            yield from _values(node.get(key), keys[1:])


def select(context: Path, pyproject: dict[str, Any], output: Path) -> None:
    """Copy what a wheel may be made of; PackageError if a path that is declared is not there."""
    named = list(declared(pyproject))
    output.mkdir(parents=True)
    for path in sorted(context.iterdir()):
        # In an image nobody reads the README; other backends than poetry-core may want it.
        spare = path.name in IF_NAMED or (path.name.startswith("README") and is_plain(pyproject))
        wanted = not spare or any(Path(x.strip("/")).parts[:1] == (path.name,) for _, x in named)
        if path.name in APART or not wanted:
            continue
        if path.is_dir() and not path.is_symlink():
            # A line of .dockerignore that lets a folder in lets its bytecode in, too.
            ignored = shutil.ignore_patterns("__pycache__", "*.py[co]")
            shutil.copytree(path, output / path.name, symlinks=True, ignore=ignored)
        else:
            shutil.copy2(path, output, follow_symlinks=False)
    for field, text in named:
        pattern = text.strip("/")
        if ".." in Path(pattern).parts:
            raise PackageError(
                f"{text}, named by {field} in pyproject.toml, is outside the project's folder. "
                "Move it there."
            )
        # What is let in is a file or folder at the top; a build may make what is further down.
        top = next(iter(Path(pattern).parts), "")
        made = "/" in pattern and _makes_files(pyproject)
        anywhere = field.startswith("tool.hatch")
        if not _matches(output, top if made else pattern, anywhere=anywhere):
            raise PackageError(
                f"{text} is named by {field} in pyproject.toml, and not in the build context. "
                f"Add !{top} to .dockerignore if it exists, else correct the name."
            )


def _makes_files(pyproject: dict[str, Any]) -> bool:
    """Tell whether a build has scripts or plugins, which may make what is packed."""
    tools = pyproject.get("tool", {})
    return not is_plain(pyproject) and (
        bool(tools.get("poetry", {}).get("build")) or '"hooks"' in json.dumps(tools, default=str)
    )


def _matches(folder: Path, pattern: str, *, anywhere: bool) -> bool:
    """Tell whether a pattern finds anything; as hatch has it, without a slash at any depth."""
    # Within a name two stars are one, for backends and for later versions of pathlib.
    parts = [part if part == "**" else re.sub(r"\*+", "*", part) for part in Path(pattern).parts]
    if not parts:
        return True
    find = folder.rglob if anywhere and "/" not in pattern else folder.glob
    with suppress(OSError):  # Longer than a file's name can be: nothing has it.
        return any(find("/".join(parts)))
    return False


def main() -> None:
    """Select from the first folder that the arguments name."""
    context, output = map(Path, sys.argv[1:])
    whole = tomllib.loads((context / "pyproject.toml").read_text(encoding="utf-8"))
    with ended_by_errors():
        check_forms(whole)
        part = build_part(whole)
        select(context, tomllib.loads(part), output)
    (output / "pyproject.toml").write_text(part, encoding="utf-8")


if __name__ == "__main__":
    main()
