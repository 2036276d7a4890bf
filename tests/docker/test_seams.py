"""What an image also needs: files, settings, a step, folders for data, and several processes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docker.declarations import declare
from tests.docker.projects import Made, Make, Twin, fetch

SETTINGS = """
[tool.seedpod.image]
data = ["/data"]
environment = { GREETING = 'Grüße, "$HOME" \\ all' }
labels = { "org.example.team" = "ours" }
step = ["python3", "-m", "own.collect", "/srv/static"]
step-output = ["/srv/static"]
"""
COLLECT = """
import os
import pathlib
import sys

import own

folder = pathlib.Path(sys.argv[1])
if folder.exists():
    sys.exit(f"{folder} is there")
folder.mkdir(parents=True)
text = f"{own.__name__} {os.environ['GREETING']} {pathlib.Path('/etc/own/own.ini').read_text()}"
(folder / "all.txt").write_text(text)
print("collected")
"""
# What runs beside the server: each writes into the folder for data, and stops when it is told to.
LOOP = """
import pathlib
import signal
import sys
import time

if __name__ == "__main__":
    name = sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        pathlib.Path("/data", name).write_text(pathlib.Path("/data/migrated").read_text())
        time.sleep(0.1)
"""
COMPOSE = """
x-own: &own
  image: {0}:production
  user: "12345:0"
  read_only: true
  cap_drop: [ALL]
  tmpfs: [/tmp]
  volumes: ["data:/data"]
services:
  migrate:
    <<: *own
    command: [python3, -c, "open('/data/migrated', 'w').write('yes')"]
    healthcheck: {{disable: true}}
  web:
    <<: *own
    depends_on: &after
      migrate: {{condition: service_completed_successfully}}
  worker:
    <<: *own
    command: [python3, -m, own.loop, worker]
    healthcheck: {{disable: true}}
    depends_on: *after
  beat:
    <<: *own
    command: [python3, -m, own.loop, beat]
    healthcheck: {{disable: true}}
    depends_on: *after
volumes:
  data:
"""
LOOK = """
import os, pathlib, stat

def mode(path):
    return oct(stat.S_IMODE(os.stat(path).st_mode))

pathlib.Path("/data/new").touch()
print(mode("/data"), mode("/etc/own/own.ini"), mode("/usr/local/bin/own-tool"))
print(pathlib.Path("/srv/static/all.txt").read_text())
"""


def configuration(project: Made, stage: str) -> dict[str, Any]:
    """Return what an image tells the engine of how it is run."""
    [shown] = json.loads(project.docker("image", "inspect", f"{project.name}:{stage}"))
    config: dict[str, Any] = shown["Config"]
    return config


@pytest.fixture
def seams(project: Made) -> Made:
    """Return the project with its image, which a twin may have replaced by its own."""
    project.session("docker_prod")
    return project


@pytest.fixture(scope="module")
def project(make: Make, worker_id: str) -> Made:
    """Return a web project with all of it; tests leave it as it is."""
    project = make(project_name=f"seams-{worker_id}", package_name="own")
    for name, text in {"src/own/collect.py": COLLECT, "src/own/loop.py": LOOP}.items():
        (project.folder / name).write_text(text, encoding="utf-8")
    files = {"rootfs/etc/own/own.ini": "ü", "rootfs/usr/local/bin/own-tool": "#!/usr/bin/python3\n"}
    for name, text in files.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        # As after a checkout under another umask.
        path.chmod(0o700 if "bin" in name else 0o600)
    declare(project, SETTINGS)
    declare(project, '[tool.seedpod.test]\nnot-imported = { "own.collect" = "runs when built" }\n')
    assert "Dockerfile does not have what pyproject.toml says. Run nox -s lock" in project.refused(
        "docker_prod"
    )
    project.session("lock")
    return project


def test_a_build_without_nox_makes_the_same_image(seams: Made) -> None:
    image = f"--build-arg=PYTHON_IMAGE={seams.variables['PYTHON_IMAGE']}"
    seams.docker("build", image, f"--tag={seams.name}:plain", ".")
    plain, shipped = (configuration(seams, tag) for tag in ("plain", "production"))
    # Sessions add what no Dockerfile knows: of the project, its commit and its base image.
    added = shipped["Labels"].keys() - plain["Labels"].keys()
    assert all(name.startswith("org.opencontainers.image.") for name in added)
    shipped["Labels"] = {name: shipped["Labels"][name] for name in plain["Labels"]}
    assert plain == shipped
    assert seams.layers("plain") == seams.layers()


def test_it_has_files_variables_labels_and_what_the_step_made(seams: Made) -> None:
    config = configuration(seams, "production")
    assert config["Labels"]["org.example.team"] == "ours"
    greeting = 'Grüße, "$HOME" \\ all'
    assert f"GREETING={greeting}" in config["Env"]
    options = ("--user=12345", "--mount=type=volume,target=/data")
    modes, static = seams.python(LOOK, "production", *options).splitlines()
    assert modes == "0o1777 0o644 0o755"
    assert static == f"own {greeting} ü"


def test_tests_see_all_of_it(seams: Made, twin: Twin) -> None:
    project = twin(seams)
    (project.folder / "tests/test_seams.py").write_text(
        "import os\nimport pathlib\n\n\ndef test_it() -> None:\n"
        '    assert os.environ["GREETING"]\n'
        '    assert pathlib.Path("/srv/static/all.txt").exists()\n'
        '    pathlib.Path("/data/x").touch()\n'
    )
    assert "3 passed" in project.session("docker_test")
    shipped = project.layers("candidate")
    assert project.layers("test")[: len(shipped)] == shipped


@pytest.mark.proofs
def test_a_step_that_fails_says_so_in_its_own_words(seams: Made, twin: Twin) -> None:
    project = twin(seams)
    project.edit("pyproject.toml", '"/srv/static"]\nstep-output', '"/data"]\nstep-output')
    project.session("lock")
    said = project.refused("docker_prod")
    assert "/data is there" in said
    assert "\nStep: python3 -m own.collect /data ends with status 1. Fix what it reported." in said
    project.edit("pyproject.toml", '"/data"]\nstep-output', '"/srv/other"]\nstep-output')
    project.session("lock")
    said = project.refused("docker_prod")
    assert "\nStep: The step has not made /srv/static. Correct step-output in" in said


def test_several_processes_run_from_one_image(seams: Made, tmp_path: Path) -> None:
    file = tmp_path / "compose.yml"
    file.write_text(COMPOSE.format(seams.name), encoding="utf-8")
    compose = ("compose", f"--project-name={seams.name}-processes", f"--file={file}")
    try:
        seams.docker(*compose, "up", "--detach")
        # For all of them it fails: compose 2.40 asks a container whose check is disabled, too.
        seams.docker(*compose, "up", "--detach", "--wait", "--no-recreate", "web")
        states = [
            json.loads(line) for line in seams.docker(*compose, "ps", "--format=json").splitlines()
        ]
        found = {state["Service"]: (state["State"], state["Health"]) for state in states}
        assert found == {
            "web": ("running", "healthy"),
            "worker": ("running", ""),
            "beat": ("running", ""),
        }
        look = "import os; print(sorted(os.listdir('/data')))"
        written = seams.docker(*compose, "exec", "web", "python3", "-c", look)
        assert written == "['beat', 'migrated', 'worker']"
        for service in found:
            seams.docker(*compose, "stop", "--timeout=2", service)
            container = seams.docker(*compose, "ps", "--all", "--quiet", service)
            shown = seams.docker("inspect", "--format={{.State.ExitCode}}", container)
            # The engine kills it after two seconds, which would be status 137.
            assert shown == "0", service
    finally:
        seams.docker(*compose, "down", "--volumes")


def test_arguments_are_another_command_and_wrong_options_are_refused(
    seams: Made, port: str
) -> None:
    image = f"{seams.name}:production"
    program = ("python3", "-c", "print(1 + 1)")
    assert seams.docker("run", "--rm", image, *program) == "2"
    done = seams.run("docker", "run", "--rm", image, seams.name, "--workers", "2")
    assert done.returncode == 2
    assert "unrecognized arguments: --workers 2" in done.stdout
    assert "usage: " in seams.session("docker_run", "--help", PORT=port)
    assert "unrecognized arguments: --port 1" in seams.refused(
        "docker_run", "--port", "1", PORT=port
    )
    assert "\n2\n" in seams.session("docker_run", *program, PORT=port)


def test_a_container_that_is_not_healthy_is_named(seams: Made, twin: Twin, port: str) -> None:
    project = twin(seams)
    project.edit("pyproject.toml", 'data = ["/data"]', 'data = ["/data"]\nhealth = "/nowhere"')
    project.session("lock")
    # The check is asked at once, in place of every ten seconds three times.
    override = f'services:\n  "{project.name}-production":\n    healthcheck: '
    # No time at all would be the image's own.
    override += "{interval: 1s, start_period: 1ms, start_interval: 1s, retries: 1}\n"
    (project.folder / "docker-compose.override.yml").write_text(override)
    stop = "import os, threading, time\nthreading.Timer(30, lambda: os._exit(0)).start()\n"
    stop += "from own.__main__ import main\nimport sys\nsys.argv = ['own']\nmain()\n"
    output = project.session("docker_run", "python3", "-c", stop, PORT=port)
    assert "The container is unhealthy: urllib.error.HTTPError: HTTP Error 404" in output


def test_a_volume_takes_the_place_of_a_folder_in_memory(seams: Made, twin: Twin, port: str) -> None:
    project = twin(seams)
    override = f'services:\n  "{project.name}-production":\n    volumes: ["uploads:/data"]\n'
    (project.folder / "docker-compose.override.yml").write_text(f"{override}volumes:\n  uploads:\n")
    look = "print(*[line for line in open('/proc/mounts') if ' /data ' in line])"
    mounts = project.session("docker_run", "python3", "-c", look, PORT=port)
    [mounted] = re.findall(r"^(\S+) /data (\S+) ", mounts, flags=re.MULTILINE)
    assert "tmpfs" not in mounted


def test_a_service_that_does_not_start_shows_its_last_lines(
    seams: Made, twin: Twin, port: str
) -> None:
    project = twin(seams)
    override = (
        f'services:\n  "{project.name}-production":\n    depends_on:\n'
        "      broken: {condition: service_healthy}\n"
        f"  broken:\n    image: {project.name}:production\n"
        "    command: [python3, -c, \"import sys; sys.exit('the disk is made of cheese')\"]\n"
    )
    (project.folder / "docker-compose.override.yml").write_text(override)
    output = project.refused("docker_run", PORT=port)
    assert "The last lines of broken:\nthe disk is made of cheese\n" in output


def test_settings_are_those_of_compose_too(seams: Made, twin: Twin, port: str) -> None:
    project = twin(seams)
    project.edit("pyproject.toml", 'data = ["/data"]', 'data = ["/data"]\nport = 9000')
    project.session("lock")
    run = ("compose", "--profile=production", "--project-name", f"{project.name}-port")
    service = f"{project.name}-production"
    variables = {**project.variables, "PORT": port}
    project = Made(project.folder, variables)
    project.session("docker_prod")
    try:
        project.docker(*run, "up", "--detach", "--wait", "--no-build", service)
        assert json.loads(fetch(f"http://127.0.0.1:{port}/healthz")) == {"status": "ok"}
    finally:
        project.docker(*run, "down", "--volumes")
