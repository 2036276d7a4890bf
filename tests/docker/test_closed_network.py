"""A private index: behind a password, with a certificate of a private authority, and HTML alone."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from support import debian
from support.docker import Client
from support.images import Layout
from support.images.alpine import server as alpine_server
from tests.docker.declarations import declare
from tests.docker.indexes import PASSWORD, Index, Proxy, authority, logging_proxy, private_index
from tests.docker.projects import HARDENED, Made, Make
from tests.docker.wheels import write_wheel


@pytest.fixture(scope="module")
def index(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Serve one private package, and send whoever asks for another one to the default index."""
    folder = tmp_path_factory.mktemp("index")
    packages = folder / "packages"
    packages.mkdir()
    write_wheel(packages, "seedpod_private_greeting", "GREETING = 'from the private index'\n")
    with private_index(client, packages, authority(folder)) as running:
        yield running


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
    for secret in (PASSWORD, quote(PASSWORD, safe=""), private):
        assert secret.encode() not in archive
        assert secret not in project.docker("history", "--no-trunc", image)
        assert secret not in (project.folder / "poetry.lock").read_text()


def test_without_the_password_the_build_fails(project: Made, index: Index) -> None:
    """The tests above would pass for the wrong reason if the index let everybody in."""
    (project.folder / "pip.env").unlink(missing_ok=True)
    settings = {"PIP_INDEX_URL": index.open_address, "SSL_CERT_FILE": str(index.certificates)}
    output = project.refused("docker_prod", "--no-cache", index.add_host, **settings)
    assert "The package index refuses or lacks" in output


ASK = """
import socket
import ssl
import sys
from urllib.parse import urlsplit

import httpx
import requests

url = urlsplit(sys.argv[1])
with socket.create_connection((url.hostname, url.port)) as plain:
    ssl.create_default_context().wrap_socket(plain, server_hostname=url.hostname).close()
print(httpx.get(sys.argv[1]).status_code, requests.get(sys.argv[1]).status_code)
"""


@pytest.mark.proofs
@pytest.mark.parametrize("runtime", ["minimal", "full"])
def test_a_running_application_trusts_an_authority_that_is_mounted(
    make: Make, index: Index, runtime: str
) -> None:
    """As docs/closed-networks.md says it, for any user and where nothing can be written."""
    project = make(kind="cli", runtime=runtime)
    project.edit("pyproject.toml", "dependencies = [", 'dependencies = ["httpx", "requests",')
    project.session("lock")
    project.session("docker_prod")
    run = ["docker", "run", "--rm", index.add_host, *HARDENED, "--user=12345:0"]
    asked = ["--entrypoint=python3", f"{project.name}:production", "-c", ASK]
    address = f"{index.address}seedpod-private-greeting/"
    done = project.run(*run, *asked, address)
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout
    mount = f"--mount=type=bind,src={index.certificates},dst=/run/ca.pem,readonly"
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    trust = [mount, *(f"--env={name}=/run/ca.pem" for name in names)]
    assert project.docker(*run[1:], *trust, *asked, address) == "200 200"


@pytest.fixture
def proxy(client: Client, tmp_path: Path) -> Iterator[Proxy]:
    """Run a proxy that is a mirror of Debian's archive."""
    with logging_proxy(client, debian.archives()[0], tmp_path) as proxy:
        yield proxy


@pytest.mark.proofs
@pytest.mark.parametrize("lower", [False, True], ids=["capitals", "lower"])
def test_every_request_goes_through_the_proxy(make: Make, proxy: Proxy, lower: bool) -> None:
    """Of a build, of compose's, and of the sessions on the host, whose tools read other names."""
    # The Python of sessions on the host is the one that runs Nox.
    project = make(kind="cli", python_version=".".join(map(str, sys.version_info[:2])))
    declare(project, '[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n')
    variables = {
        "HTTP_PROXY": proxy.address,
        "HTTPS_PROXY": proxy.address,
        "PIP_INDEX_URL": f"http://{proxy.host}/simple/",
        "PIP_TRUSTED_HOST": proxy.host,
    }
    if lower:
        variables = {name.lower() if "PROXY" in name else name: x for name, x in variables.items()}
    project.session("lock", "--regenerate", **variables)
    assert proxy.host in proxy.asked()
    # With the steps of the system packages and of the locked ones, and nothing kept of them.
    project.session("docker_prod", "--no-cache", **variables)
    asked = proxy.asked()
    assert proxy.host in asked
    assert asked & archives(project)
    project.session("tests", **variables)
    assert proxy.host in proxy.asked()
    shown = "import os; print(os.environ['HTTPS_PROXY'], os.environ['https_proxy'])"
    output = project.session("shell", "python", "-c", shown, **variables)
    assert f"{proxy.address} {proxy.address}" in output
    history = project.docker("history", "--no-trunc", f"{project.name}:production")
    assert proxy.address not in history


@pytest.mark.proofs
def test_system_packages_come_from_a_mirror_alone(make: Make, proxy: Proxy) -> None:
    project = make(kind="cli")
    declare(project, '[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n')
    # No way leads to what the base image names.
    away = [f"--add-host={host.split(':')[0]}:127.0.0.1" for host in archives(project)]
    output = project.refused("docker_prod", "--no-cache", *away)
    assert "apt-get failed" in output
    project.session("docker_prod", "--no-cache", *away, APT_MIRROR=proxy.address)
    assert proxy.asked() == {""}
    found = project.python("import pathlib; print(*pathlib.Path('/usr/lib').rglob('libpq.so.5'))")
    assert "libpq.so.5" in found
    output = project.refused("docker_prod", "--no-cache", APT_MIRROR="mirror.example")
    assert "System packages: APT_MIRROR is 'mirror.example'. Write the address of a" in output


@pytest.mark.proofs
def test_a_lock_gets_its_packages_from_the_state_of_its_moment(make: Make, proxy: Proxy) -> None:
    """Of a server that keeps earlier ones; without a lock, that of now."""
    project = make(kind="cli")
    declare(project, '[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n')
    mirror = f"{proxy.address}/archive/{{archive}}/{{date}}"

    def moments() -> set[str]:
        return set(re.findall(r"/archive/debian/(\d{8}T\d{6}Z)/", proxy.log.read_text()))

    project.session("sys_lock", APT_MIRROR=mirror)
    text = (project.folder / "sys.lock").read_text(encoding="utf-8")
    [locked] = re.findall(r'^archive-date = "(\d{8}T\d{6}Z)"$', text, flags=re.MULTILINE)
    assert locked in moments()
    proxy.log.write_text("")
    # Nothing has been downloaded yet, and the lists are those of the lock.
    project.session("docker_prod", "--no-cache", APT_MIRROR=mirror)
    assert moments() == {locked}
    found = project.python("import pathlib; print(*pathlib.Path('/usr/lib').rglob('libpq.so.5'))")
    assert "libpq.so.5" in found


@pytest.mark.proofs
@pytest.mark.usefixtures("alpine_packages")
def test_packages_of_alpine_come_from_a_mirror_alone(
    make: Make, client: Client, tmp_path: Path
) -> None:
    project = make(Layout.ALPINE, kind="cli")
    declare(project, '[tool.sys.alpine3-23.dependencies]\nlibpq = "*"\n')
    with logging_proxy(client, alpine_server.repository_address(client), tmp_path) as proxy:
        project.session("docker_prod", "--no-cache", APK_MIRROR=proxy.address)
        assert proxy.asked() == {""}
    # The server that the base image names answers still.
    output = project.refused("docker_prod", "--no-cache", APK_MIRROR=proxy.address)
    assert "apk failed" in output


def archives(project: Made) -> set[str]:
    """Return the hosts from which the base image installs packages."""
    command = (
        "sh",
        "-c",
        "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true",
    )
    text = project.docker("run", "--rm", project.variables["PYTHON_IMAGE"], *command)
    return set(re.findall(r"https?://([^/\s]+)", text))
