"""Images of base and services: the official one where a registry answers, else a stand-in.

Bases for Debian are made of its packages, those for Alpine and the services as support/alpine and
support/services say.
Stand-ins are called ``seedpod/…``, never by an official image's name, and carry their recipe's key
as a label, so that a changed recipe makes a new image and an unchanged one is made once.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from support import SupportError, alpine, debian, docker, engine, rootfs, services
from support.paths import alone, cache, content_key

# The Debian release whose own Python has this version.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
# What the official slim image holds beside Python.
COMMON_PACKAGES = ("ca-certificates", "netbase", "tzdata")
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


def client_with_base_image(project: Path) -> dict[str, str]:
    """Return the variables with which the project in a folder is built on this machine.

    They reach an engine and name a base image that it has. Raises SupportError without one.
    """
    variables = engine.ensure()
    reference = os.environ.get("PYTHON_IMAGE") or default_reference(project / "Dockerfile")
    return {**variables, "PYTHON_IMAGE": base_image(reference, variables)}


def base_image(reference: str, variables: Mapping[str, str]) -> str:
    """Return ``reference`` if the engine has it or can pull it, else a stand-in for its Python.

    ``variables`` are the client's, from engine.ensure(). Raises SupportError when there is neither.
    """
    if available(reference, variables):
        return reference
    version = re.search(r":(\d+\.\d+)", reference)
    if version and "-alpine" in reference:
        return stand_in(version.group(1), Layout.ALPINE, variables)
    if version is None or version.group(1) not in RELEASES:
        raise SupportError(
            f"No registry serves {reference}, and Debian has stand-ins for Python "
            f"{' and '.join(RELEASES)} alone. Name a base image of yours in PYTHON_IMAGE."
        )
    return stand_in(version.group(1), Layout.DEBIAN, variables)


def available(reference: str, variables: Mapping[str, str]) -> bool:
    """Tell whether the engine has the image ``reference`` or can pull it."""
    if docker.recipe_key(reference, variables) is not None:
        return True
    try:
        pulled = docker.run(variables, "pull", "--quiet", reference, timeout=PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return pulled.returncode == 0


def stand_in(version: str, layout: Layout, variables: Mapping[str, str]) -> str:
    """Return the name of an image with Python ``version`` in ``layout``, assembled if need be.

    Raises SupportError when Debian's archive, or for Alpine the package index, does not answer, or
    when the image cannot be built.
    """
    if layout is Layout.ALPINE:
        return alpine.stand_in(version, _plain("trixie", variables), variables)
    release = RELEASES[version]
    if layout is Layout.DEBIAN:
        # ensurepip, which the official image has, is a part of python3-venv on Debian.
        packages = (*COMMON_PACKAGES, "python3", "python3-venv")
        return _debian(f"seedpod/python:{version}-{release}", release, packages, variables)
    return _compiled(version, release, variables)


def service_image(reference: str, variables: Mapping[str, str]) -> str:
    """Return ``reference`` if the engine has it or can pull it, else a stand-in for its service.

    A stand-in is for official images alone, such as ``postgres:17.6``, and of the same major
    version. ``variables`` are the client's. Raises SupportError when there is neither.
    """
    if available(reference, variables):
        return reference
    service = services.find(reference)
    if service is None:
        known = " and ".join(f"{name}:{major}" for name, major in services.VERSIONS.items())
        raise SupportError(
            f"No registry serves {reference}, and there are stand-ins for {known} alone. "
            "Load it into the engine, or name an image that the engine has in its place."
        )
    return service_stand_in(service, variables)


def service_stand_in(service: str, variables: Mapping[str, str]) -> str:
    """Return the name of an image with one of services.VERSIONS, assembled if need be.

    Raises SupportError when Debian's archive does not answer, or when it cannot be built.
    """
    return services.stand_in(service, _plain(services.RELEASE, variables), variables)


@contextmanager
def packages(image: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Let builds on ``image`` install system packages: a stand-in for Alpine needs ours served.

    Raises SupportError when they cannot be served.
    """
    if re.fullmatch(r"seedpod/python:.*-alpine.*", image):
        with alpine.serve(variables):
            yield
    else:
        yield


def _plain(release: str, variables: Mapping[str, str]) -> str:
    """Assemble Debian without Python, from which other recipes start."""
    return _debian(f"seedpod/debian:{release}", release, COMMON_PACKAGES, variables)


def _debian(
    name: str, release: str, packages: tuple[str, ...], variables: Mapping[str, str]
) -> str:
    """Assemble ``name`` from the essential packages of ``release`` and ``packages``."""
    key = content_key(Path(rootfs.__file__).read_bytes(), release, *packages)
    with alone(name), tempfile.TemporaryDirectory(dir=cache()) as folder:
        if docker.recipe_key(name, variables) == key:
            return name
        tarball = Path(folder, "root.tar")
        rootfs.bootstrap(release, packages, tarball, engine.programs())
        docker.run_or_raise(
            variables,
            f"The base image {name} cannot be imported.",
            *("import", "--change", 'CMD ["python3"]', "--change", f"LABEL {docker.LABEL}={key}"),
            *("--change", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *(str(tarball), name),
        )
    return name


def _compiled(version: str, release: str, variables: Mapping[str, str]) -> str:
    """Compile the release's own Python source into /usr/local (three minutes on two cores)."""
    name = f"seedpod/python:{version}-{release}-local"
    dockerfile = Path(__file__).with_name("cpython.Dockerfile")
    key = content_key(dockerfile.read_bytes(), release, *COMMON_PACKAGES)
    if docker.recipe_key(name, variables) == key:
        return name
    plain = _plain(release, variables)
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        source = Path(folder, "source")
        source.mkdir()
        debian.Apt(release, Path(folder)).download_source(f"python{version}", source)
        docker.run_or_raise(
            variables,
            f"The base image {name} cannot be compiled.",
            *("build", "--quiet", "--tag", name, "--file", str(dockerfile)),
            *("--build-arg", f"DEBIAN_IMAGE={plain}", "--build-arg", f"RECIPE={key}", str(source)),
        )
    return name
