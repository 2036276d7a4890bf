"""The docker client, and the label that tells how an image was made."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from support import SupportError, UnavailableError, debian

# An image of ours carries its recipe's key, so that a changed recipe makes it anew.
LABEL = "seedpod.recipe"
# Which of several ways the downloads came. It is no part of the key: an image that is there is not
# made anew because an archive has moved on.
SOURCES_LABEL = "seedpod.sources"

# What a step of a build prints, behind its seconds, when BuildKit repeats the end of it.
STEP = re.compile(r"^\d+\.\d+ (.*\S)", flags=re.MULTILINE)


class PackageUnavailableError(UnavailableError):
    """A build could not download a package of Debian."""


@dataclass(frozen=True)
class Client:
    """A docker client: the variables with which it reaches its engine, beside the environment's."""

    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return all variables of a process that uses the engine."""
        return {**os.environ, **self.variables}

    def replace(self, **variables: str) -> "Client":
        """Return a client with further variables, or with others of the same name."""
        return Client({**self.variables, **variables})

    def run(
        self, *arguments: str, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run docker with ``arguments``, whether it succeeds or not.

        Raises subprocess.TimeoutExpired when it takes longer than ``timeout`` seconds.
        """
        return subprocess.run(
            ["docker", *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def run_or_raise(self, what: str, *arguments: str) -> str:
        """Return what docker prints.

        Raises SupportError with ``what`` and the last line of docker, or of the step of a build, if
        it fails; PackageUnavailableError where a build could not download a package of Debian.
        """
        done = self.run(*arguments)
        if done.returncode:
            missing = debian.not_served(done.stderr)
            if missing:
                raise PackageUnavailableError(f"{what} Try again later: {missing}")
            lines = STEP.findall(done.stderr) or done.stderr.strip().splitlines() or ["no message"]
            # The two streams of a step come in any order: an error may stand before other lines.
            errors = [line for line in lines if line.startswith(("E: ", "ERROR: ", "error: "))]
            raise SupportError(f"{what} Fix what the engine reported: {[*lines, *errors][-1]}")
        return done.stdout.strip()

    def build(self, what: str, *arguments: str) -> None:
        """Build an image; raises as run_or_raise() does."""
        # With --quiet, buildx 0.29 does not show what the step that fails has printed.
        self.run_or_raise(what, "build", "--progress=plain", *arguments)

    def server_version(self) -> str:
        """Return the version of the engine, '' where none answers or there is no client."""
        try:
            done = self.run("version", "--format", "{{.Server.Version}}")
        except FileNotFoundError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def image_id(self, name: str) -> str | None:
        """Return the digest of the image ``name``, None if there is none."""
        return self._inspect(name, "{{.Id}}")

    def recipe_key(self, name: str) -> str | None:
        """Return the recipe's key of an image, '' if it has none, None if there is no image."""
        return self._inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}')

    def _inspect(self, name: str, template: str) -> str | None:
        done = self.run("image", "inspect", "--format", template, name)
        return done.stdout.strip() if done.returncode == 0 else None
