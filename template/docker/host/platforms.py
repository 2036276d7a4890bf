"""The platforms that production is for: platforms in [tool.seedpod], like linux/arm64.

    python docker/host/platforms.py     print them with commas between; an empty line without any

Without them, an image is for the platform that Docker takes by itself. With Docker's own variable
DOCKER_DEFAULT_PLATFORM, sessions build for that one alone: on a machine, for example, that cannot
run programs for another one.
"""

import functools
import os
import re
import subprocess

import project_file
from session import SessionError, docker, ended_by_errors

# https://docs.docker.com/reference/cli/docker/buildx/build/#platform
FORM = re.compile(r"linux/[a-z0-9]+(?:/v\d+)?")
# What the kernel says of a program that is for another processor.
FOREIGN = "exec format error"


def declared() -> list[str]:
    """Return what pyproject.toml lists, an empty list without it; raises SessionError."""
    found = project_file.setting("platforms") or []
    if not (
        isinstance(found, list)
        and all(isinstance(name, str) and FORM.fullmatch(name) for name in found)
        and len({*found}) == len(found)
    ):
        raise SessionError(
            f"platforms in [tool.seedpod] is {found!r}. "
            'Write a list of different ones, like ["linux/amd64", "linux/arm64"].'
        )
    return found


def wanted() -> list[str]:
    """Return the platforms to build for, the one that images are called after as the last one.

    That is the engine's own if it is listed, else the first one. A list with an empty name if none
    is declared: Docker decides then. Raises SessionError.
    """
    found = declared()
    one = os.environ.get("DOCKER_DEFAULT_PLATFORM")
    if not found or one:
        return [one or ""]
    if len(found) == 1:
        return found
    # An engine does not say which variant of a processor it has.
    main = next((name for name in found if f"{name}/".startswith(f"{_own()}/")), found[0])
    return [*(name for name in found if name != main), main]


@functools.cache
def _own() -> str:
    return docker("version", "--format={{.Server.Os}}/{{.Server.Arch}}").strip()


def suffix(platform: str) -> str:
    """Return what a platform's images have in their tags, like arm-v7."""
    return platform.partition("/")[2].replace("/", "-")


def tag(stage: str, platform: str) -> str:
    """Return the tag of a stage: its name, but for a platform that images are not called after."""
    return stage if platform == wanted()[-1] else f"{stage}-{suffix(platform)}"


def runs_here(image: str) -> bool:
    """Tell whether the engine runs an image's programs; an image that has none counts, too."""
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint=python3", image, "-c", ""]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return FOREIGN not in done.stderr


if __name__ == "__main__":
    with ended_by_errors():
        print(",".join(declared()))
