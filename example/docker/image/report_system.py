"""Derive the system packages that a virtual environment needs, and judge those declared to run.

    python3 docker/image/report_system.py ENVIRONMENT declaration.json main.json BASE BUILD REPORT

It runs in production's own root file system. BASE is the one of the base image, whose libraries
nobody has to declare; BUILD is where the environment was compiled, so that the libraries which its
files were linked against are there. The report has every library with its package, the findings,
hints at libraries that are loaded by name, and which of the locked packages in main.json have lost
their compiled modules; docker/host/system_packages.py prints sentences.
"""

import importlib.metadata
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import compiled_modules
import elf
import loaded_by_name
import package_managers
from errors import ended_by_errors
from installed_packages import Database


@dataclass(frozen=True)
class Library:
    """A shared library that is needed: its package, and the files that need it, in words.

    ``direct`` says that a file of the environment is among them, ``in_base`` that the base image
    has the library.
    """

    name: str
    package: str | None
    users: tuple[str, ...]
    direct: bool
    in_base: bool = False


@dataclass(frozen=True)
class Finding:
    """What is wrong with one package or library: it is missing, unused or build-only."""

    kind: str
    package: str | None
    library: str | None = None
    users: tuple[str, ...] = ()


def judge(
    needed: Iterable[Library],
    declared: Mapping[str, bool],
    database: Database,
    build: Database,
    base: Collection[str] = (),
) -> list[Finding]:
    """Return what is wrong with the packages that are declared to run.

    In: the libraries that are needed; for each declared package, whether it is loaded by name, so
    that no file tells; the packages of production, of the place of compilation, and of the base
    image. Nobody has to declare what the base image has, and whoever does may.
    """
    needed = sorted(needed, key=lambda library: (not library.direct, library.name))
    owners = {library.package for library in needed if library.package}
    needed = [library for library in needed if not library.in_base]
    in_doubt = {name for name, dlopen in declared.items() if not dlopen and name not in owners}
    build_only = {name for name in in_doubt if database.packages[name].for_building}
    honest = {*base, *(declared.keys() - build_only)}
    there = database.closure(honest)
    findings = []
    for library in needed:
        # What the environment itself asks for is declared; what that brings along need not be.
        if library.package not in (honest if library.direct else there):
            findings.append(Finding("missing", library.package, library.name, library.users))
            new = [library.package] if library.package else []
            honest |= set(new)
            there |= build.closure(new)
    findings += [Finding("build-only", name) for name in sorted(build_only)]
    return findings + [Finding("unused", name) for name in sorted(in_doubt - build_only)]


def native_files(environment: Path) -> list[elf.Elf]:
    """Return the files of the environment that this system's own dynamic linker would load.

    A wheel may bring programs for other processors and other C libraries along.
    """
    python = elf.interpreter()
    return [
        file
        for file in elf.files([environment])
        if file.machine == python.machine and file.interpreter in (None, python.interpreter)
    ]


def libraries(
    environment: Path, base: Path, database: Database, search: Callable[[str], str | None]
) -> Iterator[Library]:
    """Yield the libraries that the environment needs and does not have itself.

    In: the installed packages, and what finds the package of a library that is not there.
    """
    own = native_files(environment)
    needed = elf.closure(own, elf.Linker.of_this_system([file.path for file in own]))
    distributions = _distributions(environment)

    def library(
        name: str, package: str | None, users: Iterable[elf.Elf], in_base: bool = False
    ) -> Library:
        paths = sorted({user.path for user in users})
        direct = any(path.is_relative_to(environment) for path in paths)
        who = (distributions.get(str(path)) or database.owner(path) for path in paths)
        words = (
            f"{owner or path.parent} ({path.name})" for owner, path in zip(who, paths, strict=True)
        )
        return Library(name, package, tuple(words), direct, in_base)

    for path, users in needed.found.items():
        if not path.is_relative_to(environment):
            in_base = (base / path.relative_to("/")).exists()
            yield library(path.name, database.owner(path), users, in_base)
    for name, users in needed.missing.items():
        yield library(name, search(name), users)


def hints(
    environment: Path, there: Collection[str], databases: Iterable[Database]
) -> Iterator[dict[str, str | None]]:
    """Yield libraries that modules of the environment load by name, and that are not ``there``.

    In: the file names of the libraries that production has for sure, and the packages in which to
    look for the others.
    """
    owners = {name: package for each in databases for name, package in each.libraries()}
    distributions, said = _distributions(environment), set()
    for module in sorted(environment.rglob("*.py")):
        distribution = distributions.get(str(module))
        for library, line in loaded_by_name.libraries(module) if distribution else ():
            known = any(loaded_by_name.fits(library, file) for file in there)
            if not known and (distribution, library) not in said:
                said.add((distribution, library))
                found = sorted(x for x in owners if loaded_by_name.fits(library, x))
                yield {
                    "library": library,
                    "package": owners[found[0]] if found else None,
                    "user": f"{distribution} ({module.name}, line {line})",
                }


def _distributions(environment: Path) -> dict[str, str]:
    """Return the name of the distribution of every file in the environment."""
    folders = [str(folder) for folder in environment.glob("lib/python3*/site-packages")]
    return {
        os.path.normpath(str(distribution.locate_file(file))): distribution.name
        for distribution in importlib.metadata.distributions(path=folders)
        for file in distribution.files or ()
    }


def _search(build: Database, ignored: Collection[str]) -> Callable[[str], str | None]:
    """Return what finds a library's package: where the environment was compiled, else the archive.

    It does not look for a library that is ignored.
    """
    compiled_with = dict(build.libraries())

    def search(library: str) -> str | None:
        if library in ignored or library in compiled_with:
            return compiled_with.get(library)
        manager = package_managers.of_this_image()
        manager.update()
        return manager.owner(library)

    return search


def main() -> None:
    """Write the report for the environment, the declaration and the two roots that are named."""
    environment, declaration, main_set, base, build_root, report = map(Path, sys.argv[1:])
    declared = json.loads(declaration.read_text())
    database, build, ignored = Database(), Database(build_root), declared["ignored"]
    with ended_by_errors():
        needed = [
            library
            for library in libraries(environment, base, database, _search(build, ignored))
            if library.name not in ignored
        ]
    run = declared["run"]
    whole = database.closure(run)
    there = {x.name for x in needed} | {x for x, owner in database.libraries() if owner in whole}
    python = [elf.interpreter(), *elf.files([Path(sysconfig.get_path("stdlib"))])]
    there |= {path.name for path in elf.closure(python, elf.Linker.of_this_system([])).found}
    content = {
        "key": declared["key"],
        "title": declared["title"],
        "declared": len(run),
        "findings": [*map(asdict, judge(needed, run, database, build, Database(base).packages))],
        "libraries": [asdict(library) for library in needed if not library.in_base],
        "hints": [*hints(environment, there, (database, build))],
        "uncompiled": sorted(
            compiled_modules.without(environment, json.loads(main_set.read_text())["packages"])
        ),
    }
    report.write_text(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
