"""A private index: behind a password, with a certificate of a private authority, and HTML alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from poetry.repositories.pypi_repository import PyPiRepository

from support.docker import Client
from tests.docker.projects import Made, gateway, program
from tests.docker.wheels import write_wheel

HOST = "index.test"
PASSWORD = "p&ss$w'rd"
# The same in an address (RFC 3986, percent-encoding).
QUOTED = "p%26ss%24w'rd"


@dataclass(frozen=True)
class Index:
    """A running index server."""

    address: str
    add_host: str  # the option with which a build finds it
    certificates: Path
    log: Path


@pytest.fixture(scope="module")
def index(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Serve one private package, and send whoever asks for another one to the default index."""
    folder = tmp_path_factory.mktemp("index")
    packages = folder / "packages"
    packages.mkdir()
    write_wheel(packages, "seedpod_private_greeting", "GREETING = 'from the private index'\n")
    authority = trustme.CA()
    certificate = folder / "server.pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    # What an owner behind such a server has: the system's authorities and the private one.
    certificates = folder / "authorities.pem"
    system = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    certificates.write_bytes(Path(system).read_bytes() + authority.cert_pem.bytes())
    log = folder / "log"
    fallback = PyPiRepository().url
    with log.open("w") as errors:
        server = subprocess.Popen(
            [
                *(sys.executable, "-c", program("serve_index")),
                *(packages, fallback, certificate, PASSWORD),
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    address = f"https://user:{QUOTED}@{HOST}:{port}/simple/"
    yield Index(address, f"--add-host={HOST}:{gateway(client)}", certificates, log)
    server.terminate()
    server.communicate(timeout=30)


@pytest.fixture(
    scope="module", params=["environment", pytest.param("pip.env", marks=pytest.mark.proofs)]
)
def project(request: pytest.FixtureRequest, index: Index, make: object) -> Made:
    """Return a project that needs the private package, built with the settings from one place."""
    assert callable(make)
    made: Made = make()
    made.edit(
        "pyproject.toml",
        "dependencies = [\n",
        'dependencies = [\n    "seedpod-private-greeting",\n',
    )
    settings = {"SSL_CERT_FILE": str(index.certificates)}
    (made.folder / "pip.env").write_text(f"# Ours alone\nPIP_INDEX_URL={index.address}")
    # --no-cache: every step, the tools' too, has to get through to the index.
    lock = made.run(
        *("docker", "build", "--target=lock", "--output=.", "--no-cache", index.add_host, "."),
        *("--build-arg", f"PYTHON_IMAGE={made.variables['PYTHON_IMAGE']}"),
        *(f"--secret=id=ca.pem,src={index.certificates}", "--secret=id=pip.env,src=pip.env"),
    )
    assert lock.returncode == 0, lock.stdout
    if request.param == "environment":
        (made.folder / "pip.env").unlink()
        settings["PIP_INDEX_URL"] = index.address
    made.session("docker_prod", "--no-cache", index.add_host, **settings)
    return made


def test_locking_and_building_work_through_the_private_index(project: Made, index: Index) -> None:
    output = project.python("import seedpod_private_greeting as g; print(g.GREETING)")
    assert output == "from the private index"
    requests = index.log.read_text()
    for package in ("uv", "poetry", "fastapi", "seedpod-private-greeting"):
        assert f"GET /simple/{package}/" in requests


def test_neither_password_nor_authority_is_left_in_image_history_or_lock(
    project: Made, index: Index
) -> None:
    private = index.certificates.read_text().strip().splitlines()[-10]
    image = f"{project.name}:production"
    archive = subprocess.run(
        ["docker", "save", image], env=project.environment(), stdout=subprocess.PIPE, check=True
    ).stdout
    for secret in (PASSWORD, QUOTED, private):
        assert secret.encode() not in archive
        assert secret not in project.docker("history", "--no-trunc", image)
        assert secret not in (project.folder / "poetry.lock").read_text()


def test_without_the_password_the_build_fails(project: Made, index: Index) -> None:
    """The tests above would pass for the wrong reason if the index let everybody in."""
    address = index.address.replace(f"user:{QUOTED}@", "")
    (project.folder / "pip.env").unlink(missing_ok=True)
    settings = {"PIP_INDEX_URL": address, "SSL_CERT_FILE": str(index.certificates)}
    output = project.refused("docker_prod", "--no-cache", index.add_host, **settings)
    assert "The package index refuses or lacks" in output
