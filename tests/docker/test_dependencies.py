"""Dependencies that no index has: what Poetry locks is installed, or refused at once."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.docker import Client
from tests.docker.projects import Made, Make, gateway
from tests.docker.wheels import write_wheel

SERVE = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.HTTPServer(("0.0.0.0", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
GIT = '\n[package.source]\ntype = "git"\nurl = "https://code.example/iniconfig.git"\n'


@pytest.fixture
def files(client: Client, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder; return it, and the address at which builds find it."""
    folder = tmp_path / "files"
    folder.mkdir()
    command = [sys.executable, "-c", SERVE, str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    yield folder, f"http://{gateway(client)}:{server.stdout.readline().strip()}"
    server.terminate()
    server.communicate(timeout=30)


def test_a_wheel_at_an_address_is_locked_tested_and_shipped_with_its_hash(
    make: Make, files: tuple[Path, str]
) -> None:
    folder, address = files
    wheel = write_wheel(folder, "seedpod_greeting", "GREETING = 'from an address'\n")
    project = make(kind="cli")
    requirement = f"seedpod-greeting @ {address}/{wheel.name}"
    project.edit(
        "pyproject.toml", "dependencies = [\n", f'dependencies = [\n    "{requirement}",\n'
    )
    project.session("lock")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert digest in (project.folder / "poetry.lock").read_text(encoding="utf-8")
    (project.folder / "tests/test_greeting.py").write_text(
        "import seedpod_greeting as x\n\n\ndef test_it() -> None:\n    assert x.GREETING\n"
    )
    assert "3 passed" in project.session("docker_test")
    project.session("docker_prod")
    assert project.python("import seedpod_greeting as x; print(x.GREETING)") == "from an address"


def edit_lock(project: Made, name: str, source: str) -> None:
    """Give a locked package another source."""
    lock = project.folder / "poetry.lock"
    text = lock.read_text(encoding="utf-8")
    end = text.find("\n[[package]]", text.index(f'name = "{name}"'))
    lock.write_text(f"{text[:end]}{source}{text[end:]}", encoding="utf-8")


def test_what_only_development_cannot_install_does_not_stop_production(make: Make) -> None:
    project = make(kind="cli")
    edit_lock(project, "iniconfig", GIT)
    project.session("docker_prod")
    told = "takes iniconfig from a git source, which has no hash. Depend by URL on the archive"
    for session in ("docker_test", "docker_dev"):
        said = [line for line in project.refused(session).splitlines() if line[:3] != "nox"]
        assert told in said[-1], session
    assert told in project.run(sys.executable, "docker/host/engine.py", "check").stdout


def test_what_production_cannot_install_is_refused_before_anything_is_built(make: Make) -> None:
    project = make(kind="cli")
    edit_lock(project, "click", GIT)
    output = project.refused("docker_prod")
    assert "takes click from a git source, which has no hash. " in output
    assert "docker build" not in output
