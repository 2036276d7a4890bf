"""The system packages that pyproject.toml declares, by release.

A release is named after its os-release(5): ID and VERSION_ID, dots become dashes (debian13,
alpine3-23).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from errors import BuildError

ROOT = "tool.sys"
LOCK = "sys.lock"
LOCK_VERSION = 1
RUN, BUILD = "dependencies", "dev-dependencies"
GROUPS = "groups"
IGNORED = "ignored-libraries"
# Debian Policy 5.6.1 and 5.6.12, and apk-package(5), without what a shell or an option begins with.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{,200}")
LIBRARY = re.compile(r"[A-Za-z0-9+._-]+")
CONSTRAINT = re.compile(r"\*|(?:~|>=)?[A-Za-z0-9][A-Za-z0-9.+~:_-]*")


class DeclarationError(BuildError):
    """System packages that are not available as declared."""

    subject = "System packages"


@dataclass(frozen=True)
class Requirement:
    """What is declared of one package; ``dlopen`` says that no ELF file can tell its use."""

    version: str
    dlopen: bool = False


Requirements = Mapping[str, Requirement]


@dataclass(frozen=True)
class Section:
    """What is declared for one release; ``key`` is its name in the table ``root``."""

    key: str
    run: Requirements = field(default_factory=dict)
    build: Requirements = field(default_factory=dict)
    groups: Mapping[str, Requirements] = field(default_factory=dict)
    ignored_libraries: tuple[str, ...] = ()
    root: str = ROOT

    @property
    def title(self) -> str:
        """Return the whole name of the section's table."""
        return f'{self.root}."{self.key}"' if "." in self.key else f"{self.root}.{self.key}"

    def sets(self) -> dict[str, Requirements]:
        """Return the sets of packages by the names of their tables."""
        groups = {f"{GROUPS}.{name}": packages for name, packages in self.groups.items()}
        return {RUN: self.run, BUILD: self.build, **groups}

    def digest(self) -> str:
        """Return a hash of every name and version, by which a lock tells whether it still fits."""
        versions = {
            name: {package: wanted.version for package, wanted in packages.items()}
            for name, packages in self.sets().items()
            if packages
        }
        text = json.dumps(versions, sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def load(pyproject: Mapping[str, Any]) -> dict[str, Section]:
    """Return the sections of a parsed pyproject.toml by the releases that they are for.

    Raises DeclarationError for whatever does not have the form of a declaration.
    """
    if "sys" in pyproject.get("tools", {}):
        raise DeclarationError(
            "pyproject.toml has [tools.sys], which nothing reads. Write [tool.sys]."
        )
    return sections(pyproject.get("tool", {}).get("sys", {}))


def sections(value: Any, root: str = ROOT) -> dict[str, Section]:
    """Return the sections in a table, whose name is ``root``, by the releases that they are for.

    Raises DeclarationError for whatever does not have the form of a declaration.
    """
    found: dict[str, Section] = {}
    for key, table in _table(value, root).items():
        section = _section(key, table, root)
        name = key.lower().replace(".", "-")
        if name in found:
            raise DeclarationError(
                f"[{found[name].title}] and [{section.title}] are for the same release. "
                "Merge the two."
            )
        found[name] = section
    return found


def facts(sections: Mapping[str, Section]) -> dict[str, Any]:
    """Return sections as JSON has them, by their releases."""
    return {name: asdict(section) for name, section in sections.items()}


def from_facts(facts: Mapping[str, Any]) -> dict[str, Section]:
    """Return the sections that ``facts`` were made of."""

    def requirements(packages: Mapping[str, Any]) -> Requirements:
        return {name: Requirement(**wanted) for name, wanted in packages.items()}

    return {
        release: Section(
            entry["key"],
            requirements(entry["run"]),
            requirements(entry["build"]),
            {group: requirements(packages) for group, packages in entry["groups"].items()},
            tuple(entry["ignored_libraries"]),
            entry["root"],
        )
        for release, entry in facts.items()
    }


def release(os_release: Mapping[str, str]) -> str:
    """Return the name of a release, from what its os-release file says.

    Alpine's VERSION_ID has a third number, which changes with every correction; Debian's unstable
    release has none at all.
    """
    version = os_release.get("VERSION_ID") or os_release.get("VERSION_CODENAME", "")
    return os_release["ID"] + "-".join(version.split(".")[:2])


def _section(key: str, table: Any, root: str) -> Section:
    title = Section(key, root=root).title
    if key in (RUN, BUILD, GROUPS):
        raise DeclarationError(
            f"[{title}] names no release. Write for example [{root}.debian13.{key}]."
        )
    entries = _table(table, title)
    if not entries:
        raise DeclarationError(
            f"[{title}] is empty. Write [{title}.{RUN}], which may list nothing, or remove it."
        )
    for name in entries:
        if name.isdigit():
            raise DeclarationError(
                f"[{title}.{name}] is a table in a table. Write {key}-{name} or put it in quotes."
            )
        if name not in (RUN, BUILD, GROUPS, IGNORED):
            known = f"{RUN}, {BUILD}, {GROUPS} and {IGNORED}"
            raise DeclarationError(f"[{title}] has no use for {name!r}. It takes {known}.")
    groups = _table(entries.get(GROUPS, {}), f"{title}.{GROUPS}")
    return Section(
        key,
        _requirements(entries.get(RUN, {}), f"{title}.{RUN}"),
        _requirements(entries.get(BUILD, {}), f"{title}.{BUILD}"),
        {name: _requirements(x, f"{title}.{GROUPS}.{name}") for name, x in groups.items()},
        _libraries(entries.get(IGNORED, []), title),
        root,
    )


def _requirements(table: Any, title: str) -> Requirements:
    return {name: _requirement(name, value, title) for name, value in _table(table, title).items()}


def _requirement(name: str, value: Any, title: str) -> Requirement:
    if not NAME.fullmatch(name):
        raise DeclarationError(
            f"[{title}] has {name!r}, which is no package name. "
            "A name has letters, digits and + - . _ and begins with a letter or a digit."
        )
    options = value if isinstance(value, dict) else {"version": value}
    unknown = sorted(options.keys() - {"version", "dlopen"})
    if unknown:
        raise DeclarationError(
            f"{name} in [{title}] has no use for {unknown[0]!r}. It takes version and dlopen, and "
            f'a name with a dot needs quotes: "{name}.{unknown[0]}".'
        )
    version, dlopen = options.get("version", "*"), options.get("dlopen", False)
    if not isinstance(dlopen, bool):
        raise DeclarationError(f"dlopen of {name} in [{title}] is {dlopen!r}. Write true or false.")
    if not isinstance(version, str) or not CONSTRAINT.fullmatch(version):
        raise DeclarationError(
            f"The version of {name} in [{title}] is {version!r}. "
            'Write "*", "1.2.3-r0" (exactly this), "~1.2" (any 1.2) or ">=1.2" (at least).'
        )
    return Requirement(version, dlopen)


def _libraries(value: Any, title: str) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and LIBRARY.fullmatch(name) for name in names):
        return tuple(names)
    raise DeclarationError(
        f'{IGNORED} in [{title}] is {value!r}. Write a list of names like ["libtbb.so.12"].'
    )


def _table(value: Any, title: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise DeclarationError(f"{title} is {value!r}. Write a table, [{title}].")
