"""What a closed network has: private package indexes, and a proxy that writes down requests."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import trustme
from poetry.repositories.pypi_repository import PyPiRepository

from support.docker import Client
from tests.docker.projects import gateway, program

HOSTS = ("index.test", "second.test", "third.test")
USER, PASSWORD = "user", "p&ss$w'rd"


@dataclass(frozen=True)
class Index:
    """A running index server."""

    host: str
    port: str
    add_host: str  # the option with which a build finds it
    certificates: Path  # what an owner there trusts
    log: Path
    password: str = PASSWORD

    @property
    def open_address(self) -> str:
        """The address that has no password."""
        return f"https://{self.host}:{self.port}/simple/"

    @property
    def address(self) -> str:
        """The address with user and password (RFC 3986, percent-encoding)."""
        login = f"{USER}:{quote(self.password, safe='')}@"
        return self.open_address.replace("//", f"//{login}", 1)


@dataclass(frozen=True)
class Authority:
    """A private authority: the certificate of the indexes, and what an owner there trusts."""

    certificate: Path
    certificates: Path


def authority(folder: Path) -> Authority:
    """Make an authority in a folder."""
    made = trustme.CA()
    found = Authority(folder / "server.pem", folder / "authorities.pem")
    issued = made.issue_cert(*HOSTS).private_key_and_cert_chain_pem
    issued.write_to_path(str(found.certificate))
    system = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    found.certificates.write_bytes(Path(system).read_bytes() + made.cert_pem.bytes())
    return found


@contextmanager
def private_index(
    client: Client,
    packages: Path,
    trusted: Authority,
    host: str = HOSTS[0],
    password: str = PASSWORD,
) -> Iterator[Index]:
    """Serve packages of a folder, and send whoever asks for another one to the default index."""
    given = (packages, fallback(), trusted.certificate, password)
    with serving("serve_index", packages.with_suffix(".log"), *given) as (port, log):
        add_host = f"--add-host={host}:{gateway(client)}"
        yield Index(host, port, add_host, trusted.certificates, log, password)


def fallback() -> str:
    """Return the address of the default index."""
    return str(PyPiRepository().url)


@contextmanager
def serving(name: str, log: Path, *arguments: object) -> Iterator[tuple[str, Path]]:
    """Run a program that prints its port; give that, and the file with what it logs."""
    # Who reads it may empty it.
    with log.open("a") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", program(name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), log
    finally:
        server.terminate()
        server.communicate(timeout=30)


@dataclass(frozen=True)
class Proxy:
    """A running proxy, which is a mirror of an archive of packages, too."""

    address: str
    log: Path
    # Of an index that nobody else can reach.
    host: str

    def asked(self) -> set[str]:
        """Return the hosts that were asked for since the last time, "" for the mirror."""
        lines = re.findall(r'"(\w+) (\S+) HTTP', self.log.read_text())
        self.log.write_text("")
        hosts = (
            path.split(":")[0] if how == "CONNECT" else urlsplit(path).netloc for how, path in lines
        )
        return {*hosts}


@contextmanager
def logging_proxy(client: Client, archive: str, folder: Path) -> Iterator[Proxy]:
    """Run a proxy, behind which is an index that nobody else can reach."""
    # What an earlier run has downloaded from it is in no cache.
    name = f"{uuid4()}.invalid"
    host = urlsplit(fallback()).netloc
    with serving("log_requests", folder / "proxy.log", name, host, archive) as (port, log):
        yield Proxy(f"http://{gateway(client)}:{port}", log, name)
