"""Bad input and bad luck: one sentence on what is wrong, one on what to do, and nothing is lost."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.docker.projects import Made, Make, cache_mounts, wait_until


@pytest.fixture(scope="module")
def project(make: Make) -> Made:
    """Return a project whose production image is built."""
    made = make()
    made.session("docker_prod")
    return made


def image(project: Made, stage: str = "production") -> str:
    return project.docker("image", "inspect", "--format", "{{.Id}}", f"{project.name}:{stage}")


def test_without_a_lock_file_the_build_locks_first_and_says_so(fresh: Made) -> None:
    (fresh.folder / "poetry.lock").unlink()
    assert "There is no poetry.lock yet: locking first." in fresh.session("docker_prod")
    assert (fresh.folder / "poetry.lock").exists()


def test_a_lock_that_does_not_fit_is_refused_before_anything_is_built(fresh: Made) -> None:
    fresh.edit("pyproject.toml", '"uvicorn>=0.34"', '"uvicorn>=0.35"')
    output = fresh.refused("docker_prod")
    assert "poetry.lock does not fit the dependencies that pyproject.toml declares" in output
    assert "Run `nox -s lock`" in output
    assert "[internal] load build definition" not in output


def add(project: Made, requirement: str) -> None:
    """Declare a dependency beside the project's own."""
    project.edit("pyproject.toml", '"uvicorn>=0.34"', f'"uvicorn>=0.34", "{requirement}"')


def test_what_has_neither_a_wheel_for_this_python_nor_sources_is_refused(fresh: Made) -> None:
    """When it is locked, and before anything is installed; the later version can be had."""
    add(fresh, "onnxruntime==1.17.0")
    told = (
        "onnxruntime 1.17.0 has no sources, and wheels only for cp38, cp39, cp310, cp311, cp312: "
    )
    output = fresh.refused("lock")
    assert told in output
    assert re.search(r"1\.17\.0 has none, 1\.\d+\.\d has one: allow it in pyproject\.toml", output)
    output = fresh.refused("docker_prod")
    assert f"\nWheels: {told}" in output
    assert not re.search(r"#\d+ \[dependencies .*install_locked", output)


def test_a_version_that_needs_no_compiler_is_proposed_and_the_command_takes_it(
    fresh: Made,
) -> None:
    add(fresh, "lxml==4.9.3")
    proposed = "allow it in pyproject.toml, then run nox -s lock -- lxml."
    assert f"lxml 4.9.3 has none, 5.3.0 has one: {proposed}" in fresh.session("lock")
    fresh.edit("pyproject.toml", "lxml==4.9.3", "lxml>=4.9")
    # What is locked still fits.
    assert "5.3.0 has one: run nox -s lock -- lxml." in fresh.session("lock")
    assert "has one" not in fresh.session("lock", "lxml")


def test_what_a_compilation_lacks_is_looked_up_in_the_archive(fresh: Made) -> None:
    """If that does not answer, its own reason is said."""
    add(fresh, "psycopg2>=2.9")
    fresh.session("lock")
    output = fresh.refused("docker_prod")
    assert "is compiled here, and the program pg_config is missing. " in output
    table = r"\[tool\.sys\.debian13\.dev-dependencies\]"
    found = rf'The package libpq-dev has it\. Add to {table}: libpq-dev = "\*"'
    assert re.search(rf"{found}|{table}\. It was not looked up: apt-get failed\. .*: E: Fa", output)


def test_a_build_without_nox_refuses_the_same(fresh: Made) -> None:
    (fresh.folder / "poetry.lock").unlink()
    base = f"--build-arg=PYTHON_IMAGE={fresh.variables['PYTHON_IMAGE']}"
    done = fresh.run("docker", "build", base, ".")
    assert done.returncode != 0
    assert "poetry.lock does not exist" in done.stdout
    assert "docker build --target lock --output . ." in done.stdout


def test_without_an_engine_it_says_so(project: Made) -> None:
    output = project.refused("docker_prod", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert "No container engine answers. Start Docker, or set DOCKER_HOST" in output


def test_a_base_image_that_cannot_be_had_is_named(project: Made) -> None:
    output = project.refused("docker_prod", PYTHON_IMAGE="localhost:1/none:1")
    assert "The base image localhost:1/none:1 cannot be pulled." in output
    assert "PYTHON_IMAGE" in output


def test_a_full_disk_is_called_by_its_name(fresh: Made) -> None:
    """The disk that is full here is the device that always is (full(4))."""
    (fresh.folder / "Dockerfile").write_text(
        "ARG PYTHON_IMAGE\nFROM ${PYTHON_IMAGE} AS production\n"
        "RUN head -c 9 /dev/zero > /dev/full\n"
    )
    output = fresh.refused("docker_prod")
    assert "The engine's disk is full." in output


def test_a_port_in_use_is_named(fresh: Made) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        output = fresh.refused("up", "--detach", PORT=port)
    fresh.run("docker", "compose", "down")
    assert f"127.0.0.1:{port} is in use." in output


def test_an_option_that_docker_does_not_have_is_named(project: Made) -> None:
    assert "Docker has no option --frobnicate." in project.refused("docker_prod", "--frobnicate")


def test_a_session_without_arguments_shows_its_usage(project: Made) -> None:
    assert "Usage: nox -s docker_size" in project.refused("docker_size", "everything")


def test_a_failed_build_leaves_the_last_good_image_tagged(fresh: Made) -> None:
    fresh.session("docker_prod")
    before = image(fresh)
    source = next((fresh.folder / "src").glob("*/__init__.py"))
    fresh.edit(str(source.relative_to(fresh.folder)), '"""', "this is no Python '")
    fresh.edit("pyproject.toml", 'from = "src"', 'from = "nowhere"')
    fresh.refused("docker_prod")
    assert image(fresh) == before


def test_an_interrupted_build_leaves_the_last_good_image_and_no_process(fresh: Made) -> None:
    fresh.session("docker_prod")
    before = image(fresh)
    log = fresh.folder / "log"
    with cache_mounts(), log.open("w") as output:
        build = subprocess.Popen(
            ["nox", "--session", "docker_prod", "--", "--no-cache"],
            cwd=fresh.folder,
            env=fresh.environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        wait_until(lambda: "[tools" in log.read_text())
        os.killpg(build.pid, signal.SIGINT)
        assert build.wait(timeout=30) != 0
    assert image(fresh) == before
    processes = Path("/proc").glob
    wait_until(lambda: build.pid not in map(_process_group, processes("[0-9]*/stat")), 10)


def _process_group(path: Path) -> int | None:
    try:
        return int(path.read_text().rpartition(")")[2].split()[2])
    except OSError:
        return None


def test_over_budget_ends_with_failure_and_shows_what_grew(fresh: Made) -> None:
    fresh.edit("pyproject.toml", 'development = "450 MB"\n', "")
    fresh.edit("pyproject.toml", 'test = "248 MB"\n', "")
    assert "ok" in fresh.session("docker_size")
    fresh.edit("pyproject.toml", 'production = "58 MB"', 'production = "40 MB"')
    fresh.edit("pyproject.toml", '"uvicorn>=0.34",\n', '"uvicorn>=0.34",\n    "pygments>=2",\n')
    fresh.session("lock")
    output = fresh.refused("docker_size")
    assert "OVER" in output
    assert "Over budget: production." in output
    grown = output.split("grown in production")[1]
    assert "Pygments" in grown or "pygments" in grown


def test_a_base_image_with_another_python_is_refused(fresh: Made) -> None:
    fresh.edit("pyproject.toml", 'requires-python = ">=3.13"', 'requires-python = ">=3.14"')
    assert "which requires-python in pyproject.toml excludes." in fresh.refused("lock")
