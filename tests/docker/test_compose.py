"""Development with compose, with and without Nox."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import Made, fetch, wait_until


@pytest.fixture
def port() -> str:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def project(fresh: Made) -> Iterator[Made]:
    """Return a project whose containers are removed at the end."""
    yield fresh
    fresh.run("docker", "compose", "down", "--volumes")


def source(project: Made) -> Path:
    return next((project.folder / "src").glob("*/app.py"))


def test_a_saved_file_is_served_without_a_restart(project: Made, port: str) -> None:
    project.session("up", "--detach", PORT=port)
    address = f"http://127.0.0.1:{port}/"
    assert '"version":"0.1.0"' in fetch(address)
    source(project).write_text(
        source(project).read_text().replace('"version": VERSION', '"version": "edited"')
    )
    wait_until(lambda: '"version":"edited"' in fetch(address))


@pytest.mark.parametrize("user", [0, 501, 1000, 65534])
def test_files_written_into_the_mounts_belong_to_the_host_user(
    project: Made, user: int, port: str
) -> None:
    for path in (project.folder, *project.folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    (project.folder / ".env").write_text(f"HOST_UID={user}\nHOST_GID={user}\nPORT={port}\n")
    done = project.run("docker", "compose", "up", "--build", "--detach")
    assert done.returncode == 0, done.stdout
    package = source(project).parent
    write = f"touch src/{package.name}/written tests/written && pytest -q && id -u"
    done = project.run("docker", "compose", "exec", "-T", "app", "sh", "-c", write)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == str(user)
    for folder in (package, project.folder / "tests"):
        status = (folder / "written").stat()
        assert (status.st_uid, status.st_gid) == (user, user)
        assert stat.S_ISREG(status.st_mode)
        assert not (folder / "__pycache__").exists()


def test_it_works_without_nox(project: Made, port: str) -> None:
    """Lock, build and run with Docker alone."""
    (project.folder / "poetry.lock").unlink()
    certificate = os.environ.get("SSL_CERT_FILE", "/dev/null")
    image = project.variables["PYTHON_IMAGE"]
    plain = f"--build-arg=PYTHON_IMAGE={image} --secret=id=ca.pem,src={certificate} .".split()
    for command in (
        ["docker", "build", "--target=lock", "--output=.", *plain],
        ["docker", "build", f"--tag={project.name}:plain", *plain],
        ["docker", "compose", "up", "--detach"],
    ):
        done = project.run(*command, PORT=port)
        assert done.returncode == 0, done.stdout
    assert (project.folder / "poetry.lock").stat().st_uid == os.getuid()
    assert project.name in fetch(f"http://127.0.0.1:{port}/")


def test_down_leaves_nothing_behind(project: Made, port: str) -> None:
    project.session("up", "--detach", PORT=port)
    assert project.name in project.docker("ps", "--format", "{{.Names}}")
    project.session("up", "down", "--volumes")
    assert project.name not in project.docker("ps", "--all", "--format", "{{.Names}}")
    assert project.name not in project.docker("network", "ls", "--format", "{{.Name}}")
    assert project.name not in project.docker("volume", "ls", "--format", "{{.Name}}")


def test_the_environment_lies_outside_every_mount(project: Made) -> None:
    config = project.docker("compose", "config", "--format", "json")
    assert "/app/src" in config
    assert "/opt" not in config
