"""Read catalogue.toml: every Python of every base in every variant is a pair of images.

    python docker/image/read_catalogue.py catalogue.toml

It runs on the host, and prints JSON: the repository, what is forbidden in thin images, and the
pairs, each with its base image, the packages of its stages, its budgets and what is checked in it.
"""

import codecs
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import declaration
from declaration import Requirements, Section
from errors import BuildError, ended_by_errors

FILE = "catalogue.toml"
ROLES = ("base", "builder")
# What is checked: in both images of a pair, and in the builder.
CHECKS = ("imports", "libraries", "headers", "programs")
# Of what a tag and a target may be made of, what reads well: a release is named as in [tool.sys].
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# The programs of images need Python 3.10.
PYTHON = re.compile(r"3\.[1-9]\d(\.\d+)?")
# https://github.com/distribution/reference: a path, after a host with its port.
PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"(?:[a-z0-9.-]+(?::\d+)?/)?{PART}(?:/{PART})*")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")

# What a table has to have, as it may begin.
ENTRIES = {
    "bases": '[bases.debian13] with image = "python:{python}-slim-trixie"',
    "variants": "[variants.plain], which may be empty",
}
# As docker/image/install_system.py takes it.
Packages = dict[str, Any]


class CatalogueError(BuildError):
    """A catalogue that cannot be read."""

    subject = "Catalogue"


@dataclass(frozen=True)
class Pair:
    """A thin image and its builder; ``stages`` has the packages that each stage installs."""

    name: str
    image: str
    release: str
    python: str
    variant: str
    stages: Mapping[str, Packages]
    sizes: Mapping[str, str]
    check: Mapping[str, list[str]]


@dataclass(frozen=True)
class Base:
    """An image that Pythons are taken from, {python} in its name, and its release."""

    release: str
    image: str
    pythons: list[str]


@dataclass(frozen=True)
class Variant:
    """What a variant adds, by release: its packages, its budgets, and what is checked."""

    name: str
    sections: Mapping[str, Section]
    sizes: Mapping[str, Mapping[str, str]]
    checks: Mapping[str, Mapping[str, list[str]]]


def pairs(table: Mapping[str, Any]) -> list[Pair]:
    """Return all pairs of a parsed catalogue; raises BuildError for what is not its form."""
    known = {"repository", "pythons", "forbidden", "bases", "sys", "variants"}
    _known(table, known, FILE)
    for name in ("bases", "variants"):
        if not _table(table, name, FILE):
            raise CatalogueError(f"{FILE} has no {name}. Add {ENTRIES[name]}.")
    bases = [_base(name, table) for name in table["bases"]]
    releases = [base.release for base in bases]
    common = _sections(table.get("sys", {}), "sys", releases, whole=False)
    variants = [_variant(name, table["variants"], releases) for name in table["variants"]]
    found = [
        _pair(python, base, common[base.release], variant)
        for base in bases
        for python in base.pythons
        for variant in variants
    ]
    names = [pair.name for pair in found]
    for name in names:
        if names.count(name) > 1:
            raise CatalogueError(
                f"Two pairs of {FILE} would be called {name}. Name each Python once, and bases and "
                "variants so that their names are different together."
            )
    return found


def _base(name: str, table: Mapping[str, Any]) -> Base:
    title = f"[bases.{name}]"
    _named(name, title)
    entry = _table(table["bases"], name, "bases")
    for key in filter(str.isdigit, entry):
        raise CatalogueError(f"[bases.{name}.{key}] is a table in a table. Write {name}-{key}.")
    _known(entry, {"image", "pythons"}, title)
    image = entry.get("image")
    if not isinstance(image, str) or not IMAGE.fullmatch(image.replace("{python}", "3")):
        raise CatalogueError(
            f"The image of {title} is {image!r}. "
            'Write one with {python} for the version, like "python:{python}-slim-trixie".'
        )
    pythons = _texts(entry if "pythons" in entry else table, "pythons", title)
    for python in pythons:
        if not PYTHON.fullmatch(python):
            raise CatalogueError(
                f'{title} has the Python {python!r}. Write one from 3.10 on, like "3.13".'
            )
    if not pythons:
        raise CatalogueError(f'No pythons are named for {title}. Add pythons = ["3.13"].')
    if len(pythons) > 1 and "{python}" not in image:
        raise CatalogueError(
            f"The image of {title} is one for {len(pythons)} Pythons. Write {{python}} in it, or "
            f'pythons = ["{pythons[0]}"] below {title}.'
        )
    return Base(name, image, pythons)


def _variant(name: str, table: Mapping[str, Any], releases: list[str]) -> Variant:
    title = f"[variants.{name}]"
    _named(name, title)
    if name.endswith(f"-{ROLES[1]}") or name in (ROLES[1], "default", *releases):
        raise CatalogueError(
            f"{title} is called as a builder, a base or all images are. Choose another name."
        )
    entry = _table(table, name, "variants")
    _known(entry, {"sys", "size", "check"}, title)
    sections = _sections(entry.get("sys", {}), f"variants.{name}.sys", releases, whole=True)
    sizes, checks = dict[str, Any](), dict[str, Any]()
    size, check = (_table(entry, x, title) for x in ("size", "check"))
    _known(size, {*releases}, f"[variants.{name}.size]")
    _known(check, {*CHECKS, *releases}, f"[variants.{name}.check]")
    for release in releases:
        place = f"variants.{name}.size.{release}"
        sizes[release] = _table(size, release, f"[variants.{name}.size]")
        _known(sizes[release], {*ROLES}, f"[{place}]")
        for role, budget in sizes[release].items():
            if not isinstance(budget, str):
                raise CatalogueError(f'{role} of [{place}] is {budget!r}. Write "150 MB", say.')
        place = f"[variants.{name}.check.{release}]"
        own = _table(check, release, f"[variants.{name}.check]")
        _known(own, {*CHECKS}, place)
        checks[release] = {
            x: [*_texts(check, x, f"[variants.{name}.check]"), *_texts(own, x, place)]
            for x in CHECKS
        }
    return Variant(name, sections, sizes, checks)


def _sections(value: Any, root: str, releases: list[str], *, whole: bool) -> Mapping[str, Section]:
    """Return the sections in a table by release: if ``whole``, for all that the catalogue has."""
    found = declaration.sections(value, root)
    for release, section in found.items():
        if release not in releases:
            raise CatalogueError(
                f"[{section.title}] is for no base of this catalogue. Add [bases.{release}], or "
                "remove these packages."
            )
        if section.groups or section.ignored_libraries:
            raise CatalogueError(
                f"[{section.title}] takes dependencies and dev-dependencies only. Remove the rest."
            )
        for package in section.run.keys() & section.build.keys():
            raise CatalogueError(
                f"[{section.title}] names {package} twice. A builder has what its base has: name "
                "it in dependencies only."
            )
        for package, wanted in {**section.run, **section.build}.items():
            if wanted.dlopen:
                raise CatalogueError(
                    f"{package} in [{section.title}] has dlopen, which is for projects. "
                    f'Write {package} = "{wanted.version}".'
                )
    for release in sorted({*releases} - found.keys()) if whole and found else ():
        raise CatalogueError(
            f"[{root}] has packages for other bases than {release}. Add "
            f"[{root}.{release}.dependencies], which may list nothing."
        )
    return {release: found.get(release, Section(release, root=root)) for release in releases}


def _pair(python: str, base: Base, common: Section, variant: Variant) -> Pair:
    section = variant.sections[base.release]
    stages = {
        "common": _packages(common, common.run),
        "common-builder": _packages(common, common.build),
        "base": _packages(section, section.run),
        "builder": _packages(section, {**section.run, **section.build}),
    }
    return Pair(
        f"{python}-{base.release}-{variant.name}",
        base.image.replace("{python}", python),
        base.release,
        python,
        variant.name,
        stages,
        variant.sizes[base.release],
        variant.checks[base.release],
    )


def _packages(section: Section, requirements: Requirements) -> Packages:
    versions = {name: wanted.version for name, wanted in sorted(requirements.items())}
    return {"packages": versions, "source": f"[{section.title}] in {FILE}"} if versions else {}


def _known(table: Mapping[str, Any], names: set[str], title: str) -> None:
    for name in sorted(table.keys() - names):
        raise CatalogueError(
            f"{title} has no use for {name!r}. It takes {', '.join(sorted(names))}."
        )


def _named(name: str, title: str) -> None:
    if not NAME.fullmatch(name):
        raise CatalogueError(
            f"{title} has a name that no tag can have. Write lower-case letters and digits, with "
            "single hyphens between them, as in debian13 and alpine3-23."
        )


def _table(table: Mapping[str, Any], name: str, title: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise CatalogueError(f"{name} in {title} is {value!r}. Write a table there.")
    return value


def _texts(table: Mapping[str, Any], name: str, title: str) -> list[str]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(x, str) and x for x in value):
        raise CatalogueError(f"{name} of {title} is {value!r}. Write a list of texts there.")
    return value


def read(path: Path) -> dict[str, Any]:
    """Return a catalogue as JSON has it; raises BuildError if it cannot be read."""
    try:
        content = path.read_bytes()
        if content.startswith(codecs.BOM_UTF8):
            raise CatalogueError(f"{path} begins with a byte order mark. Save it without one.")
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise CatalogueError(
            f"{path} cannot be read ({error.strerror}). Run this in the catalogue's folder."
        ) from error
    except ValueError as error:
        raise CatalogueError(f"{path} cannot be read ({error}). Correct it.") from error
    repository = table.get("repository")
    if not isinstance(repository, str) or not REPOSITORY.fullmatch(repository):
        raise CatalogueError(
            f"The repository of {FILE} is {repository!r}. Write where images are pushed to, "
            'without a tag, like "registry.example.com/python".'
        )
    return {
        "repository": repository,
        "forbidden": _texts(table, "forbidden", FILE),
        "pairs": [asdict(pair) for pair in pairs(table)],
    }


def main() -> None:
    """Print the catalogue in the file that the argument names."""
    with ended_by_errors():
        print(json.dumps(read(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
