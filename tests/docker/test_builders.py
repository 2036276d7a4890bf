"""Builders elsewhere: a session that builds ends with its image in the engine, or says why not."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support import builder, waiting
from support.docker import Client
from support.transfer import Registry, registry
from tests.docker.projects import Made, Make, executed, free_port


@pytest.fixture(scope="module")
def store() -> Iterator[Registry]:
    """Return a registry that the builder and the engine both reach."""
    with registry() as running:
        yield running


@pytest.fixture(scope="module")
def project(make: Make) -> Iterator[Made]:
    """Return a project whose builds are made by a remote builder."""
    made = make()
    with builder.elsewhere(Client(made.variables), made.variables["PYTHON_IMAGE"]) as client:
        yield replace(made, variables=client.variables)


def image(project: Made, stage: str = "production") -> str:
    return project.docker("image", "inspect", "--format", "{{.Id}}", f"{project.name}:{stage}")


def has_containerd_store(project: Made) -> bool:
    return "io.containerd" in project.docker("info", "--format", "{{json .DriverStatus}}")


def greet(project: Made, greeting: str) -> None:
    """Let the application have another version, which its image shows."""
    source = next((project.folder / "src").glob("*/__init__.py"))
    source.write_text(source.read_text(encoding="utf-8") + f"\nGREETING = {greeting!r}\n")


def shown(project: Made, stage: str = "production") -> str:
    package = next((project.folder / "src").glob("*/__init__.py")).parent.name
    return project.python(f"import {package}; print({package}.GREETING)", stage)


def test_what_is_tagged_holds_the_last_edit(project: Made) -> None:
    """What is tagged and run is what was built last."""
    for greeting in ("first", "second"):
        greet(project, greeting)
        project.session("docker_prod")
        assert shown(project) == greeting


@pytest.mark.proofs
def test_what_is_tested_and_measured_holds_the_last_edit(project: Made) -> None:
    greet(project, "tested")
    assert "2 passed" in project.session("docker_test", "-q")
    assert shown(project, "test") == "tested"
    assert "production" in project.session("docker_size")
    assert shown(project) == "tested"


def test_what_is_pushed_is_what_is_loaded(project: Made, store: Registry) -> None:
    greet(project, "pushed")
    name = f"{store.address}/elsewhere:1"
    digest = project.session("docker_push", name).split(f"{store.address}/elsewhere@")[1][:71]
    assert shown(project) == "pushed"
    pulled = f"{store.address}/elsewhere@{digest}"
    project.docker("pull", pulled)
    try:
        layers = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")
        assert json.loads(project.docker(*layers, pulled)) == project.layers()
    finally:
        project.docker("rmi", pulled)


@pytest.mark.proofs
def test_an_emptied_builder_takes_its_layers_from_a_registry(
    project: Made, store: Registry
) -> None:
    """As on a fresh machine of a pipeline: nothing is compiled, installed or copied again."""
    if has_containerd_store(project):
        pytest.skip("the builder is this engine's own, whose cache other tests need")
    kept = f"type=registry,ref={store.address}/cache:{{stage}}"
    own = project.variables.get("BUILD_OPTIONS", "")
    options = f"{own} --cache-from={kept} --cache-to={kept},mode=max"
    greet(project, "kept")
    project.session("docker_prod", BUILD_OPTIONS=options)
    project.docker("buildx", "prune", "--all", "--force")
    assert executed(project.session("docker_prod", BUILD_OPTIONS=options)) == set()
    assert shown(project) == "kept"


@pytest.mark.proofs
def test_what_compose_builds_is_loaded(project: Made) -> None:
    """Compose's own build: its image is new whenever the container starts."""
    port = free_port()
    # BUILD_OPTIONS are for the sessions' own builds.
    override = f"services: {{{project.name}: {{build: {{network: host}}}}}}\n"
    (project.folder / "docker-compose.override.yml").write_text(override)
    try:
        project.session("up", "--detach", PORT=port)
        assert waiting.fetch(f"http://127.0.0.1:{port}/healthz", 60)
        before = image(project, "development")
        project.session("up", "poetry", "add", "six")
        project.session("up", "--detach", PORT=port)
        assert image(project, "development") != before
    finally:
        project.session("up", "down", "--volumes")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"BUILDX_BUILDER": "none-such"}, "There is no builder none-such."),
        ({"PYTHON_IMAGE": "seedpod/only-here:1"}, "it sees only registries."),
    ],
    ids=["no builder", "base image"],
)
def test_a_builder_that_cannot_build_is_explained(
    project: Made, variables: dict[str, str], problem: str
) -> None:
    assert problem in project.refused("docker_prod", **variables)


def test_an_image_for_several_platforms_is_loaded_or_it_is_said_why_not(project: Made) -> None:
    """Containerd's image store takes it; the older one has an image for one platform."""
    several = "--platform=linux/amd64,linux/arm64"
    options = f"{project.variables.get('BUILD_OPTIONS', '')} {several}"
    if has_containerd_store(project):
        greet(project, "several")
        project.session("docker_prod", BUILD_OPTIONS=options)
        assert shown(project) == "several"
    else:
        reason = "An image for several platforms cannot be loaded into this engine."
        assert reason in project.refused("docker_prod", BUILD_OPTIONS=options)
