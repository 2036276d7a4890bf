"""Say which locked packages would be compiled, and which later versions of them have a wheel.

    online /opt/tools/bin/python3 docker/image/propose_versions.py \\
        FACTS PROJECT WHEELHOUSE proposal.json

In: the folder with what docker/image/split_facts.py wrote, the folder with pyproject.toml and
poetry.lock, and the wheelhouse. Out: an object with an announcement and with what is refused, both
texts and empty if there is nothing to say. The index is asked only for what would be compiled, once
for each package, and one that does not answer is no error.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name
from poetry.core.constraints.version import Version, parse_constraint
from poetry.core.factory import Factory

import index_logins
import wheelhouse
from errors import BuildError, ended_by_errors
from poetry_lock import Chosen
from select_wheels import announcement, to_compile, unfit

# The lowest later version is the smallest step; the latest may be far away.
ASK = (
    *("uv", "pip", "compile", "-", "--quiet", "--no-deps", "--no-config", "--only-binary=:all:"),
    *("--no-header", "--no-annotate", "--resolution=lowest", "--prerelease=disallow"),
)
# uv's own status where there is no such version; with any other one the index did not answer.
NO_VERSION = 1


class NoAnswerError(BuildError):
    """An index that does not answer."""


def later_version(package: Chosen, environment: Mapping[str, str]) -> str:
    """Return the first later version of a package that has a wheel for this Python; "" for none.

    Raises NoAnswerError if the index does not answer.
    """
    done = subprocess.run(
        ASK,
        # A local version has no order among those of an index.
        input=f"{package.name}>{package.version.partition('+')[0]}",
        env={**environment, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, NO_VERSION):
        told = (done.stderr.strip() or "no message").splitlines()[0].removeprefix("error: ")
        # An address that uv cannot read is in its words with user and password.
        raise NoAnswerError(re.sub(r"//\S*@", "//", told))
    return done.stdout.strip().partition("==")[2] if not done.returncode else ""


def only(source: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with one index: Poetry takes a package only from its own source."""
    if not source:
        return dict(os.environ)
    logins = {name: value for name, value in os.environ.items() if name != "UV_INDEX"}
    address = sources[source]
    found = index_logins.variables({source: address}, logins)
    return {**logins, "UV_DEFAULT_INDEX": found.get("UV_INDEX", address)}


def holders(name: str, version: str, requirements: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return who does not allow a version of a package.

    In: for each requirement, who has it, what it is for, and the versions, as Poetry writes them.
    """
    wanted = Version.parse(version)
    # Who has several, for one Python each, holds it only if none of them allows it.
    allowed: dict[str, bool] = {}
    for who, required, versions in requirements:
        if required == name:
            allowed[who] = allowed.get(who, False) or parse_constraint(versions).allows(wanted)
    return [who for who, allows in allowed.items() if not allows]


def requirements(project: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what a project and its locked packages require, as ``holders`` takes it."""
    for dependency in Factory().create_poetry(project).package.all_requires:
        yield "", dependency.name, str(dependency.constraint)
    lock = tomllib.loads((project / "poetry.lock").read_text(encoding="utf-8"))
    for package in lock.get("package", []):
        for name, entries in package.get("dependencies", {}).items():
            for entry in entries if isinstance(entries, list) else [entries]:
                versions = entry.get("version", "*") if isinstance(entry, dict) else entry
                yield package["name"], canonicalize_name(name), versions


def proposal(package: Chosen, version: str, held_by: Iterable[str]) -> str:
    """Return in a sentence how to come to a later version.

    In: the package as it is locked, and who does not allow that version: names, "" for the project.
    """
    others = sorted({name for name in held_by if name})
    allowed = ""
    if others:
        allowed = f"allow later versions of {', '.join(others)} in pyproject.toml, then "
    elif "" in held_by:
        allowed = "allow it in pyproject.toml, then "
    excluded = f", which {', '.join(others)} as locked excludes" if others else ""
    names = " ".join([package.name, *others])
    return (
        f"{package.name} {package.version} has none, {version} has one{excluded}: "
        f"{allowed}run nox -s lock -- {names}."
    )


def proposals(
    packages: Iterable[Chosen], sources: Mapping[str, str], project: Path
) -> Iterator[str]:
    """Yield a sentence for each package of which a later version has a wheel."""
    required: list[tuple[str, str, str]] = []
    for package in packages:
        try:
            version = later_version(package, only(package.source, sources))
        except NoAnswerError as error:
            yield f"Later versions are not looked up, because the index did not answer: {error}."
            return
        if version:
            try:
                required = required or [*requirements(project)]
                held_by = holders(package.name, version, required)
            except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                told = " ".join(str(error).split())
                yield f"Later versions are not looked up, because Poetry refuses this: {told}."
                return
            yield proposal(package, version, held_by)


def main() -> None:
    """Write what there is to say."""
    facts, project, house, output = map(Path, sys.argv[1:])
    settings: dict[str, list[str]] = json.loads((facts / "wheel-settings.json").read_text())
    no_binary = [*map(canonicalize_name, settings["no-binary"])]
    tags = [*sys_tags()]
    tag = wheelhouse.platform_tag(tags)
    with ended_by_errors():
        selection = wheelhouse.read_selection(facts / "development.json")
        packages = [package for package in selection.packages if not package.path]
        made = wheelhouse.select(packages, house / tag, set(tags), no_binary)
    lacking = [package for package in packages if (package.name, package.version) not in made]
    refused = unfit(lacking, tags)
    names = to_compile(lacking, no_binary, set(tags))
    # What has a place of its own has one version there.
    asked = [x for x in lacking if x.name in names and x.name not in no_binary and not x.url]
    told = "" if refused else announcement(names, no_binary, len(selection.packages), tag)
    later = proposals(asked, selection.sources, project)
    content: dict[str, Any] = {
        "announcement": " ".join(filter(None, [told, *later])),
        "refused": refused,
    }
    output.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
