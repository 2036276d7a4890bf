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
import sys
from contextlib import suppress

import project_file
from session import SessionError, docker, docker_client, ended_by_errors, is_podman

# https://docs.docker.com/reference/cli/docker/buildx/build/#platform
FORM = re.compile(r"linux/[a-z0-9]+(?:/v\d+)?")
# What the kernel says of a program that is for another processor.
FOREIGN = "exec format error"
# What a kernel calls itself, and the width of a pointer of the programs for each processor. One for
# 64 bits may run those for 32, too, and then says its own name.
PROCESSORS = {
    "386": ("i686 x86_64", "32"),
    "amd64": ("x86_64", "64"),
    "arm": ("armv6l armv7l armv8l aarch64", "32"),
    "arm64": ("aarch64", "64"),
    "ppc64le": ("ppc64le", "64"),
    "riscv64": ("riscv64", "64"),
    "s390x": ("s390x", "64"),
}
PROBE = "import platform, struct; print(platform.machine(), struct.calcsize('P') * 8)"


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
    if found and one:
        if not FORM.fullmatch(one):
            raise SessionError(
                f"DOCKER_DEFAULT_PLATFORM is {one!r}. Write a platform, like linux/amd64."
            )
        _tell(one, *(name for name in found if name != one))
        return [one]
    if len(found) < 2:
        return found or [""]
    main = next(filter(_is_own, found), found[0])
    return [*(name for name in found if name != main), main]


def locked() -> list[str]:
    """Return the platforms whose packages are locked: development is for the engine's own, too."""
    found = wanted()
    return found if found == [""] or any(map(_is_own, found)) else ["", *found]


def _is_own(platform: str) -> bool:
    # An engine does not say which variant of a processor it has.
    return f"{platform}/".startswith(f"{_own()}/")


@functools.cache
def _own() -> str:
    """Return the platform of the engine; an empty text if only a builder elsewhere answers."""
    with suppress(SessionError):
        if is_podman():
            return docker("info", "--format={{.Host.OS}}/{{.Host.Arch}}").strip()
        return docker("version", "--format={{.Server.Os}}/{{.Server.Arch}}").strip()
    return ""


@functools.cache
def _tell(one: str, *others: str) -> None:
    """Say once what a variable of this machine leaves out of what the project declares."""
    left = f" Left out: {', '.join(others)}." if others else ""
    print(f"Only for {one}, as DOCKER_DEFAULT_PLATFORM says.{left}", file=sys.stderr, flush=True)


def suffix(platform: str) -> str:
    """Return what a platform's images have in their tags, like arm-v7."""
    return platform.partition("/")[2].replace("/", "-")


def tag(stage: str, platform: str) -> str:
    """Return the tag of a stage: its name, but for a platform that images are not called after."""
    return stage if platform == wanted()[-1] else f"{stage}-{suffix(platform)}"


def runs_here(image: str, platform: str) -> bool:
    """Tell whether the engine runs an image's programs; raises SessionError for other programs.

    A base image of one platform alone is taken for any: https://github.com/docker/buildx/issues/3854
    """
    command = [
        docker_client(),
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=python3",
        image,
        "-c",
        PROBE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    machines, bits = PROCESSORS.get(platform.split("/")[1], ("", ""))
    found = done.stdout.split()
    if machines and len(found) == 2 and (found[0] not in machines.split() or found[1] != bits):
        raise SessionError(
            f"The image for {platform} has programs for {' with '.join(found)} bits: the base "
            "image is not there for that platform. Name one in PYTHON_IMAGE that is."
        )
    return FOREIGN not in done.stderr.lower()


if __name__ == "__main__":
    with ended_by_errors():
        print(",".join(declared()))
