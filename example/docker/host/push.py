"""Build an image, push it, and print what names it for ever: REPOSITORY@sha256:….

The image is loaded into the engine, too. The engine pushes what it built itself; a builder
elsewhere pushes straight from there, in the same build, so that both are one image.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import client
from session import write_text

DIGEST_FILE = Path("build/digest.txt")


def builds_in_engine() -> bool:
    """Tell whether the builder in use is the engine's own; a build explains one that fails."""
    inspect = ["docker", "buildx", "inspect"]
    done = subprocess.run(inspect, capture_output=True, text=True, check=False)
    driver = re.search(r"^Driver:\s*(\S+)", done.stdout, flags=re.MULTILINE)
    return driver is None or driver[1] == "docker"


def push_from_engine(image: str, target: str, build: Sequence[str]) -> str:
    """Build, push with the engine, and return the digest; SystemExit if any of it fails."""
    client.output([*build[:2], "--load", f"--tag={image}", *build[2:]])
    client.output(["docker", "tag", image, target])
    print(f"Pushing {target}", file=sys.stderr)
    pushed = client.output(["docker", "push", target])
    return "".join(re.findall(r"digest: (sha256:[0-9a-f]{64})", pushed)[-1:])


def push_from_builder(image: str, target: str, build: Sequence[str]) -> str:
    """Build where the builder is, push from there, and return the digest; SystemExit on failure."""
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder, "metadata.json")
        outputs = (
            f"--output=type=docker,name={image}",
            f"--output=type=image,name={target},push=true",
            f"--metadata-file={metadata}",
        )
        client.output([*build[:2], *outputs, *build[2:]])
        return str(json.loads(metadata.read_text("utf-8")).get("containerimage.digest", ""))


def push(image: str, target: str, build: Sequence[str]) -> None:
    """Build an image, name it in the engine, and push it as ``target``, REPOSITORY:TAG.

    What names the image for ever is printed and written to build/digest.txt. Ends the program if
    any of it fails.
    """
    push_built = push_from_engine if builds_in_engine() else push_from_builder
    digest = push_built(image, target, build)
    if not digest:
        sys.exit(
            "The image was pushed, but Docker did not print its digest. Look it up in the registry."
        )
    # The tag may move one day; the digest is this image for ever.
    name = f"{target.rpartition(':')[0]}@{digest}"
    print(name)
    # After what was pushed is said: that is done, whatever becomes of this file.
    write_text(DIGEST_FILE, f"{name}\n")
