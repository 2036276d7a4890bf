"""A catalogue of base images: built, checked, pushed, and used by a project."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, transfer
from support.docker import Client
from support.images import Layout
from support.project import render
from tests.docker.declarations import declare
from tests.docker.projects import PYTHON_VERSION, Made, Make, base_image, free_port
from tests.families import needed_by

# Both are small, and one is a header whose absence PyYAML does not mind.
TABLE = """
repository = "{repository}"
pythons = ["{python}"]
forbidden = ["gcc", "make"]
[bases.debian13]
image = "{image}"
[sys.debian13.dev-dependencies]
gcc = "*"
libc6-dev = "*"
python3-dev = "*"
[variants.plain]
[variants.yaml.sys.debian13.dependencies]
libyaml-0-2 = "*"
[variants.yaml.sys.debian13.dev-dependencies]
libyaml-dev = "*"
[variants.yaml.size.debian13]
base = "200 MB"
[variants.yaml.check]
imports = ["json"]
libraries = ["libyaml-0.so.2"]
headers = ["yaml.h"]
programs = ["gcc"]
"""
NAME = f"{PYTHON_VERSION}-debian13"
PLAIN, YAML = f"{NAME}-plain", f"{NAME}-yaml"
TARGET = YAML.replace(".", "-")

MakeCatalogue = Callable[..., Made]


@pytest.fixture(scope="module")
def make_catalogue(
    client: Client, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeCatalogue]:
    """Return a function that makes a catalogue with a table; its images are removed in the end."""
    made: list[Made] = []

    def make(table: str = TABLE, **fields: str) -> Made:
        folder = tmp_path_factory.mktemp("bases") / "my bases"
        render({"kind": "catalogue"}, folder)
        image = base_image(Layout.DEBIAN, client).replace(PYTHON_VERSION, "{python}")
        given = {"repository": f"seedpod-catalogue-{worker_id}-{len(made)}", "image": image}
        text = table.format(**{"python": PYTHON_VERSION, **given, **fields})
        (folder / "catalogue.toml").write_text(text, encoding="utf-8")
        made.append(Made(folder, client.variables))
        return made[-1]

    yield make
    for catalogue in made:
        tags = catalogue.docker("images", "--quiet", repository_of(catalogue)).split()
        if tags:
            catalogue.docker("rmi", "--force", *set(tags))


def repository_of(catalogue: Made) -> str:
    """Return the repository of a catalogue."""
    text = (catalogue.folder / "catalogue.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["repository"])


def ids(catalogue: Made) -> dict[str, str]:
    """Return the ids of the images of a catalogue by the tags that move."""
    template = "{{.Tag}} {{.ID}}"
    listing = catalogue.docker(
        "images", "--no-trunc", "--format", template, repository_of(catalogue)
    )
    rows = map(str.split, listing.splitlines())
    return {tag: image for tag, image in rows if re.fullmatch(rf"{NAME}-\w+(-builder)?", tag)}


@pytest.fixture(scope="module")
def catalogue(make_catalogue: MakeCatalogue, registry: transfer.Registry) -> Made:
    """Return a catalogue that is built and pushed to a registry; tests must not change it."""
    made = make_catalogue(repository=f"{registry.address}/our/python")
    made.session("push")
    return made


@pytest.fixture
def edited(catalogue: Made, make_catalogue: MakeCatalogue) -> MakeCatalogue:
    """Return a function that makes one of the same images, with another text in its table."""

    def edit(old: str, new: str) -> Made:
        assert old in TABLE
        made = make_catalogue(TABLE.replace(old, new))
        made.session("bake", "--progress=plain")
        return made

    return edit


def test_each_image_is_checked_and_measured(catalogue: Made) -> None:
    lines = catalogue.session("check").splitlines()
    rows = {words[0]: words[-1] for words in map(str.split, lines) if words and NAME in words[0]}
    assert rows == {name: "ok" for x in (PLAIN, YAML) for name in (x, f"{x}-builder")}


def test_nothing_is_built_again_without_a_change(catalogue: Made) -> None:
    before = ids(catalogue)
    output = catalogue.session("bake", "--progress=plain")
    steps = re.findall(r"^#(\d+) \[.*\] RUN ", output, flags=re.MULTILINE)
    assert steps
    assert {*steps} <= {*re.findall(r"^#(\d+) CACHED$", output, flags=re.MULTILINE)}
    assert ids(catalogue) == before


@pytest.mark.proofs
def test_a_change_of_a_package_changes_the_images_that_have_it_and_no_others(
    catalogue: Made, edited: MakeCatalogue
) -> None:
    before, after = ids(catalogue), ids(edited('libyaml-dev = "*"', 'libexpat1-dev = "*"'))
    assert before.keys() == after.keys()
    # Both of the pair, so that they have the versions of one day.
    assert {tag for tag in before if before[tag] != after[tag]} == {YAML, f"{YAML}-builder"}


@pytest.mark.proofs
def test_what_is_built_anew_of_the_same_packages_is_not_pushed_again(catalogue: Made) -> None:
    """Else a pipeline that rebuilds every week would propose a change every week."""
    path = catalogue.folder / "digests.toml"
    before, there = path.read_bytes(), ids(catalogue)
    content = tomllib.loads(before.decode())
    assert content["repository"] == repository_of(catalogue)
    assert content["images"].keys() == there.keys()
    assert "No image differs" in catalogue.session("push", "--no-cache", "--progress=plain")
    assert ids(catalogue) != there
    assert path.read_bytes() == before


def test_the_pairs_that_were_pushed_are_listed(catalogue: Made) -> None:
    assert [x for x in catalogue.session("use").splitlines() if NAME in x] == [PLAIN, YAML]
    output = catalogue.refused("use", "yaml")
    assert f"digests.toml has no yaml. Run nox -s use -- {YAML}" in output


@pytest.fixture(scope="module")
def project(make: Make) -> Made:
    """Return a project that compiles a package which does not mind if a header is missing."""
    made: Made = make(kind="cli")
    made.edit("pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "pyyaml",\n')
    declare(made, '[tool.seedpod.wheels]\nno-binary = ["pyyaml"]')
    made.session("lock")
    return made


def used(catalogue: Made, name: str) -> dict[str, str]:
    """Return the variables that a catalogue prints for a project."""
    lines = catalogue.session("use", name).splitlines()
    return dict(line.split("=", 1) for line in lines if "_IMAGE=" in line)


@pytest.mark.proofs
def test_a_project_builds_on_a_pair_by_digest(catalogue: Made, project: Made) -> None:
    pair = used(catalogue, YAML)
    assert all("@sha256:" in image for image in pair.values())
    (project.folder / ".env").write_text("".join(f"{x}={y}\n" for x, y in pair.items()))
    own = Made(project.folder, {x: y for x, y in project.variables.items() if x not in pair})
    try:
        own.session("docker_prod")
        assert own.python("import yaml; print(yaml.__with_libyaml__)") == "True"
        # What is compiled needs it to run, and the catalogue's base image has it.
        assert "no compiled modules" not in own.session("sys_check")
    finally:
        (project.folder / ".env").unlink()


@pytest.mark.proofs
def test_a_builder_without_a_header_is_noticed(catalogue: Made, project: Made) -> None:
    """The package is built all the same, as pure Python, and nothing fails."""
    project.session("docker_prod", **used(catalogue, PLAIN))
    assert project.python("import yaml; print(yaml.__with_libyaml__)") == "False"
    output = project.session("sys_check", **used(catalogue, PLAIN))
    assert re.search(r"^pyyaml \S+ has no compiled modules in production", output, re.MULTILINE)


@pytest.mark.proofs
def test_a_builder_and_a_base_image_that_are_no_pair_are_refused(
    catalogue: Made, project: Made
) -> None:
    builder = used(catalogue, YAML)["BUILDER_IMAGE"]
    mixed = {**used(catalogue, PLAIN), "BUILDER_IMAGE": builder}
    assert f"builds is {YAML}, and of the one that runs {PLAIN}." in project.refused(
        "docker_prod", **mixed
    )


WRONG = [
    (
        "[variants.plain]\n",
        '[variants.plain.sys.debian13.dependencies]\nmake = "*"\n',
        "plain: make is forbidden",
    ),
    ('"200 MB"', '"20 MB"', "and its budget is 20 MB"),
    ('imports = ["json"]', 'imports = ["yaml"]', "yaml: yaml cannot be imported"),
    ("libyaml-0.so.2", "libyaml-1.so.2", "the library libyaml-1.so.2 cannot be loaded"),
    ('headers = ["yaml.h"]', 'headers = ["ffi.h"]', "there is no header ffi.h"),
    ('programs = ["gcc"]', 'programs = ["cmake"]', "there is no program cmake"),
    ('libc6-dev = "*"\npython3-dev = "*"\n', "", "plain-builder: nothing can be compiled"),
]


@pytest.mark.proofs
def test_what_is_not_as_declared_is_named_and_nothing_is_pushed(
    make_catalogue: MakeCatalogue,
) -> None:
    table = TABLE
    for old, new, _ in WRONG:
        assert old in table
        table = table.replace(old, new)
    made = make_catalogue(table)
    output = made.refused("push")
    assert [message for *_, message in WRONG if message not in output] == []
    assert "WRONG" in output
    assert not (made.folder / "digests.toml").exists()


@pytest.mark.proofs
def test_a_package_that_is_not_available_is_named_and_the_last_images_stay(
    catalogue: Made, make_catalogue: MakeCatalogue
) -> None:
    before = ids(catalogue)
    table = TABLE.replace("libyaml-dev", "libyamml-dev")
    made = make_catalogue(table, repository=repository_of(catalogue))
    output = made.refused("bake", "--progress=plain")
    assert "[variants.yaml.sys.debian13] in catalogue.toml names libyamml-dev" in output
    # What was built has its tag; what was not keeps the last one.
    after = ids(catalogue)
    assert {tag for tag in before if before[tag] != after[tag]} <= {YAML}


def test_a_registry_that_does_not_answer_leaves_the_digests_as_they_were(
    catalogue: Made, make_catalogue: MakeCatalogue
) -> None:
    made = make_catalogue(repository=f"127.0.0.1:{free_port()}/our/python")
    digests = (catalogue.folder / "digests.toml").read_bytes()
    (made.folder / "digests.toml").write_bytes(digests)
    assert "does not answer" in made.refused("push")
    assert (made.folder / "digests.toml").read_bytes() == digests


def test_an_unknown_target_is_refused_with_one_that_exists(catalogue: Made) -> None:
    output = catalogue.refused("bake", f"{TARGET}-bulider")
    assert f"makes no {TARGET}-bulider. Close to it is {TARGET}-builder." in output


def test_images_that_are_not_built_are_named(make_catalogue: MakeCatalogue) -> None:
    made = make_catalogue()
    output = made.refused("check")
    assert f"{repository_of(made)}:{PLAIN} is not built. Run nox -s bake" in output


MANY = """
repository = "{repository}"
forbidden = ["gcc", "make"]
[bases.debian12]
image = "seedpod/python:{{python}}-bookworm"
pythons = ["3.11"]
[bases.debian13]
image = "seedpod/python:{{python}}-trixie"
pythons = ["3.13"]
[bases.alpine3-23]
image = "seedpod/python:{{python}}-alpine3.23"
pythons = ["3.11", "3.12", "3.13"]
"""


@pytest.mark.proofs
def test_many_pythons_on_many_bases(
    make_catalogue: MakeCatalogue, client: Client, alpine_packages: None, tmp_path: Path
) -> None:
    for layout, versions in (
        # Debian's own Pythons: that of 3.14 is borrowed, and without headers.
        (Layout.DEBIAN, ("3.11", "3.13")),
        (Layout.ALPINE, ("3.11", "3.12", "3.13")),
    ):
        for version in versions:
            with needed_by("catalogue"):
                images.stand_in(version, layout, client)
    debian = 'gcc = "*"\nlibc6-dev = "*"\npython3-dev = "*"\n'
    tables = [f"[sys.{x}.dev-dependencies]\n{debian}" for x in ("debian12", "debian13")]
    tables.append('[sys.alpine3-23.dev-dependencies]\nbuild-base = "*"\n')
    tables.append("[variants.plain]\n")
    for release, library, header in (
        ("debian12", "libyaml-0-2", "libyaml-dev"),
        ("debian13", "libyaml-0-2", "libyaml-dev"),
        ("alpine3-23", "libpq", "libpq-dev"),
    ):
        title = f"variants.more.sys.{release}"
        tables.append(f'[{title}.dependencies]\n{library} = "*"\n')
        tables.append(f'[{title}.dev-dependencies]\n{header} = "*"\n')
    made = make_catalogue(MANY + "".join(tables))
    made.session("bake", "--progress=plain")
    lines = [x for x in made.session("check").splitlines() if x.endswith(" ok")]
    assert len(lines) == 2 * 2 * 5
    print("\n".join(lines), json.dumps(ids(made), indent=1))
