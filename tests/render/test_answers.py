"""Which answers are taken, which are refused and why, and how they reach a project."""

import ast
import keyword
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import yaml

from tests.render.combinations import Renderer
from tests.render.questions import TOOLS, check, choices, load_compose

Copy = Callable[..., Path]

# What stands in the core metadata specification for names (packaging.python.org).
DISTRIBUTION_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# Modules that the kinds of application install, as "import" knows them.
# What sessions and programs run inside images, where the project's own command comes first.
COMMANDS = ["online", "poetry", "python3", "sh", "uv", "wait-for"]
DEPENDENCIES = ["click", "debugpy", "fastapi", "httpx2", "mypy", "pytest", "uvicorn"]


def names(project: Path) -> tuple[str, str]:
    """Return the names of a project's distribution and of its package."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    [package] = [path.parent.name for path in project.glob("src/*/__init__.py")]
    return pyproject["project"]["name"], package


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("myapp", ("myapp", "myapp")),
        ("My App", ("my-app", "my_app")),
        ("2048", ("app-2048", "app_2048")),
        ("a.b", ("a-b", "a_b")),
        ("a__b", ("a-b", "a_b")),
        ("UPPER", ("upper", "upper")),
        ("class", ("class", "class_app")),
        ("test", ("test", "test_app")),
        ("-x-", ("x", "x")),
    ],
)
def test_names_default_to_that_of_the_folder(
    draft: Copy, tmp_path: Path, folder: str, expected: tuple[str, str]
) -> None:
    assert names(draft(tmp_path / folder)) == expected


@pytest.mark.parametrize(
    "folder",
    [
        "ünï cöde",
        "日本",
        "a place/with spaces",
        "app",
        "calendar",
        "email",
        "fastapi",
        "json",
        "python",
        "pytest",
        "queue",
        "site",
        "types",
        "None",
        "lambda",
    ],
)
def test_any_folder_gives_a_project_without_an_answer(
    draft: Copy, tmp_path: Path, folder: str
) -> None:
    """A folder may be called anything: what could not be a name of a project is changed."""
    project, package = names(draft(tmp_path / folder))
    assert DISTRIBUTION_NAME.fullmatch(project)
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert package not in sys.stdlib_module_names
    assert package not in DEPENDENCIES


def test_the_package_is_called_like_the_project_unless_told_otherwise(
    draft: Copy, tmp_path: Path
) -> None:
    assert names(draft(tmp_path / "a", project_name="left-pad")) == ("left-pad", "left_pad")
    answers = {"project_name": "left-pad", "package_name": "padding"}
    assert names(draft(tmp_path / "b", **answers)) == ("left-pad", "padding")


def refusal(draft: Copy, folder: Path, **answers: str) -> str:
    """Return why an answer is refused; nothing may have been written then."""
    with pytest.raises(ValueError, match=next(iter(answers))) as error:
        draft(folder / "myapp", **answers)
    assert not list(folder.rglob("*"))
    return " ".join(str(error.value).split())


PROJECT_RULE = "made of lower-case ASCII letters and digits, with single hyphens between them"


@pytest.mark.parametrize(
    "name",
    ["my app", "my.app", "my_app", "MyApp", "2048", "-a", "a-", "a--b", "ä", "a\n", "a/b", ""],
)
def test_a_project_name_that_is_none_is_refused_with_the_rule(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    assert PROJECT_RULE in refusal(draft, tmp_path, project_name=name)


@pytest.mark.parametrize(
    "name", [*DEPENDENCIES, *COMMANDS, "python", "pip", "starlette", "pydantic"]
)
def test_a_project_called_like_a_dependency_is_refused(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    message = refusal(draft, tmp_path, project_name=name)
    assert "cannot have the name of one of its own dependencies" in message


PACKAGE_RULE = "made of lower-case ASCII letters, digits and underscores, and begins with a letter"


@pytest.mark.parametrize(
    "name", ["my app", "my.app", "my-app", "MyApp", "2048", "_a", "ä", "a\n", "None", ""]
)
def test_a_package_name_that_is_none_is_refused_with_the_rule(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    assert PACKAGE_RULE in refusal(draft, tmp_path, package_name=name)


@pytest.mark.parametrize("name", [name for name in keyword.kwlist if name.islower()])
def test_a_package_called_by_a_keyword_is_refused(draft: Copy, tmp_path: Path, name: str) -> None:
    assert "Python keyword" in refusal(draft, tmp_path, package_name=name)


@pytest.mark.parametrize(
    "name", [*DEPENDENCIES, "tests", "calendar", "json", "os", "queue", "secrets", "test", "types"]
)
def test_a_package_that_would_hide_a_module_is_refused(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    assert "would hide it" in refusal(draft, tmp_path, package_name=name)


DRIVERS = ["postgres", "psycopg", "pydantic-settings", "redis"]


@pytest.mark.parametrize("name", DRIVERS)
def test_a_project_cannot_be_called_like_a_service_or_like_what_talks_to_it(
    draft: Copy, tmp_path: Path, name: str
) -> None:
    """Whether or not it uses one today."""
    refusal(draft, tmp_path, project_name=name)
    refusal(draft, tmp_path, package_name=name.replace("-", "_"))


def test_a_name_that_would_make_lines_too_long_is_refused(draft: Copy, tmp_path: Path) -> None:
    """The default for the longest name of a folder is shorter."""
    assert "at most 40 characters" in refusal(draft, tmp_path, project_name="a" * 41)
    assert "at most 40 characters" in refusal(draft, tmp_path, package_name="a" * 41)
    for folder in ("a-" * 100, "1" * 100):
        assert all(len(name) <= 40 for name in names(draft(tmp_path / folder)))


@pytest.mark.parametrize("end", [".", "!", "?", ""])
def test_a_description_ends_with_one_full_stop_in_the_code(
    draft: Copy, tmp_path: Path, end: str
) -> None:
    project = draft(tmp_path / "myapp", description=f"Serves{end}")
    text = (project / "src/myapp/__init__.py").read_text(encoding="utf-8")
    assert text == f'"""Serves{end or "."}"""\n'


@pytest.mark.parametrize("text", ["", "  ", "one\ntwo", "one\n", "one\rtwo", "a bell\x07"])
def test_a_description_that_is_not_one_line_is_refused(
    draft: Copy, tmp_path: Path, text: str
) -> None:
    assert "one line and not empty" in refusal(draft, tmp_path, description=text)


@pytest.mark.parametrize(
    "name", ["", " ", " A", "A ", "<a@b.c>", 'A "B" C', "A\\B", "A\nB", "A\rB", "A\x07"]
)
@pytest.mark.parametrize("address", ["", " <a@b.c>"])
def test_an_author_who_cannot_stand_in_metadata_is_refused(
    draft: Copy, tmp_path: Path, name: str, address: str
) -> None:
    assert "An author is a name in one line" in refusal(draft, tmp_path, author=name + address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a b@c.d",
        "a@b@c",
        "@b.c",
        "a@",
        "<a@b.c>",
        'a"@b.c',
        "a@b.c\n",
        "a@b.c>\n<",
        "a\x01@b",
    ],
)
def test_an_address_that_is_none_is_refused(draft: Copy, tmp_path: Path, address: str) -> None:
    told = refusal(draft, tmp_path, author=f"Ada <{address}>")
    assert "like <name@example.com>" in told


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("kind", "gui"),
        ("python_version", "3.10"),
        ("base", "ubuntu"),
        ("runtime", "alpine"),
        ("services", "[postgres, mysql]"),
        ("deploy", "swarm"),
        ("license", "GPL"),
    ],
)
def test_a_choice_that_is_none_is_refused_with_the_choices(
    draft: Copy, tmp_path: Path, question: str, answer: str
) -> None:
    assert "is not in [" in refusal(draft, tmp_path, **{question: answer})


AUTHORS = [
    "Zoë Åström",
    "李小龙",
    "Jane O'Neil, Jr.",
    "Team (Data) & Friends",
    "A+B / C!",
    "🌱 Seeds",
]
DESCRIPTIONS = [
    'It says "hello"',
    '"""',
    "ends with a backslash \\",
    "C:\\new\\table \\N{DASH} \\u0041",
    "'single' and `back` quotes, #hash, $HOME and %s",
    "Ünï cöde, 日本 and 🌱",
    "the world\u2019s smallest image \u2013 honestly",
    "Маленький образ",
    "{{ braces }} {% raw %} {# of other languages #}",
    "key: value - yes, null, 3.10",
    "a rather long sentence about what it is for, such as people write when they are asked "
    "for one, because nobody told them to stop at some column",
]


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_survives_in_every_place(draft: Copy, tmp_path: Path, text: str) -> None:
    project = draft(tmp_path / "myapp", description=text)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["description"] == text
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert stored["description"] == text
    module = ast.parse((project / "src/myapp/__init__.py").read_text(encoding="utf-8"))
    assert (ast.get_docstring(module, clean=False) or "").startswith(text)
    for command in (["check"], ["format", "--check"]):
        check([str(TOOLS / "ruff"), *command, "--no-cache", "."], project)


@pytest.mark.parametrize("name", AUTHORS)
def test_an_author_survives_in_every_place(draft: Copy, tmp_path: Path, name: str) -> None:
    for author in (name, f"{name} <a.b+c@example.com>"):
        project = draft(tmp_path / str(len(author)) / "myapp", author=author)
        pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        address = {"email": "a.b+c@example.com"} if "<" in author else {}
        assert pyproject["project"]["authors"] == [{"name": name, **address}]
        stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
        assert stored["author"] == author


@pytest.mark.parametrize("name", AUTHORS)
def test_the_build_backend_takes_every_author(
    renderer: Renderer, tmp_path: Path, name: str
) -> None:
    project = tmp_path / "myapp"
    renderer.write({"author": name}, project)
    program = "from poetry.core.masonry.api import build_wheel; build_wheel('.')"
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr


def test_a_name_of_any_length_leaves_the_project_formatted(
    renderer: Renderer, tmp_path: Path
) -> None:
    names = ("a", "inventory-service-of-the-north-team")
    rows = product(names, choices()["kind"], choices()["services"])
    for number, (name, kind, services) in enumerate(rows):
        answers = {"project_name": name, "kind": kind, "services": services}
        renderer.write(answers, tmp_path / str(number))
    for command in (["check"], ["format", "--check"]):
        check([str(TOOLS / "ruff"), *command, "--no-cache", "."], tmp_path)
    configuration = f"--config-file={tmp_path}/0/.yamllint.yaml"
    check([str(TOOLS / "yamllint"), "--strict", configuration, "."], tmp_path)


@pytest.mark.parametrize("name", ["null", "true", "on", "yes", "e3"])
@pytest.mark.parametrize("kind", ["web", "cli"])
def test_a_name_that_is_a_word_of_yaml_stays_text(
    draft: Copy, tmp_path: Path, name: str, kind: str
) -> None:
    project = draft(tmp_path / "myapp", project_name=name, kind=kind)
    for path in project.glob("docker-compose*.yml"):
        assert name in load_compose(path)["services"], path.name
    compose = load_compose(project / "docker-compose.yml")
    assert all(isinstance(part, str) for part in compose["services"][name]["command"])
    assert compose["services"][name]["image"] == f"{name}:development"
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert stored["project_name"] == name
