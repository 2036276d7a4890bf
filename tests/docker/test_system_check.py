"""What is declared is proved: against the dynamic linker, and before anything ships."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.docker.declarations import COMPILED, COMPILED_SLOWLY, SLOWLY, WHEELS
from tests.docker.projects import HARDENED, Made, Twin, export

# What is derived of a distribution, and what is loaded, by its name.
Compared = dict[str, dict[str, list[str]]]
PROGRAM = Path(__file__).parent / "programs/compare_libraries.py"
# They want Tcl and psutil, which are not there, from Python: the linker has loaded them before.
REFUSED = {
    "PIL._imagingtk",
    "greenlet.tests._test_extension",
    "greenlet.tests._test_extension_cpp",
}
IN_THE_IMAGE = """
import json, os, sys
print(json.dumps([path for path in sys.argv[1:] if os.path.exists(path)]))
"""
REAL_PATHS = """
import json, os, sys
from pathlib import Path
print(json.dumps([os.path.realpath(p) for name in sys.argv[1:] for p in Path("/usr").rglob(name)]))
"""
LEFT_OUT = {
    "libjpeg62-turbo": ("libjpeg.so.62", "pillow"),
    "libmariadb3": ("libmariadb.so.3", "mysqlclient"),
    "libpq5": ("libpq.so.5", "psycopg-c"),
    "libxml2": ("libxml2.so.2", "lxml"),
}


@pytest.fixture(scope="module")
def compared(compiled: Made) -> Compared:
    """Return what is derived and what is loaded, by the distributions' names."""
    return compare(compiled)


def compare(compiled: Made) -> Compared:
    """Return that of a project's full image."""
    run = ("run", "--rm", "--network=none", *HARDENED, "--env=PYTHONPATH=/docker")
    programs = f"--volume={compiled.folder}/docker/image:/docker:ro"
    program = f"--volume={PROGRAM}:/program.py:ro"
    image = ("--entrypoint=python3", f"{compiled.name}:full", "/program.py")
    found: Compared = json.loads(compiled.docker(*run, programs, program, *image))
    return {name.lower().replace("_", "-"): result for name, result in found.items()}


@pytest.mark.parametrize("name", [*WHEELS, *COMPILED, "pydantic-core"])
def test_derived_are_the_libraries_that_the_dynamic_linker_loads(
    compared: Compared, name: str
) -> None:
    check(compared, name)


def check(compared: Compared, name: str) -> None:
    """Compare what is derived of a distribution with what is loaded."""
    result = compared[name.replace("[", "-").strip("]")]
    assert result["modules"]
    assert set(result["refused"]) <= REFUSED
    assert result["derived"] == result["mapped"]


def test_the_report_has_what_is_loaded_and_the_base_image_lacks(
    compiled: Made, compared: Compared, tmp_path: Path
) -> None:
    check_report(compiled, compared, tmp_path)


@pytest.mark.proofs
def test_both_hold_for_what_takes_long_to_compile(compiled_slowly: Made, tmp_path: Path) -> None:
    found = compare(compiled_slowly)
    for name in COMPILED_SLOWLY:
        check(found, name)
    check_report(compiled_slowly, found, tmp_path)


def check_report(compiled: Made, compared: Compared, tmp_path: Path) -> None:
    """Compare the libraries that are reported with those that are loaded."""
    export(compiled, "system-report", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    names = {library["name"] for library in report["libraries"]}
    run = ("run", "--rm", "--entrypoint=python3")
    image = f"{compiled.name}:full"
    reported = set(json.loads(compiled.docker(*run, image, "-c", REAL_PATHS, *names)))
    loaded = {path for result in compared.values() for path in result["mapped"]}
    base = compiled.variables["PYTHON_IMAGE"]
    in_base = set(json.loads(compiled.docker(*run, base, "-c", IN_THE_IMAGE, *loaded)))
    assert len(reported) == len(names) > len(LEFT_OUT)
    assert reported == loaded - in_base
    assert report["findings"] == []


@pytest.mark.parametrize("fixture", ["compiled", SLOWLY])
def test_a_library_that_is_not_declared_is_named_before_anything_ships_and_can_be_declared(
    fixture: str, request: pytest.FixtureRequest, twin: Twin
) -> None:
    project = twin(request.getfixturevalue(fixture))
    path = project.folder / "pyproject.toml"
    complete = path.read_text(encoding="utf-8")
    left_out = {name: LEFT_OUT[name] for name in LEFT_OUT if f"\n{name} = " in complete}
    assert len(left_out) == 2
    wanted = "|".join(left_out)
    path.write_text(re.sub(rf"^(?:{wanted}) = .*\n", "", complete, flags=re.M), encoding="utf-8")
    lacking = path.read_text(encoding="utf-8").splitlines()

    for output in (project.refused("sys_check"), project.refused("docker_test")):
        for package, (library, user) in left_out.items():
            (line,) = [line for line in output.splitlines() if line.startswith(library)]
            assert f"{user} (" in line
            assert f"is in the package {package}," in line
            assert line.endswith(f'Add: {package} = "*"')
    assert not project.docker("images", "--quiet", f"{project.name}:test")

    project.session("sys_check", "--fix")
    fixed = path.read_text(encoding="utf-8").splitlines()
    added = [f'{package} = "*"' for package in left_out]
    assert [line for line in fixed if line not in added] == lacking
    assert tomllib.loads("\n".join(fixed)) == tomllib.loads(complete)
    assert "Libraries beyond the base image:" in project.session("sys_check")


@pytest.mark.proofs
def test_one_library_that_is_not_declared_is_named_with_its_key_in_quotes(
    compiled_slowly: Made, twin: Twin
) -> None:
    project = twin(compiled_slowly)
    project.edit("pyproject.toml", '"libxslt1.1" = "*"\n', "")
    output = project.refused("sys_check")
    assert output.count("Add: ") == 1
    assert 'Add: "libxslt1.1" = "*"\n' in output


@pytest.mark.proofs
def test_what_is_loaded_by_name_is_not_called_unused_and_what_nothing_loads_is(
    declared: Made, twin: Twin
) -> None:
    project = twin(declared)
    output = project.refused("sys_check")
    assert "No library needs libjpeg62-turbo in [tool.sys.debian13.dependencies]" in output
    assert "libmagic1t64" not in output

    project.edit("pyproject.toml", '{ version = "*", dlopen = true }', '"*"\nmake = "*"')
    output = project.refused("sys_check")
    assert "No library needs libmagic1t64 in" in output
    assert "make in [tool.sys.debian13.dependencies] is for building. Move it to" in output
