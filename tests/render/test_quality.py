"""A new project is clean: every file parses and passes the checks of the project itself."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.render.conftest import TOOLS, check, load_compose


def test_every_python_file_is_one_for_the_chosen_version(
    project: Path, answers: dict[str, str]
) -> None:
    version = int(answers["python_version"].split(".")[1])
    paths = list(project.rglob("*.py"))
    assert paths
    for path in paths:
        # The programs in docker/ and the noxfile are for any Python from 3.11 on.
        own = path.relative_to(project).parts[0] in ("src", "tests")
        source = path.read_text(encoding="utf-8")
        ast.parse(source, path.name, feature_version=(3, version if own else 11))
        compile(source, path.name, "exec")


PARSERS: dict[str, Callable[[Path], Any]] = {
    "*.json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    "*.toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    "*.yaml": lambda path: yaml.safe_load(path.read_text(encoding="utf-8")),
    "*.yml": load_compose,
}


@pytest.mark.parametrize("pattern", PARSERS)
def test_every_json_toml_and_yaml_file_parses(project: Path, pattern: str) -> None:
    paths = list(project.rglob(pattern))
    assert paths
    for path in paths:
        assert isinstance(PARSERS[pattern](path), dict), path.name


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_it_passes_its_own_style(project: Path, arguments: list[str]) -> None:
    check([str(TOOLS / "ruff"), *arguments, "--no-cache", "."], project)


def test_the_command_is_what_the_image_starts(project: Path) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [(command, target)] = metadata["scripts"].items()
    module, function = target.split(":")
    source = project / "src" / f"{module.replace('.', '/')}.py"
    nodes = ast.parse(source.read_text(encoding="utf-8")).body
    assert function in [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    assert f'ENTRYPOINT ["{command}"]' in dockerfile


def test_it_declares_the_packages_that_it_imports_and_no_others(project: Path) -> None:
    """But for pydantic, which is what FastAPI and pydantic-settings are made with."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    imported = set()
    for path in project.glob("src/myapp/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    others = imported - {*sys.stdlib_module_names, "myapp", "pydantic"}
    names = {Requirement(line).name.replace("-", "_") for line in declared["dependencies"]}
    assert names == others


def test_each_stage_with_a_budget_is_in_the_dockerfile(project: Path) -> None:
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    for stage in ("base", *pyproject["tool"]["seedpod"]["size"]):
        assert f" AS {stage}\n" in dockerfile


def test_every_file_that_the_dockerfile_copies_gets_past_dockerignore(project: Path) -> None:
    """The allow-list names folders and files; a copied path is one of them or lies below one."""
    lines = (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:].rstrip("/") for line in lines if line.startswith("!")]
    for line in (project / "Dockerfile").read_text(encoding="utf-8").splitlines():
        words = [word for word in line.split() if not word.startswith("--")]
        if words[:1] == ["COPY"] and "--from=" not in line:
            for source in words[1:-1]:
                name = source.replace("[", "").replace("]", "").split("/")[0]
                assert name in allowed, line


def test_every_program_in_the_image_has_the_modules_that_it_imports(project: Path) -> None:
    """A stage gets the programs that it runs, and an edit of another one does not rebuild it."""
    modules = {path.stem for path in project.glob("docker/*.py")}
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    instructions = [line for line in dockerfile.splitlines() if line.startswith("COPY docker/")]
    assert instructions
    for instruction in instructions:
        copied = {Path(word).stem for word in instruction.split() if word.endswith(".py")}
        for name in copied:
            source = (project / "docker" / f"{name}.py").read_text(encoding="utf-8")
            imported = re.findall(r"^\s*(?:import|from) (\w+)", source, flags=re.MULTILINE)
            assert modules.intersection(imported) <= copied, instruction
