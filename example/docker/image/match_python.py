"""Refuse a virtual environment that was made by another Python than the one of this image.

python3 docker/image/match_python.py write FILE      in the stages that make the environment
python3 docker/image/match_python.py check FILE      in the one that will run it
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import elf
from declaration import release

CATALOGUE = "name in the catalogue"
VARIANTS = "Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image."
PAIRS = {CATALOGUE: "Take both from what nox -s use prints in the catalogue for one name."}


def facts() -> dict[str, str]:
    """Return what an environment made here asks of the image that runs it."""
    linker = Path(elf.interpreter().interpreter or "").name
    return {
        "C library": "musl" if linker.startswith("ld-musl-") else "glibc",
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "prefix": os.path.realpath(sys.base_prefix),
        "release": release(platform.freedesktop_os_release()),
        # Images of a catalogue have it. Of another variant, one has not what the other has.
        CATALOGUE: os.environ.get("CATALOGUE_IMAGE", "none"),
    }


def difference(builder: Mapping[str, str], target: Mapping[str, str]) -> str | None:
    """Return in words how two images differ; None if what is made in one runs in the other."""
    for name, value in builder.items():
        if target[name] != value:
            return (
                f"The {name} of the image that builds is {value}, and of the one that runs "
                f"{target[name]}. {PAIRS.get(name, VARIANTS)}"
            )
    return None


def main() -> None:
    """Write the facts of this image, or compare them with those in a file."""
    command, file = sys.argv[1], Path(sys.argv[2])
    if command == "write":
        file.write_text(json.dumps(facts()))
        return
    found = difference(json.loads(file.read_text()), facts())
    if found:
        sys.exit(f"Interpreter: {found}")


if __name__ == "__main__":
    main()
