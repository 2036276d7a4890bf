"""One project for two platforms whose programs both run here: amd64 and 386."""

import json
import struct
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.docker import Client
from support.images import Layout, bases
from support.paths import alone
from support.transfer import Registry
from tests.docker.declarations import declare
from tests.docker.projects import HARDENED, Made, Make, fetch
from tests.families import needed_by

# It assembles three base images; tests/unit/test_platforms.py is for every change.
pytestmark = pytest.mark.proofs
PYTHON = "3.11"
PLATFORMS = ("linux/amd64", bases.OTHER_PLATFORM)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# A package that is compiled: its wheels are for one processor each.
DECLARED = f"""
[tool.sys.debian12.dev-dependencies]
gcc = "*"
libc6-dev = "*"
"libpython{PYTHON}-dev" = "*"

[tool.seedpod.wheels]
no-binary = ["markupsafe"]

[tool.seedpod]
platforms = {json.dumps(PLATFORMS)}
"""
# A program for ARM that does nothing: nothing here can run it (elf(5)).
FOREIGN = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, 183)


@pytest.fixture(scope="module")
def base(client: Client, registry: Registry) -> str:
    """Push one base image for both platforms; return its name in the registry."""
    name = f"{registry.address}/python:{PYTHON}-slim"
    with alone("stand-in debian"), needed_by("i386"):
        images = (bases.debian_python(PYTHON, client), bases.other_platform(PYTHON, client))
    parts = [f"{name}-{number}" for number, _ in enumerate(images)]
    for image, part in zip(images, parts, strict=True):
        client.run_or_raise("No tag.", "tag", image, part)
        client.run_or_raise("No push.", "push", "--quiet", part)
        client.run_or_raise("The tag stays.", "rmi", part)
    create = ("buildx", "imagetools", "create", f"--tag={name}", *parts)
    client.run_or_raise("There is no index.", *create)
    return name


@pytest.fixture(scope="module")
def project(make: Make, base: str) -> Made:
    """Return a locked project for both."""
    made = make(Layout.DEBIAN, PYTHON, python_version=PYTHON)
    project = replace(made, variables={**made.variables, "PYTHON_IMAGE": base})
    project.edit("pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "markupsafe",\n')
    declare(project, DECLARED)
    # The other stages are measured as ever.
    for stage, budget in (("development", "450"), ("test", "248")):
        project.edit("pyproject.toml", f'{stage} = "{budget} MB"\n', "")
    project.session("lock")
    return project


def test_system_packages_are_locked_for_each(project: Made) -> None:
    project.session("sys_lock")
    lock = tomllib.loads((project.folder / "sys.lock").read_text(encoding="utf-8"))
    found = {x["architecture"]: {p["name"] for p in x["package"]} for x in lock["image"]}
    assert found.keys() == {"amd64", bases.OTHER_ARCHITECTURE}
    # The sanitizers of GCC: two of them know 64 bits only.
    assert found["amd64"] - found["i386"] >= {"liblsan0", "libtsan2"}
    assert "is out of date" not in project.session("sys_lock", "--check")


def test_wheels_are_made_for_each(project: Made) -> None:
    project.session("docker_wheels")
    made = [path.name for path in project.folder.glob(".wheels/*/markupsafe-*.whl")]
    assert sorted(name.rpartition("_")[2] for name in made) == ["64.whl", "i686.whl"]
    assert all("cp311" in name for name in made)


def architecture(project: Made, image: str) -> str:
    return project.docker("image", "inspect", "--format={{.Architecture}}", image)


def bits(project: Made, image: str, *options: str) -> str:
    """Return how wide a pointer of its Python is, and whether compiled modules are imported."""
    ask = "import markupsafe._speedups, struct; print(struct.calcsize('P') * 8)"
    run = ("run", "--rm", "--network=none", *HARDENED, *options, "--entrypoint=python3")
    return project.docker(*run, image, "-c", ask)


def test_production_is_the_engines_own_and_another_one_has_its_tag(project: Made) -> None:
    project.session("docker_prod")
    images = (f"{project.name}:production", f"{project.name}:production-386")
    assert [architecture(project, image) for image in images] == ["amd64", "386"]
    assert [bits(project, image) for image in images] == ["64", "32"]


def test_one_index_is_pushed_and_both_answer(
    project: Made, registry: Registry, served: Callable[[str, str], str]
) -> None:
    name = f"{registry.address}/several"
    output = project.session("docker_push", f"{name}:1")
    reference = (project.folder / "build/digest.txt").read_text(encoding="utf-8").strip()
    assert reference in output
    address = f"http://{registry.address}/v2/several/manifests/{reference.rpartition('@')[2]}"
    request = urllib.request.Request(address, headers={"Accept": ", ".join(INDEXES)})
    with urllib.request.urlopen(request, timeout=10) as response:
        index = json.load(response)
    # What containerd's store attests to has no platform.
    images = {f"{x['platform']['os']}/{x['platform']['architecture']}" for x in index["manifests"]}
    assert images - {"unknown/unknown"} == {*PLATFORMS}
    project.docker("rmi", f"{name}:1-amd64", f"{name}:1-386")
    for platform, width in zip(PLATFORMS, ("64", "32"), strict=True):
        project.docker("pull", f"--platform={platform}", reference)
        assert bits(project, reference, f"--platform={platform}") == width
        assert fetch(f"{served(platform, reference)}/healthz") == '{"status":"ok"}'
        project.docker("rmi", "--force", reference)


@pytest.fixture
def served(project: Made) -> Iterator[Callable[[str, str], str]]:
    """Return a function that serves an image for a platform, and returns where."""
    started: list[str] = []

    def serve(platform: str, image: str) -> str:
        options = (f"--platform={platform}", *HARDENED, "--publish=127.0.0.1::8000")
        started.append(project.docker("run", "--detach", *options, image))
        return f"http://{project.docker('port', started[-1], '8000')}"

    yield serve
    for container in started:
        project.docker("rm", "--force", container)


def test_both_are_tested(project: Made) -> None:
    output = project.session("docker_test", "-q")
    assert output.count(" passed in ") == 2
    assert output.index("Testing linux/386") < output.index("Testing linux/amd64")
    assert architecture(project, f"{project.name}:candidate") == "amd64"
    assert architecture(project, f"{project.name}:candidate-386") == "386"


def test_both_are_checked_and_measured(project: Made) -> None:
    output = project.session("sys_check")
    assert "linux/386:\n" in output
    assert "linux/amd64:\n" in output
    project.session("docker_size")
    report = json.loads((project.folder / "build/sizes.json").read_text(encoding="utf-8"))
    assert [*report][:3] == ["base linux/386", "production linux/386", "base"]
    for stage in ("production", "production linux/386"):
        assert 30e6 < report[stage]["size"] < report[stage]["budget"]
        assert report[stage]["distributions"]["MarkupSafe"] > 20_000


def test_one_machine_may_build_for_itself(project: Made) -> None:
    output = project.session("docker_prod", DOCKER_DEFAULT_PLATFORM="linux/amd64")
    assert output.count("docker build ") == 1


def test_what_cannot_run_here_is_named(project: Made, client: Client, tmp_path: Path) -> None:
    """An image for another processor, whose shell is the smallest program that it could have."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_bytes(FOREIGN.ljust(64, b"\0"))
    (tmp_path / "bin/sh").chmod(0o755)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY bin /bin\n")
    name = f"{project.name}-arm:base"
    build = ("build", "--platform=linux/arm64", "--load", f"--tag={name}", str(tmp_path))
    client.run_or_raise("There is no such image.", *build)
    try:
        options = {"PYTHON_IMAGE": name, "DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
        output = project.refused("docker_prod", **options)
    finally:
        client.run("rmi", "--force", name)
    assert "/bin/sh does not run on this machine: it is for another processor" in output


def test_a_base_image_for_one_platform_alone_is_not_tested_as_another(
    project: Made, client: Client
) -> None:
    """Builds take it for any platform, and its programs run here."""
    plain = bases.debian_python(PYTHON, client)
    name = f"{project.variables['PYTHON_IMAGE'].rpartition(':')[0]}:alone"
    client.run_or_raise("No tag.", "tag", plain, name)
    client.run_or_raise("No push.", "push", "--quiet", name)
    client.run_or_raise("The tag stays.", "rmi", name)
    output = project.refused("docker_test", PYTHON_IMAGE=name)
    assert "The image for linux/386 has programs for x86_64 with 64 bits" in output


def test_a_base_image_that_is_not_for_a_platform_is_named(project: Made) -> None:
    output = project.refused("docker_prod", DOCKER_DEFAULT_PLATFORM="linux/arm64")
    assert "The base image is not there for the platform that is built." in output
