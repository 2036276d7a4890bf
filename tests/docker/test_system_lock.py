"""sys.lock: the same packages today and tomorrow, or a clear word that they are gone."""

import re
import tomllib
from typing import Any

import pytest

from support import images
from support.docker import Client
from tests.docker.declarations import DECLARED_SETTINGS, build_runtimes, declare, installed
from tests.docker.projects import Made, Make, Twin

OTHER_RELEASE = """
[[image]]
architecture = "amd64"
base-digest = "sha256:0"
base-image = "other"
declaration = "sha256:0"
release = "debian12"

[[image.package]]
architecture = "amd64"
name = "libpq5"
sets = ["dependencies"]
version = "15.1-1"
"""


@pytest.fixture(scope="module")
def locked(make: Make) -> Made:
    """Return a project with a fresh sys.lock; tests leave it as it is."""
    project = make(project_name="locked")
    declare(project, DECLARED_SETTINGS)
    project.session("sys_lock")
    return project


def image_of(project: Made) -> dict[str, Any]:
    """Return what a project's lock has for its one image."""
    content = tomllib.loads((project.folder / "sys.lock").read_text(encoding="utf-8"))
    (image,) = content["image"]
    assert image["release"] == "debian13"
    found: dict[str, Any] = image
    return found


def pin(project: Made, package: str) -> str:
    """Return the version that a project's lock has for a package."""
    (version,) = [x["version"] for x in image_of(project)["package"] if x["name"] == package]
    return str(version)


def test_written_again_it_is_the_same_and_what_it_has_for_other_releases_stays(
    locked: Made, twin: Twin
) -> None:
    project = twin(locked)
    path = project.folder / "sys.lock"
    first = path.read_text(encoding="utf-8")
    path.write_text(first + OTHER_RELEASE, encoding="utf-8")
    assert "sys.lock has" in project.session("sys_lock")
    # Sorted by release, the other one comes first.
    header, separator, own = first.partition("\n\n[[image]]")
    again = header + "\n" + OTHER_RELEASE.rstrip("\n") + separator + own
    assert path.read_text(encoding="utf-8") == again


def test_it_names_the_base_image_and_the_day_of_the_archive(locked: Made) -> None:
    image, base = image_of(locked), locked.variables["PYTHON_IMAGE"]
    assert image["base-image"] == base
    # That of a registry is in test_reproducible.py.
    assert "base-image-digest" not in image or images.available(base, Client())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", image["archive-date"])


@pytest.mark.proofs
def test_it_has_all_that_the_images_add_to_the_base_image_and_no_more(locked: Made) -> None:
    """A build takes these versions, for what is declared and for what that brings along."""
    build_runtimes(locked)
    locked.session("docker_dev")
    base = set(installed(locked, locked.variables["PYTHON_IMAGE"]).items())
    entries = image_of(locked)["package"]
    architecture = image_of(locked)["architecture"]
    assert {x["architecture"] for x in entries} <= {architecture, "all"}
    production = {(x["name"], x["version"]) for x in entries if "dependencies" in x["sets"]}
    development = {(x["name"], x["version"]) for x in entries}
    assert len(production) > 2
    assert set(installed(locked, f"{locked.name}:full").items()) - base == production
    assert set(installed(locked, f"{locked.name}:development").items()) - base == development


def test_a_fresh_lock_passes_the_check(locked: Made) -> None:
    assert "out of date" not in locked.session("sys_lock", "--check")


def test_the_check_names_what_is_declared_or_served_otherwise_and_writes_nothing(
    locked: Made, twin: Twin
) -> None:
    project = twin(locked)
    version = pin(project, "libmagic1t64")
    project.edit("sys.lock", f'"{version}"', '"0.1"')
    before = (project.folder / "sys.lock").read_bytes()
    project.edit("pyproject.toml", "libmagic1t64 =", 'libyaml-0-2 = "*"\nlibmagic1t64 =')
    output = project.refused("sys_lock", "--check")
    assert f"sys.lock is out of date: libmagic1t64 is {version}, locked is 0.1." in output
    assert re.search(r"out of date: libyaml-0-2 is \S+, locked is none\.", output)
    assert "Run nox -s sys_lock." in output
    assert (project.folder / "sys.lock").read_bytes() == before


def test_a_lock_that_does_not_fit_the_declaration_is_refused_until_it_is_written_again(
    locked: Made, twin: Twin
) -> None:
    project = twin(locked)
    project.edit("pyproject.toml", "libmagic1t64 =", 'libyaml-0-2 = "*"\nlibmagic1t64 =')
    refusal = "System packages: sys.lock does not fit [tool.sys.debian13]. Run nox -s sys_lock."
    assert refusal in project.refused("docker_prod")
    project.session("sys_lock")
    project.session("docker_prod", "--build-arg=RUNTIME=full", f"--tag={project.name}:newer")
    newer = installed(project, f"{project.name}:newer")
    assert newer["libyaml-0-2"] == pin(project, "libyaml-0-2")


def test_a_pin_that_is_no_longer_served_is_named(locked: Made, twin: Twin) -> None:
    project = twin(locked)
    version = pin(project, "libmagic-mgc")
    text = (project.folder / "sys.lock").read_text(encoding="utf-8")
    before, name, after = text.partition('name = "libmagic-mgc"')
    (project.folder / "sys.lock").write_text(
        before + name + after.replace(f'"{version}"', '"0.1"', 1), encoding="utf-8"
    )
    output = project.refused("docker_prod")
    refusal = f"sys.lock asks for libmagic-mgc 0.1, and the archive has {version}."
    assert f"{refusal} Run nox -s sys_lock." in output
