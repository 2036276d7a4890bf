"""Read the files of an image, and find those that no image of an application should have.

In: what ``docker export`` writes of a container that was never started: one archive with the files
of all layers, their owners and their rights. Nothing of the image is run.
"""

import _imp
import base64
import csv
import hashlib
import io
import posixpath
import re
import stat
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import client
import compose
from session import SessionError, docker, docker_client

# Of what is installed, and not of what a package brings in a folder of its own.
METADATA = re.compile(r"/opt/venv/lib/python3[\d.]*/site-packages/[^/]+\.dist-info/METADATA")
# What is in the environment is the locked packages', which are checked one by one.
PROGRAMS = re.compile(r"(?!/opt/venv/)(/.*)?/s?bin/[^/]+|/usr/lib(exec)?/gcc/.+")
INSTALLERS = re.compile(r"(conda|easy_install|hatch|mamba|pdm|pip|pipenv|pipx|poetry|uv|uvx)[\d.]*")
BUNDLED = re.compile(r"/usr/(local/)?lib/python3[\d.]*/ensurepip/.+|/usr/share/python-wheels/.+")
DISTRIBUTIONS = ("conda", "hatch", "pdm", "pip", "pipenv", "pipx", "poetry", "uv")
COMPILERS = re.compile(
    r"(.+-)?(as|c\+\+|c89|c99|cargo|cc|cc1(plus)?|clang(\+\+)?|cmake|cpp|g\+\+|gcc|gfortran|go|ld"
    r"(\.(bfd|gold|lld))?|make|ninja|rustc|tcc)(-\d[\d.]*)?"
)
HEADERS = re.compile(r"/usr/(local/)?include/.+")
CACHES = re.compile(
    r"/(root|home/[^/]+|tmp)/\.cache/.+|/var/lib/apt/lists/.+|/var/cache/(apk|apt)/.+"
    r"|(/.*)?/\.(mypy|pytest|ruff)_cache/.+"
)
# What apt makes anew, and is empty.
EMPTY_CACHES = re.compile(r"/var/(lib/apt/lists|cache/apt(/archives)?)/(lock|partial)")
PRIVATE = re.compile(
    r"(.*/)?(\.git|\.env(\.(?!example$|sample$|template$)[\w.-]+)?|\.git-credentials|\.hg|\.netrc"
    r"|_netrc|\.npmrc|\.pypirc|\.svn|id_(dsa|ecdsa|ed25519|rsa)|pip\.env|poetry\.toml)"
)
# Folders in which everybody may make files, and nobody can remove those of others.
SHARED = ("/dev/mqueue", "/dev/shm", "/run/lock", "/tmp", "/var/tmp")
CAPABILITY = "SCHILY.xattr.security.capability"
MODULE = re.compile(r"(?P<folder>.*/)__pycache__/(?P<name>[^/]+?)\.[\w-]+?(\.opt-\d)?\.pyc")
# Of a file of bytecode: magic number, flags, then the date and the size of its source, or a hash
# (PEP 552).
HEAD, HASHED = 16, 1
# Before Python 3.11 the hash was another one (SipHash-2-4), which this Python does not have.
MAGIC_3_11 = 3495
SPELLINGS = {
    **{"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"},
    **{"r": "post", "rev": "post"},
}
# Of users and groups; and of what an image's files say of themselves.
NUMBER, NAME = re.compile(r"\d{1,10}", re.ASCII), re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
MOST_LINKS = 20
# What a project's file needs to be told from others by its content.
LEAST_BYTES = 32


@dataclass(frozen=True)
class Finding:
    """What a check found: the check, what it is about, and what is wrong with that."""

    check: str
    subject: str
    problem: str


class Root:
    """The root file system of an image, in an archive that can be read in any order."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        """Take the archive."""
        self.archive = archive
        self.entries = {posixpath.join("/", x.name.rstrip("/")): x for x in archive}

    def files(self) -> Iterator[tuple[str, tarfile.TarInfo]]:
        """Yield paths and entries of regular files, each name of one with several."""
        for path in self.entries:
            if entry := self.file(path):
                yield path, entry

    def file(self, path: str) -> tarfile.TarInfo | None:
        """Return a regular file, or the one that a hard link leads to; None if there is none."""
        entry = self.entries.get(path)
        if entry and entry.islnk():
            entry = self.entries.get(posixpath.join("/", entry.linkname))
        return entry if entry and entry.isreg() else None

    def open(self, path: str) -> io.BufferedReader:
        """Open a regular file."""
        entry = self.file(path)
        file = self.archive.extractfile(entry) if entry else None
        assert isinstance(file, io.BufferedReader), f"{path} is a regular file"
        return file

    def read(self, path: str) -> bytes:
        """Return the content of a regular file."""
        with self.open(path) as file:
            return file.read()

    def hash(self, path: str, name: str) -> bytes:
        """Return a hash of a regular file, which may be a large one."""
        with self.open(path) as file:
            return hashlib.file_digest(file, name).digest()

    def numbers(self, path: str) -> set[int]:
        """Return the numbers that a file like /etc/passwd names; root's is always one of them."""
        for _ in range(MOST_LINKS):
            entry = self.entries.get(path)
            if entry and entry.issym():
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.linkname))
        text = self.read(path).decode(errors="replace") if self.file(path) else ""
        fields = (line.split(":") for line in text.splitlines())
        return {0, *(int(x[2]) for x in fields if len(x) > 2 and NUMBER.fullmatch(x[2]))}

    @cached_property
    def distributions(self) -> dict[str, tuple[str, str]]:
        """Version and folder of each distribution in the environment, by its name."""
        found = {}
        for path in self.entries:
            if METADATA.fullmatch(path) and self.file(path):
                text = self.read(path).decode(errors="replace").partition("\n\n")[0]
                fields = dict(re.findall(r"^(Name|Version): *(\S+)", text, flags=re.MULTILINE))
                folder = posixpath.dirname(path)
                name = NAME.match(fields.get("Name", "")) or [posixpath.basename(folder)]
                found[normalise(name[0])] = (fields.get("Version", ""), folder)
        return found

    def recorded(self, folder: str) -> list[list[str]] | None:
        """Return the rows of a distribution's list of files; None without one that can be read."""
        record = f"{folder}/RECORD"
        text = self.read(record).decode(errors="replace") if self.file(record) else ""
        try:
            return [*csv.reader(io.StringIO(text, newline=""))] if text else None
        except csv.Error:
            return None


@contextmanager
def exported(image: str, project: str) -> Iterator[Root]:
    """Give the root file system of an image; raises SessionError.

    In: the name of a project of compose, to which the container belongs that is made. It is removed
    in the end.
    """
    with compose.removed(project), tempfile.TemporaryDirectory() as folder:
        # It never runs; an image without a command needs one to be given.
        made = docker("create", f"--label={compose.PROJECT}={project}", image, "none")
        archive = Path(folder, "root.tar")
        client.run((docker_client(), "export", f"--output={archive}", made.strip()))
        try:
            with tarfile.open(archive) as opened:
                yield Root(opened)
        except tarfile.TarError as error:
            raise SessionError(
                f"What the engine exports of {image} cannot be read ({error}). Build it again."
            ) from error


def normalise(name: str) -> str:
    """Return a distribution's name as poetry.lock has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def canonical(version: str) -> list[str]:
    """Return the parts of a version, whose spelling may differ (PEP 440, normalization)."""
    parts = re.findall(r"[a-z]+|\d+", version.lower().removeprefix("v"))
    # As texts: a number may have more digits than Python reads.
    found = [part.lstrip("0") if part.isdigit() else SPELLINGS.get(part, part) for part in parts]
    while found and not found[-1]:
        found.pop()
    return found


def findings(
    root: Root, locked: Mapping[str, str], own: str, data: Iterable[str], tests: Path
) -> Iterator[Finding]:
    """Yield what is wrong with the files of an image.

    In: the locked main packages with their versions, empty for folders; the name of the project's
    own, empty if there is none; folders of data; the folder of the project's tests.
    """
    yield from rights(root, data)
    yield from unwanted(root, locked)
    yield from tests_of_project(root, tests)
    yield from bytecode(root)
    yield from records(root)
    yield from packages(root, locked, own)


def rights(root: Root, data: Iterable[str]) -> Iterator[Finding]:
    """Yield files that give rights, or that anybody may change, or that are nobody's."""
    users, groups = root.numbers("/etc/passwd"), root.numbers("/etc/group")
    shared = {*SHARED, *data}
    for path, entry in root.entries.items():
        if entry.isreg() and entry.mode & (stat.S_ISUID | stat.S_ISGID):
            yield Finding("setuid", path, "runs with the rights of its owner or group")
        if CAPABILITY in entry.pax_headers:
            yield Finding("setuid", path, "has capabilities of its own")
        is_shared = path in shared and entry.mode & stat.S_ISVTX
        if (entry.isreg() or entry.isdir()) and entry.mode & stat.S_IWOTH and not is_shared:
            yield Finding("writable", path, "can be changed by anybody")
        for kind, number, known in (("user", entry.uid, users), ("group", entry.gid, groups)):
            if number not in known:
                yield Finding("owner", path, f"belongs to {kind} {number}, which has no name")


def unwanted(root: Root, locked: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what builds or installs programs, what such programs leave, and what is private."""
    for name, (version, folder) in root.distributions.items():
        if name in DISTRIBUTIONS and name not in locked:
            yield Finding("installers", folder, f"is {name} {version}, which installs packages")
    for path, entry in root.entries.items():
        name = posixpath.basename(path)
        if entry.isdir():
            if PRIVATE.fullmatch(path):
                yield Finding("private", path, "is for a developer's machine only")
            continue
        is_program = bool(PROGRAMS.fullmatch(path))
        if (is_program and INSTALLERS.fullmatch(name)) or BUNDLED.fullmatch(path):
            yield Finding("installers", path, "installs packages")
        if is_program and COMPILERS.fullmatch(name):
            yield Finding("compilers", path, "builds programs")
        if HEADERS.fullmatch(path):
            yield Finding("headers", path, "is for compilers")
        if CACHES.fullmatch(path) and not EMPTY_CACHES.fullmatch(path):
            yield Finding("caches", path, "is for the next run of what wrote it")
        if PRIVATE.fullmatch(path):
            yield Finding("private", path, "is for a developer's machine only")


def tests_of_project(root: Root, folder: Path) -> Iterator[Finding]:
    """Yield files that are the same as one of the project's tests."""
    own: defaultdict[int, dict[bytes, Path]] = defaultdict(dict)
    for test in sorted(folder.rglob("*.py")):
        content = test.read_bytes() if test.is_file() else b""
        if len(content) >= LEAST_BYTES:
            own[len(content)][hashlib.sha256(content).digest()] = test
    for path, entry in root.files():
        if entry.size in own:
            same = own[entry.size].get(root.hash(path, "sha256"))
            if same:
                yield Finding("tests", path, f"is {same.as_posix()} of the project")


def bytecode(root: Root) -> Iterator[Finding]:
    """Yield bytecode without its source, and that of another one."""
    for path, _ in root.files():
        found = MODULE.fullmatch(path)
        if not found:
            continue
        source = f"{found['folder']}{found['name']}.py"
        entry = root.entries.get(source)
        if entry is None:
            yield Finding("bytecode", path, "has no source")
        elif entry.isreg() and not _is_of(path, root, source):
            yield Finding("bytecode", path, "is of another source than the one beside it")


def _is_of(path: str, root: Root, source: str) -> bool:
    """Tell whether bytecode was made of a source."""
    with root.open(path) as file:
        head = file.read(HEAD)
    if len(head) < HEAD:
        return False
    if int.from_bytes(head[4:8], "little") & HASHED:
        # importlib.util.source_hash() has the key of its own Python alone: the magic number.
        key = int.from_bytes(head[:4], "little")
        is_older = key & 0xFFFF < MAGIC_3_11
        return is_older or _imp.source_hash(key, root.read(source)) == head[8:]
    entry = root.entries[source]
    date, size = (int.from_bytes(head[x : x + 4], "little") for x in (8, 12))
    return date == int(entry.mtime) & 0xFFFFFFFF and size == entry.size & 0xFFFFFFFF


def records(root: Root) -> Iterator[Finding]:
    """Yield files of packages that are not as the lists of installed files say.

    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    present = dict(root.files())
    for _, folder in root.distributions.values():
        record = f"{folder}/RECORD"
        rows = root.recorded(folder)
        if rows is None:
            yield Finding("records", record, "is missing, or no list of files")
            continue
        for name, digest, *_ in (row for row in rows if len(row) > 1 and row[1]):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(folder), name))
            if path not in present:
                yield Finding("records", path, f"is missing, and {record} lists it")
            elif not _has(root, path, digest):
                yield Finding("records", path, f"is not what {record} says")


def _has(root: Root, path: str, digest: str) -> bool:
    """Tell whether a file has a hash, like sha256=47DEQpj8…"""
    name, _, value = digest.partition("=")
    if name not in hashlib.algorithms_guaranteed or name.startswith("shake"):
        return False
    computed = base64.urlsafe_b64encode(root.hash(path, name)).decode()
    return computed.rstrip("=") == value.rstrip("=")


def packages(root: Root, locked: Mapping[str, str], own: str) -> Iterator[Finding]:
    """Yield locked packages that are missing or of another version, and what is not locked."""
    there = root.distributions
    for name, version in locked.items():
        found = there.get(name, ("", ""))[0]
        if name not in there:
            yield Finding("packages", name, f"is missing, and {version} is locked")
        elif version and canonical(found) != canonical(version):
            yield Finding("packages", name, f"is {found}, and {version} is locked")
    if own and normalise(own) not in there:
        yield Finding("packages", normalise(own), "is missing, and it is the project's own")
    for name in sorted(there.keys() - locked.keys() - {normalise(own)}):
        yield Finding("packages", name, f"is {there[name][0]}, and not locked")
