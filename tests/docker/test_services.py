"""A project with services: they are up before it, and it uses them by their names."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.docker.projects import Made, Make, fetch

# Compose reads this file by itself.
OVERRIDE = "docker-compose.override.yml"
SLEEP = 4
SLOW_REDIS = f"""
services:
  redis:
    entrypoint: ["sh", "-c", "sleep {SLEEP + 1} && exec redis-server --protected-mode no"]
"""
DEAD_REDIS = """
services:
  redis:
    entrypoint: ["sleep", "60"]
    healthcheck:
      retries: 1
"""


@pytest.fixture(scope="module")
def built_shop(make: Make) -> Made:
    """Return a project with both services."""
    return make(services="[postgres, redis]")


@pytest.fixture
def shop(built_shop: Made) -> Iterator[Made]:
    """Return the project with both services; its containers and their data are removed."""
    yield built_shop
    (built_shop.folder / OVERRIDE).unlink(missing_ok=True)
    built_shop.run("docker", "compose", "down", "--volumes")


def post(address: str, **values: str) -> str:
    """Send an object and return what is answered."""
    request = urllib.request.Request(
        address, json.dumps(values).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read().decode())


def up(project: Made, port: str) -> str:
    """Start the project with compose alone and return its address."""
    done = project.run("docker", "compose", "up", "--detach", PORT=port)
    assert done.returncode == 0, done.stdout
    address = f"http://127.0.0.1:{port}"
    fetch(f"{address}/healthz")
    return address


def started(project: Made, service: str) -> datetime:
    """Return when a service's container was started."""
    container = project.run("docker", "compose", "ps", "--quiet", service).stdout.strip()
    moment = project.docker("inspect", "--format", "{{.State.StartedAt}}", container)
    # The engine counts nanoseconds.
    return datetime.fromisoformat(moment.partition(".")[0])


def test_a_request_writes_and_reads_both_services(shop: Made, port: str) -> None:
    address = up(shop, port)
    post(f"{address}/notes", text="Grüße")
    post(f"{address}/notes", text="日本")
    assert json.loads(fetch(f"{address}/notes")) == [{"text": "日本"}, {"text": "Grüße"}]
    assert json.loads(post(f"{address}/visits")) == {"visits": 1}
    assert json.loads(post(f"{address}/visits")) == {"visits": 2}


@pytest.mark.proofs
def test_data_outlives_the_containers_until_it_is_removed(shop: Made, port: str) -> None:
    address = up(shop, port)
    post(f"{address}/notes", text="kept")
    shop.session("up", "down")
    assert json.loads(fetch(f"{up(shop, port)}/notes")) == [{"text": "kept"}]
    shop.session("up", "down", "--volumes")
    assert json.loads(fetch(f"{up(shop, port)}/notes")) == []


def test_the_application_starts_after_its_services_are_healthy(shop: Made, port: str) -> None:
    (shop.folder / OVERRIDE).write_text(SLOW_REDIS)
    up(shop, port)
    assert started(shop, shop.name) - started(shop, "redis") >= timedelta(seconds=SLEEP)


def test_the_application_does_not_start_beside_a_service_that_is_not_ready(
    shop: Made, port: str
) -> None:
    (shop.folder / OVERRIDE).write_text(DEAD_REDIS)
    output = shop.refused("up", "--detach", PORT=port)
    assert "The service redis does not become ready. Start only it" in output
    running = shop.run("docker", "compose", "ps", "--services", "--status=running").stdout
    assert shop.name not in running.split()


def test_the_tests_run_beside_services_of_their_own(shop: Made, port: str) -> None:
    """What development keeps is neither seen nor changed, and nothing is left."""
    address = up(shop, port)
    post(f"{address}/notes", text="development")
    output = shop.session("docker_test")
    assert "4 passed" in output
    assert "skipped" not in output
    assert json.loads(fetch(f"{address}/notes")) == [{"text": "development"}]
    for command in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        assert f"{shop.name}-test" not in shop.docker(*command)


@pytest.mark.proofs
def test_a_command_uses_them_in_production_too(make: Make) -> None:
    project = make(kind="cli", services="[postgres, redis]")
    output = project.session("docker_run", "--note", "remember", "--count")
    assert "Hello, world!\nremember\nGreetings so far: 1\n" in output
    assert "4 passed" in project.session("docker_test")
