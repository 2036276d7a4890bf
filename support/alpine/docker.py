"""The docker client, as this package calls it."""

import os
import subprocess
from collections.abc import Mapping

from support import SupportError

LABEL = "seedpod.recipe"


def run(variables: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run docker with ``arguments``, whether it succeeds or not."""
    return subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def run_or_raise(variables: Mapping[str, str], what: str, *arguments: str) -> str:
    """Return what docker prints; raise SupportError with ``what`` and its last line if it fails."""
    done = run(variables, *arguments)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SupportError(f"{what} Mend what the engine reported: {last}")
    return done.stdout.strip()


def image_id(name: str, variables: Mapping[str, str]) -> str | None:
    """Return the digest of the image ``name``, None if there is none."""
    done = run(variables, "image", "inspect", "--format", "{{.Id}}", name)
    return done.stdout.strip() if done.returncode == 0 else None


def recipe_key(name: str, variables: Mapping[str, str]) -> str | None:
    """Return the key of the recipe that ``name`` was made by, None if there is no such image."""
    template = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    done = run(variables, "image", "inspect", "--format", template, name)
    return done.stdout.strip() if done.returncode == 0 else None
