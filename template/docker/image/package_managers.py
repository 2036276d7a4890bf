"""Two package managers behind one interface: apt (apt-get(8)) and apk (apk(8)).

Lists and downloads are kept in CACHE, which a build mounts, so that none of them ends in a layer.
APT_MIRROR and APK_MIRROR, lines of the secret pip.env, name another server with the same folders.
"""

import gzip
import os
import platform
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from errors import BuildError
from set_dates import EPOCH

CACHE = Path("/var/cache/packages")
CERTIFICATES = Path("/run/secrets/ca.pem")
SETTINGS = Path("/run/secrets/pip.env")
# In memory while a step runs, in no layer and in no cache: an address may have a password.
SOURCES = Path("/dev/shm/sources")
# The server of a distribution's own packages, and the folder that each of its mirrors has. Servers
# of other makers have more folders or other names.
SERVER = re.compile(
    r"https?://[^/\s]+/(?P<archive>alpine(?=/)|(?:debian|ubuntu)(?:-\w+)?(?=/?(?:\s|$)))"
)
# As Debian's snapshots write it, which keep earlier states of its archive.
MOMENT = "%Y%m%dT%H%M%SZ"
# In the address of a mirror.
ARCHIVE, DATE = "{archive}", "{date}"
OF_A_MOMENT = re.compile(r"/\d{8}T\d{6}Z\b")


class ManagerError(BuildError):
    """A package manager that fails."""

    subject = "System packages"


@dataclass(frozen=True)
class Known:
    """The versions of a package that there are, the newest first, and the installed one."""

    installed: str | None
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A package in one version, by the names that the distribution has for all three."""

    name: str
    version: str
    architecture: str


class Manager(ABC):
    """What a build needs of a package manager; every method raises ManagerError if that fails."""

    print_architecture: tuple[str, ...]
    source_files: tuple[str, ...]

    def __init__(self, date: str = "") -> None:
        """Keep lists and downloads apart from those of other releases and processors.

        In: the date of the archive's state that is wanted, by default of now.
        """
        system = platform.freedesktop_os_release()
        version = system.get("VERSION_ID", system.get("VERSION_CODENAME", ""))
        # The processor that packages are for, as the distribution calls it.
        self.architecture = _run(*self.print_architecture).strip()
        self.cache = CACHE / f"{system['ID']}{version}-{self.architecture}"
        # Of the state that a mirror is asked for, if its address has a place for it.
        self.moment = _moment(date)
        self._sources: Path | None = None

    def address(self, mirror: str) -> str:
        """Return the address of a mirror, of the wanted moment; empty if the setting is not set."""
        return _setting(mirror).replace(DATE, self.moment)

    def sources(self, mirror: str, root: Path = Path("/")) -> Path | None:
        """Return a folder with the sources of this image that have a mirror in place of the server.

        ``mirror`` names the setting; None if it is not set. Its address may have places for the
        folder of an archive and for a date. The folder goes with this step.
        """
        if self._sources:
            return self._sources
        address = self.address(mirror)
        if not address:
            return None
        if not re.fullmatch(r"https?://[^\s/]\S*", address):
            raise ManagerError(
                f"{mirror} is {address!r}. Write the address of a server, like "
                "http://mirror.example, below which are the folders that the archive has."
            )
        files = [path for pattern in self.source_files for path in root.glob(pattern)]
        texts = {path.name: path.read_text(encoding="utf-8") for path in files}
        if not any(map(SERVER.search, texts.values())):
            raise ManagerError(
                f"{mirror} replaces the server of the distribution's own packages, and the base "
                f"image names none. Correct its sources, or remove {mirror}."
            )
        self._sources = SOURCES
        SOURCES.mkdir(mode=0o700, exist_ok=True)
        for name, text in texts.items():
            mirrored = SERVER.sub(partial(_mirrored, address), text)
            (self._sources / name).write_text(mirrored, encoding="utf-8")
        return self._sources

    @abstractmethod
    def update(self) -> None:
        """Fetch the lists of what the archive has."""

    @abstractmethod
    def known(self, names: Collection[str]) -> dict[str, Known]:
        """Return those of the packages that the archive has or that are installed."""

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Return the names of all packages in the archive."""

    @abstractmethod
    def providers(self, name: str) -> list[str]:
        """Return the packages that provide a name which is no package's own."""

    @abstractmethod
    def matches(self, version: str, constraint: str) -> bool:
        """Tell whether a version is one that ``constraint`` allows."""

    @abstractmethod
    def install(self, versions: Mapping[str, str]) -> None:
        """Install exactly these versions and what they depend on."""

    @abstractmethod
    def resolve(self, versions: Mapping[str, str]) -> list[Package]:
        """Return what ``install`` would add or change."""

    @abstractmethod
    def date(self) -> str | None:
        """Return the day of the archive's lists as YYYY-MM-DD; None if they do not tell."""

    @abstractmethod
    def owner(self, library: str) -> str | None:
        """Return the package of the archive that has a shared library."""

    @abstractmethod
    def builder(self, kind: str, name: str) -> str | None:
        """Return the package of the archive that has what a compilation lacks.

        In: ``header``, ``library`` or ``program``, and its name as compilers and build tools say.
        """


def of_this_image(date: str = "") -> Manager:
    """Return the package manager of this image; ManagerError if it has neither.

    In: the date that sys.lock has, which counts if a mirror can be asked for that.
    """
    if shutil.which("apt-get"):
        return Apt(date)
    if shutil.which("apk"):
        return Apk(date)
    raise ManagerError(
        "The base image has neither apt nor apk. Choose one that is made from Debian or Alpine."
    )


# What installations leave that is of no use in an image, and would differ each time. The lists are
# from debconf's look into the archives, which knows nothing of the settings; a machine's number is
# that of the machine on which an image runs (machine-id(5)).
LEFT = (
    "etc/machine-id",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/log/alternatives.log",
)


class Apt(Manager):
    """Debian and what descends from it."""

    print_architecture = ("dpkg", "--print-architecture")
    # sources.list(5)
    source_files = (
        "etc/apt/sources.list",
        "etc/apt/sources.list.d/*.list",
        "etc/apt/sources.list.d/*.sources",
    )

    def update(self) -> None:
        """Fetch the lists of all sources; one that does not answer is an error."""
        for folder in ("archives/partial", "lists/partial"):
            (self.cache / folder).mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "-qq", "update")

    def known(self, names: Collection[str]) -> dict[str, Known]:
        """Return what apt-cache's policy says, the version that it prefers first."""
        found = {}
        # The first group of each stanza is its heading, then come lines that are indented.
        for stanza in re.split(r"^(?=\S)", self._apt("apt-cache", "policy", *names), flags=re.M):
            fields = re.match(r"(\S+):\n  Installed: (.+)\n  Candidate: (.+)\n", stanza)
            if fields and fields[3] != "(none)":
                name, installed, candidate = fields.groups()
                others = re.findall(r"^ (?:\*\*\*|   ) (\S+) ", stanza, flags=re.M)
                found[name] = Known(
                    None if installed == "(none)" else installed,
                    tuple(dict.fromkeys([candidate, *others])),
                )
        return found

    def names(self) -> Iterable[str]:
        """Return the names of all packages in the archive."""
        return self._apt("apt-cache", "pkgnames").split()

    def providers(self, name: str) -> list[str]:
        """Return the packages whose Provides field has the name."""
        listing = self._apt("apt-cache", "showpkg", name).partition("Reverse Provides:")[2]
        return sorted({line.split()[0] for line in listing.splitlines() if line.strip()})

    def matches(self, version: str, constraint: str) -> bool:
        """Compare as dpkg does; a constraint without an epoch fits a version with any."""
        wanted = constraint.lstrip("~>=")
        plain = version if ":" in wanted else version.partition(":")[2] or version
        if constraint.startswith("~"):
            return re.match(rf"{re.escape(wanted)}(?!\d)", plain) is not None
        if constraint.startswith(">="):
            command = ["dpkg", "--compare-versions", plain, "ge", wanted]
            return subprocess.run(command, check=False).returncode == 0
        return constraint in ("*", version)

    def install(self, versions: Mapping[str, str]) -> None:
        """Install without recommended packages, and leave no logs and no copies of old lists."""
        quiet = [f"-o=Dir::Log::{log}=" for log in ("History", "Planner", "Terminal")]
        quiet += ["-o=DPkg::Use-Pty=0", "-o=DPkg::Options::=--log=/dev/null"]
        # Slim images have no folders of manual pages, without which update-alternatives(1) fails in
        # the scripts of Java, for one (https://bugs.debian.org/863199).
        folders = [Path(f"/usr/share/man/man{section}") for section in range(1, 9)]
        new = [folder for folder in folders if not folder.exists()]
        for folder in new:
            folder.mkdir(parents=True)
        old = _left()
        self._apt("apt-get", "install", *quiet, *_pins(versions), show=True)
        for folder in new:
            with suppress(OSError):  # Something is in it.
                folder.rmdir()
        for path in _left():
            # Of a removed file of the base image, a layer would have a mark, with the time of that.
            if path in old:
                os.truncate(path, 0)
            else:
                path.unlink()

    def resolve(self, versions: Mapping[str, str]) -> list[Package]:
        """Read what a simulated installation prints: Inst NAME [OLD] (NEW SUITES [ARCH])."""
        listing = self._apt("apt-get", "install", "--simulate", *_pins(versions))
        lines = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\w+)\]\)", listing, flags=re.M)
        return [Package(*line) for line in lines]

    def date(self) -> str | None:
        """Return the newest date in the sources' Release files, or the one that was asked for."""
        if DATE in _setting("APT_MIRROR"):
            return self.moment
        files = (self.cache / "lists").glob("*Release")
        dates = [
            parsedate_to_datetime(line[1])
            for file in files
            if (line := re.search(r"^Date: (.+)$", file.read_text(), flags=re.M))
        ]
        return max(dates).date().isoformat() if dates else None

    def owner(self, library: str) -> str | None:
        """Search the archive's Contents lists for a file of the linker's folders."""
        # What is for all processors alike has no library.
        return self._having(("lib/", "usr/lib/"), [library], self.architecture)

    def builder(self, kind: str, name: str) -> str | None:
        """Search them for a file of the folders of its kind."""
        lists = f"all|{self.architecture}"
        if kind == "header":
            return self._having(("usr/include/",), [name], lists)
        if kind == "program":
            return self._having(("bin/", "usr/bin/"), [name], lists)
        # pkg-config and the linker write it as it is, CMake with its own capitals.
        names = dict.fromkeys([name, name.lower()])
        files = [file for x in names for file in (f"pkgconfig/{x}.pc", f"lib{x}.so")]
        return self._having(("usr/lib/", "usr/share/pkgconfig/"), files, lists)

    def _having(self, folders: tuple[str, ...], files: Sequence[str], lists: str) -> str | None:
        """Return the package with one of the files; fetches the lists (50 MB, apt-file(1)).

        In: the folders in which it counts, and an expression for the processors of the lists.
        """
        target = "Acquire::IndexTargets::deb::Contents-deb"
        options = {
            "MetaKey": "$(COMPONENT)/Contents-$(ARCHITECTURE)",
            "ShortDescription": "Contents",
            "Description": "$(RELEASE) $(COMPONENT) Contents",
            "KeepCompressed": "true",
            "KeepCompressedAs": "gz",
        }
        settings = [f"-o={target}::{name}={value}" for name, value in options.items()]
        self._apt("apt-get", "-qq", *settings, "update")
        listing = self._apt(
            "apt-get", *settings, "indextargets", "--format=$(CREATED_BY) $(FILENAME)"
        )
        found = [
            package
            for line in listing.splitlines()
            if re.match(rf"Contents-deb .*Contents-(?:{lists})\b", line)
            for package in _contents(Path(line.split(" ", 1)[1]), folders, files)
        ]
        # The file itself comes before a copy in some folder, which another package bundles.
        return min(found, default=(0, 0, None))[-1]

    def _apt(self, program: str, *arguments: str, show: bool = False) -> str:
        options = {
            "Acquire::Languages": "none",
            "APT::Install-Recommends": "false",
            "APT::Keep-Downloaded-Packages": "true",
            "APT::Update::Error-Mode": "any",
            "Dir::Cache": self.cache,
            "Dir::Cache::archives": self.cache / "archives",
            # Images that Docker's makers publish switch these two off.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Dir::State::lists": self.cache / "lists",
        }
        if folder := self.sources("APT_MIRROR"):
            options |= {"Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": folder}
            if OF_A_MOMENT.search(self.address("APT_MIRROR")):
                # The list of an earlier state has expired (apt.conf(5)); its signature counts.
                options["Acquire::Check-Valid-Until"] = "false"
        if CERTIFICATES.exists() and CERTIFICATES.stat().st_size:
            options["Acquire::https::CAInfo"] = CERTIFICATES
        settings = [f"-o={name}={value}" for name, value in options.items()]
        flags = ["--yes", "--allow-downgrades"] if program == "apt-get" else []
        return _run(program, *flags, *settings, *arguments, show=show)


class Apk(Manager):
    """Alpine."""

    print_architecture = ("apk", "--print-arch")
    source_files = ("etc/apk/repositories",)

    def update(self) -> None:
        """Fetch the lists of all repositories."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self._apk("update")

    def known(self, names: Collection[str]) -> dict[str, Known]:
        """Return what apk's policy says: each version, indented below it where it is."""
        found = {}
        for stanza in re.split(r"^(?=\S)", self._apk("policy", *names), flags=re.M):
            name, _, rest = stanza.partition(" policy:\n")
            versions = re.findall(r"^  (\S+):\n((?:    .+\n)*)", rest, flags=re.M)
            if versions:
                installed = [version for version, places in versions if "apk/db/" in places]
                served = [version for version, places in versions if "://" in places]
                order = [*reversed(served), *installed]
                found[name] = Known(next(iter(installed), None), tuple(dict.fromkeys(order)))
        return found

    def names(self) -> Iterable[str]:
        """Return the names of all packages in the repositories."""
        return (line.rsplit("-", 2)[0] for line in self._apk("search").splitlines())

    def providers(self, name: str) -> list[str]:
        """Return the packages that provide a name."""
        # With nothing to print apk's search fails.
        found = _run(*self._command, "search", "--exact", name, check=False).splitlines()
        lines = (line for line in found if not line.startswith(("ERROR:", "WARNING:")))
        return sorted({line.rsplit("-", 2)[0] for line in lines})

    def matches(self, version: str, constraint: str) -> bool:
        """Compare as apk does."""
        if constraint.startswith("~"):
            wanted = constraint[1:]
            return re.match(rf"{re.escape(wanted)}(?!\d)", version) is not None
        if constraint.startswith(">="):
            return _run("apk", "version", "--test", version, constraint[2:]).strip() in "=>"
        return constraint in ("*", version)

    def install(self, versions: Mapping[str, str]) -> None:
        """Install with downloads kept only in the cache, and leave no log."""
        self._apk("add", *_pins(versions), show=True)
        Path("/var/log/apk.log").unlink(missing_ok=True)

    def resolve(self, versions: Mapping[str, str]) -> list[Package]:
        """Read what a simulated installation prints: (1/2) Installing NAME (VERSION)."""
        listing = self._apk("add", "--simulate", *_pins(versions))
        lines = re.findall(
            r"^\(\d+/\d+\) \w+grading (\S+) \(\S+ -> (\S+)\)|^\(\d+/\d+\) \w+ (\S+) \((\S+)\)",
            listing,
            flags=re.M,
        )
        pairs = [(a or c, b or d) for a, b, c, d in lines]
        return [Package(name, version, self.architecture) for name, version in pairs]

    def date(self) -> str | None:
        """Return the one that was asked for: an index of apk itself has no date."""
        return self.moment if DATE in _setting("APK_MIRROR") else None

    def owner(self, library: str) -> str | None:
        """Return the package that provides the library under its so: name."""
        return self._providing(f"so:{library}")

    def builder(self, kind: str, name: str) -> str | None:
        """Return what provides it under its cmd: or pc: name; ManagerError for a header."""
        if kind == "header":
            raise ManagerError(
                "The lists of apk name no headers. Search the contents of Alpine's packages for it."
            )
        names = [f"cmd:{name}"] if kind == "program" else [f"pc:{name}", f"pc:lib{name}"]
        return next(filter(None, map(self._providing, names)), None)

    def _providing(self, name: str) -> str | None:
        return min(self.providers(name), key=lambda found: (len(found), found), default=None)

    @property
    def _command(self) -> tuple[str, ...]:
        folder = self.sources("APK_MIRROR")
        mirror = ("--repositories-file", str(folder / "repositories")) if folder else ()
        return ("apk", "--cache-dir", str(self.cache), *mirror)

    def _apk(self, *arguments: str, show: bool = False) -> str:
        return _run(*self._command, *arguments, show=show)


def _setting(name: str) -> str:
    """Return the value that a line of the secret gives a name; empty without one."""
    text = SETTINGS.read_text(encoding="utf-8") if SETTINGS.exists() else ""
    values = re.findall(rf"^{name}=(.*?)\s*$", text, flags=re.MULTILINE)
    return values[-1] if values else ""


def _left() -> list[Path]:
    """Return what there is of LEFT."""
    return [path for pattern in LEFT for path in Path("/").glob(pattern)]


def _moment(date: str) -> str:
    """Return a date of sys.lock, a day or a moment, as a moment; now if it is neither."""
    if re.fullmatch(r"\d{8}T\d{6}Z", date):
        return date
    with suppress(ValueError):
        return datetime.combine(datetime.fromisoformat(date), time.max).strftime(MOMENT)
    return datetime.now(UTC).strftime(MOMENT)


def _mirrored(address: str, found: re.Match[str]) -> str:
    """Return what replaces a server and the folder of its archive."""
    place = address if ARCHIVE in address else f"{address.rstrip('/')}/{ARCHIVE}"
    return place.replace(ARCHIVE, found["archive"])


def _pins(versions: Mapping[str, str]) -> list[str]:
    return [f"{name}={version}" for name, version in sorted(versions.items())]


def _contents(
    path: Path, folders: tuple[str, ...], files: Sequence[str]
) -> Iterator[tuple[int, int, str]]:
    """Yield the packages with a file in a Contents list: PATH, spaces, SECTION/PACKAGE,….

    Before the name come the depth of the path, without the processor's folder, and the length of
    the name.
    """
    endings = [f"/{file} " for file in files]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(folders) and any(ending in line for ending in endings):
                file, places = line.rsplit(maxsplit=1)
                depth = re.sub(r"/[\w-]+-linux-gnu\w*/", "/", file).count("/")
                for place in places.split(","):
                    name = place.rsplit("/", 1)[-1]
                    yield depth, len(name), name


def _run(*command: str, show: bool = False, check: bool = True) -> str:
    """Return what a program prints, and show it if asked to; ManagerError if it fails."""
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        # Scripts of packages write dates, too, as useradd(8) and fc-cache(1) do.
        "SOURCE_DATE_EPOCH": str(EPOCH),
    }
    if CERTIFICATES.exists() and CERTIFICATES.stat().st_size:
        environment["SSL_CERT_FILE"] = str(CERTIFICATES)
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = check and done.returncode
    if show or failed:
        print(done.stdout, end="", flush=True)
    if failed:
        lines = (done.stdout.strip() or "no message").splitlines()
        told = [line for line in lines if line.startswith(("E:", "ERROR:", "WARNING:"))]
        # What apt says last of a file that it did not get does not name it.
        told = [line for line in told if "Failed to fetch" in line][:1] or told or lines
        raise ManagerError(f"{command[0]} failed. Fix what it reported: {told[-1]}")
    return done.stdout
