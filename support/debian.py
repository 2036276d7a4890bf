"""Debian's archive, as this machine's own package sources name it, used without touching them.

Every call works on a private apt configuration (see apt.conf(5) and sources.list(5)): its own
source list, state and cache. Signatures are checked with Debian's archive keyring.
"""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from support import SupportError, UnavailableError, downloads

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What apt says of a file, a list or a whole archive that is not available. It writes "E: " by
# itself: in the log of a build, which mixes two streams, a line of the other may follow that.
NOT_SERVED = re.compile(
    r"(?<!W: )(?:Failed to fetch \S+|Release file for \S+ is expired"
    r"|The repository '\S+ \S+ Release' (?:does not have|no longer has) a Release).*"
)
# A release that still changes drops packages, in any other a name that is not there is misspelt.
MOVING = ("forky", "sid")
Suites = tuple[str, ...]
GONE = re.compile(r"Unable to (?:locate package|find a source package for) \S+")


def host_release() -> str | None:
    """Return the code name of the Debian release that this machine runs, None on anything else."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    return release.get("VERSION_CODENAME") if release.get("ID") == "debian" else None


def archives(suffix: str = "") -> list[str]:
    """Return the addresses of the Debian archives that this machine's own package sources use.

    ``suffix`` is that of the host's suite: "" for the release itself, "-security" for its updates.
    Raises SupportError when the sources name none for the release itself.
    """
    # Unlike indextargets it knows the sources whose lists were never fetched, or were removed.
    listing = run(
        ["apt-get", "update", "--print-uris"],
        "The package sources of this machine cannot be read.",
    )
    suites = "|".join(f"{name}{suffix}" for name in (host_release(), "stable"))
    found = re.findall(rf"^'(\S+?)dists/(?:{suites})/main/binary-", listing, flags=re.MULTILINE)
    if not found and not suffix:
        raise SupportError(
            "The package sources of this machine name no Debian archive. "
            "Add a line for the release's main component to /etc/apt/sources.list."
        )
    return list(dict.fromkeys(found))


def source_lines(suite: str, kind: str = "deb") -> list[str]:
    """Return one-line source entries (sources.list(5)) for the main component of ``suite``.

    There is one for each archive of this machine: apt itself goes on to the next if one has lost a
    file. Of a suite ``RELEASE-security`` there is none where the sources of this machine have none.
    Where this machine takes lists from an archive that lags behind, so does who reads these lines.
    """
    options = f"signed-by={KEYRING}"
    if _setting("Acquire::Check-Valid-Until", "true") in ("false", "no", "off", "0"):
        options += " check-valid-until=no"
    addresses = archives("-security" if suite.endswith("-security") else "")
    return [f"{kind} [{options}] {address} {suite} main" for address in addresses]


def _setting(name: str, default: str) -> str:
    """Return a setting of this machine's own apt (apt.conf(5))."""
    what = "The settings of apt cannot be read."
    told = run(["apt-config", "shell", "value", name], what).removeprefix("value=")
    return shlex.split(told)[0] if told else default


def ways(release: str) -> list[tuple[str, Suites]]:
    """Return the suites from which packages of ``release`` come, in two ways, each with its name.

    First the release alone; where it lacks a file that its index names, its updates may name
    another version.
    """
    more = (f"{release}-updates", f"{release}-security")
    return [
        (f"Debian {release}", (release,)),
        (f"Debian {release} with its updates", (release, *more)),
    ]


class Apt:
    """An apt of its own for one Debian release, kept in ``folder``; lists are fetched when needed.

    Raises UnavailableError from every method when no way of ways() serves a package.
    """

    def __init__(self, release: str, folder: Path) -> None:
        """Say where the lists and archives of ``release`` are kept."""
        self.release = release
        self._folder = folder
        self._commands: dict[tuple[str, Suites], list[str]] = {}

    def download(self, packages: Iterable[str], folder: Path) -> None:
        """Put the ``.deb`` files of ``packages`` into ``folder``."""
        self._get("deb", ("download", *packages), folder)

    def download_source(self, package: str, folder: Path) -> None:
        """Put the author's source of ``package``, signatures checked, into ``folder``.

        Debian's own files beside it are left out: nothing here needs them, and archives lose them.
        """
        self._get("deb-src", ("source", "--download-only", "--tar-only", package), folder)

    def _get(self, kind: str, arguments: tuple[str, ...], folder: Path) -> None:
        def way(suites: Suites) -> Callable[[], str]:
            return lambda: self._apt(kind, suites, arguments, folder)

        names = " ".join(word for word in arguments[1:] if not word.startswith("-"))
        downloads.first(names, [(name, way(suites)) for name, suites in ways(self.release)])

    def _apt(self, kind: str, suites: Suites, arguments: tuple[str, ...], folder: Path) -> str:
        """Run apt-get in ``folder``; a package that a moving release has dropped is not served."""
        command = [*self._configured(kind, suites), *arguments]
        try:
            return run(command, f"apt-get {arguments[0]} failed.", folder=folder)
        except SupportError as error:
            if self.release in MOVING and GONE.search(str(error)):
                raise UnavailableError(str(error)) from error
            raise

    def _configured(self, kind: str, suites: Suites) -> list[str]:
        """Return an apt-get that knows the packages, or sources, of ``suites``."""
        key = (kind, suites)
        if key not in self._commands:
            state = self._folder / f"{self.release}-{kind}"
            for part in ("lists/partial", "archives/partial"):
                (state / part).mkdir(parents=True, exist_ok=True)
            (state / "status").touch()
            sources = state / f"{len(suites)}.list"
            lines = [line for suite in suites for line in source_lines(suite, kind)]
            sources.write_text("".join(f"{line}\n" for line in lines))
            command = ["apt-get", "-qq"]
            for option, value in {
                "Dir::Etc::SourceList": sources,
                "Dir::Etc::SourceParts": "/dev/null",
                "Dir::State::Lists": state / "lists",
                "Dir::State::Status": state / "status",
                "Dir::Cache": state,
                # Both ways share the lists that are in both.
                "APT::Get::List-Cleanup": "false",
                # The folder may lie under a home that apt's own user cannot enter.
                "APT::Sandbox::User": "root",
                # A list that does not come is an error, not a warning.
                "APT::Update::Error-Mode": "any",
            }.items():
                command += ["-o", f"{option}={value}"]
            run([*command, "update"], "apt-get update failed.")
            self._commands[key] = command
        return self._commands[key]


def unpack(packages: Iterable[Path], folder: Path) -> None:
    """Unpack ``.deb`` files into ``folder`` without installing them or running their scripts."""
    for package in packages:
        run(["dpkg-deb", "-x", str(package), str(folder)], f"{package.name} cannot be unpacked.")


def program(name: str, releases: Iterable[str], folder: Path) -> Path:
    """Unpack the package ``name`` into ``folder``, and return its program of the same name.

    It comes from the first of ``releases`` that serves it, for a program that needs little of its
    release. Raises UnavailableError where none does.
    """
    packages = folder / "packages"
    packages.mkdir()

    def way(release: str) -> Callable[[], None]:
        apt = Apt(release, folder / "apt")
        return lambda: apt.download([name], packages)

    downloads.first(f"Debian's {name}", [(f"Debian {each}", way(each)) for each in releases])
    unpack(packages.glob("*.deb"), folder / "program")
    return folder / "program/usr/bin" / name


def not_served(output: str) -> str | None:
    """Return what apt says in ``output`` of a download that is not available, None if nothing."""
    found = NOT_SERVED.search(output)
    return found.group().strip() if found else None


def run(
    command: list[str],
    what: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints.

    Raises UnavailableError with apt's own words if it fails because of a download, else
    SupportError with the first error of apt, or the last line.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {}), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise SupportError(f"{what} Install the program {command[0]}.") from error
    except subprocess.CalledProcessError as error:
        missing = not_served(error.stderr)
        if missing:
            raise UnavailableError(missing) from error
        lines = (error.stderr.strip() or "no message").splitlines()
        # Programs that run apt-get say themselves only that it failed.
        last = next((line for line in lines if line.startswith("E: ")), lines[-1])
        raise SupportError(f"{what} Fix what it reported: {last}") from error
    return done.stdout
