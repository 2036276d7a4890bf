"""docker/host/behaviour.py runs copies of the production service, each with one other setting."""

from pathlib import Path
from typing import Any

import behaviour
import pytest

SERVICE = {
    "build": {"context": "."},
    "cap_drop": ["ALL"],
    "networks": {"default": None},
    "ports": [{"target": 8000}],
    "read_only": True,
    "user": "12345:0",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[project]\nname = "shop"\n', encoding="utf-8")


def copies(
    service: dict[str, Any], *, is_server: bool = True, **others: dict[str, Any]
) -> dict[str, Any]:
    """Return the services of a model in which the production service has more settings."""
    volumes = {"data": {"name": "x_data"}, "shared": {"external": True}}
    services = {"shop-production": {**SERVICE, **service}, "shop": {}, **others}
    model = {"services": services, "volumes": volumes}
    found: dict[str, Any] = behaviour.copies(model, "shop:1", is_server)["services"]
    return found


def test_copies_differ_in_one_setting_each() -> None:
    found = copies({})
    assert found.keys() == {"strict", "own", "root"}
    assert found["strict"]["user"] == "12345:0"
    assert found["own"] == {x: y for x, y in found["strict"].items() if x != "user"}
    differ = {x for x in found["root"] if found["root"][x] != found["strict"].get(x)}
    assert differ == {"user", "read_only", "environment"}
    for copy in found.values():
        assert copy["image"] == "shop:1"
        assert copy["cap_drop"] == ["ALL"]
        assert copy.keys().isdisjoint({"build", "ports", "profiles", "container_name"})


def test_only_a_program_that_needs_no_service_is_without_a_network() -> None:
    needs = {"depends_on": {"db": {"condition": "service_healthy"}}}
    assert copies({}, is_server=False)["strict"]["network_mode"] == "none"
    assert "networks" not in copies({}, is_server=False)["strict"]
    assert copies({"network_mode": "host", "networks": None}, is_server=False)
    assert "network_mode" not in copies(needs, is_server=False, db={})["strict"]
    assert "network_mode" not in copies({})["strict"]


def test_services_that_are_needed_are_there_without_what_others_would_find() -> None:
    needs = {"depends_on": {"db": {"condition": "service_healthy"}, "mail": {"required": False}}}
    db = {"image": "postgres", "ports": [{"target": 5432}], "container_name": "db"}
    assert copies(needs, db=db)["db"] == {"image": "postgres"}


def test_each_copy_has_its_own_data_unless_it_is_everybodys() -> None:
    mounts = [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "volume", "target": "/cache"},
        {"type": "volume", "source": "shared", "target": "/shared"},
        {"type": "bind", "source": "/srv", "target": "/srv"},
    ]
    found = copies({"volumes": mounts})["strict"]["volumes"]
    assert found == [{"type": "volume", "target": "/data"}, *mounts[1:]]


@pytest.mark.parametrize(
    ("own", "test", "expected"),
    [
        ({}, ["CMD", "x"], True),
        ({}, ["NONE"], False),
        ({}, None, False),
        ({"test": ["CMD", "y"]}, None, True),
        ({"test": ["NONE"]}, ["CMD", "x"], False),
        ({"disable": True}, ["CMD", "x"], False),
    ],
)
def test_the_health_check_in_force_is_the_services_or_the_images(
    own: dict[str, Any], test: list[str] | None, expected: bool
) -> None:
    config = {"Healthcheck": {"Test": test}} if test else {}
    assert behaviour.has_health({"healthcheck": own}, config) is expected


def test_a_health_check_is_asked_often_whatever_its_service_says() -> None:
    health = copies({"healthcheck": {"test": ["CMD", "y"], "interval": "60s"}})["own"][
        "healthcheck"
    ]
    assert health == {"test": ["CMD", "y"], **behaviour.OFTEN}
    assert copies({"healthcheck": {"disable": True}})["own"]["healthcheck"] == {"disable": True}


def test_only_ports_that_take_connections_count() -> None:
    config: dict[str, Any] = {"ExposedPorts": {"8000/tcp": {}, "8125/udp": {}, "9000": {}}}
    assert behaviour.tcp_ports(config) == ["8000", "9000"]


@pytest.mark.parametrize(
    ("lines", "written"),
    [
        (["C /opt", "A /opt/x"], ["/opt/x"]),
        (["C /run", "A /run/secrets", "A /run/secrets/token"], []),
        (["A /uploads", "A /tmp/x", "C /tmp"], []),
        (["C /etc", "C /etc/passwd", "D /etc/group"], ["/etc/passwd", "/etc/group"]),
        (["A /uploads2"], ["/uploads2"]),
    ],
)
def test_what_is_mounted_is_not_what_was_written(
    lines: list[str], written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "Mounts": '[{"Destination": "/run/secrets/token"}, {"Destination": "/uploads"}]',
        "HostConfig.Tmpfs": "null",
    }

    def docker(command: str, *words: str) -> str:
        if command == "diff":
            return "\n".join(lines)
        return next(answer for field, answer in answers.items() if f".{field}}}}}" in words[0])

    monkeypatch.setattr(behaviour, "docker", docker)
    assert [x.subject for x in behaviour._written("container")] == written
