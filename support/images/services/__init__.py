"""Services without a registry: Debian's PostgreSQL and Redis, run as the official images run them.

Each has a folder here with its recipe; an image carries its recipe's key as a label, so that a
changed recipe makes a new image and an unchanged one is made once.
"""

import re
from pathlib import Path

from support.docker import Client
from support.paths import content_key

RELEASE = "trixie"
# The names of official images, and the major version that this release of Debian has.
VERSIONS = {"postgres": "17", "redis": "8"}


def find(reference: str) -> str | None:
    """Return the service that the name of an official image means, None if there is none for it.

    Of another major version it would keep data that the official image cannot read, and one that
    is named by its digest nothing else can be.
    """
    name, _, tag = reference.partition(":")
    known = name in VERSIONS and re.fullmatch(rf"{VERSIONS[name]}([.-][\w.-]+)?", tag)
    return name if known else None


def stand_in(service: str, debian_image: str, client: Client) -> str:
    """Return the name of an image with ``service``, one of VERSIONS, assembled if need be.

    ``debian_image`` is a stand-in for Debian 13 in which apt-get reaches an archive. Raises
    SupportError when the image cannot be built.
    """
    name = f"seedpod/{service}:{VERSIONS[service]}-{RELEASE}"
    folder = Path(__file__).with_name(service)
    # A Debian that is made by another recipe has newer packages, and so has what is made of it.
    base = client.recipe_key(debian_image) or ""
    key = content_key(base, *(path.read_bytes() for path in sorted(folder.iterdir())))
    if client.recipe_key(name) != key:
        client.build(
            f"The image {name} cannot be built.",
            *("--tag", name, "--build-arg", f"DEBIAN_IMAGE={debian_image}"),
            *("--build-arg", f"RECIPE={key}", str(folder)),
        )
    return name
