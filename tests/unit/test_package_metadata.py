"""docker/image/package_metadata.py keeps what decides a project's wheel, and nothing else."""

import email
import shutil
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import package_metadata
import pytest

BUILD = """
[build-system]
requires = ["poetry-core>=2.2"]
build-backend = "poetry.core.masonry.api"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("project = 5", "project in pyproject.toml is 5. Write a table there."),
        ("build-system = []", "build-system in pyproject.toml is []. Write a table there."),
        (
            "[build-system]\nrequires = 'poetry-core'",
            "build-system.requires in pyproject.toml is 'poetry-core'. Write a list there.",
        ),
        (
            "[dependency-groups]\ndev = 'ruff'",
            "dependency-groups.dev in pyproject.toml is 'ruff'. Write a list there.",
        ),
        (
            "[project]\nlicense-files = [5]",
            "An entry of project.license-files in pyproject.toml is 5. Write a text there.",
        ),
        (
            "[tool.poetry.group.a]\ndependencies = []",
            "tool.poetry.group.a.dependencies in pyproject.toml is []. Write a table there.",
        ),
        (
            "[tool.poetry]\npackages = ['shop']",
            "An entry of tool.poetry.packages in pyproject.toml is 'shop'. Write a table there.",
        ),
    ],
)
def test_a_value_of_another_form_is_named_with_the_one_to_write(text: str, told: str) -> None:
    with pytest.raises(package_metadata.PackageError) as error:
        package_metadata.check_forms(tomllib.loads(text))
    assert str(error.value) == told


VALUES: list[Any] = [
    "plain",
    "",
    date(2026, 11, 28),
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
    assert tomllib.loads(f"value = {package_metadata.toml_value(value)}\n") == {"value": value}


@pytest.mark.parametrize("key", ["plain", "with space", 'with "quote"', "ünï", "a.b", "\x7f"])
def test_a_key_written_is_the_key_read(key: str) -> None:
    assert tomllib.loads(f"value = {package_metadata.toml_value({key: 1})}\n") == {
        "value": {key: 1}
    }


def test_only_the_tables_of_a_build_are_kept() -> None:
    pyproject = {
        "build-system": {"requires": ["poetry-core"], "build-backend": "poetry.core.masonry.api"},
        "dependency-groups": {"dev": ["pytest"]},
        "project": {"name": "x", "readme": "README.md", "license-files": ["A"], "scripts": {}},
        "tool": {"poetry": {"packages": [{"include": "x"}]}, "ruff": {}, "seedpod": {}},
    }
    assert tomllib.loads(package_metadata.build_part(pyproject)) == {
        "build-system": pyproject["build-system"],
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
    part = package_metadata.build_part(tomllib.loads(text + BUILD))
    (slim / "pyproject.toml").write_text(part, encoding="utf-8")
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


@pytest.mark.parametrize(
    ("requires", "backend", "poetry", "plain"),
    [
        (["poetry-core>=2.2"], "poetry.core.masonry.api", {}, True),
        (["poetry-core"], "poetry.core.masonry.api", {"build": "build.py"}, False),
        (["poetry-core", "cython"], "poetry.core.masonry.api", {}, False),
        (["poetry-core"], "poetry_dynamic_versioning.backend", {}, False),
        (["hatchling"], "hatchling.build", {}, False),
        ([], None, {}, False),
    ],
)
def test_poetry_core_alone_is_plain(
    requires: list[str], backend: str | None, poetry: dict[str, str], plain: bool
) -> None:
    system = {"requires": requires, **({"build-backend": backend} if backend else {})}
    assert package_metadata.is_plain({"build-system": system, "tool": {"poetry": poetry}}) is plain


def test_another_backend_keeps_its_own_tables_and_its_readme() -> None:
    """And those of its plugins; only what builds nothing is left out."""
    pyproject = {
        "build-system": {
            "requires": ["hatchling", "hatch-vcs"],
            "build-backend": "hatchling.build",
        },
        "dependency-groups": {"dev": ["pytest"]},
        "project": {"name": "x", "readme": "README.md", "dynamic": ["version"]},
        "tool": {
            "hatch": {"version": {"source": "vcs"}},
            "pytest": {"ini_options": {"testpaths": ["tests"]}},
            "ruff": {"line-length": 88},
            "seedpod": {"size": {"production": "58 MB"}},
            "versioning": {"enable": True},
        },
    }
    kept = tomllib.loads(package_metadata.build_part(pyproject))
    assert kept.keys() == {"build-system", "project", "tool"}
    assert kept["project"] == pyproject["project"]
    assert kept["tool"].keys() == {"hatch", "versioning"}


SIMPLE = """
[project]
name = "shop"
license-files = ["LICENSE", "LICENSES/*"]
[tool.poetry]
packages = [{ include = "shop", from = "src" }]
"""


@pytest.mark.parametrize(
    ("old", "new", "simple"),
    [
        ("", "", True),
        ("poetry-core>=2.2", "poetry-core >= 2.0.0, < 3.0.0", True),
        ("poetry-core>=2.2", "poetry-core<2", False),
        ("poetry-core>=2.2", "poetry-core==2.1", False),
        ("poetry.core.masonry.api", "hatchling.build", False),
        (', from = "src"', "", False),
        (', from = "src"', ', from = "lib"', False),
        ("packages = [", 'packages = [{ include = "app" }, ', False),
        ("packages = [", 'packages = [{ include = "tests", format = "sdist" }, ', True),
        ("packages = [", 'include = ["x.txt"]\npackages = [', False),
        ("packages = [", 'build = "build.py"\npackages = [', False),
        ("packages = [", 'scripts.x = { reference = "x", type = "file" }\npackages = [', False),
        ('"LICENSE", ', '"docs/LICENSE", ', False),
        ("packages", "keywords", False),
        ("[tool.poetry]", "license = { file = 'EULA.txt' }\n[tool.poetry]", False),
    ],
)
def test_simple_is_what_needs_src_and_licences_alone(old: str, new: str, simple: bool) -> None:
    text = SIMPLE + BUILD
    assert old in text
    assert package_metadata.is_simple(tomllib.loads(text.replace(old, new, 1))) is simple


def test_a_project_has_its_name_where_either_poetry_wrote_it() -> None:
    assert package_metadata.name({"project": {"name": "new"}}) == "new"
    assert package_metadata.name({"tool": {"poetry": {"name": "old"}}}) == "old"
    with pytest.raises(package_metadata.PackageError, match=r"no name .*\. Write it into"):
        package_metadata.name({"tool": {}})


def test_a_project_of_poetry_1_keeps_what_its_wheel_is_made_of() -> None:
    poetry = {"name": "old", "version": "1.0", "readme": "README.md"}
    system = {"requires": ["poetry-core>=2"], "build-backend": package_metadata.POETRY_CORE}
    pyproject = {"build-system": system, "tool": {"poetry": poetry, "ruff": {}}}
    part = tomllib.loads(package_metadata.build_part(pyproject))
    assert part == {"build-system": system, "tool": {"poetry": {"name": "old", "version": "1.0"}}}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0.5", "1e+300"])
def test_a_number_that_json_does_not_have_is_toml(text: str) -> None:
    assert repr(tomllib.loads(f"a = {package_metadata.toml_value(float(text))}")["a"]) == repr(
        float(text)
    )
