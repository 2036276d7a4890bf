"""Projects that the engine tests build and run, and what they need for that."""

import os
import re
import shlex
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import images, waiting
from support.docker import Client
from support.images import Layout
from support.paths import alone
from support.project import Project
from tests.families import needed_by

PYTHON_VERSION = "3.13"
OFFICIAL_IMAGES = {
    Layout.LOCAL: "python:{}-slim-trixie",
    Layout.ALPINE: "python:{}-alpine3.23",
}
# Most tests are on Debian's own layout, so that these look at the others for every change.
LAYOUTS = [
    pytest.param(each, id=each.value, marks=[pytest.mark.proofs] if each is Layout.DEBIAN else [])
    for each in Layout
]


def _in_the_lane(*lane: tuple[Layout, str]) -> list[Any]:
    """Return each layout with each runtime; what is not in the lane is a proof."""
    return [
        pytest.param(
            (each, runtime),
            id=f"{each.value}-{runtime}",
            marks=[] if (each, runtime) in lane else [pytest.mark.proofs],
        )
        for each in Layout
        for runtime in ("minimal", "full")
    ]


MINIMAL_IMAGES = _in_the_lane((Layout.LOCAL, "minimal"), (Layout.ALPINE, "minimal"))
IMAGES = _in_the_lane((Layout.LOCAL, "minimal"), (Layout.LOCAL, "full"), (Layout.ALPINE, "minimal"))
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def cache_mounts() -> AbstractContextManager[None]:
    """Keep others from emptying the engine's cache mounts, as a build from nothing does."""
    return alone("tests-cache-mounts")


@dataclass(frozen=True)
class Made(Project):
    """A project for the tests: commands that may fail, and containers that are removed."""

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; output and errors come together.

        Pytest shows all of it if the test fails.
        """
        with cache_mounts() if {"--no-cache", "--reproducible"} & {*command} else nullcontext():
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**self.environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        print(shlex.join(command), done.stdout, sep="\n")
        return done

    def session(self, name: str, *arguments: str, **variables: str) -> str:
        """Run a Nox session, which has to succeed, and return its output."""
        done = self.run("nox", "--session", name, "--", *arguments, **variables)
        assert done.returncode == 0
        return done.stdout

    def refused(self, name: str, *arguments: str, **variables: str) -> str:
        """Run a Nox session, which has to fail without a traceback, and return its output."""
        done = self.run("nox", "--session", name, "--", *arguments, **variables)
        assert done.returncode != 0
        assert "Traceback" not in done.stdout
        return done.stdout

    def python(self, program: str, stage: str = "production", *options: str) -> str:
        """Run a Python program inside an image, read-only and without network."""
        run = ["run", "--rm", "--network=none", *HARDENED, *options, "--entrypoint=python3"]
        return self.docker(*run, f"{self.name}:{stage}", "-c", program)

    def layers(self, stage: str = "production") -> list[str]:
        """Return the digests of the layers of a stage."""
        inspect = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")
        return self.docker(*inspect, f"{self.name}:{stage}").strip('[]"').split('","')

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in one of the project's files; it has to be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


Make = Callable[..., Made]


def base_image(layout: Layout, client: Client, version: str = PYTHON_VERSION) -> str:
    """Return a base image of a layout: the official one, where it is available."""
    family = layout.value if version == PYTHON_VERSION else f"python{version}"
    with alone(f"stand-in {layout.value}"), needed_by(family):
        official = OFFICIAL_IMAGES.get(layout)
        if official and images.available(official.format(version), client):
            return official.format(version)
        return images.stand_in(version, layout, client)


def service_image(reference: str, client: Client) -> str:
    """Return the image of a service: the official one, where it is available."""
    with alone("stand-in services"), needed_by("services"):
        return images.service_image(reference, client)


def service_images(folder: Path) -> dict[str, str]:
    """Return the images that a project's compose file names by default, by service."""
    text = (folder / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"^    image: \$\{([A-Z]+)_IMAGE:-(\S+)\}$", text, flags=re.MULTILINE))


class Names(Counter[str]):
    """Names of projects that are the same in every run, whichever process runs which tests."""

    scope = ""

    def next(self) -> str:
        """Return another name for a project of the file of tests, or of what files share."""
        self[self.scope] += 1
        return f"{self.scope}-{self[self.scope]}"


def free_port() -> str:
    """Return a port on which nothing listens now, and which no other process here will return.

    It lies below those that Linux gives to outgoing connections (ip_local_port_range, ip(7)).
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + 1_000 * (worker + 4 * int(os.environ["SEEDPOD_TEST_RUN"]))
    for offset in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return str(first + offset)
    raise AssertionError("all ports are taken")


PORTS = iter(range(1_000))


def fetch(address: str, seconds: float = 30) -> str:
    """Return what an address answers, waiting until it does."""
    return waiting.fetch(address, seconds)


def gateway(client: Client) -> str:
    """Return the address at which containers and builds find this machine."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    inspect = ("network", "inspect", "bridge", "--format", template)
    return client.run_or_raise("Docker has no network called bridge.", *inspect)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; it has to."""
    assert waiting.until(condition, seconds), "it did not happen in time"


def executed(output: str) -> set[str]:
    """Return the stages in which one build ran a program, by BuildKit's plain progress."""
    stages = dict(re.findall(r"^#(\d+) \[(\S+) +\d+/\d+\] RUN", output, flags=re.M))
    assert stages, output
    cached = set(re.findall(r"^#(\d+) CACHED", output, flags=re.M))
    return {stage for number, stage in stages.items() if number not in cached}


Twin = Callable[[Made], Made]


def export(project: Made, stage: str, folder: Path) -> None:
    """Build a stage of files and write these into a folder."""
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    project.docker("build", f"--target={stage}", f"--output={folder}", image, ".")


def program(name: str) -> str:
    """Return the text of a program that runs in a container."""
    return (Path(__file__).parent / "programs" / f"{name}.py").read_text(encoding="utf-8")


def commit(project: Made) -> str:
    """Commit all of a project, and return the date of that in seconds."""
    for words in (
        ("init", "--quiet", "."),
        ("add", "--all"),
        ("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "x"),
    ):
        subprocess.run(["git", *words], cwd=project.folder, check=True)
    shown = project.run("git", "log", "-1", "--format=%cI")
    return shown.stdout.strip()
