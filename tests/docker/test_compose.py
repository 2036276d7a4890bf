"""Development with compose, with and without Nox."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import Layout
from tests.docker.projects import Made, Make, fetch, wait_until

# Numbers of a user: root, macOS's first, Linux's first, nobody, and one that Debian's base image
# gives to a user of its own.
USERS = [33, *(pytest.param(user, marks=pytest.mark.proofs) for user in (0, 501, 1000, 65534))]


@pytest.fixture
def project(fresh: Made) -> Iterator[Made]:
    """Return a project whose containers are removed at the end."""
    yield fresh
    fresh.run("docker", "compose", "down", "--volumes")


def source(project: Made) -> Path:
    return next((project.folder / "src").glob("*/app.py"))


def serve_edited(project: Made) -> None:
    """Edit the application, as an editor saves it: under another name first."""
    text = source(project).read_text().replace('"version": VERSION', '"version": "edited"')
    edited = source(project).with_suffix(".new")
    edited.write_text(text)
    edited.rename(source(project))


def compose(project: Made, *arguments: str, **variables: str) -> str:
    """Run plain docker compose, which has to succeed, and return its output."""
    done = project.run("docker", "compose", *arguments, **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


def everything_on_the_engine(project: Made) -> str:
    """Return the names of all containers, networks and volumes."""
    return "\n".join(
        project.docker(*command, "--format", form)
        for *command, form in (
            ("ps", "--all", "{{.Names}}"),
            ("network", "ls", "{{.Name}}"),
            ("volume", "ls", "{{.Name}}"),
        )
    )


def test_a_saved_file_is_served_without_a_restart(project: Made, port: str) -> None:
    project.session("up", "--detach", PORT=port)
    address = f"http://127.0.0.1:{port}/"
    assert '"version":"0.1.0"' in fetch(address)
    serve_edited(project)
    wait_until(lambda: '"version":"edited"' in fetch(address))


@pytest.mark.parametrize("user", USERS)
def test_files_in_the_mount_belong_to_the_host_user(project: Made, user: int, port: str) -> None:
    """Whether a file is written, tests run or a package is added."""

    def owners() -> set[tuple[int, int]]:
        status = [path.lstat() for path in (project.folder, *project.folder.rglob("*"))]
        return {(entry.st_uid, entry.st_gid) for entry in status}

    def run(*command: str) -> str:
        return compose(project, "exec", "-T", project.name, *command)

    (project.folder / ".env").write_text(f"HOST_UID={user}\nHOST_GID={user}\nPORT={port}\n")
    for path in (project.folder, *project.folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    compose(project, "up", "--detach")
    assert run("id", "-u").strip() == str(user)
    run("touch", f"src/{source(project).parent.name}/written", "tests/written")
    assert owners() == {(user, user)}
    assert "2 passed" in run("pytest", "-q")
    run("poetry", "add", "httpx")
    assert owners() == {(user, user)}
    assert '"httpx ' in (project.folder / "pyproject.toml").read_text()
    assert 'name = "httpx"' in (project.folder / "poetry.lock").read_text()
    assert run("python", "-c", "import httpx; print(httpx.__name__)") == "httpx\n"


def test_bytecode_and_caches_stay_out_of_the_mount(project: Made) -> None:
    before = {*project.folder.rglob("*")}
    for tool in ("pytest", "mypy"):
        compose(project, "run", "--rm", project.name, tool)
    assert {*project.folder.rglob("*")} == before


def test_a_package_that_is_removed_is_gone_at_once(project: Made, port: str) -> None:
    project.session("up", "--detach", PORT=port)
    is_there = "import importlib.util as u; print('there:', bool(u.find_spec('six')))"
    for command, there in (("add", True), ("remove", False)):
        project.session("up", "poetry", command, "six")
        assert f"there: {there}" in project.session("shell", "python", "-c", is_there)


@pytest.mark.proofs
def test_a_package_added_without_a_running_container_is_there_when_it_starts(
    project: Made, port: str
) -> None:
    """No image goes stale: plain compose builds when the lock has changed."""
    compose(project, "build")
    project.session("up", "poetry", "add", "httpx")
    compose(project, "up", "--detach", PORT=port)
    compose(project, "exec", "-T", project.name, "python", "-c", "import httpx")


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
    assert project.name in everything_on_the_engine(project)
    project.session("up", "down", "--volumes")
    assert project.name not in everything_on_the_engine(project)


def test_the_environment_lies_outside_every_mount(project: Made) -> None:
    config = compose(project, "config", "--format", "json")
    assert '"target": "/app"' in config
    assert "/opt" not in config


def test_a_shell_command_runs_where_the_application_runs(project: Made, port: str) -> None:
    """In the running container if there is one, else in one that is removed."""
    hostname = ("python", "-c", "import socket; print('on', socket.gethostname())")
    project.session("shell", *hostname)
    assert project.name not in project.docker("ps", "--all", "--format", "{{.Names}}")
    project.session("up", "--detach", PORT=port)
    container = compose(project, "ps", "--quiet", project.name).strip()
    assert f"on {container[:12]}" in project.session("shell", *hostname)


def test_waiting_for_a_service_is_a_command_of_the_image(project: Made) -> None:
    output = project.refused("shell", "wait-for", "--seconds", "0.1", "localhost:1")
    assert "localhost:1 does not answer within 0.1 s." in output


@pytest.mark.parametrize(
    "layout", [Layout.DEBIAN, pytest.param(Layout.ALPINE, marks=pytest.mark.proofs)]
)
def test_files_are_copied_into_the_container_where_nothing_is_mounted(
    make: Make, layout: Layout, port: str
) -> None:
    project = make(layout)
    files = "docker-compose.yml:docker-compose.watch.yml"
    watch = subprocess.Popen(
        ["nox", "--session", "up", "--", "watch"],
        cwd=project.folder,
        env={**project.environment(), "COMPOSE_FILE": files, "PORT": port},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}/"
        # It is built before, on Alpine with packages that this machine may not have yet.
        assert '"version":"0.1.0"' in fetch(address, 600)
        mounts = project.docker(
            "inspect", "--format", "{{json .Mounts}}", f"{project.folder.name}-{project.name}-1"
        )
        assert '"/app' not in mounts
        serve_edited(project)
        wait_until(lambda: '"version":"edited"' in fetch(address))
    finally:
        os.killpg(watch.pid, signal.SIGINT)
        watch.wait(60)
        project.run("docker", "compose", "down", "--volumes")


def test_production_runs_hardened_and_gets_the_arguments(make: Make) -> None:
    project = make(kind="cli")
    assert "Hello, Ada!" in project.session("docker_run", "--name", "Ada")
    assert project.name not in everything_on_the_engine(project)
    shown = compose(project, "--profile=production", "config", "--format=json")
    service = json.loads(shown)["services"][f"{project.name}-production"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "12345:0"
