"""What the benchmark compares: Seedpod's two runtimes and uv-based images of the same application.

The application is the default web project. The uv-based images follow uv.Dockerfile and start from
an image that has uv already. One has the project as it is; the other has uv's own build backend in
it, which uv runs within itself and no other tool uses at that speed.
"""

import os
import re
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support import images
from support.docker import Client
from support.images import Layout
from support.project import Project, render

PYTHON = "3.13"
# Tells this program's images, which it removes at the end, from all others.
LABEL = "seedpod.bench"
MINIMAL, FULL, UV, UV_BUILD = "minimal", "full", "uv", "uv-build"
# The image that uv is copied from, as it stands in uv.Dockerfile.
TOOLS_IMAGE = "bench-tools"
UV_DOCKERFILE = Path(__file__).with_name("uv.Dockerfile")
CERTIFICATE_SETTINGS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
UV_BACKEND = '[build-system]\nrequires = ["uv_build>=0.9,<1"]\nbuild-backend = "uv_build"\n'


@dataclass
class Figures:
    """What was measured of one contestant: the seconds of every round, and bytes."""

    builds: dict[str, list[float]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    size: int = 0
    over_base: int = 0
    environment: int = 0
    compressed: int = 0
    pushed: int = 0
    pushed_as_computed: int = 0


@dataclass(frozen=True)
class Contestant:
    """A project in a folder of its own, and its figures."""

    name: str
    project: Project
    figures: Figures = field(default_factory=Figures)

    @property
    def image(self) -> str:
        """Return the name of the image that is measured."""
        return f"{self.project.name}:production"

    @property
    def base_image(self) -> str:
        """Return the name of the image that it is built on."""
        return f"{self.project.name}:base"

    def renew_base(self, number: int) -> None:
        """Make a base image that was never built on, and with it the one that has uv.

        The build on it is cold though the package caches are warm. --no-cache would leave a second
        result beside the first for every step, and all later builds would look through both.
        """
        project = self.project
        build = [
            "build",
            f"--file={UV_DOCKERFILE}",
            *options(project),
            f"--build-arg=NUMBER={number}",
        ]
        project.docker(*build, "--target=base", f"--tag={self.base_image}", ".")
        if self.name in (UV, UV_BUILD):
            base = f"--build-arg=PYTHON_IMAGE={self.base_image}"
            project.docker(*build, base, "--target=uv", f"--tag={project.name}:uv", ".")

    def build(self) -> float:
        """Build and tag the image on its own base; return the seconds that it takes."""
        command = ["build", f"--tag={self.image}", *options(self.project), "."]
        command.append(f"--build-arg=PYTHON_IMAGE={self.base_image}")
        if self.name in (UV, UV_BUILD):
            command.append(f"--build-arg=UV_IMAGE={self.project.name}:uv")
        start = time.perf_counter()
        self.project.docker(*command)
        return time.perf_counter() - start

    def python(self, program: str) -> str:
        """Return what a program prints in a container that can write nothing."""
        hardened = ("--rm", "--read-only", "--network=none", "--entrypoint=python3")
        return self.project.docker("run", *hardened, self.image, "-c", program)


@contextmanager
def prepared(layout: Layout) -> Iterator[list[Contestant]]:
    """Make the contestants' projects and lock them; afterwards, remove them and their images."""
    with tempfile.TemporaryDirectory() as folder:
        folders = {x: Path(folder, f"bench-{x}") for x in (MINIMAL, FULL, UV, UV_BUILD)}
        for name, path in folders.items():
            runtime = name if name in (MINIMAL, FULL) else FULL
            render({"python_version": PYTHON, "runtime": runtime}, path)
        variables = client(layout, folders[MINIMAL])
        projects = {name: Project(path, variables) for name, path in folders.items()}
        tools = ["--target=tools", f"--tag={TOOLS_IMAGE}"]
        try:
            projects[FULL].docker("build", *tools, *options(projects[FULL]), ".")
            turn_to_uv(folders[UV])
            turn_to_uv(folders[UV_BUILD])
            substitute(
                folders[UV_BUILD] / "pyproject.toml", r"^\[build-system\]\n(.+\n)+", UV_BACKEND
            )
            for project in projects.values():
                project.docker("build", "--target=lock", "--output=.", *options(project), ".")
            yield [Contestant(name, project) for name, project in projects.items()]
        finally:
            remove_images(projects[MINIMAL])


def client(layout: Layout, project: Path) -> dict[str, str]:
    """Return the variables that reach an engine and name a base image with ``layout``.

    That is the official image if it is available and has this layout, else a stand-in.
    """
    variables = images.variables_for(project)
    if layout is Layout.DEBIAN or variables["PYTHON_IMAGE"].startswith("seedpod/"):
        variables["PYTHON_IMAGE"] = images.stand_in(PYTHON, layout, Client(variables))
    settings = [f"{name}={os.environ[name]}" for name in INDEX_SETTINGS if os.environ.get(name)]
    return {**variables, "PIP_ENV": "\n".join(settings)}


def options(project: Project) -> list[str]:
    """Return options for docker build: those of a project's own sessions, and the label."""
    certificate = next(filter(None, map(os.environ.get, CERTIFICATE_SETTINGS)), None)
    return [
        f"--label={LABEL}",
        f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}",
        "--secret=id=pip.env,env=PIP_ENV",
        *([f"--secret=id=ca.pem,src={certificate}"] if certificate else []),
    ]


def turn_to_uv(folder: Path) -> None:
    """Make a project of Seedpod's one for uv."""
    shutil.copy(UV_DOCKERFILE, folder / "Dockerfile")
    with (folder / ".dockerignore").open("a") as file:
        file.write("!README.md\n!uv.lock\n")


def locked_otherwise(contestants: Sequence[Contestant]) -> list[str]:
    """Return the packages that not every contestant has locked in the same version."""
    locks: list[set[str]] = []
    for contestant in contestants:
        lock = next(contestant.project.folder.glob("*.lock"))
        packages = tomllib.loads(lock.read_text())["package"]
        own = contestant.project.name
        locks.append({f"{x['name']} {x['version']}" for x in packages if x["name"] != own})
    return sorted(locks[0].union(*locks) - locks[0].intersection(*locks))


def remove_images(project: Project) -> None:
    """Remove every image that was built here; the build cache stays."""
    listing = project.docker("image", "ls", "--quiet", f"--filter=label={LABEL}")
    if listing:
        project.docker("rmi", "--force", *set(listing.splitlines()))


# The edits: each takes a project's folder and a number that it has not seen before.


def edit_nothing(folder: Path, number: int) -> None:
    """Leave everything as it is."""


def edit_source(folder: Path, number: int) -> None:
    """Append a comment to a module."""
    with next(folder.glob("src/*/app.py")).open("a") as file:
        file.write(f"# edit {number}\n")


def edit_ruff(folder: Path, number: int) -> None:
    """Insert a comment into a table of pyproject.toml that decides nothing about the image."""
    substitute(folder / "pyproject.toml", r"^\[tool\.ruff\]$", f"[tool.ruff]\n# edit {number}")


def edit_version(folder: Path, number: int) -> None:
    """Give the project another version, in uv's lock too, which holds it."""
    substitute(folder / "pyproject.toml", r'^version = ".*"$', f'version = "0.1.{number}"')
    if (folder / "uv.lock").exists():
        name = f'name = "{folder.name}"'
        new = f'{name}\nversion = "0.1.{number}"'
        substitute(folder / "uv.lock", rf'^{name}\nversion = ".*"$', new)


def substitute(path: Path, expression: str, new: str) -> None:
    """Replace the one place in a file that fits an expression."""
    text, places = re.subn(expression, lambda _: new, path.read_text(), flags=re.MULTILINE)
    assert places == 1, f"{path} has {expression} once"
    path.write_text(text)


COLD, NOTHING, SOURCE, RUFF = "cold build", "no edit", "source edit", "[tool.ruff] edit"
VERSION = "version edit"
# In this order, so that only the first build on a new base is cold.
EDITS: dict[str, Callable[[Path, int], None]] = {
    COLD: edit_nothing,
    NOTHING: edit_nothing,
    SOURCE: edit_source,
    RUFF: edit_ruff,
    VERSION: edit_version,
}
