"""Projects reach each other by name on a network that they share."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.docker.projects import Made, Make, fetch, free_port, program

pytestmark = pytest.mark.proofs

# What the overlay tells to write into .env of each project.
SETTINGS = """\
COMPOSE_FILE=docker-compose.yml:docker-compose.network.yml
SHARED_NETWORK={network}
"""


@pytest.fixture(scope="module")
def made(make: Make) -> list[Made]:
    """Return two projects with a service of the same name each."""
    return [make(services="[redis]"), make(services="[redis]")]


@pytest.fixture
def network(made: list[Made]) -> str:
    """Return a name that no network has."""
    return f"{made[0].name}-and-{made[1].name}-{os.getpid()}"


@pytest.fixture
def projects(made: list[Made], network: str) -> Iterator[list[Made]]:
    """Return the two projects, set up for one network; their containers and it are removed."""
    for project in made:
        text = SETTINGS.format(network=network)
        (project.folder / ".env").write_text(text, encoding="utf-8")
    yield [replace(one, variables={**one.variables, "PORT": free_port()}) for one in made]
    for project in made:
        project.run("docker", "compose", "down", "--volumes")
    made[0].run("docker", "network", "rm", network)


def call(caller: Made, name: str, path: str = "/", method: str = "GET") -> str:
    """Return what an application answers to a request from inside another's container."""
    request = ("python", "-c", program("request"), method, f"http://{name}:8000{path}")
    return caller.docker("compose", "exec", "-T", caller.name, *request)


def test_without_the_network_it_is_said_how_to_make_it(projects: list[Made], network: str) -> None:
    output = projects[0].refused("up", "--detach")
    assert f"The network {network}, which projects share, does not exist." in output
    assert "docker network create" in output


def test_projects_call_each_other_by_name_and_keep_their_services(
    projects: list[Made], network: str
) -> None:
    one, other = projects
    one.docker("network", "create", network)
    for project in projects:
        project.session("up", "--detach")
        assert project.name in fetch(f"http://127.0.0.1:{project.variables['PORT']}/")
    for caller, called in ((one, other), (other, one)):
        assert f'"application":"{called.name}"' in call(caller, called.name)
    # Both call their service "redis"; each has its own, and neither can be seen on the network.
    counts = [call(one, name, "/visits", "POST") for name in (one.name, one.name, other.name)]
    assert counts == ['{"visits":1}', '{"visits":2}', '{"visits":1}']
    names = "{{range .Containers}}{{println .Name}}{{end}}"
    on_it = one.docker("network", "inspect", "--format", names, network).split()
    # Compose adds the name of the project's folder, which is the same here, and a number.
    assert sorted(on_it) == sorted(f"{project.name}-{project.name}-1" for project in projects)


def test_a_network_that_is_shared_stays_when_a_project_goes(
    projects: list[Made], network: str
) -> None:
    one, other = projects
    one.docker("network", "create", network)
    for project in projects:
        project.session("up", "--detach")
    one.session("up", "down", "--volumes")
    assert one.docker("network", "ls", "--quiet", "--filter", f"name={network}")
    fetch(f"http://127.0.0.1:{other.variables['PORT']}/")
