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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import yaml

from support import (
    SupportError,
    UnavailableError,
    alpine,
    debian,
    docker,
    downloads,
    engine,
    rootfs,
    services,
)
from support.alpine import wheels
from support.debian import Suites
from support.paths import REPOSITORY, alone, cache, content_key
from support.rootfs import Root

# The Debian release of the stand-in for each Python: the one whose own it is, or see LENDERS.
RELEASES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "trixie"}
# The releases from which one borrows a Python that it has not got, the first that serves it.
LENDERS = {"3.14": ("sid", "forky")}
# What such a Python needs a newer one of; libc6's headers, too, have to fit it.
BORROWED = ("libc-bin", "libc-dev-bin", "libc6", "libc6-dev", "libexpat1", "libexpat1-dev")
# The releases whose source of a Python is compiled, in the order in which they are asked.
SOURCES = {"3.11": ("bookworm",), "3.13": ("trixie", "forky"), "3.14": ("sid", "forky")}
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
        return _on_debian(
            "trixie", variables, lambda image: alpine.stand_in(version, image, variables)
        )
    release = RELEASES[version]
    if layout is Layout.LOCAL:
        return _compiled(version, release, variables)
    name = f"seedpod/python:{version}-{release}"
    if version in LENDERS:
        return _borrowed(name, version, release, variables)
    # ensurepip, which the official image has, is a part of python3-venv on Debian.
    root = Root(release, (*COMMON_PACKAGES, "python3", "python3-venv"))
    return _debian(name, [root], debian.ways(release), variables)


def unbuilt() -> list[str]:
    """Return which of the offered Pythons has no stand-in on which base, for people to read."""
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text(encoding="utf-8"))
    bases = {"Debian": RELEASES.keys(), "Alpine": wheels.CPYTHON.keys()}
    return [
        f"{version} on {base}"
        for base, there in bases.items()
        for version in questions["python_version"]["choices"]
        if version not in there
    ]


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
    return _on_debian(
        services.RELEASE, variables, lambda image: services.stand_in(service, image, variables)
    )


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


def _plain(
    release: str, variables: Mapping[str, str], ways: list[tuple[str, Suites]] | None = None
) -> str:
    """Assemble Debian without Python, from which other recipes start."""
    root, suffix = Root(release, COMMON_PACKAGES), "-updates" if ways else ""
    return _debian(
        f"seedpod/debian:{release}{suffix}", [root], ways or debian.ways(release), variables
    )


def _on_debian(release: str, variables: Mapping[str, str], make: Callable[[str], str]) -> str:
    """Return what ``make`` builds on Debian without Python, whose packages it installs.

    Where the archive has lost one of these, it builds on Debian with its updates.
    """
    try:
        return make(_plain(release, variables))
    except docker.PackageUnavailableError as error:
        try:
            return make(_plain(release, variables, debian.ways(release)[1:]))
        except UnavailableError as other:
            raise UnavailableError(f"{error} With its updates: {other}") from other


def _borrowed(name: str, version: str, release: str, variables: Mapping[str, str]) -> str:
    """Assemble Debian with the Python of a newer release; where none serves it, compile it."""
    python = f"python{version}"
    roots = [
        Root(
            release,
            (*COMMON_PACKAGES, python, f"{python}-venv"),
            lender,
            (f"{python}*", f"lib{python}*", *BORROWED),
            {"/usr/bin/python3": python},
        )
        for lender in LENDERS[version]
    ]
    ways = [
        ("binaries", lambda: _debian(name, roots, debian.ways(release), variables)),
        ("source", lambda: _compiled(version, release, variables)),
    ]
    return downloads.first(f"Python {version} on Debian {release}", ways)[1]


def _debian(
    name: str,
    roots: list[Root],
    ways: list[tuple[str, Suites]],
    variables: Mapping[str, str],
) -> str:
    """Assemble ``name`` as the first of ``roots`` that the archive serves in one of ``ways``."""
    key = content_key(Path(rootfs.__file__).read_bytes(), repr(roots))
    with alone(name), tempfile.TemporaryDirectory(dir=cache()) as folder:
        if docker.recipe_key(name, variables) == key:
            return name
        tarball = Path(folder, "root.tar")

        def way(root: Root, suites: Suites) -> Callable[[], None]:
            return lambda: rootfs.bootstrap(root, suites, tarball, engine.programs())

        used, _ = downloads.first(
            f"the packages of {name}",
            [
                (f"{where} and {root.lender}" if root.lender else where, way(root, suites))
                for root in roots
                for where, suites in ways
            ],
        )
        labels = {docker.LABEL: key, docker.SOURCES_LABEL: used}
        docker.run_or_raise(
            variables,
            f"The base image {name} cannot be imported.",
            *("import", "--change", 'CMD ["python3"]'),
            *("--change", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *(f"--change=LABEL {label}={value!r}" for label, value in labels.items()),
            *(str(tarball), name),
        )
    return name


def _compiled(version: str, release: str, variables: Mapping[str, str]) -> str:
    """Compile a release's own Python source into /usr/local (three minutes on two cores)."""
    name = f"seedpod/python:{version}-{release}-local"
    dockerfile = Path(__file__).with_name("cpython.Dockerfile")
    key = content_key(dockerfile.read_bytes(), release, *SOURCES[version], *COMMON_PACKAGES)
    if docker.recipe_key(name, variables) == key:
        return name
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        source = Path(folder, "source")
        source.mkdir()

        def way(lender: str) -> Callable[[], None]:
            apt = debian.Apt(lender, Path(folder))
            return lambda: apt.download_source(f"python{version}", source)

        used, _ = downloads.first(
            f"the source of Python {version}",
            [(f"Debian {lender}", way(lender)) for lender in SOURCES[version]],
        )

        def build(image: str) -> str:
            docker.run_or_raise(
                variables,
                f"The base image {name} cannot be compiled.",
                *("build", "--quiet", "--tag", name, "--file", str(dockerfile)),
                *("--build-arg", f"DEBIAN_IMAGE={image}", "--build-arg", f"RECIPE={key}"),
                *("--label", f"{docker.SOURCES_LABEL}={used}", str(source)),
            )
            return name

        return _on_debian(release, variables, build)
