"""Build an image, push it, and print what names it for ever: REPOSITORY@sha256:….

    python docker/push.py IMAGE REPOSITORY:TAG docker build OPTION … FOLDER

The image is loaded into the engine as IMAGE. The engine pushes what it built itself; a builder
elsewhere pushes straight from there, in the same build, so that both are one image.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import explain

DIGEST_FILE = Path("build/digest.txt")


def builds_in_engine() -> bool:
    """Tell whether the builder in use is the engine's own; a build explains one that fails."""
    inspect = ["docker", "buildx", "inspect"]
    done = subprocess.run(inspect, capture_output=True, text=True, check=False)
    driver = re.search(r"^Driver:\s*(\S+)", done.stdout, flags=re.MULTILINE)
    return driver is None or driver[1] == "docker"


def push_from_engine(image: str, target: str, build: Sequence[str]) -> str:
    """Build, push with the engine, and return the digest; SystemExit if any of it fails."""
    _run([*build[:2], "--load", f"--tag={image}", *build[2:]])
    _run(["docker", "tag", image, target])
    print(f"Pushing {target}", file=sys.stderr)
    pushed = _run(["docker", "push", target])
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
        _run([*build[:2], *outputs, *build[2:]])
        return str(json.loads(metadata.read_text("utf-8")).get("containerimage.digest", ""))


def _run(command: Sequence[str]) -> str:
    """Return what a command prints; end with its status and the reason if it fails."""
    program = [sys.executable, explain.__file__, *command]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def main() -> None:
    """Push the image that the arguments name."""
    image, target, *build = sys.argv[1:]
    push = push_from_engine if builds_in_engine() else push_from_builder
    digest = push(image, target, build)
    if not digest:
        sys.exit("The image is pushed, and its digest not told. Ask the registry for it.")
    # The tag may move one day; the digest is this image for ever.
    name = f"{target.rpartition(':')[0]}@{digest}"
    DIGEST_FILE.parent.mkdir(exist_ok=True)
    DIGEST_FILE.write_text(f"{name}\n", encoding="utf-8")
    print(name)


if __name__ == "__main__":
    main()
