"""An index of one's own: devpi behind a password, through which everything goes."""

import collections
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import waiting
from support.docker import Client
from tests.docker.devpi import PATH, devpi
from tests.docker.indexes import HOSTS, USER, Authority, authority, fallback, serving
from tests.docker.projects import Made, Make, Twin, gateway
from tests.docker.wheels import write_wheel

pytestmark = pytest.mark.proofs

PASSWORD = "only-ours"
LOCK, BUILD = ("lock", "--regenerate"), ("docker_prod", "--no-cache")
SYSTEM = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
PACKAGE = "seedpod-only-here"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the index has its files."""
    return tmp_path_factory.mktemp("index")


@pytest.fixture(scope="module")
def trusted(folder: Path) -> Authority:
    """Return the authority of the index."""
    return authority(folder)


@pytest.fixture(scope="module")
def index(folder: Path, trusted: Authority) -> Iterator[tuple[str, Path]]:
    """Run the index; give its address without a login, and what it logs of requests."""
    wheel = write_wheel(folder, PACKAGE.replace("-", "_"), "GREETING = 'from devpi'\n")
    address = f"https://{HOSTS[0]}"
    log = folder / "requests.log"
    with (
        devpi(folder, wheel) as server,
        serving("guard_index", log, server, address, trusted.certificate, PASSWORD) as (port, _),
    ):
        yield f"{address}:{port}{PATH}", log


@pytest.fixture(scope="module")
def project(make: Make, client: Client, index: tuple[str, Path], trusted: Authority) -> Made:
    """Return a project that needs what is there alone, and reaches no other index."""
    made = make()
    made.edit("pyproject.toml", "dependencies = [\n", f'dependencies = [\n    "{PACKAGE}",\n')
    # Where the default index has its pages, and its files.
    page = waiting.fetch(f"{fallback()}click/", 30)
    others = {urlsplit(fallback()).hostname, *re.findall(r'href="https?://([^/:"]+)', page)}
    nowhere = [f"--add-host={host}:127.0.0.1" for host in others]
    settings = {
        "BUILD_OPTIONS": " ".join([f"--add-host={HOSTS[0]}:{gateway(client)}", *nowhere]),
        "PIP_INDEX_URL": index[0].replace("//", f"//{USER}:{PASSWORD}@"),
        "SSL_CERT_FILE": str(trusted.certificates),
    }
    project = replace(made, variables={**made.variables, **settings})
    project.session("lock", "--regenerate")
    return project


def test_everything_comes_through_it(project: Made, index: tuple[str, Path]) -> None:
    project.session("docker_prod", "--no-cache")
    output = project.session("docker_test", "-q")
    assert "2 passed" in output
    greeting = f"import {PACKAGE.replace('-', '_')} as g; print(g.GREETING)"
    assert project.python(greeting) == "from devpi"
    lines = re.findall(r"^200 (\S+) /", index[1].read_text(encoding="utf-8"), flags=re.MULTILINE)
    served = collections.Counter(lines)
    for program in ("pip", "uv", "poetry"):
        assert served[program] > 0, served
    # The lock names no server of this network.
    assert HOSTS[0] not in (project.folder / "poetry.lock").read_text(encoding="utf-8")


def other_password(project: Made) -> dict[str, str]:
    return {"PIP_INDEX_URL": project.variables["PIP_INDEX_URL"].replace(PASSWORD, "another")}


def foreign_certificate(_: Made) -> dict[str, str]:
    return {"SSL_CERT_FILE": SYSTEM}


@pytest.mark.parametrize(
    ("session", "variables", "told"),
    [
        (LOCK, other_password, "The package index lets nobody in at https://index.test:"),
        (LOCK, foreign_certificate, "The package index at index.test:"),
        (BUILD, other_password, "The package index refuses or lacks "),
        (
            BUILD,
            foreign_certificate,
            "A server shows a certificate that this build does not trust.",
        ),
    ],
)
def test_who_is_not_let_in_is_told_so(
    project: Made,
    session: tuple[str, str],
    variables: Callable[[Made], dict[str, str]],
    told: str,
) -> None:
    before = (project.folder / "poetry.lock").read_bytes()
    output = project.refused(*session, **variables(project))
    assert told in last(output)
    assert not {PASSWORD, "another"} & set(re.findall(r"[\w-]+", output))
    assert (project.folder / "poetry.lock").read_bytes() == before


def test_a_package_that_it_lacks_is_named(project: Made, twin: Twin) -> None:
    changed = twin(project)
    lines = "dependencies = [\n"
    changed.edit("pyproject.toml", lines, f'{lines}    "seedpod-nowhere",\n')
    assert "seedpod-nowhere" in last(changed.refused("lock"))


def last(output: str) -> str:
    """Return the last line of a session's own."""
    lines = [x for x in output.splitlines() if x.strip() and not x.startswith("nox > ")]
    return lines[-1]
