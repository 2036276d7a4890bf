"""Images of base and services: the official one where a registry answers, else a stand-in.

Bases for Debian are made as bases.py says, those for Alpine and the services as the folders here
say. Stand-ins are called ``seedpod/…``, never by an official image's name, and carry their
recipe's key as a label, so that a changed recipe makes a new image and an unchanged one is made
once.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import yaml

from support import SupportError, engine
from support.docker import Client
from support.images import alpine, bases, services
from support.images.alpine import wheels
from support.paths import REPOSITORY

PULL_SECONDS = 300


class Layout(Enum):
    """Where a base image keeps its interpreter."""

    DEBIAN = "debian"  # /usr/bin/python3, multiarch library folders, dist-packages
    LOCAL = "local"  # /usr/local/bin/python3 with its own libpython, as in the official image
    ALPINE = "alpine"  # the same on Alpine, whose C library is musl


def default_reference(dockerfile: Path) -> str:
    """Return the base image that ``dockerfile`` names, the default of its ARG PYTHON_IMAGE."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile.read_text(), flags=re.MULTILINE)
    assert found, f"{dockerfile} declares no PYTHON_IMAGE"
    return found.group(1)


def variables_for(project: Path) -> dict[str, str]:
    """Return the variables with which the project in a folder is built on this machine.

    They reach an engine and name a base image that it has. Raises SupportError without one.
    """
    client = engine.ensure()
    reference = os.environ.get("PYTHON_IMAGE") or default_reference(project / "Dockerfile")
    return {**client.variables, "PYTHON_IMAGE": base_image(reference, client)}


def base_image(reference: str, client: Client) -> str:
    """Return ``reference`` if the engine has it or can pull it, else a stand-in for its Python.

    Raises SupportError when there is neither.
    """
    if available(reference, client):
        return reference
    version = re.search(r":(\d+\.\d+)", reference)
    if version and "-alpine" in reference:
        return stand_in(version.group(1), Layout.ALPINE, client)
    if version is None or version.group(1) not in bases.RELEASES:
        raise SupportError(
            f"No registry serves {reference}, and Debian has stand-ins for Python "
            f"{' and '.join(bases.RELEASES)} alone. Name a base image of yours in PYTHON_IMAGE."
        )
    return stand_in(version.group(1), Layout.DEBIAN, client)


def available(reference: str, client: Client) -> bool:
    """Tell whether the engine has the image ``reference`` or can pull it."""
    if client.recipe_key(reference) is not None:
        return True
    try:
        pulled = client.run("pull", "--quiet", reference, timeout=PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return pulled.returncode == 0


def stand_in(version: str, layout: Layout, client: Client) -> str:
    """Return the name of an image with Python ``version`` in ``layout``, assembled if need be.

    Raises SupportError when Debian's archive, or for Alpine the package index, does not answer, or
    when the image cannot be built.
    """
    if layout is Layout.ALPINE:
        return bases.on_debian(
            "trixie", client, lambda image: alpine.stand_in(version, image, client)
        )
    if layout is Layout.LOCAL:
        return bases.compiled(version, client)
    return bases.debian_python(version, client)


def unbuilt() -> list[str]:
    """Return which of the offered Pythons has no stand-in on which base, for people to read."""
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text(encoding="utf-8"))
    there = {"Debian": bases.RELEASES.keys(), "Alpine": wheels.CPYTHON.keys()}
    return [
        f"{version} on {base}"
        for base, versions in there.items()
        for version in questions["python_version"]["choices"]
        if version not in versions
    ]


def service_image(reference: str, client: Client) -> str:
    """Return ``reference`` if the engine has it or can pull it, else a stand-in for its service.

    A stand-in is for official images alone, such as ``postgres:17.6``, and of the same major
    version. Raises SupportError when there is neither.
    """
    if available(reference, client):
        return reference
    service = services.find(reference)
    if service is None:
        known = " and ".join(f"{name}:{major}" for name, major in services.VERSIONS.items())
        raise SupportError(
            f"No registry serves {reference}, and there are stand-ins for {known} alone. "
            "Load it into the engine, or name an image that the engine has in its place."
        )
    return service_stand_in(service, client)


def service_stand_in(service: str, client: Client) -> str:
    """Return the name of an image with one of services.VERSIONS, assembled if need be.

    Raises SupportError when Debian's archive does not answer, or when it cannot be built.
    """
    return bases.on_debian(
        services.RELEASE, client, lambda image: services.stand_in(service, image, client)
    )


@contextmanager
def packages(image: str, client: Client) -> Iterator[None]:
    """Let builds on ``image`` install system packages: a stand-in for Alpine needs ours served.

    Raises SupportError when they cannot be served.
    """
    if re.fullmatch(r"seedpod/python:.*-alpine.*", image):
        with alpine.serve(client):
            yield
    else:
        yield
