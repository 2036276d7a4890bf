"""The same commit makes the same image; what does not is named, with the file that differs."""

import re
import subprocess

import pytest

from support.images import Layout
from support.transfer import Registry
from tests.docker.declarations import declare
from tests.docker.projects import Made, Make, commit

STEP = """
[tool.seedpod.image]
step = ["sh", "-c", "mkdir /srv/made && date +%s%N > /srv/made/when"]
step-output = ["/srv/made"]
"""
# Compiled by C and C++; what packages' scripts make and remove is in the layers, too.
COMPILED = """
[tool.seedpod.wheels]
no-binary = ["greenlet", "markupsafe"]

[tool.sys.debian13.dependencies]
dbus = "*"
fontconfig = "*"
openssh-client = "*"

[tool.sys.debian13.dev-dependencies]
"g++" = "*"
libc6-dev = "*"
python3-dev = "*"
"""


def locked_digest(project: Made) -> str:
    """Return the digest of the base image that a project's lock has."""
    text = (project.folder / "sys.lock").read_text(encoding="utf-8")
    [digest] = re.findall(r'^base-image-digest = "(sha256:[0-9a-f]{64})"$', text, flags=re.M)
    return str(digest)


def image(project: Made, *template: str, tag: str = "production") -> str:
    """Return what an image has by a template; by default its own digest in this engine's store."""
    shown = "".join(template) or "{{.Id}}"
    return project.docker("image", "inspect", f"--format={shown}", f"{project.name}:{tag}")


def test_two_builds_from_nothing_are_the_same_and_a_later_commit_has_the_same_layers(
    fresh: Made,
) -> None:
    """But for what it changes; the image has the date of its commit."""
    date = commit(fresh)
    output = fresh.session("docker_prod", "--reproducible")
    layers = fresh.layers()
    assert f"Two builds of {fresh.name}:production from nothing are the same:" in output
    assert output.splitlines()[-1 - len(layers) : -1] == layers
    seconds = "{{.Created}}"
    assert image(fresh, seconds).replace("Z", "+00:00") == date.replace("Z", "+00:00")
    fresh.edit("src/" + fresh.name.replace("-", "_") + "/__init__.py", '"""', '"""More. ')
    commit(fresh)
    fresh.session("docker_prod")
    assert fresh.layers()[:-1] == layers[:-1]
    assert fresh.layers()[-1] != layers[-1]


@pytest.mark.proofs
def test_the_first_difference_is_named_and_the_last_good_image_stays(fresh: Made) -> None:
    fresh.session("docker_prod")
    before = image(fresh)
    declare(fresh, STEP)
    fresh.session("lock")
    output = fresh.refused("docker_prod", "--reproducible")
    assert re.search(
        rf"Two builds of {fresh.name}:production are not the same: layer \d+ \(COPY /made/ / ?\) "
        r"differs first in srv/made/when: content\. Let what writes it keep to SOURCE_DATE_EPOCH",
        output,
    )
    assert image(fresh) == before


def test_builds_take_the_base_image_that_the_lock_names(make: Make, registry: Registry) -> None:
    """Whatever has its name today, until the lock is written again, or rebuilt."""
    project, host = make(kind="cli"), registry.address
    stand_in = project.variables["PYTHON_IMAGE"]
    name = f"{host}/base:1"
    project.docker("tag", stand_in, name)
    project.docker("push", "--quiet", name)
    project.session("sys_lock", PYTHON_IMAGE=name)
    digest = locked_digest(project)
    project.session("docker_prod", PYTHON_IMAGE=name)
    layers = project.layers()
    output = project.session("sys_lock", "--rebuild", PYTHON_IMAGE=name)
    assert "Production is the same with what there is today: sys.lock stays as it is." in output

    # Another image gets the name, with another file of those that the smallest runtime has.
    text = f"FROM {stand_in}\nRUN echo x > /etc/protocols\n"
    command = ["docker", "build", f"--tag={name}", "-"]
    environment = project.environment()
    subprocess.run(command, input=text.encode(), env=environment, check=True, capture_output=True)
    project.docker("push", "--quiet", name)
    output = project.session("docker_prod", PYTHON_IMAGE=name)
    assert f"{name}@{digest}" in output
    assert project.layers() == layers
    output = project.session("sys_lock", "--rebuild", PYTHON_IMAGE=name)
    assert "Production differs with what there is today, which sys.lock has now." in output
    assert project.layers() != layers
    assert locked_digest(project) != digest

    # What is no more there is said with what to do.
    missing = f"{name}@sha256:{'0' * 64}"
    output = project.refused("docker_prod", PYTHON_IMAGE=missing)
    assert f"The base image {missing} cannot be pulled by its digest" in output


@pytest.mark.proofs
@pytest.mark.parametrize(
    ("layout", "answers"),
    [
        (Layout.DEBIAN, {"kind": "web", "runtime": "full"}),
        (Layout.DEBIAN, {"kind": "cli", "runtime": "minimal"}),
        (Layout.DEBIAN, {"kind": "notebook"}),
        (Layout.DEBIAN, {"kind": "tool", "distribution": "ruff", "runtime": "full"}),
        (Layout.ALPINE, {"kind": "web", "runtime": "minimal"}),
        (Layout.ALPINE, {"kind": "web", "runtime": "full"}),
    ],
    ids=lambda value: value.value if isinstance(value, Layout) else "-".join(value.values()),
)
@pytest.mark.usefixtures("alpine_packages")
def test_every_kind_runtime_and_base_is_the_same_twice(
    make: Make, layout: Layout, answers: dict[str, str]
) -> None:
    project = make(layout, **answers)
    commit(project)
    assert "from nothing are the same:" in project.session("docker_prod", "--reproducible")


@pytest.mark.proofs
@pytest.mark.parametrize("runtime", ["minimal", "full"])
def test_compiled_packages_and_those_of_the_system_are_the_same_twice(
    make: Make, runtime: str
) -> None:
    project = make(runtime=runtime)
    project.edit(
        "pyproject.toml", "dependencies = [", 'dependencies = [\n"greenlet", "markupsafe",'
    )
    declare(project, COMPILED)
    project.session("lock")
    commit(project)
    assert "from nothing are the same:" in project.session("docker_prod", "--reproducible")
