"""What compose makes of the files, for every project and with every overlay; nothing is built."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, meta

from support.docker import Client

TEMPLATE = Path(__file__).resolve().parent.parent.parent / "template"
KINDS = ("web", "cli")
SERVICES = ("[]", "[postgres]", "[redis]", "[postgres, redis]")
# Each overlay alone, and all of them at once.
OVERLAYS = ((), ("debug",), ("network",), ("watch",), ("debug", "network", "watch"))
PROFILES = ("--profile=test", "--profile=production")
KEYS = {"networks", "secrets", "services", "volumes"}

Document = dict[str, Any]


@dataclass(frozen=True)
class Composed:
    """A project, and what compose reads from its files."""

    folder: Path
    overlays: tuple[str, ...]
    document: Document

    @property
    def services(self) -> dict[str, Document]:
        """Return all services by name."""
        services: dict[str, Document] = self.document["services"]
        return services

    @property
    def application(self) -> Document:
        """Return the service in which the project is developed."""
        return self.services[self.folder.name]

    @property
    def foreign(self) -> dict[str, Document]:
        """Return the services whose images are not built here."""
        return {name: entry for name, entry in self.services.items() if "build" not in entry}


Read = Callable[..., Document]


@pytest.fixture(scope="session")
def read(client: Client) -> Read:
    """Return a function that has compose read a project's files, without a word of complaint."""
    # None of the variables that the files name is set: only what finds compose itself.
    needed = ("DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME", "PATH")
    variables = {name: value for name, value in client.environment().items() if name in needed}

    def read(folder: Path, overlays: tuple[str, ...], *options: str) -> Document:
        files = ["docker-compose.yml", *(f"docker-compose.{name}.yml" for name in overlays)]
        done = subprocess.run(
            ["docker", "compose", *options, "config", "--format=json"],
            cwd=folder,
            env={**variables, "COMPOSE_FILE": ":".join(files)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        document: Document = json.loads(done.stdout)
        return document

    return read


@pytest.fixture(scope="module", params=product(KINDS, SERVICES), ids="-".join)
def folder(
    request: pytest.FixtureRequest,
    draft: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Go through the projects whose compose files differ; no test changes them."""
    kind, services = request.param
    return draft(tmp_path_factory.mktemp("projects") / "shop", kind=kind, services=services)


@pytest.fixture(
    scope="module", params=OVERLAYS, ids=lambda overlays: "+".join(overlays) or "no overlay"
)
def composed(request: pytest.FixtureRequest, folder: Path, read: Read) -> Composed:
    """Go through the overlays; the services of all profiles are there."""
    return Composed(folder, request.param, read(folder, request.param, *PROFILES))


def is_web(composed: Composed) -> bool:
    return any((composed.folder / "src").glob("*/app.py"))


def mounts(composed: Composed) -> Iterator[Document]:
    for service in composed.services.values():
        yield from service.get("volumes", [])


def test_no_other_answer_changes_these_files() -> None:
    """The names aside, and these are quoted where they could mean something else in YAML."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    for path in TEMPLATE.glob("docker-compose*"):
        tree = environment.parse(path.read_text(encoding="utf-8"))
        answers = meta.find_undeclared_variables(tree)
        assert answers <= {"kind", "services", "project_name", "package_name"}, path.name


@pytest.mark.parametrize("name", ["null", "on"])
def test_a_name_is_text_whatever_it_means_in_yaml(
    draft: Callable[..., Path], read: Read, tmp_path: Path, name: str
) -> None:
    folder = draft(tmp_path / name, services="[postgres, redis]")
    for overlays in OVERLAYS[:-1]:
        services = read(folder, overlays, *PROFILES)["services"]
        assert set(services) == {name, f"{name}-test", f"{name}-production", "postgres", "redis"}


def test_compose_has_nothing_to_say_about_the_files(composed: Composed, read: Read) -> None:
    """With the profiles this was so when ``composed`` was made."""
    names = set(read(composed.folder, composed.overlays)["services"])
    assert names == {composed.folder.name, *composed.foreign}


def test_compose_has_nothing_to_say_about_the_example_of_settings(
    folder: Path, read: Read, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "shop")
    shutil.copy(copied / ".env.example", copied / ".env")
    # It has the defaults, so it changes nothing.
    expected = json.dumps(read(folder, OVERLAYS[-1], *PROFILES))
    assert read(copied, OVERLAYS[-1], *PROFILES) == json.loads(
        expected.replace(str(folder), str(copied))
    )


def test_no_key_is_obsolete(folder: Path) -> None:
    """Compose itself says so of ``version`` since 2.25 only."""
    paths = list(folder.glob("docker-compose*.yml"))
    assert len(paths) == 4
    for path in paths:
        keys = re.findall(r"^([\w-]+):", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert {key for key in keys if not key.startswith("x-")} <= KEYS, path.name


def test_no_volume_is_anonymous(composed: Composed) -> None:
    """An anonymous volume hides what the image has, and outlives its container."""
    declared = composed.document.get("volumes", {})
    kept = [mount for mount in mounts(composed) if mount["type"] == "volume"]
    assert [mount.get("source") for mount in kept] == list(declared)
    assert not any(volume.get("external") for volume in declared.values())


def test_a_mount_is_the_project_itself(composed: Composed) -> None:
    """No other folder of the host, which may not be there or belong to root."""
    bound = [mount for mount in mounts(composed) if mount["type"] != "volume"]
    expected = [] if "watch" in composed.overlays else [("bind", str(composed.folder), "/app")]
    assert [(mount["type"], mount["source"], mount["target"]) for mount in bound] == expected


def test_the_image_of_a_service_has_a_version(composed: Composed) -> None:
    for name, service in composed.foreign.items():
        assert re.fullmatch(rf"{name}:\d+\.\d+[\w.-]*", service["image"])


def test_a_port_is_published_to_this_machine_alone(composed: Composed) -> None:
    """Docker opens what it publishes past a firewall."""
    ports = [port for service in composed.services.values() for port in service.get("ports", [])]
    assert bool(ports) == (is_web(composed) or "debug" in composed.overlays)
    assert {port.get("host_ip") for port in ports} <= {"127.0.0.1"}


def test_what_others_depend_on_has_a_health_check(composed: Composed) -> None:
    for name, service in composed.services.items():
        needed = service.get("depends_on", {})
        assert set(needed) == (set() if name in composed.foreign else set(composed.foreign))
        for other, dependency in needed.items():
            assert dependency["condition"] == "service_healthy"
            assert composed.services[other]["healthcheck"]["test"][0] == "CMD"


def test_only_the_application_is_on_the_shared_network(composed: Composed) -> None:
    on_it = [name for name, service in composed.services.items() if "shared" in service["networks"]]
    assert on_it == ([composed.folder.name] if "network" in composed.overlays else [])
    assert all("default" in service["networks"] for service in composed.services.values())


def test_the_debugger_is_there_on_request_alone(composed: Composed) -> None:
    """A command would have ended before a debugger attaches: it waits for one."""
    command = composed.application["command"]
    assert ("debugpy" in command) == ("debug" in composed.overlays)
    waits = "debug" in composed.overlays and not is_web(composed)
    assert ("--wait-for-client" in command) == waits


def test_what_is_watched_exists(composed: Composed) -> None:
    rules = composed.application.get("develop", {}).get("watch", [])
    assert bool(rules) == ("watch" in composed.overlays)
    # The lock file is written before the first start.
    for path in {rule["path"] for rule in rules} - {str(composed.folder / "poetry.lock")}:
        assert Path(path).is_dir()
        assert Path(path).parent == composed.folder
