"""What is in an image: each file of each of its layers, and the package that it belongs to."""

import posixpath
import re
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import engine
import layers
import platforms
import reproducible
from installed_packages import Database
from requirements import Installed
from root_files import MODULE, Root, exported
from session import docker

RUNTIME = "runtime"
# What a file may belong to, in the order in which pages and tables have it.
DISTRIBUTION, SYSTEM_PACKAGE = "distribution", "system package"
INTERPRETER, NOTHING = "interpreter", "no package"
# The databases of dpkg and apk.
DATABASE = re.compile(r"/var/lib/dpkg/.+|/(usr/)?lib/apk/db/installed")
RECORD = re.compile(
    r"/var/lib/dpkg/(status\.d|info)/(?P<name>[^/:]+?)(:[^/.]+)?"
    r"(\.(list|md5sums|shlibs|symbols|triggers|templates|config|conffiles|(pre|post)(inst|rm)))?"
)
PYTHON = re.compile(r"/usr/(local/)?(bin/python3?[\d.]*|lib/(lib)?python3[^/]*(/.*)?)")


@dataclass(frozen=True, order=True)
class Owner:
    """What files belong to: its kind, and its name and version, empty for what has none."""

    kind: str
    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        """Return how tables name it."""
        return f"{self.name} {self.version}".strip() or self.kind


@dataclass(frozen=True)
class File:
    """A regular file in a layer: its path in the image, its size in bytes, whose it is."""

    path: str
    size: int
    owner: Owner


@dataclass(frozen=True)
class Layer:
    """A layer: the instruction that made it, and its files."""

    instruction: str
    files: list[File]

    @property
    def size(self) -> int:
        """Return the bytes of all files, as docker_size counts them."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Image:
    """An image that can be looked into: its root, and the packages that its files belong to."""

    name: str
    root: Root
    database: Database
    architecture: str

    @cached_property
    def installed(self) -> Installed:
        """What its distributions say of themselves."""
        return Installed(self.root, self.architecture)

    @cached_property
    def _distributions(self) -> dict[str, Owner]:
        versions = {name: found[0] for name, found in self.root.distributions.items()}
        return {
            path: Owner(DISTRIBUTION, name, versions[name])
            for name, files in self.installed.files.items()
            for path in files
        }

    def owner(self, path: str) -> Owner:
        """Return what a file belongs to; bytecode to what its source does."""
        found = MODULE.fullmatch(path)
        source = f"{found['folder']}{found['name']}.py" if found else path
        # In the minimal runtime it has the place of its source.
        for name in (path, source, f"{path[:-1]}" if path.endswith(".pyc") else path):
            if name in self._distributions:
                return self._distributions[name]
            if package := self.database.owner(Path(name)):
                return Owner(SYSTEM_PACKAGE, package, self.database.packages[package].version)
        record = RECORD.fullmatch(path)
        if record and record["name"] in self.database.packages:
            name = record["name"]
            return Owner(SYSTEM_PACKAGE, name, self.database.packages[name].version)
        if PYTHON.fullmatch(path) and "-packages/" not in path:
            return Owner(INTERPRETER, "python", self.installed.python)
        return Owner(NOTHING)


@dataclass
class Contents:
    """The layers of an image, from the lowest to the highest."""

    name: str
    layers: list[Layer] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Return the bytes of all files in all layers."""
        return sum(layer.size for layer in self.layers)

    def sizes(self) -> dict[tuple[str, str], tuple[str, int]]:
        """Return version and bytes by kind and name; what belongs to nothing, by its path."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        versions = {}
        for file in (file for layer in self.layers for file in layer.files):
            name = file.path if file.owner.kind == NOTHING else file.owner.name
            found[file.owner.kind, name] += file.size
            versions[file.owner.kind, name] = file.owner.version
        return {key: (versions[key], size) for key, size in found.items()}


@dataclass(frozen=True)
class Change:
    """What is not the same in two images: versions and bytes before and now."""

    kind: str
    name: str
    versions: tuple[str, str]
    sizes: tuple[int, int]
    verdict: str

    @property
    def bytes(self) -> int:
        """Return by how many bytes it grew; less than zero if it shrank."""
        return self.sizes[1] - self.sizes[0]


Sizes = Mapping[tuple[str, str], tuple[str, int]]


def changes(before: Sizes, now: Sizes) -> list[Change]:
    """Return what was added, removed, or has another size or version, the largest change first."""
    found = []
    for key in before.keys() | now.keys():
        (old, was), (new, size) = before.get(key, ("", 0)), now.get(key, ("", 0))
        if (old, was) == (new, size) and key in before and key in now:
            continue
        if key in before and key in now:
            verdict = "grown" if size > was else "shrunk" if size < was else "same size"
        else:
            verdict = "added" if key in now else "removed"
        found.append(Change(*key, (old, new), (was, size), verdict))
    return sorted(found, key=lambda x: (-abs(x.bytes), x.kind, x.name))


@contextmanager
def opened(name: str, runtime: str) -> Iterator[Image]:
    """Give an image by its name; raises SessionError.

    In: the image that knows the packages of the distribution, whose lists of files the minimal
    runtime does not have.
    """
    project = engine.own_name("size")
    with tempfile.TemporaryDirectory() as folder:
        with exported(runtime, project) as root:
            unpack_database(root, Path(folder))
        architecture = docker("image", "inspect", "--format={{.Architecture}}", name).strip()
        with exported(name, project) as root:
            yield Image(name, root, Database(Path(folder)), architecture)


def unpack_database(root: Root, folder: Path) -> None:
    """Write the package database of an image into a folder, with the links that lead to files."""
    for path, entry in root.entries.items():
        if entry.isdir() or entry.issym() or (entry.isreg() and DATABASE.fullmatch(path)):
            # What leads out of the folder stays out of it.
            with suppress(tarfile.FilterError, OSError):
                root.archive.extract(entry, folder, filter="data")


def read(image: Image) -> Contents:
    """Return all files of an image; raises SessionError."""
    [measured] = layers.measure(image.name)
    content = reproducible.read(image.name)
    contents = Contents(image.name)
    for layer in measured.layers:
        entries = (x for x in content.layers[layer.digest] if x.kind in tarfile.REGULAR_TYPES)
        files = ((posixpath.normpath(f"/{entry.name}"), entry.size) for entry in entries)
        found = [File(path, size, image.owner(path)) for path, size in files]
        contents.layers.append(Layer(layer.instruction, found))
    return contents


def built() -> tuple[str, str]:
    """Build production and the stage that knows its system packages; return their images."""
    platform = platforms.wanted()[-1]
    for stage in (engine.PRODUCTION, RUNTIME):
        engine.build(stage, tag=platforms.tag(stage, platform), platform=platform)
    return f"{engine.name()}:{engine.PRODUCTION}", f"{engine.name()}:{RUNTIME}"


def tree(files: Iterable[tuple[str, int]]) -> list[Any]:
    """Return files as nested lists: [name, bytes] of a file, [name, [entry, …]] of a folder.

    A folder that has another folder alone is one with that.
    """
    top: dict[str, Any] = {}
    for path, size in files:
        *folders, name = path.strip("/").split("/")
        node = top
        for folder in folders:
            below = node.setdefault(f"{folder}/", {})
            node = below
        # A layer may have a file twice; both are bytes of it.
        node[name] = node.get(name, 0) + size
    return [_entry(name, node) for name, node in top.items()]


def _entry(name: str, node: dict[str, Any] | int) -> list[Any]:
    if isinstance(node, int):
        return [name, node]
    while len(node) == 1 and isinstance(below := next(iter(node.values())), dict):
        name, node = f"{name}{next(iter(node))}", below
    return [name.removesuffix("/"), [_entry(key, value) for key, value in node.items()]]
