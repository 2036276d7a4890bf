"""Production is complete: what packages made when they were installed, and what is loaded by name.

Reports of the public, each with the smallest input that shows it.
"""

import re
import time

import pytest

from support.images import Layout
from tests.docker.declarations import build_runtimes, declare
from tests.docker.projects import IMAGES, Made, Make, Twin

SETTINGS = """
[tool.sys.debian13.dependencies]
graphviz = { version = "*", dlopen = true }
libblas3 = { version = "*", dlopen = true }
libodbc2 = "*"
libpq5 = { version = "*", dlopen = true }
libzbar0t64 = { version = "*", dlopen = true }
odbc-postgresql = { version = "*", dlopen = true }
"""
# What loads these by name: modules of the project, and its tests.
MODULES = {
    "blas": "from ctypes import CDLL, util\n\nCDLL(util.find_library('blas')).ddot_\n",
    "database": "import psycopg\n",
    "barcodes": "from pyzbar import pyzbar\n",
}
SUITE = """
import subprocess

import pyodbc


def test_drawing() -> None:
    subprocess.run(["dot", "-V"], check=True)


def test_driver() -> None:
    assert "PostgreSQL Unicode" in pyodbc.drivers()
"""
DRAW = (
    "import subprocess\n"
    "done = subprocess.run(['dot', '-Tsvg'], input=b'digraph { a -> b }', capture_output=True)\n"
    "print(done.returncode, b'<svg' in done.stdout, done.stderr)"
)
USER = (
    "import getpass, os, pathlib, tempfile\n"
    "file = tempfile.NamedTemporaryFile()\n"
    "print(os.getuid(), getpass.getuser(), pathlib.Path.home())"
)


@pytest.fixture(scope="module")
def loading(make: Make, worker_id: str) -> Made:
    """Return a project that loads libraries and runs programs by name, built in both runtimes."""
    project = make(project_name=f"loading-{worker_id}")
    packages = '    "psycopg>=3.2",\n    "pyodbc>=5",\n    "pyzbar>=0.1.9",\n'
    project.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{packages}")
    declare(project, SETTINGS)
    project.session("lock")
    build_runtimes(project)
    return project


@pytest.mark.proofs
def test_a_driver_finds_its_library_by_name(loading: Made, runtime: str) -> None:
    assert loading.python("import psycopg; print(psycopg.pq.__impl__)", runtime) == "python"


@pytest.mark.proofs
def test_a_reader_of_barcodes_finds_its_library(loading: Made, runtime: str) -> None:
    program = "from pyzbar import pyzbar, wrapper; print(len(wrapper.zbar_version.argtypes))"
    assert loading.python(program, runtime) == "2"


@pytest.mark.proofs
def test_a_library_behind_an_alternative_is_found(loading: Made, runtime: str) -> None:
    """The link is made by update-alternatives, and belongs to no package."""
    program = (
        "import ctypes.util\n"
        "name = ctypes.util.find_library('blas')\n"
        "print(name, bool(ctypes.CDLL(name).ddot_))"
    )
    assert loading.python(program, runtime) == "libblas.so.3 True"


@pytest.mark.proofs
def test_drivers_that_are_registered_at_installation_are_known(loading: Made, runtime: str) -> None:
    drivers = loading.python("import pyodbc; print(sorted(pyodbc.drivers()))", runtime)
    assert drivers == "['PostgreSQL ANSI', 'PostgreSQL Unicode']"


@pytest.mark.proofs
def test_plugins_that_are_registered_at_installation_work(loading: Made, runtime: str) -> None:
    # Its library of fonts keeps what it has read.
    assert loading.python(DRAW, runtime, "--tmpfs=/tmp") == "0 True b''"


@pytest.mark.proofs
def test_programs_that_cannot_run_are_named_last(loading: Made) -> None:
    """With what to declare for them; where the step is repeated, so that it says so."""
    # A line that no earlier run had, whose cache would have the step.
    line = f"# {time.time_ns()}"
    loading.edit("docker/stdlib-exclude.txt", "antigravity.py\n", f"antigravity.py\n{line}\n")
    output = loading.session("docker_prod", "--build-arg=RUNTIME=minimal")
    said = re.findall(r"^(.+ need \S+, which is not in this image\. .+)$", output, flags=re.M)
    assert any(re.search(r"gvmap.sh.* need /\S*sh, .*Declare \S+, too, ", line) for line in said)
    assert said[-1] in output.split("writing image")[-1]


@pytest.mark.proofs
def test_what_is_taken_away_is_named_before_it_ships(loading: Made, twin: Twin) -> None:
    project = twin(loading)
    package = next(project.folder.glob("src/*"))
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (project.folder / "tests/test_programs.py").write_text(SUITE, encoding="utf-8")
    assert "4 passed" in project.session("docker_test")
    for name in ("graphviz", "odbc-postgresql"):
        project.edit("pyproject.toml", f'{name} = {{ version = "*", dlopen = true }}\n', "")
    output = project.refused("docker_test")
    assert "No such file or directory: 'dot'" in output
    assert "FAILED tests/test_programs.py::test_driver - AssertionError" in output
    for name in ("libblas3", "libpq5", "libzbar0t64"):
        project.edit("pyproject.toml", f'{name} = {{ version = "*", dlopen = true }}\n', "")
    output = project.refused("docker_test")
    for name in MODULES:
        assert f"{package.name}.{name} cannot be imported in production" in output


@pytest.mark.parametrize("place", IMAGES)
def test_every_user_has_a_name_a_home_and_a_folder_for_temporary_files(
    built: Make, place: tuple[Layout, str]
) -> None:
    layout, kind = place
    project = built(layout, runtime=kind)
    for user in ("12345", "65532"):
        options = (f"--user={user}", "--tmpfs=/tmp:mode=1777")
        assert project.python(USER, "production", *options) == f"{user} app /tmp"


def test_compose_gives_production_a_folder_for_temporary_files(built: Make) -> None:
    project = built()
    run = ("compose", "--profile=production", "run", "--rm", "--no-deps", "--entrypoint=python3")
    output = project.docker(*run, f"{project.name}-production", "-c", USER)
    assert output.splitlines()[-1] == "12345 app /tmp"


def test_it_knows_the_usual_locale_and_terminals(built: Make, layout: Layout) -> None:
    options = ("--env=LANG=C.UTF-8", "--env=TERM=xterm-256color")
    program = (
        "import curses, locale\n"
        "locale.setlocale(locale.LC_ALL, '')\n"
        "curses.setupterm()\n"
        "print(curses.tigetnum('colors'))"
    )
    if layout is Layout.ALPINE:
        # The base image has no terminals.
        program = "import locale; locale.setlocale(locale.LC_ALL, ''); print(256)"
    assert built(layout).python(program, "production", *options) == "256"


def test_libraries_are_found_by_name_on_every_base(built: Make, layout: Layout) -> None:
    for kind in ("minimal", "full"):
        program = (
            "import ctypes.util\n"
            "print(all(ctypes.CDLL(ctypes.util.find_library(x)) for x in ('c', 'ssl', 'z')))"
        )
        assert built(layout, runtime=kind).python(program) == "True"
