"""Choose, of the system packages that are declared, those of this base image.

    python3 docker/image/select_system.py system.json PROJECT OUTPUT

In: what docker/image/split_facts.py wrote. Out: one file for each stage that installs packages, and
declaration.json for the check of what is declared. A sys.lock in the project replaces the declared
versions.
"""

import difflib
import hashlib
import json
import platform
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import declaration
import package_managers
from declaration import (
    BUILD,
    CONSTRAINT,
    GROUPS,
    LOCK,
    LOCK_VERSION,
    NAME,
    RUN,
    DeclarationError,
    Section,
)
from errors import ended_by_errors
from installed_packages import Database


def choose(sections: Mapping[str, Section], name: str) -> Section:
    """Return the section for a release, an empty one where nothing is declared for any.

    Raises DeclarationError if there are sections for other releases only.
    """
    if name in sections:
        return sections[name]
    if not sections:
        return Section(name)
    near = difflib.get_close_matches(name, sections, n=1, cutoff=0.0)[0]
    raise DeclarationError(
        f"The base image is {name}, and pyproject.toml declares system packages for "
        f"{', '.join(sorted(sections))} only. Add [tool.sys.{name}.{RUN}], with what "
        f"[{sections[near].title}] lists by that release's names, or choose another base image."
    )


def locked(
    lock: Mapping[str, Any], name: str, architecture: str, section: Section
) -> dict[str, Any]:
    """Return the entry that a parsed sys.lock has for a release and a section.

    Raises DeclarationError if the lock does not fit the section or this image.
    """
    remedy = "Run nox -s sys_lock"
    if lock.get("version") != LOCK_VERSION:
        raise DeclarationError(f"{LOCK} has a format of another version. {remedy}.")
    images = [
        image
        for image in lock.get("image", [])
        if (image["release"], image["architecture"]) == (name, architecture)
    ]
    if not images:
        raise DeclarationError(
            f"{LOCK} has no packages for {name} on {architecture}. {remedy} with that base image."
        )
    if images[0]["declaration"] != section.digest():
        raise DeclarationError(f"{LOCK} does not fit [{section.title}]. {remedy}.")
    entry: dict[str, Any] = images[0]
    for package in entry.get("package", []):
        # Else a name could be an option of the package manager.
        if not (NAME.fullmatch(package["name"]) and CONSTRAINT.fullmatch(package["version"])):
            raise ValueError(package)
    return entry


def selections(section: Section, lock: Mapping[str, Any] | None) -> dict[str, dict[str, str]]:
    """Return the versions of the packages that each stage installs, by the stages' names.

    In: the section, and the entry of the lock for it.
    """
    groups = [f"{GROUPS}.{name}" for name in section.groups]
    stages = {"build": [BUILD], "development": [RUN, *groups], "production": [RUN]}
    if lock is not None:
        packages = lock.get("package", [])
        return {
            stage: {x["name"]: x["version"] for x in packages if set(names) & set(x["sets"])}
            for stage, names in stages.items()
        }
    sets = section.sets()
    return {
        stage: {package: wanted.version for name in names for package, wanted in sets[name].items()}
        for stage, names in stages.items()
    }


def compile_key(name: str, build: Mapping[str, str], there: Iterable[str]) -> str:
    """Return the name of a folder for wheels compiled on a release with some system packages.

    In: those that are installed for it, and the names of those that its image has. With other
    headers, or on another processor, the same source makes another wheel, which neither its name
    nor its tags say.
    """
    # A package that is only added counts, too: builds look for optional libraries, and what one did
    # not find leaves no trace in its wheel. Taken from before, it would be another wheel than a
    # machine with an empty cache makes.
    facts = [build, sorted(there)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    # A kernel runs programs for an older processor, too, and says what it is itself.
    processor = sysconfig.get_config_var("MULTIARCH") or platform.machine()
    return f"{name}-{processor}-{digest[:12]}"


def of_this_image(system: Path) -> tuple[str, Section]:
    """Return the name of this image's release, and what a file of facts declares for it.

    Raises DeclarationError if it has sections for other releases only.
    """
    name = declaration.release(platform.freedesktop_os_release())
    sections = declaration.from_facts(json.loads(system.read_text(encoding="utf-8")))
    return name, choose(sections, name)


def read_lock(project: Path) -> dict[str, Any] | None:
    """Return the content of a project's sys.lock, None if it has none; raises DeclarationError."""
    try:
        return tomllib.loads((project / LOCK).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DeclarationError(f"{LOCK} cannot be read ({error}). Run nox -s sys_lock.") from error


def main() -> None:
    """Write what of a declaration and of a project's lock applies to this image."""
    declared, project, output = map(Path, sys.argv[1:])
    lock = None
    with ended_by_errors():
        name, section = of_this_image(declared)
        content = read_lock(project) if any(section.sets().values()) else None
        if content is not None:
            architecture = package_managers.of_this_image().architecture
            try:
                lock = locked(content, name, architecture, section)
                selections(section, lock)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise DeclarationError(
                    f"{LOCK} is not as it was written ({error!r}). Run nox -s sys_lock."
                ) from error
    selected = selections(section, lock)
    source = LOCK if lock is not None else f"[{section.title}] in pyproject.toml"
    dated = {"date": str(lock["archive-date"])} if lock and "archive-date" in lock else {}
    for stage, packages in selected.items():
        folder = output / "system" / stage
        folder.mkdir(parents=True, exist_ok=True)
        stage_list = {"source": source, "packages": packages, **dated} if packages else {}
        (folder / "packages.json").write_text(json.dumps(stage_list, sort_keys=True))
    judged = {
        "key": section.key,
        "title": section.title,
        "ignored": sorted(section.ignored_libraries),
        "run": {package: wanted.dlopen for package, wanted in section.run.items()},
    }
    key = compile_key(name, selected["build"], Database().packages)
    (output / "compile-key.txt").write_text(key)
    (output / "declaration.json").write_text(json.dumps(judged, sort_keys=True))


if __name__ == "__main__":
    main()
