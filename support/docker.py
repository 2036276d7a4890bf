"""The docker client, as this package calls it, and the label that tells how an image was made.

``variables`` are everywhere the client's, from engine.ensure().
"""

import os
import subprocess
from collections.abc import Mapping

from support import SupportError, UnavailableError, debian

# An image of ours carries its recipe's key, so that a changed recipe makes it anew.
LABEL = "seedpod.recipe"
# Which of several ways the downloads came. It is no part of the key: an image that is there is not
# made anew because an archive has moved on.
SOURCES_LABEL = "seedpod.sources"


class PackageUnavailableError(UnavailableError):
    """A build could not download a package of Debian."""


def run(
    variables: Mapping[str, str], *arguments: str, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run docker with ``arguments``, whether it succeeds or not.

    Raises subprocess.TimeoutExpired when it takes longer than ``timeout`` seconds.
    """
    return subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def run_or_raise(variables: Mapping[str, str], what: str, *arguments: str) -> str:
    """Return what docker prints.

    Raises SupportError with ``what`` and docker's last line if it fails, PackageUnavailableError
    where a build could not download a package of Debian.
    """
    done = run(variables, *arguments)
    if done.returncode:
        missing = debian.not_served(done.stderr)
        if missing:
            raise PackageUnavailableError(f"{what} Try again later: {missing}")
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SupportError(f"{what} Fix what the engine reported: {last}")
    return done.stdout.strip()


def image_id(name: str, variables: Mapping[str, str]) -> str | None:
    """Return the digest of the image ``name``, None if there is none."""
    return _inspect(name, "{{.Id}}", variables)


def recipe_key(name: str, variables: Mapping[str, str]) -> str | None:
    """Return the recipe's key of the image ``name``, '' if it has none, None if there is none."""
    return _inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}', variables)


def _inspect(name: str, template: str, variables: Mapping[str, str]) -> str | None:
    done = run(variables, "image", "inspect", "--format", template, name)
    return done.stdout.strip() if done.returncode == 0 else None
