"""What was tested is what ships: tests run on production's own layers, as production runs."""

import shutil
from collections.abc import Iterator

import pytest

from support.images import Layout
from tests.docker.declarations import declare
from tests.docker.projects import MINIMAL_IMAGES, Made, Make

# What a suite looks at that is not there, or is not allowed, in production.
SUITE = '''
"""Production is as a cluster runs it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


def test_it_is_another_user_without_rights() -> None:
    assert os.getuid() == 12345
    status = Path("/proc/self/status").read_text()
    assert "CapEff:\\t0000000000000000" in status
    assert "NoNewPrivs:\\t1" in status


@pytest.mark.parametrize("folder", ["/", "/app", "/app/tests", "/opt/venv", "/opt/test"])
def test_nothing_can_be_written(folder: str) -> None:
    with pytest.raises(OSError):
        Path(folder, "new").touch()


def test_there_is_a_folder_for_temporary_files() -> None:
    assert tempfile.gettempdir() == str(Path.home()) == "/tmp"
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")


def test_production_comes_first_and_the_packages_of_tests_last() -> None:
    site = [path for path in sys.path if "packages" in path]
    assert [path[:9] for path in site[-2:]] == ["/opt/venv", "/opt/test"]
    assert pytest.__file__.startswith("/opt/test/")


def test_commands_of_development_packages_run() -> None:
    done = subprocess.run(["pytest", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pytest ")
'''


@pytest.mark.parametrize("place", MINIMAL_IMAGES)
def test_tests_run_on_the_layers_that_ship_as_they_ship(
    built: Make, place: tuple[Layout, str], request: pytest.FixtureRequest
) -> None:
    layout, kind = place
    project = built(layout, runtime=kind)
    suite = project.folder / "tests/test_production.py"
    request.addfinalizer(suite.unlink)
    suite.write_text(SUITE)
    output = project.session("docker_test", "-q")
    assert "Production can import all modules" in output
    assert "11 passed" in output
    shipped = project.layers()
    tested = project.layers("test")
    assert tested[: len(shipped)] == shipped == project.layers("candidate")
    assert len(tested) > len(shipped)


@pytest.fixture(scope="module")
def tested(make: Make) -> Made:
    """Return a project with packages that only development has; no test leaves a trace in it."""
    project = make(project_name="tested", package_name="tested")
    packages = '    "pytest-cov>=6",\n    "pytest-xdist>=3",\n'
    project.edit("pyproject.toml", "dev = [\n", f"dev = [\n{packages}")
    # The tests' own driver is found by its library's name, which a group of packages brings.
    declare(project, '\n[tool.sys.debian13.groups.tests]\nlibpq5 = "*"\n')
    project.session("lock")
    return project


@pytest.fixture
def changed(tested: Made) -> Iterator[Made]:
    """Return that project, for a test that changes files; they are as before in the end."""
    kept = tested.folder.with_name("kept")
    shutil.copytree(tested.folder, kept, symlinks=True)
    yield tested
    shutil.rmtree(tested.folder)
    kept.rename(tested.folder)


def write(project: Made, name: str, text: str) -> None:
    """Write a module of the project's own package."""
    (project.folder / "src/tested" / name).write_text(text, encoding="utf-8")


@pytest.mark.proofs
def test_plugins_with_processes_of_their_own_work(tested: Made) -> None:
    output = tested.session("docker_test", "-n2", "--cov=tested", "--cov-report=term")
    assert "2 passed" in output
    assert "2 workers" in output
    assert "/opt/venv/lib/python3.13/site-packages/tested/app.py" in output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "import coverage\n",
            "tested.extra cannot be imported in production (ModuleNotFoundError",
            marks=pytest.mark.proofs,
        ),
        pytest.param(
            "def f() -> None:\n    import coverage\n",
            "tested.extra imports coverage in line 2",
            marks=pytest.mark.proofs,
        ),
        (
            "import ctypes\n\nctypes.CDLL('libpq.so.5')\n",
            "tested.extra cannot be imported in production (OSError: libpq.so.5",
        ),
    ],
    ids=["package", "package in a function", "library"],
)
def test_what_only_the_tests_have_is_missed_by_a_module_that_needs_it(
    changed: Made, text: str, told: str
) -> None:
    """Though the suite imports it without a fault, beside the packages of the tests."""
    write(changed, "extra.py", text)
    suite = changed.folder / "tests/test_extra.py"
    suite.write_text("import ctypes\n\nimport coverage\n\nctypes.CDLL('libpq.so.5')\n")
    before = changed.docker("images", "--quiet", f"{changed.name}:production")
    output = changed.refused("docker_test")
    assert told in output
    assert "passed" not in output
    assert changed.docker("images", "--quiet", f"{changed.name}:production") == before
    write(changed, "extra.py", "")
    assert "2 passed" in changed.session("docker_test")


def test_an_exception_is_declared_with_its_reason(changed: Made) -> None:
    write(changed, "extra.py", "import coverage\n")
    declare(changed, '\n[tool.seedpod.test]\nnot-imported = { "tested.extra" = "for profiling" }\n')
    output = changed.session("docker_test")
    assert "Not imported: tested.extra (for profiling)" in output
    assert "2 passed" in output


@pytest.mark.proofs
def test_a_suite_that_calls_a_shell_says_so_once(changed: Made, make: Make) -> None:
    """Production still has none, on either base."""
    call = "import os\n\n\ndef test_shell() -> None:\n    assert os.system('exit 3') == 3 * 256\n"
    for project in (changed, make(Layout.ALPINE)):
        (project.folder / "tests/test_shell.py").write_text(call)
        assert "1 failed" in project.refused("docker_test")
        declare(project, '\n[tool.seedpod.test]\nprograms = ["sh"]\n')
        assert "3 passed" in project.session("docker_test")
        assert project.python("import os; print(os.path.exists('/bin/sh'))", "candidate") == "False"
    changed.edit("pyproject.toml", 'programs = ["sh"]', 'programs = ["perl6"]')
    assert "programs in [tool.seedpod.test] names perl6" in changed.refused("docker_test")
