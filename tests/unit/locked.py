"""Packages as poetry.lock has them, made by hand."""

from collections.abc import Iterable

from poetry_lock import Chosen

HASHES = ("sha256:aa", "sha256:bb")


def locked(
    *requirements: str, hashes: Iterable[str] = HASHES, files: Iterable[str] = ()
) -> list[Chosen]:
    """Return a package for each requirement, like ``one==1.0 ; os_name == 'posix'``."""
    packages = []
    for requirement in requirements:
        name, _, rest = requirement.partition("==")
        version, _, marker = rest.partition(" ; ")
        packages.append(Chosen(name, version, marker, [*hashes], [*files]))
    return packages


def joined(text: str) -> list[str]:
    """Return the lines of a requirements file, each with its hashes."""
    return text.replace(" \\\n    ", " ").splitlines()
