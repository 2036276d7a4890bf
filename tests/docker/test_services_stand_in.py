"""The stand-ins for services behave as the official images do, as far as a project can tell."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from support import images
from support.docker import Client
from support.images import services
from support.paths import alone
from tests.docker.projects import wait_until
from tests.families import needed_by

PASSWORD = "not a secret"
DATABASE = (
    *("--env=POSTGRES_USER=me", f"--env=POSTGRES_PASSWORD={PASSWORD}"),
    "--env=POSTGRES_DB=app",
)
# The program that makes the application's database waits until it is told to go on.
HELD_BACK = r"""
program=$(command -v createdb)
mv "$program" /usr/local/bin/createdb.real
printf '#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.05; done\nexec createdb.real "$@"\n' \
    > "$program"
chmod +x "$program"
exec docker-entrypoint.sh postgres
"""

Start = Callable[..., str]


@pytest.fixture(scope="module")
def postgres(client: Client) -> str:
    """Return the stand-in for PostgreSQL."""
    with alone("stand-in services"), needed_by("services"):
        return images.service_stand_in("postgres", client)


@pytest.fixture(scope="module")
def redis(client: Client) -> str:
    """Return the stand-in for Redis."""
    with alone("stand-in services"), needed_by("services"):
        return images.service_stand_in("redis", client)


@pytest.fixture
def volume(client: Client) -> Iterator[str]:
    """Return a new volume."""
    name = client.run_or_raise("There is no volume.", "volume", "create")
    yield name
    client.run_or_raise("It is still in use.", "volume", "rm", name)


@pytest.fixture
def start(client: Client, volume: str) -> Iterator[Start]:
    """Start containers; they are removed at the end, before the volume that they may use."""
    started: list[str] = []

    def run(*arguments: str) -> str:
        container = client.run_or_raise("It does not start.", "run", "--detach", *arguments)
        started.append(container)
        return container

    yield run
    client.run("rm", "--force", "--volumes", *started)


def answers(client: Client, container: str, *options: str) -> bool:
    """Tell whether PostgreSQL answers inside its container, by its socket or as options say."""
    return client.run("exec", container, "pg_isready", *options).returncode == 0


def address(client: Client, container: str) -> str:
    """Return the address that a container has in the default network."""
    template = "{{.NetworkSettings.IPAddress}}"
    return client.run_or_raise("It has ended.", "inspect", f"--format={template}", container)


def ask(
    client: Client, image: str, server: str, query: str, password: str = PASSWORD
) -> subprocess.CompletedProcess[str]:
    """Send a query to PostgreSQL in the container ``server`` from another one."""
    psql = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={query}")
    where = f"host={address(client, server)} user=me dbname=app"
    run = ("run", "--rm", f"--env=PGPASSWORD={password}", image)
    return client.run(*run, *psql, where)


def stop(client: Client, container: str) -> str:
    """Stop a container and return its exit status, which is 137 if it had to be killed."""
    client.run_or_raise("It does not stop.", "stop", container)
    inspect = ("inspect", "--format={{.State.ExitCode}}", container)
    return client.run_or_raise("It is gone.", *inspect)


def test_a_database_outlives_its_container(
    client: Client, postgres: str, volume: str, start: Start
) -> None:
    mount = f"--volume={volume}:/var/lib/postgresql/data"
    first = start(*DATABASE, mount, postgres)
    wait_until(lambda: answers(client, first, "--host=localhost"))
    create = "CREATE TABLE word AS SELECT 'Grüezi' AS text"
    assert ask(client, postgres, first, create).stdout.strip() == "SELECT 1"
    assert stop(client, first) == "0"

    # The variables are for the first start alone.
    second = start(mount, postgres, "-c", "work_mem=5MB")
    wait_until(lambda: answers(client, second, "--host=localhost"))
    query = "SELECT text, current_setting('work_mem') FROM word"
    assert ask(client, postgres, second, query).stdout.strip() == "Grüezi|5MB"


def test_another_container_needs_the_password(client: Client, postgres: str, start: Start) -> None:
    server = start(*DATABASE, postgres)
    wait_until(lambda: answers(client, server, "--host=localhost"))
    query = "SELECT rolname, rolsuper, left(rolpassword, 13) FROM pg_authid WHERE oid = 10"
    assert ask(client, postgres, server, query).stdout.strip() == "me|t|SCRAM-SHA-256"
    refused = ask(client, postgres, server, query, password="another")
    assert refused.returncode != 0
    assert "password authentication failed" in refused.stderr


@pytest.mark.parametrize("options", [[], ["--env=POSTGRES_PASSWORD="]], ids=["missing", "empty"])
def test_a_database_without_a_password_is_refused(
    client: Client, postgres: str, options: list[str]
) -> None:
    done = client.run("run", "--rm", *options, postgres)
    assert done.returncode == 1
    assert "no password for its superuser. Set POSTGRES_PASSWORD to" in done.stderr
    assert done.stdout == ""


def test_no_other_container_is_answered_before_the_database_is_made(
    client: Client, postgres: str, start: Start
) -> None:
    server = start(*DATABASE, "--entrypoint=sh", postgres, "-euc", HELD_BACK)
    wait_until(lambda: answers(client, server))
    assert not answers(client, server, "--host=localhost")
    assert not answers(client, server, f"--host={address(client, server)}")
    client.run_or_raise("It has ended.", "exec", server, "touch", "/tmp/go")
    wait_until(lambda: answers(client, server, "--host=localhost"))
    assert ask(client, postgres, server, "SELECT 1").stdout.strip() == "1"


def test_redis_keeps_a_counter_that_other_containers_use(
    client: Client, redis: str, volume: str, start: Start
) -> None:
    def count(server: str) -> str:
        command = ("redis-cli", "-h", address(client, server), "INCR", "visits")
        return client.run("run", "--rm", redis, *command).stdout.strip()

    first = start(f"--volume={volume}:/data", redis)
    wait_until(lambda: count(first) == "1")
    assert count(first) == "2"
    assert stop(client, first) == "0"
    second = start(f"--volume={volume}:/data", redis, "--save", "60", "1")
    wait_until(lambda: count(second) == "3")


@pytest.mark.parametrize("service", services.VERSIONS)
def test_a_service_does_not_run_as_root(client: Client, service: str, start: Start) -> None:
    with alone("stand-in services"), needed_by("services"):
        image = images.service_stand_in(service, client)
    server = start(*DATABASE, image)
    owner = ("exec", server, "stat", "--format=%U", "/proc/1")
    wait_until(lambda: client.run(*owner).stdout.strip() == service)


def test_a_protected_redis_stays_protected(client: Client, redis: str, start: Start) -> None:
    server = start(redis, "--protected-mode", "yes")
    ping = ("redis-cli", "-h", address(client, server), "PING")
    wait_until(lambda: "DENIED" in client.run("run", "--rm", redis, *ping).stdout)
