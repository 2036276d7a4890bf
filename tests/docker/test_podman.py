"""Projects are built, measured, tested and run by Podman, with a storage of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support.docker import Client
from support.images import Layout
from support.waiting import until
from tests.docker.mounts import unmount
from tests.docker.projects import Made, base_image

PROGRAMS = ("podman", "runc", "catatonit")
pytestmark = [
    pytest.mark.proofs,
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS[:2])) or os.geteuid() != 0,
        reason=f"needs {', '.join(PROGRAMS)} on this machine, and root",
    ),
]
# For a machine without systemd and with cgroups of the first version, too.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{0}/images"
runroot = "{0}/run"
"""
# Where the engine's socket takes the default ulimits of another place.
OVERRIDE = """\
services:
  "{0}": {{ulimits: {{nofile: 1024, nproc: 4096}}}}
  "{0}-test": {{ulimits: {{nofile: 1024, nproc: 4096}}}}
  "{0}-production": {{ulimits: {{nofile: 1024, nproc: 4096}}}}
"""
LIBRARY = '\n[tool.sys.debian13.dependencies]\nlibyaml-0-2 = "*"\n'


@pytest.fixture(scope="module")
def podman(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return variables for sessions that use Podman, which has the base image and a socket."""
    folder = tmp_path_factory.mktemp("podman")
    (folder / "auth.json").write_text("{}")
    (folder / "containers.conf").write_text(CONTAINERS)
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    variables = {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINER_ENGINE": "podman",
        "DOCKER_HOST": f"unix://{folder}/socket",
        # Else Podman insists on a file of Docker's in DOCKER_CONFIG.
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
    }
    environment = {**os.environ, **variables}
    image, file = base_image(Layout.DEBIAN, client), folder / "base.tar"
    client.run_or_raise("The base image cannot be saved", "save", f"--output={file}", image)
    command = ["podman", "load", f"--input={file}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    variables["PYTHON_IMAGE"] = done.stdout.split()[-1]
    service = ["podman", "system", "service", "--time=0", variables["DOCKER_HOST"]]
    with subprocess.Popen(service, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert until((folder / "socket").exists, 10)
            yield variables
        finally:
            process.terminate()
            subprocess.run(["podman", "rmi", "--all", "--force"], env=environment, check=False)
            unmount(folder)


@pytest.fixture
def project(fresh: Made) -> Made:
    """Return a project that Docker has locked."""
    override = fresh.folder / "docker-compose.override.yml"
    override.write_text(OVERRIDE.format(fresh.name))
    return fresh


def image(project: Made, **variables: str) -> dict[str, Any]:
    """Return what an engine says of production, without what tells the engines apart."""
    program = variables.get("CONTAINER_ENGINE", "docker")
    name = f"{project.name}:production"
    found: dict[str, Any] = json.loads(
        project.run(program, "image", "inspect", name, **variables).stdout
    )[0]
    config = {"Healthcheck": found.get("Healthcheck"), **found["Config"]}
    labels = {k: v for k, v in config["Labels"].items() if ".base." not in k}
    labels.pop("io.buildah.version", None)
    kept = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "User")
    return {"Labels": labels, **{key: config.get(key) or None for key in kept}}


def layers(project: Made, **variables: str) -> list[dict[str, Any]]:
    """Return the layers of production, with their sizes."""
    program = ("python3", "docker/host/layers.py", f"{project.name}:production")
    output = project.run(*program, **variables).stdout
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    found: list[dict[str, Any]] = report[f"{project.name}:production"]["layers"]
    return found


def test_podman_makes_the_image_that_docker_makes(project: Made, podman: dict[str, str]) -> None:
    """An edit makes only the last layer anew, as with Docker."""
    project.session("docker_prod")
    project.session("docker_prod", **podman)
    assert image(project) == image(project, **podman)
    before = layers(project, **podman)
    # Later versions add one without files.
    sizes = [x["size"] for x in before if x["size"]]
    assert sizes == [x["size"] for x in layers(project)]
    [source] = project.folder.glob("src/*/__init__.py")
    source.write_text(f"{source.read_text()}\nEDITED = True\n")
    project.session("docker_prod", **podman)
    after = layers(project, **podman)
    assert [x["digest"] for x in after[:-1]] == [x["digest"] for x in before[:-1]]
    assert after[-1]["digest"] != before[-1]["digest"]


def test_podman_takes_no_step_from_its_cache_that_mounts_something_else_now(
    project: Made, podman: dict[str, str]
) -> None:
    """Another stage's build has made anew what the step mounts, so that it comes from the cache."""
    project.session("docker_prod", **podman)
    path = project.folder / "pyproject.toml"
    path.write_text(path.read_text() + LIBRARY)
    project.session("docker_dev", **podman)
    project.session("docker_prod", **podman)
    program = ("--entrypoint=python3", f"{project.name}:production", "-c")
    load = 'import ctypes; ctypes.CDLL("libyaml-0.so.2")'
    done = project.run("podman", "run", "--rm", "--network=none", *program, load, **podman)
    assert done.returncode == 0, done.stdout


def test_podman_runs_the_sessions(project: Made, podman: dict[str, str]) -> None:
    (project.folder / "poetry.lock").unlink()
    for session in ("lock", "sys_lock", "docker_size"):
        project.session(session, **podman)
    assert " passed" in project.session("docker_test", **podman)
    told = project.session("shell", "touch", "made", **podman)
    assert (project.folder / "made").stat().st_uid == os.getuid(), told


@pytest.mark.parametrize(
    ("session", "arguments"),
    [("docker_push", ["registry.example/app:1"]), ("docker_prod", ["--reproducible"])],
)
def test_podman_refuses_the_others(
    project: Made, podman: dict[str, str], session: str, arguments: list[str]
) -> None:
    told = project.refused(session, *arguments, **podman)
    assert "does not work with Podman. Run it with Docker: CONTAINER_ENGINE=docker" in told
