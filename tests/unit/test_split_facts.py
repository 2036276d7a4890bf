"""docker/image/split_facts.py gives each stage what it needs: other edits rebuild nothing."""

import email
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import declaration
import match_python
import poetry_lock
import pytest
import select_system
import select_wheels
import split_facts
import wheelhouse

LOCKS = Path(__file__).parent / "locks"
DOCKERFILE = Path(split_facts.__file__).parent.parent.parent / "Dockerfile.jinja"
FILES = {
    "application.txt",
    "development.json",
    "main.json",
    "pyproject.toml",
    "requirements-development.txt",
    "system.json",
    "wheel-settings.json",
}
# Sessions install it; nothing in an image reads it.
ON_THE_HOST = "requirements-development.txt"
BUILD = """
[build-system]
requires = ["poetry-core>=2.2"]
build-backend = "poetry.core.masonry.api"
"""

Split = Callable[[Path], dict[str, str]]


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    """Return a function that runs the program on a project and returns what it wrote."""

    def split(project: Path) -> dict[str, str]:
        output = tmp_path / "out"
        shutil.rmtree(output, ignore_errors=True)
        monkeypatch.setattr(sys, "argv", ["split_facts.py", str(project), str(output)])
        split_facts.main()
        return {path.name: path.read_text(encoding="utf-8") for path in output.iterdir()}

    return split


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a locked project with several groups that can be edited."""
    return Path(shutil.copytree(LOCKS / "groups", tmp_path / "project"))


def edit(project: Path, old: str, new: str) -> None:
    """Replace a piece of a project's pyproject.toml."""
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_there_is_a_file_for_each_fact(split: Split, project: Path) -> None:
    assert split(project).keys() == FILES


def test_the_stages_find_all_that_they_read_and_read_all_that_is_written(
    split: Split, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stages `metadata` and `selection` make, in the way that the Dockerfile does."""
    split(project)
    facts, chosen = project.parent / "out", project.parent / "chosen"
    monkeypatch.setattr(
        "platform.freedesktop_os_release", lambda: {"ID": "debian", "VERSION_ID": "13"}
    )
    programs: list[tuple[Callable[[], None], list[Path | str]]] = [
        (select_system.main, [facts / "system.json", project, chosen]),
        (match_python.main, ["write", chosen / "system/production/interpreter.json"]),
        (select_wheels.main, [facts, project / "none", chosen]),
    ]
    for program, arguments in programs:
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        program()
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    for stage, output in (("metadata", facts), ("selection", chosen)):
        copied = " ".join(re.findall(rf"^COPY --from={stage} (.*) \S+$", text, flags=re.MULTILINE))
        mounted = re.findall(rf"from={stage},source=([^,\s]+)", text)
        names = (*copied.split(), *mounted)
        named = [output / Path(name).relative_to(f"/{stage}") for name in names]
        assert len(named) > 5
        assert [path for path in named if not path.exists()] == []
        written = {path for path in output.rglob("*") if path.is_file()} - {facts / ON_THE_HOST}
        assert {x for x in written if not any(x.is_relative_to(path) for path in named)} == set()


def test_the_same_input_gives_the_same_files(split: Split, project: Path) -> None:
    assert split(project) == split(project)


def test_development_has_more_than_production_and_all_of_it(split: Split, project: Path) -> None:
    files = split(project)
    main, development = (names(files[f"{name}.json"]) for name in ("main", "development"))
    assert main
    assert main < development


def names(text: str) -> set[str]:
    """Return the names of the packages in a file of locked ones."""
    return {package["name"] for package in json.loads(text)["packages"]}


def test_sessions_install_what_the_development_image_has(split: Split, project: Path) -> None:
    files = split(project)
    (project / "development.json").write_text(files["development.json"])
    read = wheelhouse.read_selection(project / "development.json")
    lines = files[ON_THE_HOST].splitlines()
    assert {line.split("==")[0] for line in lines if "==" in line} == names(
        files["development.json"]
    )
    applying = poetry_lock.requirements_file(read.options, read.packages)
    assert set(applying.splitlines()) <= set(lines)


@pytest.mark.parametrize("declared", ["", "[tool.sys.debian13.groups.x]\nlibpq5 = '~17'\n\n"])
def test_what_is_declared_is_written_as_images_read_it(
    split: Split, project: Path, declared: str
) -> None:
    edit(project, "[project]", f"{declared}[project]")
    sections = declaration.load(tomllib.loads(declared))
    assert declaration.from_facts(json.loads(split(project)["system.json"])) == sections


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[project]", "# a comment\n\n[project]"),
        ("[project]", "[tool.ruff]\nline-length = 99\n\n[project]"),
        ("[project]", "[tool.seedpod.size]\nproduction = '1 MB'\n\n[project]"),
        ("[project]", '[project]\nreadme = "README.md"'),
        ("[project]", "[tool.mypy]\nstrict = true\n[tool.pytest.ini_options]\n\n[project]"),
    ],
    ids=["comment", "ruff", "budget", "readme", "other tools"],
)
def test_an_edit_that_changes_no_installed_file_changes_nothing(
    split: Split, project: Path, old: str, new: str
) -> None:
    before = split(project)
    edit(project, old, new)
    assert split(project) == before


def test_a_new_version_changes_only_what_builds_the_wheel(split: Split, project: Path) -> None:
    before = split(project)
    edit(project, 'version = "', 'version = "9.')
    after = split(project)
    assert {name for name in FILES if before[name] != after[name]} == {"pyproject.toml"}


def test_a_system_package_is_a_fact_of_its_own(split: Split, project: Path) -> None:
    before = split(project)
    edit(project, "[project]", "[tool.sys.debian13.dependencies]\nlibpq5 = '*'\n\n[project]")
    after = split(project)
    assert {name for name in FILES if before[name] != after[name]} == {"system.json"}


def test_extras_of_the_image_are_installed(split: Split, tmp_path: Path) -> None:
    project = Path(shutil.copytree(LOCKS / "extras", tmp_path / "project"))
    before = split(project)
    edit(project, "[project]", '[tool.seedpod]\nextras = ["cli"]\n\n[project]')
    after = split(project)
    for name in ("main.json", "development.json"):
        assert names(after[name]) > names(before[name])
    assert after["pyproject.toml"] == before["pyproject.toml"]


def test_what_to_compile_is_a_fact_of_its_own(split: Split, project: Path) -> None:
    before = split(project)
    none: dict[str, list[str]] = {"build-first": [], "no-binary": [], "no-build-isolation": []}
    assert json.loads(before["wheel-settings.json"]) == none
    wheels = '[tool.seedpod.wheels]\nno-binary = ["lxml", "pillow"]\nbuild-first = ["numpy"]\n\n'
    edit(project, "[project]", f"{wheels}[project]")
    after = split(project)
    assert json.loads(after["wheel-settings.json"]) == {
        **none,
        "no-binary": ["lxml", "pillow"],
        "build-first": ["numpy"],
    }
    assert {name for name in FILES if before[name] != after[name]} == {"wheel-settings.json"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            '[tool.seedpod.wheels]\nno-binaries = ["lxml"]',
            "[tool.seedpod.wheels] has no use for 'no-binaries'. "
            "It takes build-first, no-binary, no-build-isolation.",
        ),
        (
            "[tool.seedpod.wheels]\nno-binary = true",
            'no-binary in [tool.seedpod.wheels] is True. Write a list of names like ["lxml"].',
        ),
        (
            '[tool.seedpod.wheels]\nbuild-first = "numpy"',
            "build-first in [tool.seedpod.wheels] is 'numpy'. "
            'Write a list of names like ["lxml"].',
        ),
        (
            "[tool.seedpod.wheels]\nno-build-isolation = ['scipy', 1]",
            "no-build-isolation in [tool.seedpod.wheels] is ['scipy', 1]. "
            'Write a list of names like ["lxml"].',
        ),
        (
            "[tool.seedpod]\nwheels = ['lxml']",
            "wheels in [tool.seedpod] is ['lxml']. Write a table, [tool.seedpod.wheels].",
        ),
    ],
    ids=["unknown", "no list", "text", "no names", "no table"],
)
def test_settings_of_wheels_that_are_none_are_refused_before_anything_is_built(
    split: Split, project: Path, settings: str, message: str
) -> None:
    edit(project, "[project]", f"{settings}\n\n[project]")
    with pytest.raises(SystemExit) as error:
        split(project)
    assert error.value.code == f"Wheels: {message}"
    assert not (project.parent / "out").exists()


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("[tools.sys.debian13.dependencies]\nlibpq5 = '*'", "has [tools.sys]"),
        ("[tool.sys.debian13]", "[tool.sys.debian13] is empty"),
        ("[tool.sys.debian13.dependencies]\nlibpq5 = 17", "The version of libpq5"),
    ],
)
def test_a_wrong_declaration_is_refused_before_anything_is_built(
    split: Split, project: Path, declared: str, problem: str
) -> None:
    """For whatever release it is: on the host nobody knows that of the image."""
    edit(project, "[project]", f"{declared}\n\n[project]")
    with pytest.raises(SystemExit) as error:
        split(project)
    assert str(error.value).startswith("System packages: ")
    assert problem in str(error.value)
    assert not (project.parent / "out").exists()


def test_a_lock_that_does_not_fit_is_refused_in_a_sentence(split: Split, project: Path) -> None:
    edit(project, "dependencies = [", 'dependencies = ["left-pad",')
    with pytest.raises(SystemExit) as error:
        split(project)
    assert "nox -s lock" in str(error.value)
    assert not (project.parent / "out").exists()


def test_a_project_without_a_lock_is_refused_in_a_sentence(split: Split, project: Path) -> None:
    (project / "poetry.lock").unlink()
    with pytest.raises(SystemExit) as error:
        split(project)
    assert "nox -s lock" in str(error.value)


VALUES: list[Any] = [
    "plain",
    "",
    'quotes " and \' and """',
    "C:\\path\\new \\u0041",
    "two\nlines\r\nand\ta tab",
    "\x00 \x07 \x1b \x7f \x80 \x9f",
    "Ünï cöde 日本 🌱 \u2028 \ufeff",
    "[table] # no comment = x",
    0,
    -7,
    2.5,
    True,
    [],
    {},
    ["a", "b"],
    [["a"], [1, 2]],
    [{"include": "pkg", "from": "src"}, {"include": "other"}],
    {"nested": {"deeper": {"x y": "z", "": 1, 'a"b': [False]}}},
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_written_is_the_value_read(value: Any) -> None:
    assert tomllib.loads(f"value = {split_facts.toml_value(value)}\n") == {"value": value}


@pytest.mark.parametrize("key", ["plain", "with space", 'with "quote"', "ünï", "a.b", "\x7f"])
def test_a_key_written_is_the_key_read(key: str) -> None:
    assert tomllib.loads(f"value = {split_facts.toml_value({key: 1})}\n") == {"value": {key: 1}}


def test_only_the_tables_of_a_build_are_kept() -> None:
    pyproject = {
        "build-system": {"requires": ["poetry-core"]},
        "dependency-groups": {"dev": ["pytest"]},
        "project": {"name": "x", "readme": "README.md", "license-files": ["A"], "scripts": {}},
        "tool": {"poetry": {"packages": [{"include": "x"}]}, "ruff": {}, "seedpod": {}},
    }
    assert split_facts.build_metadata(pyproject) == {
        "build-system": {"requires": ["poetry-core"]},
        "project": {"name": "x", "license-files": ["A"], "scripts": {}},
        "tool": {"poetry": {"packages": [{"include": "x"}]}},
    }


WHEEL_PROJECTS = {
    "every field": """
[project]
name = "left-pad"
version = "1.2.3"
description = 'It says "hello", Zoë \\ 🌱'
readme = "README.md"
requires-python = ">=3.11"
license = "MIT"
license-files = ["LICENSE"]
authors = [{ name = "Zoë O'Neil", email = "zoe@example.com" }]
keywords = ["one", "two"]
classifiers = ["Programming Language :: Python :: 3"]
dependencies = ["click>=8; python_version > '3.4'"]

[project.optional-dependencies]
colour = ["colorama"]

[project.urls]
"Home page" = "https://example.com/#top"

[project.scripts]
left-pad = "left_pad:main"

[project.entry-points."some.plugins"]
pad = "left_pad:main"

[tool.poetry]
packages = [{ include = "left_pad", from = "src" }]
""",
    "version of poetry": """
[project]
name = "left-pad"
dynamic = ["version"]

[tool.poetry]
version = "4.5"
packages = [{ include = "left_pad", from = "src" }]
""",
    "readme of poetry": """
[project]
name = "left-pad"
version = "1"
dynamic = ["readme"]

[tool.poetry]
readme = "README.md"
packages = [{ include = "left_pad", from = "src" }]
""",
}


@pytest.mark.parametrize("text", WHEEL_PROJECTS.values(), ids=WHEEL_PROJECTS.keys())
def test_the_wheel_is_that_of_the_whole_file_but_for_the_readme(tmp_path: Path, text: str) -> None:
    """What the stage `application` builds without a README is what the owner would publish."""
    whole = tmp_path / "whole"
    (whole / "src/left_pad").mkdir(parents=True)
    (whole / "src/left_pad/__init__.py").write_text("def main() -> None: ...\n")
    for name in ("README.md", "LICENSE"):
        (whole / name).write_text(f"# {name}\n")
    (whole / "pyproject.toml").write_text(text + BUILD, encoding="utf-8")
    slim = Path(shutil.copytree(whole, tmp_path / "slim"))
    build = split_facts.build_metadata(tomllib.loads(text + BUILD))
    lines = [f"{key} = {split_facts.toml_value(value)}\n" for key, value in build.items()]
    (slim / "pyproject.toml").write_text("".join(lines), encoding="utf-8")
    (slim / "README.md").unlink()
    assert wheel(slim) == wheel(whole)


def wheel(project: Path) -> dict[str, Any]:
    """Build a project's wheel and return what is in it, the description left out."""
    program = "from poetry.core.masonry.api import build_wheel; print(build_wheel('.'))"
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    content: dict[str, Any] = {}
    with zipfile.ZipFile(project / built.stdout.strip()) as archive:
        for name in archive.namelist():
            content[name] = archive.read(name)
            if name.endswith("/METADATA"):
                message = email.message_from_bytes(content[name])
                content[name] = [x for x in message.items() if x[0] != "Description-Content-Type"]
            if name.endswith("/RECORD"):
                # It holds the digest of METADATA.
                del content[name]
    return content
