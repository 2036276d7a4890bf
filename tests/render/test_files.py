"""Which files a project receives, and how much of them is a template."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

Copy = Callable[..., Path]

ALWAYS = {
    ".copier-answers.yml",
    ".dockerignore",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".yamllint.yaml",
    "Dockerfile",
    "README.md",
    "docker-compose.yml",
    "docker/elf.py",
    "docker/explain.py",
    "docker/install.py",
    "docker/managers.py",
    "docker/metadata.py",
    "docker/minimal.py",
    "docker/online.sh",
    "docker/packages.py",
    "docker/poetry.sh",
    "docker/poetry.txt",
    "docker/requirements.py",
    "docker/sizes.py",
    "docker/stdlib-exclude.txt",
    "docker/system.py",
    "docker/system_check.py",
    "docker/system_fix.py",
    "docker/system_lock.py",
    "docker/system_report.py",
    "docker/system_resolve.py",
    "docker/tools.txt",
    "noxfile.py",
    "pyproject.toml",
    "src/myapp/__init__.py",
    "src/myapp/__main__.py",
    "src/myapp/py.typed",
}
BY_KIND = {
    "web": {"src/myapp/app.py", "tests/test_app.py"},
    "cli": {"src/myapp/cli.py", "tests/test_cli.py"},
}
BY_LICENSE = {"MIT": {"LICENSE"}, "Apache-2.0": {"LICENSE"}, "proprietary": set[str]()}


def files(folder: Path) -> set[str]:
    """Return the paths of all files in ``folder``, git's own left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != ".git"}


def test_a_project_holds_these_files_and_no_others(project: Path, answers: dict[str, str]) -> None:
    expected = ALWAYS | BY_KIND[answers["kind"]] | BY_LICENSE[answers["license"]]
    assert files(project) == expected


def test_defaults_need_no_answer(copy: Copy, tmp_path: Path) -> None:
    assert files(copy(tmp_path / "myapp")) == ALWAYS | BY_KIND["web"] | BY_LICENSE["MIT"]


def test_the_licence_names_the_author(copy: Copy, tmp_path: Path) -> None:
    project = copy(tmp_path / "myapp", license="MIT", author_name="Ada Lovelace")
    assert "Copyright (c) Ada Lovelace\n" in (project / "LICENSE").read_text(encoding="utf-8")


def test_a_licence_is_declared_and_its_file_is_packed(
    project: Path, answers: dict[str, str]
) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if answers["license"] == "proprietary":
        assert metadata["license"] == "LicenseRef-Proprietary"
        assert "license-files" not in metadata
    else:
        assert metadata["license"] == answers["license"]
        assert metadata["license-files"] == ["LICENSE"]


def test_the_choices_reach_the_image(project: Path, answers: dict[str, str]) -> None:
    lines = (project / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert f"ARG PYTHON_IMAGE=python:{answers['python_version']}-slim-trixie" in lines
    assert f"ARG RUNTIME={answers['runtime']}" in lines
    assert ("EXPOSE 8000" in lines) == (answers["kind"] == "web")


def test_nothing_of_the_template_language_is_left(template: Path, project: Path) -> None:
    static = {path for path in files(template / "template") if not path.endswith(".jinja")}
    for name in files(project):
        assert not re.search(r"[{}%]|\.jinja", name)
        if name not in static:
            text = (project / name).read_text(encoding="utf-8")
            assert not re.search(r"\{\{|\{%|\{#|%\}", text), name


def test_a_static_file_arrives_as_it_is(template: Path, project: Path) -> None:
    names = [name for name in files(template / "template") if not re.search(r"\.jinja$|\{", name)]
    assert names
    for name in names:
        source = template / "template" / name
        assert (project / name).read_bytes() == source.read_bytes(), name
        assert (project / name).stat().st_mode == source.stat().st_mode, name


def test_only_a_file_whose_text_depends_on_an_answer_is_a_template(
    template: Path, questions: dict[str, Any]
) -> None:
    environment = Environment()
    # What copier knows beside the questions: the answers as a whole.
    variables = {*questions, "_copier_answers"}
    for path in sorted((template / "template").rglob("*.jinja")):
        tree = environment.parse(path.read_text(encoding="utf-8"))
        assert {node.name for node in tree.find_all(nodes.Name)} & variables, path.name


def test_template_tags_stand_on_lines_of_their_own(template: Path) -> None:
    for path in sorted((template / "template").rglob("*.jinja")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "{%" in line:
                assert re.fullmatch(r"\s*\{% .* %\}", line), (path.name, line)


def test_file_names_can_be_checked_out_on_windows(template: Path) -> None:
    for name in files(template / "template"):
        assert not re.search(r'[<>:"|?*\\]', name), name


def test_no_file_without_a_final_newline_and_none_with_trailing_space(project: Path) -> None:
    for name in files(project):
        text = (project / name).read_text(encoding="utf-8")
        assert not text or text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not re.search(r"[ \t]$", text, flags=re.MULTILINE), name


@pytest.mark.parametrize(("name", "most"), [("template/noxfile.py", 225), ("copier.yml", 170)])
def test_what_an_owner_has_to_read_stays_short(template: Path, name: str, most: int) -> None:
    assert len((template / name).read_text(encoding="utf-8").splitlines()) <= most


def test_a_copy_runs_no_program_and_loads_no_code(template: Path) -> None:
    settings = {
        name
        for name in yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
        if name.startswith("_")
    }
    assert not settings & {"_tasks", "_jinja_extensions", "_migrations", "_external_data"}


def test_the_answers_file_keeps_every_answer(
    project: Path, answers: dict[str, str], questions: dict[str, Any]
) -> None:
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    asked = {name for name, question in questions.items() if question.get("when") is not False}
    assert stored.keys() == {"_commit", "_src_path", *asked}
    assert stored.items() >= answers.items()
    assert stored["_commit"] == "1.2.3"


def test_the_message_names_sessions_that_exist(
    copy: Copy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = copy(tmp_path / "my place" / "myapp", quiet=False)
    message = capfd.readouterr().err.split("myapp is ready in ")[1]
    assert message.startswith(str(project))
    named = set(re.findall(r"nox -s (\w+)", message))
    assert named
    assert named <= sessions(project)


def test_the_readme_names_sessions_that_exist(project: Path) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"nox -s (\w+)", readme)) == sessions(project)


def sessions(project: Path) -> set[str]:
    """Return the names of a project's sessions."""
    noxfile = (project / "noxfile.py").read_text(encoding="utf-8")
    return set(re.findall(r"^@nox\.session.*\ndef (\w+)\(", noxfile, flags=re.MULTILINE))
