"""A new project is clean: every file parses and passes the checks of the project itself."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.render.questions import TOOLS, check, load_compose


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
    # A program that nobody develops has none for editors.
    assert paths or pattern == "*.json"
    for path in paths:
        assert isinstance(PARSERS[pattern](path), dict), path.name


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_it_passes_its_own_style(project: Path, arguments: list[str]) -> None:
    check([str(TOOLS / "ruff"), *arguments, "--no-cache", "."], project)


def test_the_command_is_what_the_image_starts(project: Path, answers: dict[str, str]) -> None:
    """A server is one of several that it is good for; a command gets the arguments."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [(command, target)] = metadata["scripts"].items()
    module, function = target.split(":")
    source = project / "src" / f"{module.replace('.', '/')}.py"
    nodes = ast.parse(source.read_text(encoding="utf-8")).body
    assert function in [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    block = dockerfile.split("# [tool.seedpod.image]")[1].split("# End of ")[0]
    lines = [line for line in block.splitlines() if line.startswith(("CMD", "ENTRYPOINT"))]
    assert (
        lines
        == {
            "web": ["ENTRYPOINT []", f'CMD ["{command}"]'],
            "cli": [f'ENTRYPOINT ["{command}"]'],
        }[answers["kind"]]
    )


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["--port", "1"], 2), (["alembic"], 2)]
)
def test_a_server_takes_no_arguments_and_says_so(
    project: Path, answers: dict[str, str], tmp_path: Path, arguments: list[str], status: int
) -> None:
    """Else it would serve, and whoever gave them would think that they had been heard."""
    if answers["kind"] != "web":
        return
    # A stand-in, which cannot serve.
    (tmp_path / "uvicorn.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-m", "myapp", *arguments],
        env={"PYTHONPATH": os.pathsep.join(map(str, (project / "src", tmp_path)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status
    assert "usage: myapp [-h]" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_tests_have_neither_the_entry_point_nor_the_health_check_of_production(
    project: Path,
) -> None:
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    [stage] = re.findall(
        r"^FROM shipped AS test\n(.*?)^FROM ", dockerfile, re.MULTILINE | re.DOTALL
    )
    assert {"ENTRYPOINT []", "HEALTHCHECK NONE", 'CMD ["pytest"]'} <= {*stage.splitlines()}


def test_production_is_the_last_stage_and_has_nothing_that_tests_have_not(project: Path) -> None:
    """So that tests see what an owner declares."""
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    last = dockerfile.split("FROM shipped AS production\n")[1].splitlines()
    assert last == ["USER 65532:65532"]


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


def test_every_file_that_the_dockerfile_reads_gets_past_dockerignore(project: Path) -> None:
    """Copied or mounted: the allow-list names it or a folder above it."""
    lines = (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:].rstrip("/") for line in lines if line.startswith("!")]
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    sources = [
        source
        for line in re.findall(r"^COPY (?!.*--from=)(.*)$", dockerfile, flags=re.MULTILINE)
        for source in line.split()[:-1]
        if not source.startswith("--")
    ]
    sources += re.findall(r"--mount=type=bind,source=([^,\s]+)", dockerfile)
    assert len(sources) > 10
    for source in sources:
        path = PurePosixPath(re.sub(r"\[(.)\]", r"\1", source))
        assert any(x.match(name) for x in (path, *path.parents) for name in allowed), source


def test_a_step_has_the_network_if_it_has_the_settings_of_one(project: Path) -> None:
    """Without them it would fail where there is a proxy; and to make a network takes time."""
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = re.findall(r"^RUN .*$", dockerfile, flags=re.MULTILINE)
    assert len(steps) > 10
    for step in steps:
        assert ("--network=none" in step) != ("--mount=type=secret,id=pip.env" in step), step


def modules(folder: Path) -> set[str]:
    """Return the names of the modules in a folder."""
    return {path.stem for path in folder.glob("*.py")}


def test_what_runs_on_the_host_and_in_images_are_two_worlds(project: Path) -> None:
    """Sessions have no package manager, and builds no Docker; a name means one thing."""
    image, host = project / "docker/image", project / "docker/host"
    assert not modules(image) & modules(host)
    # Those that have one of the last two run with the Python of /opt/tools.
    known = {*sys.stdlib_module_names, "packaging", "poetry"}
    for folder in (image, host, project / "docker/bin"):
        for path in folder.glob("*.py"):
            source = path.read_text(encoding="utf-8")
            imported = re.findall(r"^\s*(?:import|from) (\w+)", source, flags=re.MULTILINE)
            assert {*imported} <= known | modules(folder), path


def test_programs_in_images_need_nothing_but_the_standard_library(project: Path) -> None:
    """But for what says which wheels fit: that is packaging's, which the image's tools have."""
    with_packaging = {
        path.stem
        for path in (project / "docker/image").glob("*.py")
        if re.search(
            r"^(?:from|import) packaging\b", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    # A kind without a package of its own has nothing to install it.
    assert with_packaging | {"install_application"} == {
        "install_application",
        "make_wheels",
        "propose_versions",
        "select_wheels",
        "wheelhouse",
    }


def test_the_guide_to_docker_names_each_of_its_files(project: Path) -> None:
    """A line for each file, under the heading of its folder."""
    text = (project / "docker/README.md").read_text(encoding="utf-8")
    listed = set()
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        folder = re.match(r"(\w+)/:", section)
        for row in re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE):
            names = re.findall(r"`([^`]+)`", row)
            listed |= {f"{folder[1]}/{name}" if folder else name for name in names}
    there = {
        path.relative_to(project / "docker").as_posix()
        for path in (project / "docker").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert listed == there - {"README.md"}


HOSTILE = """
[tool.ruff]
line-length = 60
indent-width = 2
{exclude}

[tool.ruff.format]
quote-style = "single"

[tool.ruff.lint]
select = ["ALL"]
"""


def test_a_style_of_the_owners_never_touches_files_of_the_template(
    draft: Callable[..., Path], tmp_path: Path
) -> None:
    """Else each update would conflict with what the hooks of ``lint`` have reformatted."""
    project = draft(tmp_path / "project")
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    before, _, rest = text.partition("[tool.ruff]")
    exclude = re.findall(r"^extend-exclude = .*$", rest, flags=re.MULTILINE)
    pyproject.write_text(before + HOSTILE.format(exclude=exclude[0]), encoding="utf-8")
    owned = [project / "noxfile.py", *(project / "docker").rglob("*.py")]
    texts = [path.read_bytes() for path in owned]
    names = [path.relative_to(project).as_posix() for path in owned]
    ruff = str(TOOLS / "ruff")
    for _ in range(2):
        check([ruff, "check", "--no-cache", "--force-exclude", "--fix", *names], project)
        check([ruff, "format", "--no-cache", "--force-exclude", *names], project)
    assert [path.read_bytes() for path in owned] == texts
