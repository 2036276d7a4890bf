"""Engines beside each other, engines that are too old, and many builds at a time on one engine."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import SupportError, builder, debian, engine, waiting
from support.docker import Client
from support.paths import cache
from tests.docker.projects import Make

BUILDS, SIDE_BY_SIDE = 100, 5
START_SECONDS = 60


@pytest.mark.proofs
def test_an_engine_that_builds_leaves_the_network_of_the_other_alone(built: Make) -> None:
    """Or nothing could be built or run on that one any more."""
    project = built()
    if engine.running() is None:
        pytest.skip("the engine is not the embedded one, and may have its bridge elsewhere")
    run = ("run", "--rm", "--entrypoint=python3", f"{project.name}:production", "-c", "print(1)")
    assert project.docker(*run) == "1"
    with builder.machine():
        assert project.docker(*run) == "1"
    assert project.docker(*run) == "1"


@pytest.fixture
def old_engine() -> Iterator[str]:
    """Run the engine of Debian 12, which is too old, and return its address."""
    cache().mkdir(parents=True, exist_ok=True)
    # A socket's path has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(dir=cache()) as name, tempfile.TemporaryDirectory() as short:
        folder, tree, address = Path(name), Path(name, "tree"), f"unix://{short}/docker.sock"
        apt, packages = debian.Apt("bookworm", folder), folder / "packages"
        packages.mkdir()
        apt.download(("containerd", "docker.io", "runc"), packages)
        debian.unpack(packages.glob("*.deb"), tree)
        command = [
            # It deletes the bridge of another engine in its network.
            *("unshare", "--net", str(tree / "usr/sbin/dockerd")),
            *("--bridge=none", "--iptables=false", f"--host={address}"),
            *(f"--pidfile={short}/pid", f"--exec-root={short}/exec", f"--data-root={folder}/data"),
        ]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                command, env=engine.server_environment(tree), stdout=log, stderr=log
            ) as process,
        ):
            try:
                socket = Path(short, "docker.sock")
                waiting.until(lambda: process.poll() is not None or socket.exists(), START_SECONDS)
                assert process.poll() is None, (folder / "log").read_text()
                yield address
            finally:
                process.terminate()


@pytest.mark.proofs
def test_an_engine_without_buildkit_is_refused(
    client: Client, old_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is Docker 20.10, which Debian 12 has."""
    for name, value in client.replace(DOCKER_HOST=old_engine).variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SupportError) as error:
        engine.ensure()
    message = r"The container engine is version 20\.10\.\S+, and builds need 23 or later\. Update"
    assert error.match(message)


@pytest.mark.proofs
def test_builds_side_by_side_do_not_fail(built: Make, client: Client, tmp_path: Path) -> None:
    """Each with an edit of its own, so that each builds the application and production anew."""
    project = built()
    folders = [tmp_path / str(number) for number in range(SIDE_BY_SIDE)]
    for folder in folders:
        shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".nox", "build"))
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    numbers = iter(range(BUILDS))
    failures: list[str] = []
    made: list[str] = []

    def build_one_after_the_other(folder: Path) -> None:
        source = next(folder.glob("src/*/app.py"))
        for number in numbers:
            with source.open("a") as file:
                file.write(f"# {folder} {number}\n")
            name = f"{project.name}:side-by-side-{number}"
            done = client.run("build", "--quiet", f"--tag={name}", image, str(folder))
            if done.returncode:
                failures.append(done.stderr)
            else:
                made.append(name)

    try:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(build_one_after_the_other, folders))
        identities = {client.image_id(name) for name in made}
    finally:
        client.run("rmi", "--force", *made)
    assert not failures
    assert len(identities) == BUILDS
