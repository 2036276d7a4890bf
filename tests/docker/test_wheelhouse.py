"""The wheelhouse: each wheel is made once, belongs to whoever runs it, and spares the network."""

import gzip
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from poetry.repositories.pypi_repository import PyPiRepository

from support.docker import Client
from support.images import Layout
from support.images.alpine import server
from tests.docker.projects import Made, Make, fetch

USER = 1000
# Root does without everything but the right to reach the engine's socket and client.
AS_USER = (
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    # Without the first of these, access(2) takes no notice of the others.
    *("--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)
SETUPS = {
    "seedpod-arch": "import seedpod_stone\ntext = repr(seedpod_stone.WORD)",
    "seedpod-stone": "text = repr('stone')",
}
SETUP = """
from pathlib import Path
from setuptools import setup
Path("{module}.py").write_text("WORD = " + text)
setup(name="{name}", version="{version}", py_modules=["{module}"])
"""
# Caches take a file of the same name and version for the same file.
VERSION = f"1.{zlib.crc32(repr((SETUPS, SETUP)).encode())}"
INSTALLED = "    --mount=type=bind,from=selection,source=/selection/wheels/{},target=/wheels \\\n"
CACHE = "    --mount=type=cache,target=/root/.cache/uv \\\n"
SUMMARY = r"wheels: (\d+) built, (\d+) taken from the index, (\d+) kept\."


@dataclass(frozen=True)
class Fresh(Made):
    """A project that belongs to a user other than root."""

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as that user."""
        home = {"HOME": str(self.folder), "BUILDX_CONFIG": str(self.folder / ".buildx")}
        prefix = AS_USER if os.getuid() == 0 else ()
        return super().run(*prefix, *command, **home, **variables)

    def wheels(self) -> dict[str, float]:
        """Return the names of the wheels on the host, and when each was written."""
        return {path.name: path.stat().st_mtime for path in self.folder.glob(".wheels/*/*.whl")}


def add(project: Made, package: str) -> None:
    """Add a package, which is never taken as a wheel, and lock."""
    project.edit("pyproject.toml", "dependencies = [\n", f'dependencies = [\n    "{package}",\n')
    project.edit("pyproject.toml", "no-binary = [", f'no-binary = ["{package}", ')
    project.session("lock")


def made(output: str) -> tuple[int, ...]:
    """Return how many wheels were built, taken from the index and kept, by the report."""
    found = re.search(SUMMARY, output)
    assert found, output
    return tuple(map(int, found.groups()))


@dataclass(frozen=True)
class Story:
    """A project with a full wheelhouse, and what the sessions said."""

    project: Fresh
    first: str
    second: str


@pytest.fixture(scope="module")
def story(make: Make, alpine_packages: None) -> Story:
    """Return a project that compiles a package, whose wheelhouse was filled and filled again."""
    project = make(Layout.ALPINE, kind="cli")
    if os.getuid() == 0:
        for path in (project.folder, *project.folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
    project = Fresh(project.folder, project.variables)
    project.edit(
        "pyproject.toml",
        "[tool.sys]\n",
        '[tool.sys.alpine3-23.dev-dependencies]\ngcc = "*"\nmusl-dev = "*"\n\n'
        "[tool.seedpod.wheels]\nno-binary = []\n\n",
    )
    add(project, "markupsafe")
    first = project.session("docker_wheels")
    return Story(project, first, project.session("docker_wheels"))


def test_the_first_run_makes_every_wheel_and_reports_where_each_came_from(story: Story) -> None:
    built, taken, there = made(story.first)
    wheels = story.project.wheels()
    assert (built, there) == (1, 0)
    assert taken == len(wheels) - 1
    assert re.search(r"^markupsafe-\S+\.whl +built +\d+\.\d s +\d+\.\d\d MB$", story.first, re.M)
    assert re.search(r"^click-\S+\.whl +index +\d+\.\d s +\d+\.\d\d MB$", story.first, re.M)


def test_the_second_run_makes_nothing(story: Story) -> None:
    assert made(story.second) == (0, 0, len(story.project.wheels()))


def test_it_belongs_to_whoever_ran_the_session(story: Story) -> None:
    house = story.project.folder / ".wheels"
    owners = {path.stat().st_uid for path in (house, *house.rglob("*"))}
    assert owners == {os.getuid() or USER}


def test_for_one_package_more_only_that_one_is_made(story: Story) -> None:
    before = story.project.wheels()
    add(story.project, "sniffio")
    assert made(story.project.session("docker_wheels")) == (1, 0, len(before))
    after = story.project.wheels()
    assert before.items() <= after.items()
    (new,) = after.keys() - before.keys()
    assert new.startswith("sniffio-")


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> Made:
    """Return a copy of the project, which a test may change."""
    shutil.copytree(story.project.folder, tmp_path / "copy", symlinks=True)
    return Made(tmp_path / "copy", story.project.variables)


@pytest.mark.proofs
def test_with_all_wheels_a_build_installs_its_packages_without_a_network(copy: Made) -> None:
    for name in ("main", "development"):
        step = INSTALLED.format(name)
        copy.edit("Dockerfile", f"{step}{CACHE}", f"    --network=none \\\n{step}")
    copy.session("docker_prod", "--no-cache-filter=dependencies")
    native = "import markupsafe._speedups as m; print(m.__file__)"
    assert copy.python(native).startswith("/opt/venv/")
    assert "2 passed" in copy.session("docker_test")
    # It would pass for the wrong reason if it could reach an index or a cache.
    shutil.rmtree(copy.folder / ".wheels")
    assert "dns error" in copy.refused("docker_prod")


@pytest.mark.proofs
def test_a_wheel_that_was_changed_is_refused_until_it_is_made_again(copy: Made) -> None:
    (wheel,) = copy.folder.glob(".wheels/*/markupsafe-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    for session in ("docker_prod", "docker_wheels"):
        assert (
            f"Wheels: {wheel.name} in the wheelhouse has changed since it was made. "
            "Delete it and run nox -s docker_wheels."
        ) in copy.refused(session)
    wheel.unlink()
    built, taken, _ = made(copy.session("docker_wheels"))
    assert (built, taken) == (1, 0)
    assert wheel.exists()


@pytest.fixture(scope="module")
def index(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve two source distributions, and send whoever asks for others to the default index."""
    folder = tmp_path_factory.mktemp("index")
    for name, program in SETUPS.items():
        write_sdist(folder, name, program)
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    options = [f"--port={port}", f"--fallback-url={PyPiRepository().url}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pypiserver", "run", *options, str(folder)],
        stderr=subprocess.DEVNULL,
    )
    address = f"http://{server._bridge_address(client)}:{port}/simple/"
    fetch(address)
    yield address
    process.terminate()
    process.wait(timeout=30)


def write_sdist(folder: Path, name: str, program: str) -> None:
    """Write a source distribution without pyproject.toml, as they were before PEP 518."""
    module = name.replace("-", "_")
    stem = f"{module}-{VERSION}"
    files = {
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {VERSION}\n",
        "setup.py": program + SETUP.format(name=name, module=module, version=VERSION),
    }
    with (
        gzip.GzipFile(folder / f"{stem}.tar.gz", "w", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{stem}/{file}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


@pytest.mark.proofs
def test_what_setup_programs_import_without_asking_is_built_and_installed_first(
    make: Make, index: str
) -> None:
    project = make(kind="cli")
    network = {"PIP_INDEX_URL": index, "PIP_TRUSTED_HOST": index.split("/")[2]}
    names = "".join(f'    "{name}=={VERSION}",\n' for name in SETUPS)
    project.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{names}")
    project.session("lock", **network)
    # What is isolated does not see what is installed, and by their names the arch comes first.
    for line in ("[tool.seedpod.wheels]", 'no-build-isolation = ["seedpod-arch"]'):
        project.edit("pyproject.toml", "[tool.sys]\n", f"{line}\n[tool.sys]\n")
        done = project.run("nox", "--session", "docker_wheels", **network)
        assert done.returncode != 0
        assert "ModuleNotFoundError: No module named 'seedpod_stone'" in done.stdout
        reason = r"^Wheels: seedpod-arch==\S+ .*cannot be compiled\. Fix what pip reported\.$"
        assert re.search(reason, done.stdout, flags=re.M)
    line = 'build-first = ["seedpod-stone"]'
    project.edit("pyproject.toml", "[tool.sys]\n", f"{line}\n[tool.sys]\n")
    assert made(project.session("docker_wheels", **network))[0] == len(SETUPS)
    project.session("docker_prod", **network)
    assert project.python("import seedpod_arch; print(seedpod_arch.WORD)") == "stone"


@pytest.mark.proofs
@pytest.mark.usefixtures("alpine_packages")
def test_a_real_package_whose_setup_program_imports_others_is_compiled(make: Make) -> None:
    """The setup program of cython-bbox imports Cython and NumPy, and declares neither.

    It takes long, so pip's cache of compiled wheels is left to answer when this runs again.
    """
    project = make(Layout.ALPINE, kind="cli")
    project.edit(
        "pyproject.toml",
        "dependencies = [\n",
        'dependencies = [\n    "cython-bbox==0.1.5",\n    "numpy>=2",\n',
    )
    project.edit("pyproject.toml", "dev = [\n", 'dev = [\n    "cython>=3",\n')
    project.edit(
        "pyproject.toml",
        "[tool.sys]\n",
        '[tool.sys.alpine3-23.dev-dependencies]\ngcc = "*"\nmusl-dev = "*"\n\n'
        '[tool.seedpod.wheels]\nbuild-first = ["cython", "numpy"]\n'
        'no-build-isolation = ["cython-bbox"]\n\n',
    )
    project.session("lock")
    assert made(project.session("docker_wheels"))[0] == 1
    project.session("docker_prod")
    overlaps = project.python(
        "import numpy\nfrom cython_bbox import bbox_overlaps\n"
        "boxes = numpy.array([[0.0, 0.0, 9.0, 9.0]])\n"
        "print(bbox_overlaps(boxes, boxes).tolist())"
    )
    assert overlaps == "[[1.0]]"
