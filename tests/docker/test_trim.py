"""What is left out of the environment, and the proof that the rest still works."""

import re

import pytest

from tests.docker.declarations import declare
from tests.docker.projects import Made, Make

# tests/unit/test_trim_environment.py is for every change.
pytestmark = pytest.mark.proofs
RULES = "duplicates = true\nsources = true\nsymbols = true\ntests = true\n"
EXAMPLES = 'exclude = ["numpy/random/_examples"]\n'
PACKAGES = '    "cffi>=2",\n    "numpy>=2.2",\n'
# It shows how cffi takes headers, which are among the sources.
BROKEN = "numpy.random._examples.cffi.extending"
PROGRAM = """
import importlib.metadata, json, os
import numpy
assert numpy.linalg.svd(numpy.eye(3))[1].tolist() == [1, 1, 1]
assert numpy.fft.fft([1, 0])[0] == 1
folder = os.path.dirname(numpy.__file__)
files = importlib.metadata.files("numpy")
print(json.dumps([
    any(name.endswith((".h", ".pyx")) for _, _, names in os.walk(folder) for name in names),
    os.path.exists(os.path.join(folder, "linalg", "tests")),
    all(file.locate().exists() for file in files),
]))
"""


def trimmed(make: Make, name: str, settings: str) -> Made:
    """Return a project with numpy, cffi and these settings, locked."""
    project = make(kind="cli", project_name=name)
    project.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{PACKAGES}")
    project.edit("pyproject.toml", 'development = "450 MB"\n', "")
    declare(project, f"[tool.seedpod.trim]\n{settings}")
    project.session("lock")
    return project


@pytest.fixture(scope="module")
def tested(make: Make, worker_id: str) -> Made:
    """Return a project that was trimmed, tested and built; tests leave it as it is."""
    project = trimmed(make, f"trimmed-{worker_id}", RULES + EXAMPLES)
    project.session("docker_test")
    project.session("docker_prod")
    return project


def test_what_is_tested_is_as_trimmed_as_what_ships(tested: Made) -> None:
    """It computes, has neither tests nor headers, and its list of files says so."""
    assert tested.python(PROGRAM).splitlines()[-1] == "[false, false, true]"
    assert tested.layers("test")[: len(tested.layers())] == tested.layers()


def test_the_size_of_each_rule_is_shown(tested: Made) -> None:
    told = tested.run("nox", "-s", "docker_size").stdout
    assert re.search(
        r"^trimmed, and all \d+ modules that could be imported still can be$", told, re.M
    )
    saved = dict(re.findall(r"^  (\w+) +([\d.]+) [kM]B +\d+ files$", told, flags=re.MULTILINE))
    assert saved.keys() == {"duplicates", "exclude", "sources", "symbols", "tests"}
    assert all(float(size) > 0 for size in saved.values())


def test_a_rule_that_would_break_something_fails_the_build_and_names_it(
    make: Make, worker_id: str
) -> None:
    """And so does a pattern; what is advised works."""
    project = trimmed(make, f"broken-{worker_id}", RULES)
    told = project.refused("docker_prod")
    assert f"Trim: {BROKEN} can no longer be imported (FileNotFoundError: " in told
    advised = re.search(r"or add what nobody needs to exclude: (\S+)$", told, flags=re.MULTILINE)
    assert advised
    project.edit("pyproject.toml", RULES, f'{RULES}exclude = ["{advised[1]}", "numpy/fft"]\n')
    told = project.refused("docker_prod")
    assert re.search(
        r"Trim: numpy imports numpy\.fft in line \d+, which 'numpy/fft' in exclude of "
        r"\[tool\.seedpod\.trim\] leaves out\. Remove that pattern or narrow it\.",
        told,
    )
    project.edit("pyproject.toml", ', "numpy/fft"', "")
    project.session("docker_prod")
