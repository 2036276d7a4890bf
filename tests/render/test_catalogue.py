"""A catalogue of base images: its files, its sessions, and what it shares with projects."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import bake_file
import pytest
import read_catalogue
import yaml

from tests.conftest import Copy
from tests.render.questions import TOOLS, check
from tests.render.test_files import files, sessions

OWN = {
    ".copier-answers.yml",
    ".dockerignore",
    ".gitattributes",
    ".gitignore",
    "Dockerfile",
    "README.md",
    "catalogue.toml",
    "docker/README.md",
    "docker/host/bake_file.py",
    "docker/host/catalogue.py",
    "docker/image/inspect_image.py",
    "docker/image/install_packages.py",
    "docker/image/read_catalogue.py",
    "docker/ruff.toml",
    "noxfile.py",
}
PIPELINES = {"github": {".github/workflows/ci.yml"}, "gitlab": {".gitlab-ci.yml"}, "none": set()}


@pytest.fixture(scope="module", params=PIPELINES)
def catalogue(
    request: pytest.FixtureRequest, draft: Copy, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a catalogue for each provider; no test changes it."""
    folder = tmp_path_factory.mktemp("catalogue") / "bases"
    return draft(folder, kind="catalogue", ci=request.param, repository="registry.example.com/a/b")


def shared(questions: dict[str, Any]) -> set[str]:
    """Return the programs of projects that a catalogue has, too."""
    return {f"docker/{name}" for name in questions["shared_programs"]["default"].split()}


def test_a_catalogue_has_these_files_and_no_others(
    catalogue: Path, questions: dict[str, Any]
) -> None:
    answers = yaml.safe_load((catalogue / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert files(catalogue) == OWN | shared(questions) | PIPELINES[answers["ci"]]
    assert answers.keys() == {
        "_src_path",
        "ci",
        "description",
        "kind",
        "project_name",
        "repository",
    }


def test_what_it_shares_with_projects_is_the_same(
    catalogue: Path, template: Path, questions: dict[str, Any]
) -> None:
    """It is included, so that nothing in it may look like the template's language."""
    for name in shared(questions):
        assert (catalogue / name).read_bytes() == (template / "template" / name).read_bytes(), name


def test_its_programs_import_what_is_there(catalogue: Path) -> None:
    """A library that only projects have would show in the first session."""
    for folder in ("host", "image"):
        there = {path.stem for path in (catalogue / "docker" / folder).glob("*.py")}
        projects = Path(__file__).parent.parent.parent / "template/docker" / folder
        known = there | {path.stem for path in projects.glob("*.py")}
        for path in (catalogue / "docker" / folder).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {
                name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in [getattr(node, "module", None) or node.names[0].name]
            }
            assert names & known <= there, path.name


def test_the_table_of_a_new_catalogue_can_be_read_and_so_can_its_comments(catalogue: Path) -> None:
    content = read_catalogue.read(catalogue / "catalogue.toml")
    assert content["repository"] == "registry.example.com/a/b"
    assert {pair["variant"] for pair in content["pairs"]} == {"plain", "database"}
    text = (catalogue / "catalogue.toml").read_text(encoding="utf-8")
    whole = catalogue / "build" / "catalogue.toml"
    whole.parent.mkdir(exist_ok=True)
    whole.write_text(re.sub(r"^# (?=\[\w+\.|[\w-]+ = )", "", text, flags=re.MULTILINE), "utf-8")
    assert complete(read_catalogue.read(whole))


def complete(content: dict[str, Any]) -> bool:
    """Tell whether a catalogue for both bases gives every builder a compiler, and headers."""
    assert {pair["release"] for pair in content["pairs"]} == {"alpine3-23", "debian13"}
    return all(
        pair["stages"]["common-builder"]
        and (pair["variant"] == "plain") == (not pair["stages"]["builder"])
        for pair in content["pairs"]
    )


def test_the_table_that_the_page_shows_can_be_read(tmp_path: Path) -> None:
    page = Path(__file__).parent.parent.parent / "docs/catalogue.md"
    blocks = re.findall(r"```\n(.+?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    [table] = [block for block in blocks if "[bases." in block]
    (tmp_path / "catalogue.toml").write_text(table, encoding="utf-8")
    assert complete(read_catalogue.read(tmp_path / "catalogue.toml"))


def test_a_target_for_each_image_gives_its_own_lists_to_the_dockerfile(catalogue: Path) -> None:
    content = read_catalogue.read(catalogue / "catalogue.toml")
    baked = bake_file.content(content)
    dockerfile = (catalogue / "Dockerfile").read_text(encoding="utf-8")
    arguments = set(re.findall(r"^ARG (\w+)", dockerfile, flags=re.MULTILINE))
    stages = set(re.findall(r"^FROM .+ AS (\S+)$", dockerfile, flags=re.MULTILINE))
    assert len(baked["target"]) == 2 * len(content["pairs"])
    for name, target in baked["target"].items():
        # https://docs.docker.com/build/bake/reference/#target
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", name)
        assert target["args"].keys() <= arguments
        assert target["target"] in stages
    tags = [tag for target in baked["target"].values() for tag in target["tags"]]
    assert len({*tags}) == len(tags)
    thin, builder = (baked["target"][f"3-13-debian13-database{x}"] for x in ("", "-builder"))
    assert json.loads(thin["args"]["BASE"])["packages"] == {"libpq5": "*"}
    assert json.loads(builder["args"]["BUILDER"])["packages"] == {"libpq-dev": "*", "libpq5": "*"}
    assert {*baked["group"]["default"]["targets"]} == {*baked["target"]}
    assert {*baked["group"]["database"]["targets"]} == {x for x in baked["target"] if "data" in x}


def test_pages_name_sessions_that_exist(catalogue: Path) -> None:
    there = sessions(catalogue)
    assert there == {"bake", "check", "push", "use", "template_check", "template_update"}
    for name in ("README.md", "catalogue.toml"):
        text = (catalogue / name).read_text(encoding="utf-8")
        assert {*re.findall(r"nox -s (\w+)", text)} <= there
    assert {*re.findall(r"nox -s (\w+)", (catalogue / "README.md").read_text("utf-8"))} == there


def test_pipelines_and_the_dockerfile_pass_their_linters(catalogue: Path) -> None:
    check([str(TOOLS / "hadolint"), "Dockerfile"], catalogue)
    pipelines = [str(path) for path in catalogue.glob(".github/workflows/*.yml")]
    if pipelines:
        check([str(TOOLS / "actionlint"), *pipelines], catalogue)
    for path in (*catalogue.glob(".gitlab-ci.yml"), *map(Path, pipelines)):
        text = path.read_text(encoding="utf-8")
        assert {*re.findall(r"nox -s (\w+)", text)} <= sessions(catalogue)
        # A week without a change proposes nothing.
        assert "diff --cached --quiet" in text


@pytest.mark.parametrize(
    ("repository", "is_taken"),
    [
        ("registry.example.com:5000/our/python", True),
        ("our-team/python_3", True),
        ("python", True),
        ("python:3", False),
        ("registry.example.com/Our/python", False),
        ("https://registry.example.com/python", False),
        ("registry.example.com/python/", False),
        ("", False),
    ],
)
def test_a_repository_is_a_name_without_a_tag(
    repository: str, is_taken: bool, draft: Copy, tmp_path: Path
) -> None:
    """What is asked is what the program takes."""
    assert bool(read_catalogue.REPOSITORY.fullmatch(repository)) == is_taken
    if is_taken:
        draft(tmp_path / "bases", kind="catalogue", repository=repository)
    else:
        with pytest.raises(ValueError, match="host and a path"):
            draft(tmp_path / "bases", kind="catalogue", repository=repository)
