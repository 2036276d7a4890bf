"""Say why something is in an image: by whom it is required, and which file needs it."""

import difflib
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import declaration
import needs
import project_file
from contents import DISTRIBUTION, PYTHON, SYSTEM_PACKAGE, Image
from figures import show_size
from packaging.requirements import Requirement
from paths import release
from requirements import parsed
from root_files import normalise
from session import SessionError
from untrusted import tables

ARROW = " → "
# Of those that need one library.
MOST_SHOWN = 8
OWN = "pyproject.toml"


class Reasons:
    """Why things are in an image, with what the project declares and has locked."""

    def __init__(self, image: Image, pyproject: dict[str, Any], lock: Mapping[str, Any]) -> None:
        """Take the image, and the content of pyproject.toml and poetry.lock."""
        self._image, self._lock = image, lock
        self._own = project_file.name(pyproject) if project_file.has_package(pyproject) else ""
        self._required = list(required(pyproject, self._own))
        section = declaration.load(pyproject).get(_release(image))
        self._declared = section.run if section else {}
        self._title = f"[{section.title}.{declaration.RUN}]" if section else ""

    def of(self, name: str) -> list[str]:
        """Return lines that say why what has this name is there; raises SessionError."""
        lines = [*self._distribution(normalise(name)), *self._package(name)]
        for path in needs.libraries(self._image.root, name):
            lines += ["", *self._file(path)] if lines else self._file(path)
        lines = lines or [*self._locked_only(name)]
        if not lines:
            raise SessionError(self._unknown(name))
        return lines

    # --- Distributions ---------------------------------------------------------------------------

    @cached_property
    def _requirers(self) -> dict[str, dict[str, Requirement]]:
        """By whom each distribution is required, and how."""
        found: defaultdict[str, dict[str, Requirement]] = defaultdict(dict)
        for name, needed, requirement in self._image.installed.needed(self._required):
            found[needed].setdefault(name, requirement)
        return found

    def _distribution(self, name: str) -> Iterator[str]:
        if name not in self._image.installed.metadata:
            return
        size = sum(self._owned.get((DISTRIBUTION, name), {}).values())
        yield f"{name} {self._version(name)} is a distribution, {show_size(size)}"
        if name == normalise(self._own):
            yield "  it is the project's own"
            return
        chains = [*self._ways(name)]
        yield from (f"  {chain}" for chain in chains)
        if not chains:
            yield "  nothing requires it: a step of the build or the base image has installed it"

    def _ways(self, name: str) -> Iterator[str]:
        """Yield a shortest chain of requirements for each distribution that requires one."""
        for requirer, requirement in sorted(self._requirers.get(name, {}).items()):
            way = self._way(requirer, {name})
            if way is not None:
                yield ARROW.join([*way, _written(name, requirement)])

    def _way(self, name: str, without: set[str]) -> list[str] | None:
        """Return a shortest chain from the project to a distribution; None if there is none."""
        waiting: list[tuple[str, list[str]]] = [(name, [])]
        seen = {name, *without}
        for each, below in waiting:
            if each in ("", normalise(self._own)):
                return [each or OWN, *below]
            for requirer, requirement in sorted(self._requirers.get(each, {}).items()):
                if requirer not in seen:
                    seen.add(requirer)
                    waiting.append((requirer, [_written(each, requirement), *below]))
        return None

    def _version(self, name: str) -> str:
        return self._image.root.distributions[name][0]

    # --- System packages -------------------------------------------------------------------------

    def _package(self, name: str) -> Iterator[str]:
        files = self._owned.get((SYSTEM_PACKAGE, name), {})
        if not files:
            return
        size = sum(files.values())
        version = self._image.database.packages[name].version
        yield f"{name} {version} is a system package, {show_size(size)} in {len(files)} files"
        reasons = [*self._declared_ways(name)]
        said: dict[str, str] = {}
        for path in files:
            for origin, line in self._needed(path, but=name):
                said[origin] = min(said.get(origin, line), line, key=lambda x: x.count(ARROW))
        lines = [*reasons, *_shortened(said.values())]
        yield from (f"  {line}" for line in lines)
        if not lines:
            yield "  no file needs it, and nothing that is declared depends on it: it is of the"
            yield "  base image or the interpreter, or data that the minimal runtime always has"

    def _declared_ways(self, name: str) -> Iterator[str]:
        """Yield the chains by which declared packages depend on one."""
        database = self._image.database
        for declared in self._declared:
            waiting, seen = [[declared]], {declared}
            for chain in waiting:
                if chain[-1] == name:
                    yield ARROW.join([self._title, *chain])
                    break
                package = database.packages.get(chain[-1])
                for below in sorted(x for y in package.depends for x in y) if package else ():
                    if below in database.packages and below not in seen:
                        seen.add(below)
                        waiting.append([*chain, below])

    @cached_property
    def _owned(self) -> dict[tuple[str, str], dict[str, int]]:
        """The files in the image and their bytes, by kind and name of what they belong to."""
        found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for path, entry in self._image.root.files():
            owner = self._image.owner(path)
            found[owner.kind, owner.name][path] = entry.size
        return dict(found)

    # --- Files -----------------------------------------------------------------------------------

    @cached_property
    def _users(self) -> dict[str, set[str]]:
        return needs.users(self._image.root)

    def _file(self, path: str) -> Iterator[str]:
        entry, owner = self._image.root.file(path), self._image.owner(path)
        size = show_size(entry.size if entry else 0)
        yield f"{path} is of {owner}, {size}"
        lines = [line for _, line in self._needed(path)]
        if owner.kind == SYSTEM_PACKAGE:
            lines = [*self._declared_ways(owner.name), *lines]
        yield from (f"  {line}" for line in _shortened(lines))
        if owner.kind == DISTRIBUTION:
            yield from (f"  {line}" for line in self._ways(owner.name))
        elif not lines:
            yield "  no file needs it: it may be loaded or run by name"

    def _needed(self, path: str, but: str = "") -> Iterator[tuple[str, str]]:
        """Yield who needs a library, each with a chain: distributions, packages, the interpreter.

        In: a system package whose own files do not count.
        """
        said = set()
        for chain in needs.chains(path, self._users):
            origin = self._origin(chain[0])
            if origin and origin not in said and self._image.owner(chain[0]).name != but:
                said.add(origin)
                yield origin, ARROW.join([origin, *map(posixpath.basename, chain)])

    def _origin(self, path: str) -> str:
        """Return what brings a file; empty for one that is there because others need it."""
        owner = self._image.owner(path)
        if PYTHON.fullmatch(path) and "-packages/" not in path:
            return "the interpreter" if "/bin/" in path else "the standard library"
        if owner.kind == DISTRIBUTION:
            way = self._way(owner.name, set())
            return ARROW.join(way) if way else str(owner)
        if owner.kind == SYSTEM_PACKAGE and owner.name in self._declared:
            return f"{self._title}{ARROW}{owner.name}"
        return "" if owner.kind == SYSTEM_PACKAGE else "files of no package"

    # ---------------------------------------------------------------------------------------------

    def _locked_only(self, name: str) -> Iterator[str]:
        """Yield for which groups something is locked that is not in the image."""
        for package in tables(self._lock, "package"):
            if normalise(str(package.get("name"))) == normalise(name):
                groups = ", ".join(map(str, package.get("groups", [])))
                yield f"{name} is not in {self._image.name}: it is locked for {groups or 'others'}"
                return

    def _unknown(self, name: str) -> str:
        packages = (owner for kind, owner in self._owned if kind == SYSTEM_PACKAGE)
        names = [*self._image.installed.metadata, *packages]
        names += {posixpath.basename(path) for path in self._users}
        near = difflib.get_close_matches(name, names, cutoff=0.5)
        told = f" There is {', '.join(near)}." if near else ""
        return (
            f"Nothing in {self._image.name} is called {name}.{told} Name a distribution, a system "
            "package, a file or its path."
        )


def required(pyproject: dict[str, Any], own: str) -> Iterator[Requirement]:
    """Yield what a project requires: itself with its extras, or what it lists without a package."""
    extras = project_file.setting("extras") or []
    if own:
        text = f"{own}[{','.join(extras)}]" if extras else own
        found = [text]
    else:
        table = project_file.table(pyproject)
        listed = table.get("dependencies", [])
        # Poetry 1 has a table of names.
        found = [*listed]
        optional = table.get("optional-dependencies", {})
        found += [x for extra in extras for x in optional.get(extra, [])]
    for text in found:
        if requirement := parsed(str(text)):
            yield requirement


def _release(image: Image) -> str:
    fields = release(image.root)
    return declaration.release(fields) if "ID" in fields else ""


def _written(name: str, requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    version = f" ({requirement.specifier})" if requirement.specifier else ""
    return f"{name}{extras}{version}"


def _shortened(lines: Iterable[str]) -> list[str]:
    found = [*lines]
    more = len(found) - MOST_SHOWN
    return [*found[:MOST_SHOWN], f"and {more} more need it"] if more > 0 else found
