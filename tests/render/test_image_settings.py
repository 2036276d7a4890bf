"""What a new project has in its marked lines is what its sessions would write there."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import image_settings
import pytest
import yaml

from tests.render.questions import PROJECT, TOOLS, Answers, check, choices, label, load_compose

FILES = ("Dockerfile", "docker-compose.yml")
ROWS = [
    {"kind": kind, "services": chosen, "deploy": where}
    for kind, chosen, where in product(
        choices()["kind"], ("[]", "[postgres, redis]"), choices()["deploy"]
    )
]
# With texts that Docker, compose, YAML and Python each read in their own way. None ends with a
# backslash, which hadolint 2.15 cannot read.
SETTINGS: dict[str, Any] = {
    "command": ["gunicorn", "--name=a \"b\" 'c' $D \\ ü 😀", "till.wsgi"],
    "data": ["/data", "/srv/ü up loads", "/srv/a'b\"c\\d#"],
    "environment": {"A": "\"b\" 'c' $D ${E} \\ \\$F # <<EOF ü 😀", "B": ""},
    "health": "/health?a=$b&c=%20;(d)*",
    "labels": {"org.opencontainers.image.vendor": 'We & "$you" \\.'},
    "port": 9000,
    "step": ["python3", "-m", "till"],
    "step-output": ["/srv/static"],
}


@pytest.fixture(scope="module", params=ROWS, ids=label)
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return a kind of application and the services that it uses."""
    row: Answers = request.param
    return row


@pytest.fixture
def project(copied: Path) -> Path:
    """Return a copy of the project to change, and be there."""
    return copied


def contents(project: Path) -> list[bytes]:
    """Return what is in the files with marked lines."""
    return [path.read_bytes() for path in marked(project)]


def marked(project: Path) -> list[Path]:
    """Return the files with marked lines."""
    manifests = sorted((project / "kubernetes").glob("*.yaml"))
    unmarked = {"kustomization.yaml", "service.yaml"}
    found = [path for path in manifests if path.name not in unmarked]
    return [*(project / name for name in FILES), *found]


def pattern(path: Path) -> re.Pattern[str]:
    """Return how the marked lines of a file are found."""
    is_manifest = path.parent.name == "kubernetes"
    return image_settings.IN_MANIFEST if is_manifest else image_settings.BLOCK


def test_a_new_project_has_what_is_written_for_no_settings(project: Path) -> None:
    before = contents(project)
    image_settings.check({}, PROJECT)
    image_settings.write({}, PROJECT)
    assert contents(project) == before


def test_each_file_has_one_place_for_what_is_declared(project: Path) -> None:
    for path in marked(project):
        text = path.read_text(encoding="utf-8")
        assert len(pattern(path).findall(text)) == 1, path
        assert text.count(image_settings.BEGIN) == text.count(image_settings.END) == 1, path


def test_a_project_without_its_answers_has_the_same_lines(project: Path) -> None:
    """An example that is published leaves them out, and copier lets their file have any name.

    Then compose has a server to develop.
    """
    (project / ".copier-answers.yml").unlink()
    before = contents(project)
    image_settings.write({}, PROJECT)
    assert contents(project) == before


def test_a_project_without_compose_has_the_same_dockerfile(project: Path) -> None:
    (project / "docker-compose.yml").unlink()
    before = (project / "Dockerfile").read_bytes()
    image_settings.check({}, PROJECT)
    image_settings.write({}, PROJECT)
    assert (project / "Dockerfile").read_bytes() == before


def test_a_second_time_nothing_changes_and_what_is_declared_no_more_goes(project: Path) -> None:
    original = contents(project)
    image_settings.write(SETTINGS, PROJECT)
    before = contents(project)
    assert [new for new, old in zip(before, original, strict=True) if new == old] == []
    image_settings.write(SETTINGS, PROJECT)
    image_settings.check(SETTINGS, PROJECT)
    assert contents(project) == before
    image_settings.write({}, PROJECT)
    assert contents(project) == original


def test_only_marked_lines_are_written(project: Path) -> None:
    def outside() -> list[str]:
        return [pattern(path).sub("", path.read_text(encoding="utf-8")) for path in marked(project)]

    before = outside()
    image_settings.write(SETTINGS, PROJECT)
    assert outside() == before


def test_compose_reads_what_is_declared(project: Path) -> None:
    image_settings.write(SETTINGS, PROJECT)
    services = load_compose(project / "docker-compose.yml")["services"]
    for name in (f"{PROJECT}-test", f"{PROJECT}-production"):
        assert services[name]["tmpfs"] == ["/tmp"]
        assert [mount["target"] for mount in services[name]["volumes"]] == SETTINGS["data"]
    assert [port["target"] for port in services[f"{PROJECT}-production"]["ports"]] == [9000]


@pytest.mark.parametrize("settings", [{}, SETTINGS, {"health": False}], ids=["none", "all", "off"])
def test_each_file_passes_the_checks_of_a_project(project: Path, settings: dict[str, Any]) -> None:
    image_settings.write(settings, PROJECT)
    check([str(TOOLS / "hadolint"), "Dockerfile"], project)
    check([str(TOOLS / "yamllint"), "--strict", *map(str, marked(project)[1:])], project)


def test_many_folders_pass_the_checks_of_the_project(project: Path) -> None:
    image_settings.write({"data": [f"/srv/shop/folder-{number}" for number in range(9)]}, PROJECT)
    check([str(TOOLS / "yamllint"), "--strict", "docker-compose.yml"], project)


def test_a_checkout_with_line_ends_of_windows_is_the_same(project: Path) -> None:
    image_settings.write(SETTINGS, PROJECT)
    for path in marked(project):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = contents(project)
    image_settings.check(SETTINGS, PROJECT)
    image_settings.write(SETTINGS, PROJECT)
    assert contents(project) == before
    image_settings.write({}, PROJECT)
    image_settings.check({}, PROJECT)
    assert [text for text in contents(project) if re.search(rb"(?<!\r)\n", text)] == []
    yaml.safe_load((project / "docker-compose.yml").read_bytes())


def test_what_an_image_has_is_in_the_stage_that_tests_and_production_share(project: Path) -> None:
    """Instructions below would be in one of them alone."""
    text = (project / "Dockerfile").read_text(encoding="utf-8")
    before, after = text.split(image_settings.BEGIN)
    assert re.findall(r"^FROM \S+ AS (\S+)$", before, flags=re.MULTILINE)[-1] == "shipped"
    rest = after.split("FROM shipped AS production")[1]
    assert not re.search(r"^(?:ENV|LABEL|EXPOSE|HEALTHCHECK|CMD|ENTRYPOINT)\b", rest, re.MULTILINE)
