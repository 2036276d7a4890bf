"""Development in containers: compose files, settings, nox and editors speak of the same things."""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from engine import BUILD_ARGUMENTS

from tests.conftest import git
from tests.render.questions import PACKAGE, PROJECT, Answers, choices, label, load_compose, services

# For production while it is tested.
SET_BY_A_SESSION = "${CANDIDATE_TAG:-production}"
OWN = [PROJECT, f"{PROJECT}-test", f"{PROJECT}-production"]
ROWS = [
    {"kind": kind, "services": chosen}
    for kind, chosen in product(choices()["kind"], choices()["services"])
]


@pytest.fixture(scope="module", params=ROWS, ids=label)
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return a kind of application and the services that it uses."""
    row: Answers = request.param
    return row


@pytest.fixture(scope="module")
def project(made: Path) -> Path:
    """Return the project made from ``answers``; no test changes it."""
    return made


@pytest.fixture(scope="module")
def compose(project: Path) -> dict[str, Any]:
    """Return what the project's compose file says, overlays left out."""
    return load_compose(project / "docker-compose.yml")


def overlay(project: Path, name: str) -> dict[str, Any]:
    """Return what an overlay says of the application's service."""
    service: dict[str, Any] = load_compose(project / f"docker-compose.{name}.yml")["services"][
        PROJECT
    ]
    return service


def document(path: Path) -> dict[str, Any]:
    """Return what a file in JSON says."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_a_plain_up_starts_the_application_and_what_it_uses(
    compose: dict[str, Any], answers: Answers
) -> None:
    started = {name for name, own in compose["services"].items() if "profiles" not in own}
    assert started == {PROJECT, *services(answers)}
    assert compose["services"].keys() == {*OWN, *services(answers)}


def test_a_service_is_pinned_and_checked_and_keeps_its_data_under_a_name(
    compose: dict[str, Any], answers: Answers
) -> None:
    """No volume is anonymous, and none is declared that nothing uses."""
    volumes = []
    for name in services(answers):
        service = compose["services"][name]
        pinned = rf"\$\{{{name.upper()}_IMAGE:-{name}:\d+(\.\d+)+\}}"
        assert re.fullmatch(pinned, service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"
        volumes += [volume.partition(":")[0] for volume in service["volumes"]]
    assert sorted(volumes) == sorted(compose.get("volumes", {}))
    assert len(volumes) == len(services(answers))


@pytest.mark.parametrize("own", OWN)
def test_the_application_starts_after_its_services_are_healthy(
    compose: dict[str, Any], answers: Answers, own: str
) -> None:
    healthy = {name: {"condition": "service_healthy"} for name in services(answers)}
    assert compose["services"][own].get("depends_on", {}) == healthy


def addresses(compose: dict[str, Any], own: str) -> dict[str, str]:
    """Return the variables that have the application's prefix, as compose sets them."""
    variables = compose["services"][own].get("environment", {})
    return {name: url for name, url in variables.items() if name.startswith(PACKAGE.upper())}


@pytest.mark.parametrize("own", OWN)
def test_the_application_is_told_each_service_by_its_name(
    compose: dict[str, Any], answers: Answers, own: str
) -> None:
    found = addresses(compose, own)
    assert {urlsplit(url).hostname for url in found.values()} == set(services(answers))
    assert len(found) == len(services(answers))


def test_the_settings_of_the_application_are_those_that_compose_sets(
    project: Path, compose: dict[str, Any], answers: Answers
) -> None:
    if not services(answers):
        assert not list((project / "src").rglob("settings.py"))
        return
    source = (project / "src" / PACKAGE / "settings.py").read_text(encoding="utf-8")
    [prefix] = re.findall(r'env_prefix="(\w+)"', source)
    [settings] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    fields = [ast.unparse(node.target) for node in settings.body if isinstance(node, ast.AnnAssign)]
    assert {prefix + field.upper() for field in fields} == addresses(compose, PROJECT).keys()


def test_a_test_that_needs_a_service_asks_for_the_variable_that_compose_sets(
    project: Path, compose: dict[str, Any]
) -> None:
    """It is skipped where the variable is missing: a wrong name would skip it everywhere."""
    [path] = project.glob("tests/test_*.py")
    asked = re.findall(r'"(\w+)" not in os\.environ', path.read_text(encoding="utf-8"))
    assert sorted(asked) == sorted(addresses(compose, f"{PROJECT}-test"))


@pytest.mark.parametrize("own", OWN)
def test_compose_builds_as_nox_does(project: Path, compose: dict[str, Any], own: str) -> None:
    """The same stages under the same tags, with the same arguments and secrets."""
    service = compose["services"][own]
    stage = service["image"].removeprefix(f"{PROJECT}:").replace(SET_BY_A_SESSION, "production")
    assert own == (PROJECT if stage == "development" else f"{PROJECT}-{stage}")
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM .* AS (\S+)$", dockerfile, flags=re.MULTILINE)
    # Without a target the last stage is built.
    assert service["build"].get("target", stages[-1]) == stage
    assert service["build"]["args"].keys() == set(BUILD_ARGUMENTS)
    secrets = set(re.findall(r"--mount=type=secret,id=(\S+)", dockerfile))
    assert set(service["build"]["secrets"]) == secrets == compose["secrets"].keys()


@pytest.mark.parametrize("own", OWN)
def test_what_is_outside_of_the_project_reaches_a_build_of_compose(
    project: Path, compose: dict[str, Any], own: str
) -> None:
    """By the variables that a session sets; without them there is nothing outside."""
    build = compose["services"][own]["build"]
    assert build["additional_contexts"] == {"local": "${LOCAL_CONTEXT:-docker-image://scratch}"}
    assert build["args"]["PROJECT_FOLDER"] is None
    engine = (project / "docker/host/engine.py").read_text(encoding="utf-8")
    assert re.search(r"\bLOCAL_CONTEXT=.*\bPROJECT_FOLDER=", engine)
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    assert "FROM scratch AS local\n" in dockerfile
    assert re.search(r"--mount=type=bind,from=local\b", dockerfile)


@pytest.mark.parametrize("own", [f"{PROJECT}-test", f"{PROJECT}-production"])
def test_production_and_tests_run_as_in_a_cluster_that_allows_little(
    compose: dict[str, Any], own: str
) -> None:
    service = compose["services"][own]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert service["tmpfs"] == ["/tmp"]
    assert service["volumes"] == []
    assert not service.keys() & {"cap_add", "privileged", "secrets"}


def test_the_mounts_of_compose_exist_and_do_not_hide_the_environment(
    project: Path, compose: dict[str, Any]
) -> None:
    volumes = compose["services"][PROJECT]["volumes"]
    assert volumes
    for volume in volumes:
        assert volume["type"] == "bind"
        assert (project / volume["source"]).is_dir()
        assert not Path("/opt/venv").is_relative_to(volume["target"])
        assert not volume["target"].startswith("/opt")


def host_of(port: str | dict[str, Any]) -> str:
    """Return the address at which a port is published, written in either way."""
    host: str = port["host_ip"] if isinstance(port, dict) else port.split(":")[0]
    return host


def test_nothing_is_published_beyond_this_machine(project: Path, answers: Answers) -> None:
    """Nor any port of a service: other projects on this machine have services, too."""
    ports = [
        (name, port)
        for path in project.glob("docker-compose*.yml")
        for name, service in load_compose(path)["services"].items()
        for port in service.get("ports", [])
    ]
    assert ports
    assert {host_of(port) for _, port in ports} == {"127.0.0.1"}
    assert not {name for name, _ in ports} & {*services(answers)}


@pytest.mark.parametrize("name", ["debug", "network", "watch"])
def test_an_overlay_changes_the_application_that_is_developed(project: Path, name: str) -> None:
    document = load_compose(project / f"docker-compose.{name}.yml")
    assert document["services"].keys() == {PROJECT}


def test_watching_copies_to_where_the_project_would_be_mounted(
    project: Path, compose: dict[str, Any]
) -> None:
    service = overlay(project, "watch")
    assert service["volumes"] is None
    [mount] = compose["services"][PROJECT]["volumes"]
    rules = service["develop"]["watch"]
    for rule in rules:
        if rule["action"] == "sync":
            assert (project / rule["path"]).is_dir()
            assert rule["target"] == f"{mount['target']}/{rule['path']}"
    assert "poetry.lock" in [rule["path"] for rule in rules if rule["action"] == "rebuild"]


def test_projects_share_a_network_that_none_of_them_owns(project: Path) -> None:
    """An application keeps its own network, on which its services are."""
    document = load_compose(project / "docker-compose.network.yml")
    [(shared, network)] = document["networks"].items()
    assert network["external"] is True
    assert document["services"][PROJECT]["networks"] == ["default", shared]


def published(project: Path) -> tuple[int, int]:
    """Return the debugger's port on this machine and in the container."""
    [port] = overlay(project, "debug")["ports"]
    found = re.fullmatch(r"127\.0\.0\.1:\$\{DEBUG_PORT:-(\d+)\}:(\d+)", port)
    assert found
    return int(found[1]), int(found[2])


def test_the_debugger_listens_where_its_port_is_published(project: Path, answers: Answers) -> None:
    words = overlay(project, "debug")["command"].split()
    assert words[words.index("--listen") + 1] == f"0.0.0.0:{published(project)[1]}"
    assert words[-2:] == ["-m", PACKAGE]
    # A command would have ended before anybody attaches; a service waits if it is told to.
    waits = {"cli": "--wait-for-client", "web": "${DEBUG_WAIT:+--wait-for-client}"}
    assert waits[answers["kind"]] in words


def test_the_debugger_is_in_the_development_image_alone(project: Path) -> None:
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    groups = pyproject["dependency-groups"]
    assert [entry for entry in groups["dev"] if entry.startswith("debugpy")]
    assert not [entry for entry in pyproject["project"]["dependencies"] if "debugpy" in entry]


def test_a_password_that_everybody_knows_is_for_compose_alone(project: Path) -> None:
    """What runs elsewhere has none by default: it says what is missing, or names a secret."""
    known = re.compile(r"POSTGRES_PASSWORD|://[^/\s@]+:[^/\s@]+@")
    # "docker/" of a project has programs and what they are told.
    for name in ("Dockerfile", "docker", "kubernetes", "pyproject.toml", "src"):
        for path in (project / name, *(project / name).rglob("*")):
            if path.is_file():
                assert not known.search(path.read_text(encoding="utf-8")), path


def test_vs_code_attaches_where_the_debugger_listens(
    project: Path, compose: dict[str, Any]
) -> None:
    launch = document(project / ".vscode/launch.json")
    [attach] = [one for one in launch["configurations"] if one["request"] == "attach"]
    assert attach["connect"] == {"host": "127.0.0.1", "port": published(project)[0]}
    [mount] = compose["services"][PROJECT]["volumes"]
    mapping = {"localRoot": "${workspaceFolder}", "remoteRoot": mount["target"]}
    assert attach["pathMappings"] == [mapping]


def test_vs_code_runs_the_package(project: Path) -> None:
    launch = document(project / ".vscode/launch.json")
    assert [one["module"] for one in launch["configurations"] if one["request"] == "launch"] == [
        PACKAGE
    ]


def test_the_dev_container_is_the_service_of_compose(
    project: Path, compose: dict[str, Any]
) -> None:
    settings = document(project / ".devcontainer/devcontainer.json")
    named = project / ".devcontainer" / settings["dockerComposeFile"]
    assert named.resolve() == project / "docker-compose.yml"
    service = compose["services"][settings["service"]]
    assert service["build"]["target"] == "development"
    assert settings["workspaceFolder"] in [volume["target"] for volume in service["volumes"]]
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    assert f'echo "{settings["remoteUser"]}:x:${{HOST_UID}}:${{HOST_GID}}:' in dockerfile
    [environment] = set(re.findall(r"VIRTUAL_ENV=(\S+)", dockerfile))
    interpreter = settings["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == f"{environment}/bin/python"


OWNER = f"HOST_UID={os.getuid()}\nHOST_GID={os.getgid()}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, OWNER),
        ("PORT=8001\n", f"PORT=8001\n{OWNER}"),
        ("PORT=8001", f"PORT=8001\n{OWNER}"),
        ("HOST_UID=7\nHOST_GID=7\n", "HOST_UID=7\nHOST_GID=7\n"),
    ],
    ids=["no .env", "another setting", "no last newline", "owner is set"],
)
def test_the_dev_container_writes_down_once_who_owns_the_files(
    project: Path, tmp_path: Path, before: str | None, after: str
) -> None:
    """Compose does not know it, and an editor does not run nox."""
    command = document(project / ".devcontainer/devcontainer.json")["initializeCommand"]
    settings = tmp_path / ".env"
    if before is not None:
        settings.write_text(before)
    for _ in range(2):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert [line for line in settings.read_text().splitlines() if line] == after.splitlines()


def example(project: Path) -> str:
    """Return the text of the example of .env."""
    return (project / ".env.example").read_text(encoding="utf-8")


def compose_texts(project: Path) -> str:
    """Return the text of all compose files."""
    paths = sorted(project.glob("docker-compose*.yml"))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def closed_network_settings(project: Path) -> set[str]:
    """Return the variables that the README explains for closed networks."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Closed networks\n")[1].split("\n## ")[0]
    return set(re.findall(r"`([A-Z][A-Z_]+)`", section))


def named_in_the_example(project: Path) -> set[str]:
    """Return the variables that the example of .env names, also those commented out."""
    return set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", example(project), flags=re.MULTILINE))


def passed_on(node: dict[str, Any]) -> Iterator[str]:
    """Yield the variables that compose takes from the environment as they are, if they are set."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from passed_on(value)
        elif value is None:
            yield name


def test_the_example_of_settings_names_what_compose_reads_and_nothing_else(
    project: Path, compose: dict[str, Any]
) -> None:
    """Every variable of every compose file, also where its line is commented out.

    The settings of closed networks may be left out: the README explains them, most are those of
    other tools, and nox passes them on. What compose reads beside its files is COMPOSE_FILE, and
    the application has settings of its own.
    """
    named = named_in_the_example(project)
    read = set(re.findall(r"\$\{([A-Z][A-Z_]+)", compose_texts(project)))
    read |= {"COMPOSE_FILE", *addresses(compose, PROJECT)}
    assert not read - closed_network_settings(project) - named - {"CANDIDATE_TAG"}
    assert not named - read - {*passed_on(compose["services"])}


def test_what_compose_only_passes_on_is_explained(project: Path, compose: dict[str, Any]) -> None:
    """For closed networks, or in the example of .env."""
    # Some are for programs that know them in lower case alone.
    found = {name.upper() for name in passed_on(compose["services"])}
    assert found
    assert found <= closed_network_settings(project) | named_in_the_example(project)


def test_the_example_of_settings_changes_nothing_as_it_is(project: Path) -> None:
    """What it sets is what compose falls back to."""
    pattern = r"^(?:# (?=HOST_))?([A-Z_]+)=(.*)$"
    settings = re.findall(pattern, example(project), flags=re.MULTILINE)
    assert settings
    for name, value in settings:
        defaults = set(re.findall(rf"\$\{{{name}:-([^}}]*)\}}", compose_texts(project)))
        assert defaults == {value}, name


def test_the_example_of_settings_names_files_that_exist(project: Path) -> None:
    """Each combination begins with the file that the others change."""
    combinations = re.findall(r"^# COMPOSE_FILE=(\S+)$", example(project), flags=re.MULTILINE)
    files = [combination.split(":") for combination in combinations]
    assert {names[0] for names in files} == {"docker-compose.yml"}
    overlays = {path.name for path in project.glob("docker-compose.*.yml")}
    assert {name for names in files for name in names[1:]} == overlays


def test_settings_of_a_machine_reach_no_repository_and_no_build(
    project: Path,
    tmp_path: Path,
    isolated: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    isolated(monkeypatch)
    git(tmp_path, "init", "--quiet")
    shutil.copy(project / ".gitignore", tmp_path)
    for name in (".env", ".env.example", "pip.env"):
        (tmp_path / name).touch()
    git(tmp_path, "add", "--all")
    assert git(tmp_path, "ls-files").split() == [".env.example", ".gitignore"]
    dockerignore = (project / ".dockerignore").read_text(encoding="utf-8")
    assert "env" not in dockerignore
