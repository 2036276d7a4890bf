"""Read poetry.lock, and write a hashed requirements file of it without Poetry.

What `poetry export` writes for some groups and extras of a project, Python can write from
pyproject.toml and poetry.lock alone: an image is built without Poetry.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import package_metadata
from errors import BuildError

MAIN = "main"
# Only this one: a later format may move a restriction into a field that is not read here.
LOCK_VERSION = "2.1"
# Sources without hashes, by the field of a selection in which they are.
PLACES = {"git": "commits", "directory": "folders"}
HASH_ALGORITHMS = ("sha256:", "sha384:", "sha512:")
PYTHON_CLAUSE = re.compile(r"(\^|~=|~|===?|!=|[<>]=?|)\s*(\d\w*(?:\.\w+)*(?:\.\*)?)")

# What is read of a package, and in which form.
FORMS: dict[str, type] = {
    "metadata.python-versions": str,
    "package": list,
    "package.*.name": str,
    "package.*.version": str,
    "package.*.groups.*": str,
    "package.*.markers.*": str,
    "package.*.dependencies": dict,
    "package.*.files.*.file": str,
    "package.*.files.*.hash": str,
    "package.*.source": dict,
    "package.*.source.*": str,
}

# What is left of an environment marker once the extras are chosen: its text, or always or never.
Marker: TypeAlias = str | bool
# Poetry itself reads it no more, unless it writes all of it anew.
DAMAGED = "Restore it from Git, then run `nox -s lock`, or run `nox -s lock -- --regenerate`"


class LockError(BuildError):
    """A project that cannot be installed as locked."""

    def __init__(self, problem: str, remedy: str = "Run `nox -s lock`") -> None:
        """Take both sentences without their full stops."""
        super().__init__(f"{problem}. {remedy}.")


@dataclass(frozen=True)
class Package:
    """A locked package; `markers` has, for each of its groups, the marker that applies there."""

    name: str
    version: str
    markers: dict[str, str]
    hashes: list[str]
    files: list[str]
    source: dict[str, str]


@dataclass(frozen=True)
class Chosen:
    """A package to install where its marker is true; without a marker that is everywhere.

    It is where an index says, or at ``url``, or at ``path``, as seen from the project; ``source``
    is the name of its index, if that has one.
    """

    name: str
    version: str
    marker: str
    hashes: list[str]
    files: list[str]
    url: str = ""
    path: str = ""
    source: str = ""

    @property
    def requirement(self) -> str:
        """Return what a requirements file calls the package."""
        return f"{self.name} @ {self.url}{self._condition}" if self.url else self.release

    @property
    def release(self) -> str:
        """Return what a requirements file calls the package wherever its file is."""
        return f"{self.name}=={self.version}{self._condition}"

    @property
    def _condition(self) -> str:
        return f" ; {self.marker}" if self.marker else ""


@dataclass(frozen=True)
class Selection:
    """What is to be installed, and the options with which pip and uv find it.

    ``refused`` says why this is less than what is locked, if it is. ``sources`` are indexes with a
    name, each with its address. ``packages`` have hashes; ``commits`` of Git repositories, and
    ``folders`` with sources have none.
    """

    options: list[str]
    packages: list[Chosen]
    refused: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    commits: list[Chosen] = field(default_factory=list)
    folders: list[Chosen] = field(default_factory=list)


@dataclass(frozen=True)
class Lock:
    """A project's lock, found to fit its pyproject.toml; `groups` tells which are optional."""

    path: Path
    packages: list[Package]
    groups: dict[str, bool]
    extras: set[str]
    python_versions: str


def load(project: Path) -> Lock:
    """Read the lock of the project in a folder; LockError if it is missing, unreadable or stale.

    Raises PackageError if pyproject.toml has other values than it should.
    """
    path = project / "pyproject.toml"
    content = _read(path, "Run this in the project's folder")
    pyproject = _parse(path, content, "Correct it, then run `nox -s lock`")
    package_metadata.check_forms(pyproject)
    path = project / "poetry.lock"
    content = _read(
        path, "Run `nox -s lock`, or docker build --target lock --output . ., and commit it"
    )
    # Poetry refuses to lock on top of a broken lock, and a new one would move every version.
    data = _parse(path, content, DAMAGED)
    try:
        _check(path, content, data, pyproject)
        for name, value, _ in package_metadata.misfits(data, FORMS):
            raise LockError(f"{path} is not a lock that Poetry wrote ({name}: {value!r})", DAMAGED)
        python_marker(data["metadata"]["python-versions"])
        return Lock(
            path=path,
            packages=[_package(entry) for entry in data.get("package", [])],
            groups=_groups(pyproject),
            extras={normalise(extra) for extra in data.get("extras", {})},
            python_versions=data["metadata"]["python-versions"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LockError(f"{path} is not a lock that Poetry wrote ({error!r})", DAMAGED) from error


def default_groups(lock: Lock) -> list[str]:
    """Return the groups besides main that `poetry install` installs: those not optional."""
    return [group for group, optional in lock.groups.items() if group != MAIN and not optional]


def select(
    lock: Lock, groups: Collection[str] = (MAIN,), extras: Collection[str] = ()
) -> Selection:
    """Return what some groups and extras of a project install.

    LockError for an unknown group or extra, for a marker that cannot be read, for a package
    without hashes that is neither a commit nor a folder, and for a place that no build can reach.
    """
    groups = _known("group", groups, lock.groups)
    extras = _known("extra", extras, lock.extras)
    chosen = Selection(options=[], packages=[])
    for package in lock.packages:
        try:
            _add(chosen, lock, package, _marker(package, groups, extras))
        except ValueError as error:
            raise LockError(f"{lock.path} has a marker that cannot be read: {error}") from error
        except KeyError as error:
            raise LockError(f"{lock.path} does not say {error} of {package.name}") from error
    for found in (chosen.packages, chosen.commits, chosen.folders):
        found.sort(key=lambda x: (x.requirement, x.hashes))
    return replace(chosen, options=_options(chosen.sources))


def _add(chosen: Selection, lock: Lock, package: Package, marker: Marker) -> None:
    """Add a package that has to be installed, where its marker is true."""
    if marker is False:
        return
    kind = package.source.get("type", "")
    restricted = join("and", (python_marker(lock.python_versions), marker))
    text = restricted if isinstance(restricted, str) else ""
    found: list[Chosen] = getattr(chosen, PLACES.get(kind, "packages"))
    found.append(_chosen(lock, package, kind, text))
    if kind == "legacy":
        chosen.sources[found[-1].source] = _without_login(package.source["url"])


def requirements_file(options: Iterable[str], packages: Iterable[Chosen]) -> str:
    """Return the text of a requirements file: options, then each package with its hashes."""
    lines = [*options, *(requirement_line(x.requirement, x.hashes) for x in packages)]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def requirement_line(requirement: str, hashes: Iterable[str]) -> str:
    """Return a requirement with the hashes that its file may have."""
    return " \\\n    ".join((requirement, *(f"--hash={digest}" for digest in hashes)))


def content_hash(pyproject: dict[str, Any], *, dependency_groups: bool = True) -> str:
    """Return the hash by which Poetry tells whether a lock still fits its pyproject.toml.

    Source: `Locker._get_content_hash` in poetry/packages/locker.py of Poetry 2.5.1. Poetry before
    2.3.0 left `[dependency-groups]` out.
    """
    table = pyproject.get("project", {})
    standard = ("requires-python", "dependencies", "optional-dependencies")
    project = {key: table[key] for key in standard if key in table}
    groups = pyproject.get("dependency-groups", {}) if dependency_groups else {}
    table = pyproject.get("tool", {}).get("poetry", {})
    legacy = ("dependencies", "source", "extras", "dev-dependencies")
    poetry = {key: table.get(key) for key in legacy if key in table or not (project or groups)}
    if "group" in table:
        poetry["group"] = table["group"]
    content = {"project": project, "dependency-groups": groups}
    content = {key: value for key, value in content.items() if value}
    content = {**content, "tool": {"poetry": poetry}} if content else poetry
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def normalise(name: str) -> str:
    """Return the normalised form of a name: https://peps.python.org/pep-0503/#normalized-names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def join(operator: str, markers: Iterable[Marker]) -> Marker:
    """Return the markers joined by `and` or `or`, without repetitions."""
    decisive = operator == "or"
    operands = dict.fromkeys(markers)
    if decisive in operands:
        return decisive
    texts = [operand for operand in operands if isinstance(operand, str)]
    if operator == "and" and len(texts) > 1:
        texts = [f"({text})" if " or " in text else text for text in texts]
    return f" {operator} ".join(texts) or not decisive


def parse_marker(text: str, extras: Collection[str]) -> Marker:
    """Return a marker with its comparisons to `extra` decided; ValueError if it is not a marker.

    Source: https://peps.python.org/pep-0508/#environment-markers, and Poetry's own `<empty>`.
    """
    if text in ("", "*", "<empty>"):
        return text != "<empty>"
    # A marker is a Python expression but for `~=`; a stand-in of its length keeps offsets true.
    try:
        return _decide(ast.parse(text.replace("~=", "<<"), mode="eval").body, text, extras)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(text) from error


def python_marker(versions: str) -> Marker:
    """Return the marker of a project's Python versions; ValueError if they cannot be read.

    Source: https://python-poetry.org/docs/dependency-specification/#version-constraints.
    """
    # Looked for at each of many spaces, a clause would take hours to find.
    return join("or", map(_python_range, re.split(r"\|\|?", " ".join(versions.split()))))


def _python_range(versions: str) -> Marker:
    if PYTHON_CLAUSE.sub("", versions).strip(" ,") not in ("", "*"):
        raise ValueError(versions)
    return join("and", (_python_clause(*clause) for clause in PYTHON_CLAUSE.findall(versions)))


def _python_clause(operator: str, version: str) -> Marker:
    if operator in ("^", "~"):
        major, *minor = (int(number) for number in version.split(".")[:2])
        upper = f"{major}.{minor[0] + 1}" if operator == "~" and minor else f"{major + 1}"
        return join("and", (_python_clause(">=", version), _python_clause("<", upper)))
    # `python_version` has no third number: compared with it, 3.13.1 would pass for "<=3.13".
    exact = operator not in (">=", "<") or version.count(".") > 1
    return f'{"python_full_version" if exact else "python_version"} {operator or "=="} "{version}"'


def _decide(node: ast.expr, text: str, extras: Collection[str]) -> Marker:
    match node:
        case ast.BoolOp(operator, operands):
            markers = (_decide(operand, text, extras) for operand in operands)
            return join("and" if isinstance(operator, ast.And) else "or", markers)
        case ast.Compare(
            ast.Name("extra"), [ast.Eq() | ast.NotEq() as equal], [ast.Constant(name)]
        ):
            return (normalise(str(name)) in extras) is isinstance(equal, ast.Eq)
        case ast.Compare() | ast.BinOp(op=ast.LShift()) if "extra" not in _variables(node):
            return text[node.col_offset : node.end_col_offset]
    raise ValueError(text)


def _variables(node: ast.expr) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LockError(f"{path} does not exist", remedy) from error
    except OSError as error:
        told = f"{path} cannot be read ({error.strerror})"
        raise LockError(told, "Correct its owner and rights, or move it away") from error


def _parse(path: Path, content: bytes, remedy: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise LockError(f"{path} is not valid TOML: {error}", remedy) from error


def _check(path: Path, content: bytes, data: dict[str, Any], pyproject: dict[str, Any]) -> None:
    version = data["metadata"]["lock-version"]
    if version != LOCK_VERSION:
        raise LockError(f"{path} has lock format {version}, and only {LOCK_VERSION} is supported")
    accepted = {content_hash(pyproject)}
    written_by = re.match(rb".*\bPoetry (\d+)\.(\d+)", content)
    if written_by and tuple(map(int, written_by.groups())) < (2, 3):
        accepted.add(content_hash(pyproject, dependency_groups=False))
    if data["metadata"]["content-hash"] not in accepted:
        raise LockError(f"{path} does not fit the dependencies that pyproject.toml declares")


def _package(entry: dict[str, Any]) -> Package:
    markers = entry.get("markers", "")
    if isinstance(markers, str):
        markers = dict.fromkeys(entry["groups"], markers)
    hashes = (file["hash"] for file in entry["files"])
    return Package(
        name=normalise(entry["name"]),
        version=entry["version"],
        markers={normalise(group): markers.get(group, "") for group in entry["groups"]},
        hashes=sorted(digest for digest in hashes if digest.startswith(HASH_ALGORITHMS)),
        files=[file["file"] for file in entry["files"]],
        source=dict(entry.get("source", {})),
    )


def _groups(pyproject: dict[str, Any]) -> dict[str, bool]:
    poetry = pyproject.get("tool", {}).get("poetry", {})
    tables = {normalise(group): table for group, table in poetry.get("group", {}).items()}
    names = {MAIN, *tables, *map(normalise, pyproject.get("dependency-groups", {}))}
    if "dev-dependencies" in poetry:
        names.add("dev")
    return {name: tables.get(name, {}).get("optional", False) for name in sorted(names)}


def _known(kind: str, chosen: Collection[str], known: Collection[str]) -> list[str]:
    names = sorted({normalise(name) for name in chosen})
    for name in names:
        if name not in known:
            raise LockError(
                f"pyproject.toml has no {kind} {name}, only {', '.join(sorted(known)) or 'none'}",
                "Correct [tool.seedpod] there, or declare it and run `nox -s lock`",
            )
    return names


def _marker(package: Package, groups: Collection[str], extras: Collection[str]) -> Marker:
    texts = (package.markers[group] for group in groups if group in package.markers)
    return join("or", (parse_marker(text, extras) for text in texts))


def _options(sources: Mapping[str, str]) -> list[str]:
    options = {f"--extra-index-url {url}" for url in sources.values()}
    plain = (urlsplit(url) for url in sources.values())
    options |= {f"--trusted-host {url.netloc}" for url in plain if url.scheme == "http"}
    return sorted(options)


def _without_login(address: str) -> str:
    """Return an address without user and password: a layer would keep them, a secret does not."""
    url = urlsplit(address.rstrip("/"))
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def _chosen(lock: Lock, package: Package, kind: str, marker: str) -> Chosen:
    """Return a package, and where it is by the kind of its source."""
    place = {}
    if kind in ("file", "directory"):
        place = {"path": _path(package)}
    elif kind in ("git", "url"):
        place = {"url": _url(lock, package, kind)}
    elif kind == "legacy":
        place = {"source": package.source["reference"]}
    elif kind:
        raise LockError(
            f"{lock.path} takes {package.name} from a {kind} source",
            "Depend on a release of it, then run `nox -s lock`",
        )
    if not package.hashes and kind not in PLACES:
        raise LockError(f"{lock.path} has no hashes for {package.name}=={package.version}")
    return Chosen(package.name, package.version, marker, package.hashes, package.files, **place)


def _path(package: Package) -> str:
    path = package.source["url"]
    if "\0" in path:
        raise LockError(f"The path of {package.name} has a null byte", DAMAGED)
    if path.startswith("/") or ":" in path:
        raise LockError(
            f"{package.name} is at {path}, which only one machine has",
            'Write { path = "../NAME" } in [tool.poetry.dependencies], then run `nox -s lock`',
        )
    return path


def _url(lock: Lock, package: Package, kind: str) -> str:
    """Return an address as pip and uv read it.

    Source: https://packaging.python.org/specifications/version-specifiers/#direct-references.
    """
    url = urlsplit(package.source["url"])
    if kind == "git" and url.scheme not in ("http", "https"):
        raise LockError(
            f"{lock.path} takes {package.name} from {package.source['url']}, for which no build "
            "has a key",
            "Write its address with https, then run `nox -s lock`",
        )
    if "@" in url.netloc:
        raise LockError(
            f"{lock.path} has a password in the address of {package.name}",
            "Serve it where the network decides who reads it, or from an index, whose password is "
            "a secret",
        )
    folder = package.source.get("subdirectory")
    place = url._replace(fragment="").geturl()
    if kind == "git":
        place = f"git+{place}@{package.source['resolved_reference']}"
    return f"{place}#subdirectory={folder}" if folder else place
