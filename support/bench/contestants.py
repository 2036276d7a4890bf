"""Builds that are timed, and what the images do when they run."""

import re
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support import SupportError, waiting
from support.bench.applications import NETWORK, PREFIX, options, tools
from support.bench.ways import PEERS, Way
from support.project import Project
from support.transfer import free_port

# Tells the images of a scope, which are removed after it, from all others.
LABEL = "seedpod.bench"
GIVEN = PEERS / "given.Dockerfile"
START_SECONDS, IDLE_SECONDS = 60, 1.0
FINE_PAUSE_SECONDS = 0.01
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Contestant:
    """A way of making an image of one application, in a project of its own.

    Its images are in a repository of their own; ``scope`` tells them from those of other runs.
    """

    way: Way
    scope: str
    project: Project

    @property
    def image(self) -> str:
        """Return the name of the image that is measured."""
        return f"{self._repository}:latest"

    def given(self, stage: str) -> str:
        """Return the name of an image that its build is given."""
        return f"{self._repository}:{stage}"

    @property
    def _repository(self) -> str:
        return f"{PREFIX}/{self.scope}/{self.way.name}"

    def there(self, image: str) -> str:
        """Return the id of an image, '' if there is none."""
        return self.project.docker("image", "ls", "--quiet", "--no-trunc", image)

    def has_base(self) -> bool:
        """Tell whether the images that a build is given are there."""
        stages = ("base", *(stage for _, stage in self.way.given))
        return all(self.there(self.given(stage)) for stage in stages)

    def forget_layers(self) -> None:
        """Remove the image and all that is known of its layers, but for the base image.

        The build cache of the whole engine is emptied: it has to be one of this benchmark.
        """
        if self.there(self.image):
            self.project.docker("rmi", "--force", self.image)
        unnamed = f"--filter=label={LABEL}={self.scope}"
        self.project.docker("image", "prune", "--force", unnamed)
        self.project.docker("builder", "prune", "--all", "--force")

    def renew_base(self, number: int) -> None:
        """Make a base image that was never built on, and what makers publish beside it.

        No step of a build on it is in the build cache. --no-cache would leave a second result
        beside the first for every step, and all later builds would look through both.
        """
        for stage in ("base", *(stage for _, stage in self.way.given)):
            self.project.docker(
                *("build", f"--file={GIVEN}", f"--target={stage}", f"--tag={self.given(stage)}"),
                f"--label={LABEL}={self.scope}",
                f"--build-arg=NUMBER={number}",
                f"--build-arg=PYTHON_IMAGE={self.project.variables['PYTHON_IMAGE']}",
                *(*tools(), *options(self.project), str(NETWORK)),
            )

    def build(self, caches: str, *more: str) -> float:
        """Build and tag the image on its own base; return the seconds that it takes.

        ``caches`` is the name of a set of cache mounts, which is empty when it is new.
        """
        command = ["build", f"--tag={self.image}", f"--label={LABEL}={self.scope}"]
        command += [*options(self.project), *more]
        if self.way.is_peer:
            command += tools()
        given = (("PYTHON_IMAGE", "base"), *self.way.given)
        command += [f"--build-arg={name}={self.given(stage)}" for name, stage in given]
        # BuildKit's own argument, for any Dockerfile: the mounts' names begin with it.
        command += [f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={caches}", "."]
        start = time.perf_counter()
        self.project.docker(*command)
        return time.perf_counter() - start

    def first_answer(self, *, idle: bool) -> tuple[float, int | None]:
        """Run the image; return the seconds until it answers, and with ``idle`` the bytes it uses.

        The memory is what the engine counts, without what can be read from disk again. Raises
        SupportError if what answers has not the project's version.
        """
        pyproject = (self.project.folder / "pyproject.toml").read_text(encoding="utf-8")
        version = tomllib.loads(pyproject)["project"]["version"]
        port = free_port()
        start = time.perf_counter()
        container = self.project.docker(
            "run", "--detach", f"--publish=127.0.0.1:{port}:8000", self.image
        )
        try:
            address = f"http://127.0.0.1:{port}/"
            body = waiting.fetch(address, START_SECONDS, FINE_PAUSE_SECONDS)
            seconds = time.perf_counter() - start
            if f'"{version}"' not in body:
                raise SupportError(
                    f"The image is not of version {version}: {body}. Correct the way's Dockerfile."
                )
            if not idle:
                return seconds, None
            time.sleep(IDLE_SECONDS)
            used = self.project.docker("stats", "--no-stream", "--format={{.MemUsage}}", container)
        finally:
            self.project.docker("rm", "--force", container)
        found = re.match(r"([\d.]+)([KMG]?i?B)", used)
        return seconds, int(float(found[1]) * UNITS[found[2]]) if found else None


def contestants(
    scope: str, ways: Sequence[Way], folder: Path, variables: dict[str, str]
) -> list[Contestant]:
    """Return a contestant for each way, whose projects are in ``folder``."""
    return [Contestant(way, scope, Project(folder / way.name, variables)) for way in ways]


def remove_images(contestant: Contestant) -> None:
    """Remove every image that was built for a contestant's scope; the build cache stays."""
    project, label = contestant.project, f"{LABEL}={contestant.scope}"
    listing = project.docker("image", "ls", "--quiet", f"--filter=label={label}")
    if listing:
        project.docker("rmi", "--force", *dict.fromkeys(listing.splitlines()))
