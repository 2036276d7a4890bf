"""Debian's archive, as this machine's own package sources name it, used without touching them.

Every call works on a private apt configuration (see apt.conf(5) and sources.list(5)): its own
source list, state and cache. Signatures are checked with Debian's archive keyring.
"""

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from support import SupportError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def host_release() -> str | None:
    """Return the code name of the Debian release that this machine runs, None on anything else."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    return release.get("VERSION_CODENAME") if release.get("ID") == "debian" else None


def archive() -> str:
    """Return the address of the Debian archive that this machine's own package sources use.

    Raises SupportError when the sources name none.
    """
    listing = _run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"],
        "The package sources of this machine cannot be read.",
    )
    for line in listing.splitlines():
        release, component, address = line.split(" ", 2)
        if release in (host_release(), "stable") and component == "main":
            return address
    raise SupportError(
        "The package sources of this machine name no Debian archive. "
        "Add a line for the release's main component to /etc/apt/sources.list."
    )


def source_line(release: str, kind: str = "deb") -> str:
    """Return a one-line source entry (sources.list(5)) for the main component of ``release``."""
    return f"{kind} [signed-by={KEYRING}] {archive()} {release} main"


class Apt:
    """An apt of its own for one Debian release, kept in ``folder``.

    Raises SupportError from every method when the archive does not answer or lacks a package.
    """

    def __init__(self, release: str, folder: Path) -> None:
        """Write the configuration and fetch the package lists of ``release``."""
        self.release = release
        self._state = folder / release
        for part in ("lists/partial", "archives/partial"):
            (self._state / part).mkdir(parents=True, exist_ok=True)
        (self._state / "status").touch()
        sources = self._state / "sources.list"
        sources.write_text(f"{source_line(release)}\n{source_line(release, 'deb-src')}\n")
        self._command = ["apt-get", "-qq"]
        for key, value in {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self._state / "lists",
            "Dir::State::Status": self._state / "status",
            "Dir::Cache": self._state,
            # The folder may lie under a home that apt's own user cannot enter.
            "APT::Sandbox::User": "root",
        }.items():
            self._command += ["-o", f"{key}={value}"]
        self._apt("update")

    def download(self, packages: Iterable[str], folder: Path) -> None:
        """Put the ``.deb`` files of ``packages`` into ``folder``."""
        self._apt("download", *packages, folder=folder)

    def download_source(self, package: str, folder: Path) -> None:
        """Put the source files of ``package``, signatures checked, into ``folder``."""
        self._apt("source", "--download-only", package, folder=folder)

    def _apt(self, *arguments: str, folder: Path | None = None) -> None:
        _run(
            [*self._command, *arguments],
            f"apt-get {arguments[0]} failed for Debian {self.release}.",
            folder=folder,
        )


def unpack(packages: Iterable[Path], folder: Path) -> None:
    """Unpack ``.deb`` files into ``folder`` without installing them or running their scripts."""
    for package in packages:
        _run(["dpkg-deb", "-x", str(package), str(folder)], f"{package.name} cannot be unpacked.")


def bootstrap(release: str, include: Iterable[str], tarball: Path, programs: Path) -> None:
    """Write a root file system of ``release`` with the packages ``include`` to ``tarball``.

    ``programs`` is the folder into which Debian's mmdebstrap package was unpacked.
    Documentation, manual pages and translations are left out, licences are kept.
    """
    exclude = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in exclude]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    with tempfile.NamedTemporaryFile(dir=tarball.parent, suffix=".tar") as partial:
        _run(
            [
                "perl",
                str(programs / "usr/bin/mmdebstrap"),
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                "--format=tar",
                *options,
                f"--include={','.join(include)}",
                release,
                partial.name,
                source_line(release),
            ],
            f"A Debian {release} root file system cannot be assembled.",
            # mmdebstrap calls its companion mmtarfilter for the excluded paths.
            environment={
                "PATH": f"{programs / 'usr/bin'}:{os.environ.get('PATH', os.defpath)}",
                "SOURCE_DATE_EPOCH": "0",
            },
        )
        os.link(partial.name, tarball)


def _run(
    command: list[str],
    what: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints; raise SupportError with the last line if it fails."""
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
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        raise SupportError(f"{what} Mend what it reported: {last}") from error
    return done.stdout
