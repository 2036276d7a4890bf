"""Every pair of answers that matter for an image is built, within its budget, and runs."""

import tomllib
from collections.abc import Callable
from itertools import combinations

import figures
import pytest

from support import images
from support.images import Layout, bases
from support.images.alpine import wheels
from support.sizes import measure
from tests.docker.projects import Made, Make, fetch
from tests.render.questions import Answers, choices, label, pairwise

# Where tests run, and under which licence, changes nothing of how an image is built.
RELEVANT = ("kind", "python_version", "base", "runtime", "services")
OFFERED = {name: choices()[name] for name in RELEVANT}
# Of the others there is no base image on a machine without a registry: images.unbuilt().
BASES = {"alpine": wheels.CPYTHON.keys(), "debian": bases.RELEASES.keys()}


def has_base(answers: Answers) -> bool:
    """Tell whether there is a base image for answers, as far as they say which."""
    said = {"base", "python_version"} <= answers.keys()
    return not said or answers["python_version"] in BASES[answers["base"]]


ROWS = pairwise(OFFERED, has_base)
# For every change one image on each base, of the Python that other tests use, too; all others are
# proofs.
FIRST = {row["base"]: label(row) for row in reversed(ROWS) if row["python_version"] == "3.13"}
MARKED = [
    pytest.param(
        row, marks=() if label(row) in FIRST.values() else pytest.mark.proofs, id=label(row)
    )
    for row in ROWS
]
LAYOUTS = {"alpine": Layout.ALPINE, "debian": Layout.DEBIAN}


def test_every_pair_is_covered_for_which_there_are_base_images() -> None:
    covered = {pair for row in ROWS for pair in combinations(row.items(), 2)}
    everything = {
        ((one, first), (other, second))
        for one, other in combinations(RELEVANT, 2)
        for first in OFFERED[one]
        for second in OFFERED[other]
    }
    missing = everything - covered
    print(f"{len(covered)} of {len(everything)} pairs in {len(ROWS)} images")
    assert missing == {pair for pair in everything if not has_base(dict(pair))}
    assert len(missing) == len(images.unbuilt())


@pytest.mark.parametrize("row", MARKED)
def test_an_image_of_each_pair_runs(
    row: Answers, make: Make, alpine_packages: None, serve: Callable[..., str]
) -> None:
    project: Made = make(LAYOUTS[row["base"]], row["python_version"], **row)
    project.session("docker_prod")
    pyproject = tomllib.loads((project.folder / "pyproject.toml").read_text(encoding="utf-8"))
    budget = figures.parse_size(pyproject["tool"]["seedpod"]["size"]["production"], "here")
    [measured] = measure(project, f"{project.name}:production")
    print(f"{label(row)}: {measured.size / 1e6:.1f} of {budget / 1e6:.0f} MB")
    # A whole base image is as large as the stand-in for it happens to be.
    assert measured.size <= budget or row["runtime"] == "full"
    found = project.python("import sys; print('.'.join(map(str, sys.version_info[:2])))")
    assert found == row["python_version"]
    if row["kind"] == "web":
        assert fetch(f"{serve(project)}/healthz") == '{"status":"ok"}'
    else:
        assert "Hello, world!" in project.docker("run", "--rm", f"{project.name}:production")
