"""Programs from the index, and notebooks: what holds for applications holds for them, too."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import image_settings
import pytest
from packaging.requirements import Requirement

from tests.conftest import Copy
from tests.render.questions import (
    APPLICATIONS,
    KINDS,
    Answers,
    choices,
    label,
    load_compose,
    pairwise,
)
from tests.render.test_answers import refusal
from tests.render.test_combinations import test_copier_makes_the_same
from tests.render.test_files import (
    sessions,
    test_a_project_holds_these_files_and_no_others,
    test_no_file_without_a_final_newline_and_none_with_trailing_space,
    test_nothing_of_the_template_language_is_left,
    test_the_answers_file_keeps_every_answer,
    test_the_readme_names_sessions_that_exist,
    test_the_readme_says_what_the_image_is_made_from,
    test_wheels_made_here_reach_a_build_and_no_repository,
)
from tests.render.test_quality import (
    test_each_stage_with_a_budget_is_in_the_dockerfile,
    test_every_file_that_the_dockerfile_reads_gets_past_dockerignore,
    test_every_json_toml_and_yaml_file_parses,
    test_it_passes_its_own_style,
    test_production_is_the_last_stage_and_has_nothing_that_tests_have_not,
    test_programs_in_images_need_nothing_but_the_standard_library,
    test_the_guide_to_docker_names_each_of_its_files,
    test_what_runs_on_the_host_and_in_images_are_two_worlds,
)

# They run here with the rows below.
__all__ = [
    "test_a_project_holds_these_files_and_no_others",
    "test_copier_makes_the_same",
    "test_each_stage_with_a_budget_is_in_the_dockerfile",
    "test_every_file_that_the_dockerfile_reads_gets_past_dockerignore",
    "test_every_json_toml_and_yaml_file_parses",
    "test_it_passes_its_own_style",
    "test_no_file_without_a_final_newline_and_none_with_trailing_space",
    "test_nothing_of_the_template_language_is_left",
    "test_production_is_the_last_stage_and_has_nothing_that_tests_have_not",
    "test_programs_in_images_need_nothing_but_the_standard_library",
    "test_the_answers_file_keeps_every_answer",
    "test_the_guide_to_docker_names_each_of_its_files",
    "test_the_readme_names_sessions_that_exist",
    "test_the_readme_says_what_the_image_is_made_from",
    "test_what_runs_on_the_host_and_in_images_are_two_worlds",
    "test_wheels_made_here_reach_a_build_and_no_repository",
]

ROWS = [row for kinds in KINDS if kinds != APPLICATIONS for row in pairwise(choices(kinds))]


@pytest.fixture(scope="session", params=ROWS, ids=label)
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return one row of answers."""
    row: Answers = request.param
    return row


@pytest.fixture(scope="session")
def project(answers: Answers, draft: Copy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project made from ``answers``; no test changes it."""
    return draft(tmp_path_factory.mktemp("projects") / "myapp", **answers)


def metadata(project: Path) -> dict[str, Any]:
    """Return what pyproject.toml says."""
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def dependencies(project: Path) -> list[Requirement]:
    """Return the dependencies of a project, which have to be valid ones."""
    return [Requirement(text) for text in metadata(project)["project"]["dependencies"]]


def test_no_session_is_there_that_could_do_nothing(project: Path, answers: Answers) -> None:
    missing = {"typecheck", "tests"}
    if answers["kind"] == "tool":
        missing |= {"docker_dev", "shell", "up"}
    assert not sessions(project) & missing
    assert "docker_test" in sessions(project)


def test_the_pipeline_runs_sessions_that_exist(project: Path) -> None:
    for path in (*project.glob(".github/workflows/*.yml"), *project.glob(".gitlab-ci.yml")):
        lines = re.findall(r"nox -s ([\w ]+)", path.read_text(encoding="utf-8"))
        named = {name for line in lines for name in line.split()}
        assert named
        assert named <= sessions(project)


def test_the_image_starts_what_pyproject_says(project: Path) -> None:
    command = metadata(project)["tool"]["seedpod"]["image"]["command"]
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(rf"^(CMD|ENTRYPOINT) {re.escape(json.dumps(command))}$", dockerfile, re.M)


def test_a_new_project_has_the_lines_that_its_settings_give(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert not image_settings.rewritten(metadata(project)["tool"]["seedpod"]["image"], "myapp")


def test_folders_for_data_stand_beside_the_one_of_notebooks(
    draft: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = draft(tmp_path / "myapp", kind="notebook")
    monkeypatch.chdir(project)
    settings = {**metadata(project)["tool"]["seedpod"]["image"], "data": ["/data"]}
    image_settings.write(settings, "myapp")
    services = load_compose(project / "docker-compose.yml")["services"]
    data = {"type": "tmpfs", "target": "/data"}
    work = {"type": "bind", "source": "./notebooks", "target": "/work"}
    assert services["myapp-production"]["volumes"] == [work, data]
    assert services["myapp-test"]["volumes"] == [data]


def test_a_program_that_serves_keeps_its_arguments(
    draft: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = draft(tmp_path / "docs", kind="tool", distribution="mkdocs")
    monkeypatch.chdir(project)
    settings = {"command": ["init", "mkdocs"], "port": 8000}
    image_settings.write(settings, "docs-image")
    text = (project / "Dockerfile").read_text(encoding="utf-8")
    assert '\nEXPOSE 8000\nHEALTHCHECK NONE\nENTRYPOINT ["init", "mkdocs"]\n' in text


@pytest.mark.parametrize("name", ["pandas", "jupyterlab", "numpy"])
def test_notebooks_are_not_called_like_a_package_of_theirs(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    """Poetry would refuse a project that depends on itself."""
    project = draft(tmp_path / name, kind="notebook")
    assert metadata(project)["project"]["name"] == f"{name}-notebooks"
    told = refusal(draft, tmp_path / "b", project_name=name, kind="notebook")
    assert "cannot have the name of a distribution that it installs" in told


@pytest.mark.parametrize("stage", ["application", "development", "test"])
def test_a_stage_is_there_if_something_is_in_it(
    project: Path, answers: Answers, stage: str
) -> None:
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    has_it = answers["kind"] == "notebook" and stage != "application"
    assert (f" AS {stage}\n" in dockerfile) == has_it
    for copied in re.findall(r"--from=([a-z-]+)|,from=([a-z-]+)", dockerfile):
        assert f" AS {''.join(copied)}\n" in dockerfile


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["httpie"]),
        ({"constraint": ">=3.2,<4"}, ["httpie>=3.2,<4"]),
        ({"constraint": ">= 3.2, < 4"}, ["httpie>=3.2,<4"]),
        ({"constraint": "==3.*"}, ["httpie==3.*"]),
        ({"extras": "dev, test"}, ["httpie[dev,test]"]),
        ({"plugins": "httpie-jwt-auth"}, ["httpie", "httpie-jwt-auth"]),
        (
            {"plugins": "a>=1,<2  b_c[x,y]~=1.2 d.e", "extras": "z", "constraint": "!=3"},
            ["httpie[z]!=3", "a>=1,<2", "b_c[x,y]~=1.2", "d.e"],
        ),
    ],
)
def test_a_program_is_declared_as_it_was_answered(
    draft: Copy, tmp_path: Path, given: dict[str, str], wanted: list[str]
) -> None:
    project = draft(tmp_path / "myapp", kind="tool", distribution="httpie", **given)
    found = dependencies(project)
    assert found == [Requirement(text) for text in wanted]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("distribution", "http ie"),
        ("distribution", "-httpie"),
        ("distribution", ""),
        ("distribution", 'a"b'),
        ("constraint", "3.2"),
        ("constraint", "^3.2"),
        ("constraint", ">=3 <4"),
        ("constraint", '>=3"'),
        ("extras", "a b"),
        ("extras", "a,"),
        ("plugins", "a, b"),
        ("plugins", "a;b"),
        ("plugins", "a>="),
        ("plugins", "a[b"),
        ("command", "http --help"),
        ("command", ""),
        ("command", "../http"),
    ],
)
def test_an_answer_that_is_none_is_refused(
    draft: Copy, tmp_path: Path, name: str, text: str
) -> None:
    answers = {name: text, "kind": "tool", "project_name": "some-image"}
    assert refusal(draft, tmp_path, **answers)


@pytest.mark.parametrize("distribution", ["httpie", "HTTPie", "Http_Ie"])
def test_an_image_is_not_called_like_what_is_in_it(
    draft: Copy, tmp_path: Path, distribution: str
) -> None:
    """Poetry would refuse a project that depends on itself."""
    folder = distribution.lower().replace("_", "-")
    project = draft(tmp_path / folder, kind="tool", distribution=distribution)
    assert metadata(project)["project"]["name"] == f"{folder}-image"
    told = refusal(
        draft, tmp_path / "b", project_name=folder, kind="tool", distribution=distribution
    )
    assert "cannot have the name of a distribution that it installs" in told
    answers = {"project_name": "plug-in", "kind": "tool", "plugins": "b>=1 Plug_In[x]>=2"}
    told = refusal(draft, tmp_path / "c", distribution=distribution, **answers)
    assert "cannot have the name of a distribution that it installs" in told


@pytest.mark.parametrize("folder", ["httpie", "httpie-image", "My Httpie", "2048", "日本"])
def test_a_folder_is_enough_of_an_answer(draft: Copy, tmp_path: Path, folder: str) -> None:
    project = draft(tmp_path / folder, kind="tool")
    [requirement] = dependencies(project)
    assert requirement.name != metadata(project)["project"]["name"]


def test_a_folder_called_like_a_program_is_its_image(draft: Copy, tmp_path: Path) -> None:
    project = draft(tmp_path / "httpie", kind="tool")
    assert [str(x) for x in dependencies(project)] == ["httpie"]
    assert metadata(project)["tool"]["seedpod"]["image"]["command"] == ["init", "httpie"]


def test_notebooks_are_served_on_this_machine_alone_to_who_has_the_token(
    draft: Copy, tmp_path: Path
) -> None:
    project = draft(tmp_path / "myapp", kind="notebook")
    compose = load_compose(project / "docker-compose.yml")
    for name in ("myapp", "myapp-production"):
        service = compose["services"][name]
        port = "${PORT:-8888}"
        # The server prints the address that it has in the container.
        assert service["ports"] == [{"host_ip": "127.0.0.1", "published": port, "target": port}]
        assert service["environment"]["PORT"] == port
    text = (project / "rootfs/etc/jupyter/jupyter_server_config.py").read_text(encoding="utf-8")
    assert "token =" not in text
    assert 'extension_manager = "readonly"' in text


def test_only_the_folder_with_notebooks_can_be_written(draft: Copy, tmp_path: Path) -> None:
    """And what is declared as a folder for data."""
    project = draft(tmp_path / "myapp", kind="notebook")
    service = load_compose(project / "docker-compose.yml")["services"]["myapp-production"]
    assert service["read_only"] is True
    assert service["volumes"] == [{"type": "bind", "source": "./notebooks", "target": "/work"}]
    assert service["user"] == "${HOST_UID:-1000}:${HOST_GID:-1000}"
