"""Engines beside each other, engines that are too old, and many builds at a time on one engine."""

import pytest

from support import builder, engine
from tests.docker.conftest import Make


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
