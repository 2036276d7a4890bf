"""Base images of Debian, assembled of its packages, and of its Python sources, compiled."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from support import UnavailableError, debian, docker, downloads, engine
from support.debian import Suites
from support.docker import Client
from support.images import rootfs
from support.images.rootfs import Root
from support.paths import alone, cache, content_key

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
# ensurepip, which the official image has, is a part of python3-venv on Debian.
PYTHON_PACKAGES = (*COMMON_PACKAGES, "python3", "python3-venv")
# Another platform whose programs run on amd64, and what Debian calls its processor.
OTHER_PLATFORM, OTHER_ARCHITECTURE = "linux/386", "i386"


def plain(release: str, client: Client, ways: list[tuple[str, Suites]] | None = None) -> str:
    """Assemble Debian without Python, from which other recipes start."""
    root, suffix = Root(release, COMMON_PACKAGES), "-updates" if ways else ""
    return _assembled(
        f"seedpod/debian:{release}{suffix}", [root], ways or debian.ways(release), client
    )


def on_debian(release: str, client: Client, make: Callable[[str], str]) -> str:
    """Return what ``make`` builds on Debian without Python, whose packages it installs.

    Where the archive has lost one of these, it builds on Debian with its updates.
    """
    try:
        return make(plain(release, client))
    except docker.PackageUnavailableError as error:
        try:
            return make(plain(release, client, debian.ways(release)[1:]))
        except UnavailableError as other:
            raise UnavailableError(f"{error} With its updates: {other}") from other


def debian_python(version: str, client: Client) -> str:
    """Return the name of a Debian image with Debian's own Python ``version`` in /usr/bin.

    Raises SupportError when the archive does not answer, or when it cannot be imported.
    """
    release = RELEASES[version]
    name = f"seedpod/python:{version}-{release}"
    if version in LENDERS:
        return _borrowed(name, version, client)
    return _assembled(name, [Root(release, PYTHON_PACKAGES)], debian.ways(release), client)


def other_platform(version: str, client: Client) -> str:
    """Return the name of the same image for OTHER_PLATFORM; raises SupportError."""
    release = RELEASES[version]
    root = Root(release, PYTHON_PACKAGES, architecture=OTHER_ARCHITECTURE)
    name = f"seedpod/python:{version}-{release}-{OTHER_ARCHITECTURE}"
    return _assembled(name, [root], debian.ways(release), client, f"--platform={OTHER_PLATFORM}")


def _borrowed(name: str, version: str, client: Client) -> str:
    """Assemble Debian with the Python of a newer release; where none serves it, compile it."""
    release, python = RELEASES[version], f"python{version}"
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
        ("binaries", lambda: _assembled(name, roots, debian.ways(release), client)),
        ("source", lambda: compiled(version, client)),
    ]
    return downloads.first(f"Python {version} on Debian {release}", ways)[1]


def _assembled(
    name: str, roots: list[Root], ways: list[tuple[str, Suites]], client: Client, *options: str
) -> str:
    """Assemble ``name`` as the first of ``roots`` that the archive serves in one of ``ways``.

    It is imported with ``options`` of docker import.
    """
    key = content_key(Path(rootfs.__file__).read_bytes(), repr(roots))
    with alone(name), tempfile.TemporaryDirectory(dir=cache()) as folder:
        if client.recipe_key(name) == key:
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
        client.run_or_raise(
            f"The base image {name} cannot be imported.",
            *("import", *options, "--change", 'CMD ["python3"]'),
            *("--change", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *(f"--change=LABEL {label}={value!r}" for label, value in labels.items()),
            *(str(tarball), name),
        )
    return name


def compiled(version: str, client: Client) -> str:
    """Return the name of a Debian image with Python ``version`` in /usr/local.

    Compiling a release's own source takes two minutes on two cores. Raises SupportError when the
    archive does not answer, or when it cannot be compiled.
    """
    release = RELEASES[version]
    name = f"seedpod/python:{version}-{release}-local"
    dockerfile = Path(__file__).with_name("cpython.Dockerfile")
    key = content_key(dockerfile.read_bytes(), release, *SOURCES[version], *COMMON_PACKAGES)
    if client.recipe_key(name) == key:
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
            client.build(
                f"The base image {name} cannot be compiled.",
                *("--tag", name, "--file", str(dockerfile)),
                *("--build-arg", f"DEBIAN_IMAGE={image}", "--build-arg", f"RECIPE={key}"),
                *("--label", f"{docker.SOURCES_LABEL}={used}", str(source)),
            )
            return name

        return on_debian(release, client, build)
