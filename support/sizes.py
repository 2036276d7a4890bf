"""Sizes of images, measured with the program that projects have for it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from support import SupportError
from support.paths import REPOSITORY
from support.project import Project

PROGRAM = REPOSITORY / "template/docker/host/layers.py"


@dataclass(frozen=True)
class Size:
    """The bytes of the files in an image's layers, and of its layers as gzip."""

    size: int
    compressed: int


def measure(project: Project, *images: str) -> list[Size]:
    """Measure images that the project's engine has; SupportError if it fails."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *images],
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SupportError(done.stderr.strip())
    report: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return [Size(report[image]["size"], report[image]["compressed"]) for image in images]
