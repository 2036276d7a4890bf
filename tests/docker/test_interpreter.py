"""An environment runs under the Python that it was made for, or the build stops and says why."""

import pytest

from support import images
from support.docker import Client
from support.images import Layout
from support.paths import alone
from tests.docker.projects import PYTHON_VERSION, Make, base_image
from tests.families import needed_by


@pytest.mark.parametrize(
    ("builder", "layout", "difference"),
    [
        ((PYTHON_VERSION, Layout.LOCAL), Layout.ALPINE, ("C library", "glibc", "musl")),
        pytest.param(
            *(("3.11", Layout.ALPINE), Layout.ALPINE, ("Python", "3.11", PYTHON_VERSION)),
            marks=pytest.mark.proofs,
        ),
        ((PYTHON_VERSION, Layout.DEBIAN), Layout.LOCAL, ("prefix", "/usr", "/usr/local")),
    ],
    ids=["C library", "Python", "prefix"],
)
def test_what_differs_between_builder_and_target_is_named(
    make: Make,
    client: Client,
    builder: tuple[str, Layout],
    layout: Layout,
    difference: tuple[str, str, str],
) -> None:
    name, built, runs = difference
    project = make(layout, kind="cli")
    with alone(f"stand-in {builder[1].value}"), needed_by(builder[1].value):
        image = images.stand_in(*builder, client)
    output = project.refused("docker_prod", f"--build-arg=BUILDER_IMAGE={image}")
    assert (
        f"Interpreter: The {name} of the image that builds is {built}, and of the one that runs "
        f"{runs}. Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image."
    ) in output.splitlines()


def test_a_variant_of_the_same_image_may_build(make: Make, client: Client) -> None:
    """It may have compilers, for example."""
    project = make(Layout.ALPINE, kind="cli")
    (project.folder / "variant").mkdir()
    (project.folder / "variant/Dockerfile").write_text(
        f"FROM {base_image(Layout.ALPINE, client)}\nRUN touch /usr/bin/a-compiler\n"
    )
    variant = f"{project.name}:variant"
    project.docker("build", "--quiet", "--tag", variant, "variant")
    project.session("docker_prod", f"--build-arg=BUILDER_IMAGE={variant}")
    found = project.python("import os; print(os.path.exists('/usr/bin/a-compiler'))")
    assert found == "False"
