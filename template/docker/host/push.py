"""Build an image, push it, and print what names it for ever: REPOSITORY@sha256:….

The image is loaded into the engine, too. The engine pushes what it built itself; a builder
elsewhere pushes straight from there, in the same build, so that both are one image. Images for
several platforms are pushed one after the other, and become one index in the registry: an engine's
store may have no room for one.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import client
import progress
from session import write_text

DIGEST_FILE = Path("build/digest.txt")


@dataclass(frozen=True)
class Image:
    """An image: its name in the engine, that in the registry, and the command that builds it."""

    name: str
    target: str
    build: Sequence[str]


def builds_in_engine() -> bool:
    """Tell whether the builder in use is the engine's own; a build explains one that fails."""
    inspect = ["docker", "buildx", "inspect"]
    done = subprocess.run(inspect, capture_output=True, text=True, check=False)
    driver = re.search(r"^Driver:\s*(\S+)", done.stdout, flags=re.MULTILINE)
    return driver is None or driver[1] == "docker"


def load(image: Image) -> None:
    """Build an image into the engine; SystemExit if that fails."""
    _build(image, "--load", f"--tag={image.name}")


def _build(image: Image, *options: str) -> None:
    command = [*image.build[:2], *options, *image.build[2:]]
    with progress.following("push", command) as shown:
        client.run(command, progress=shown)


def push_from_engine(image: Image) -> str:
    """Push with the engine what it has, and return the digest; SystemExit if any of it fails."""
    client.output(["docker", "tag", image.name, image.target])
    print(f"Pushing {image.target}", file=sys.stderr)
    pushed = client.output(["docker", "push", image.target])
    return "".join(re.findall(r"digest: (sha256:[0-9a-f]{64})", pushed)[-1:])


def push_from_builder(image: Image) -> str:
    """Build where the builder is, push from there, and return the digest; SystemExit on failure."""
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder, "metadata.json")
        outputs = (
            f"--output=type=docker,name={image.name}",
            f"--output=type=image,name={image.target},push=true",
            f"--metadata-file={metadata}",
        )
        _build(image, *outputs)
        return str(json.loads(metadata.read_text("utf-8")).get("containerimage.digest", ""))


def join(target: str, digests: Sequence[str]) -> str:
    """Make one index of images that the registry has, and return its digest; SystemExit."""
    tools = ("docker", "buildx", "imagetools")
    images = (f"{target.rpartition(':')[0]}@{digest}" for digest in digests)
    client.output([*tools, "create", f"--tag={target}", *images])
    index = client.output([*tools, "inspect", "--raw", target])
    # A document is named by the digest of its bytes (OCI image specification, descriptor.md).
    return f"sha256:{hashlib.sha256(index.encode()).hexdigest()}"


def push(target: str, images: Sequence[Image]) -> None:
    """Build images, name them in the engine, and push them, in the end as ``target``.

    In: REPOSITORY:TAG, and an image for each platform. What names the image, or the index, for ever
    is printed and written to build/digest.txt. Ends the program if any of it fails.
    """
    in_engine = builds_in_engine()
    push_built = push_from_engine if in_engine else push_from_builder
    # All of several are built before one is sent.
    for image in images if in_engine or len(images) > 1 else ():
        load(image)
    digests = []
    for image in images:
        digests.append(push_built(image))
        if not digests[-1]:
            sys.exit(
                f"{image.target} was pushed, but Docker did not print its digest. "
                "Look it up in the registry."
            )
    # The tag may move one day; the digest is this image for ever.
    digest = digests[0] if len(images) == 1 else join(target, digests)
    name = f"{target.rpartition(':')[0]}@{digest}"
    print(name)
    # After what was pushed is said: that is done, whatever becomes of this file.
    write_text(DIGEST_FILE, f"{name}\n")
