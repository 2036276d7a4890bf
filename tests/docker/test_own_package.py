"""The project's own package: any backend, any layout, with all that it declares, built once."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.docker.projects import Made, Make

POETRY = '["poetry-core>=2"]', "poetry.core.masonry.api"
PACKED = '[tool.poetry]\npackages = [{ include = "own", from = "src" }]'
DYNAMIC = {'version = "0.1.0"': 'dynamic = ["version"]'}
VERSION = "import importlib.metadata as m; print(m.version(m.distribution({0!r}).name), end=' ')\n"
# As Poetry 1 wrote it.
OLD = """
[tool.poetry]
name = "{0}"
version = "0.1.0"
description = "Ten years old"
authors = ["A <a@example.org>"]
packages = [{{ include = "own", from = "src" }}]

[tool.poetry.dependencies]
python = "<4.0,>=3.11"
click = "^8.1"
colorama = {{ version = "*", optional = true }}

[tool.poetry.extras]
colours = ["colorama"]

[tool.poetry.scripts]
{0} = "own.__main__:main"

[tool.poetry.dev-dependencies]
debugpy = "^1.8"
mypy = "*"
pytest = ">=8.3"

[build-system]
requires = ["poetry-core>=1.0.0"]
build-backend = "poetry.core.masonry.api"

[tool.seedpod]
extras = ["colours"]

[tool.mypy]
files = ["src", "tests"]
"""
# Poetry's build script: what it makes is copied beside the sources.
BUILD = """
import shutil
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

extensions = cythonize(["src/own/fast.pyx"])
command = build_ext(Distribution({"name": "own", "ext_modules": extensions}))
command.ensure_finalized()
command.run()
for made in command.get_outputs():
    shutil.copy(made, Path("src", Path(made).relative_to(command.build_lib)))
"""


@dataclass(frozen=True)
class Case:
    """A project: what it is built with, what it has, and what production then prints."""

    backend: tuple[str, str]
    tables: str
    program: str
    answer: str
    files: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, str] = field(default_factory=dict)
    let_in: tuple[str, ...] = ()
    flat: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "poetry, flat, files beside the package": Case(
        POETRY,
        '[tool.poetry]\npackages = [{ include = "own" }]\n'
        'include = [{ path = "data/*.txt", format = ["sdist", "wheel"] }]',
        "import importlib.metadata as m\n"
        "files = [str(x) for x in m.files(m.packages_distributions()['own'][0])]\n"
        "kept = [x for x in files if x.startswith('data') or 'licenses' in x]\n"
        "print(sorted(x.rpartition('licenses/')[2] for x in kept))",
        "['COPYING', 'LICENSE', 'LICENSES/MIT.txt', 'NOTICE.md', 'data/Grüße an alle.txt']",
        files={
            "data/Grüße an alle.txt": "x",
            **dict.fromkeys(("COPYING", "LICENSES/MIT.txt", "NOTICE.md"), "x"),
        },
        edits={'license-files = ["LICENSE"]\n': ""},
        let_in=("own/", "data/"),
        flat=True,
    ),
    "hatchling": Case(
        ('["hatchling"]', "hatchling.build"),
        '[tool.hatch.version]\npath = "src/own/about.py"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["src/own"]\nexclude = ["secret.txt"]\n'
        '[tool.hatch.build.targets.wheel.force-include]\nassets = "own/assets"',
        "import importlib.resources as r\nown = r.files('own')\n"
        "print(own.joinpath('assets/a.txt').is_file(), own.joinpath('secret.txt').is_file())",
        "3.2.1 True False",
        files={
            "src/own/about.py": '__version__ = "3.2.1"\n',
            "src/own/secret.txt": "x",
            "assets/a.txt": "x",
        },
        edits=DYNAMIC,
        let_in=("assets/",),
    ),
    "setuptools": Case(
        ('["setuptools>=77"]', "setuptools.build_meta"),
        '[tool.setuptools.dynamic]\nversion = { attr = "own.about.VERSION" }\n'
        '[tool.setuptools.package-data]\nown = ["data/*.txt"]',
        "import importlib.resources as r\nprint(r.files('own').joinpath('data/a.txt').is_file())",
        "3.2.2 True",
        files={"src/own/about.py": 'VERSION = "3.2.2"\n', "src/own/data/a.txt": "x"},
        edits=DYNAMIC,
    ),
    "setuptools, flat": Case(
        ('["setuptools>=77"]', "setuptools.build_meta"),
        '[tool.setuptools]\npackages = ["own"]\n'
        '[tool.setuptools.dynamic]\nversion = { file = "VERSION" }',
        "import own; print(own.__name__)",
        "3.2.3 own",
        files={"VERSION": "3.2.3\n"},
        edits=DYNAMIC,
        let_in=("own/",),
        flat=True,
    ),
    "uv_build": Case(
        ('["uv_build>=0.9"]', "uv_build"),
        '[tool.uv.build-backend]\nmodule-name = "own"\nwheel-exclude = ["secret.txt"]',
        "import importlib.resources as r\nprint(r.files('own').joinpath('secret.txt').is_file())",
        "0.1.0 False",
        files={"src/own/secret.txt": "x"},
    ),
    "a version from an argument": Case(
        (
            '["poetry-core>=2", "poetry-dynamic-versioning>=1"]',
            "poetry_dynamic_versioning.backend",
        ),
        f'{PACKED}\nversion = "0.0.0"\n[tool.poetry-dynamic-versioning]\nenable = true',
        "import own",
        "7.8.9",
        edits=DYNAMIC,
        variables={"APPLICATION_VERSION": "7.8.9"},
    ),
    "a compiled part": Case(
        ('["poetry-core>=2", "cython", "setuptools"]', POETRY[1]),
        f'{PACKED}\n[tool.poetry.build]\nscript = "build.py"\ngenerate-setup-file = false\n'
        "[tool.sys.debian13.dependencies]\n"
        '[tool.sys.debian13.dev-dependencies]\ngcc = "*"\nlibc6-dev = "*"\npython3-dev = "*"',
        "import own.fast; print(own.fast.twice(21))",
        "0.1.0 42",
        files={
            "src/own/fast.pyx": "def twice(int x):\n    return 2 * x\n",
            "build.py": BUILD,
        },
        edits={"\n[tool.sys]\n": "\n"},
    ),
}

# One of each way; all others are proofs.
LANE = ("poetry, flat, files beside the package", "setuptools", "a compiled part")


def change(project: Made, case: Case) -> None:
    """Give a project the backend, the layout and the files of a case."""
    requires, backend = case.backend
    edits = {
        'requires = ["poetry-core>=2.2"]': f"requires = {requires}",
        f'build-backend = "{POETRY[1]}"': f'build-backend = "{backend}"',
        PACKED: case.tables,
        **case.edits,
    }
    for old, new in edits.items():
        project.edit("pyproject.toml", old, new)
    if case.flat:
        (project.folder / "src/own").rename(project.folder / "own")
        (project.folder / "src").rmdir()
    for name, text in case.files.items():
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(text, encoding="utf-8")
    with (project.folder / ".dockerignore").open("a") as ignored:
        ignored.writelines(f"!{name}\n" for name in case.let_in)


def built_again(output: str) -> bool:
    """Tell whether the step that builds the wheel was run, and not taken from the cache."""
    [state] = re.findall(
        r"^#(?P<n>\d+) \[application-\w+ \S+ RUN .*\n#(?P=n) (\w+)", output, flags=re.M
    )
    return str(state[1]) != "CACHED"


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=[] if x in LANE else [pytest.mark.proofs]) for x in CASES],
)
def test_any_backend_packs_what_is_declared_and_is_asked_once(make: Make, name: str) -> None:
    """An edit of the tests, or of a tool that builds nothing, is none of the package."""
    case, project = CASES[name], make(kind="cli", package_name="own")
    change(project, case)
    project.session("docker_prod", **case.variables)
    program = VERSION.format(project.name) if re.match(r"\d", case.answer) else ""
    assert project.python(program + case.program) == case.answer
    (project.folder / "tests/test_more.py").write_text("# more\n")
    project.edit("pyproject.toml", "line-length = 100", "line-length = 99")
    assert not built_again(project.session("docker_prod", **case.variables))


@pytest.mark.proofs
def test_a_flat_package_is_tested_and_developed_as_any_other(make: Make) -> None:
    project = make(kind="cli", package_name="own")
    change(project, CASES["poetry, flat, files beside the package"])
    assert "2 passed" in project.session("docker_test")
    project.session("docker_dev")
    where = "import own; print(own.__file__)"
    assert project.python(where, "development") == "/app/own/__init__.py"
    assert project.python(where, "test").startswith("/opt/venv/")


@pytest.mark.proofs
def test_a_project_of_poetry_1_needs_no_other_tables(make: Make) -> None:
    project = make(kind="cli", package_name="own", python_version="3.11")
    text = OLD.format(project.name)
    (project.folder / "pyproject.toml").write_text(text, encoding="utf-8")
    project.session("lock")
    assert "2 passed" in project.session("docker_test")
    project.session("docker_prod")
    assert project.python("import colorama, own; print(own.__name__)") == "own"
    assert project.docker("run", "--rm", f"{project.name}:production", "--help").startswith("Usage")
    assert "2 passed" in project.session("tests")
    project.session("typecheck")


def test_what_is_wrong_is_the_last_that_docker_prod_says(make: Make) -> None:
    project = make(kind="cli", package_name="own")
    change(project, CASES["poetry, flat, files beside the package"])
    shutil.rmtree(project.folder / "data")
    assert (
        "\nPackage: data/*.txt is named by tool.poetry.include in pyproject.toml, and not in the "
        "build context. Add !data to .dockerignore if it exists, else correct the name.\n"
    ) in project.refused("docker_prod")
    project.edit("pyproject.toml", "[tool.poetry]", "[tool.poetry]\npackage-mode = false")
    (project.folder / "data").mkdir()
    (project.folder / "data/x.txt").touch()
    assert (
        "\nPackage: poetry-core says: Building a package is not possible in non-package mode. "
        "Correct pyproject.toml, let its files in "
    ) in project.refused("docker_prod")


def test_a_build_without_nox_says_what_to_add(make: Make) -> None:
    project = make(kind="cli", package_name="own")
    change(project, CASES["poetry, flat, files beside the package"])
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    done = project.run("docker", "build", image, ".")
    assert "Build with --build-arg OWN_PACKAGE=other, or for compose" in done.stdout
    project.docker("build", "--quiet", image, "--build-arg=OWN_PACKAGE=other", ".")


def test_a_backend_that_would_ask_git_is_told_the_version_or_says_so(make: Make) -> None:
    project = make(kind="cli", package_name="own")
    tables = '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.targets.wheel]\n'
    tables += 'packages = ["src/own"]'
    change(
        project,
        Case(('["hatchling", "hatch-vcs"]', "hatchling.build"), tables, "", "", edits=DYNAMIC),
    )
    said = project.refused("docker_prod")
    assert "\nPackage: hatchling.build says: LookupError: " in said
    assert "Name the version in APPLICATION_VERSION, because no build sees a repository.\n" in said
    project.session("docker_prod", APPLICATION_VERSION="1.2.3")
    assert project.python(VERSION.format(project.name)).strip() == "1.2.3"
