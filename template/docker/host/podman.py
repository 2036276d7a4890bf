"""Build with Podman what docker build makes, and run compose on it.

Podman's builder knows less: 4.3 neither COPY --link, whose layers it makes anyway, nor the network
of a step. And it asks for no content of a mount before it takes a step from its cache
(https://github.com/containers/buildah/issues/6609), so that a stage with such a step gets, as an
argument, a digest of all that it is made of.
"""

import atexit
import fnmatch
import functools
import glob
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from session import SessionError, docker, read_text, write_text

OLDEST, STEP_NETWORK = (4, 3), (4, 5)
# Where "podman compose" looks for compose, too:
# https://docs.podman.io/en/latest/markdown/podman-compose.1.html
PLUGINS = (
    *(f"{folder}/docker/cli-plugins" for folder in ("/usr/local/lib", "/usr/local/libexec")),
    *(f"{folder}/docker/cli-plugins" for folder in ("/usr/lib", "/usr/libexec")),
)


def build() -> list[str]:
    """Return the start of a build's command, with a Dockerfile of its own; raises SessionError."""
    path = Path(_folder(), "Dockerfile")
    write_text(path, translated(read_text(Path("Dockerfile")), step_network=_has_step_network()))
    # HEALTHCHECK is in Docker's format alone.
    return ["podman", "build", "--format=docker", f"--file={path}"]


def arguments() -> list[str]:
    """Return the arguments that choose a stage by their default, which Podman takes for unset."""
    head = read_text(Path("Dockerfile")).partition("\nFROM ")[0]
    found = re.findall(r"^ARG (\w+)=([^\s$]+)$", head, flags=re.MULTILINE)
    return [f"--build-arg={name}={value}" for name, value in found if not os.environ.get(name)]


def translated(text: str, *, step_network: bool) -> str:
    """Return a Dockerfile for Podman; without ``step_network`` its steps have the build's one."""
    text = re.sub(r"^(COPY|ADD)\b(.*?) --link\b", r"\1\2", text, flags=re.MULTILINE)
    if not step_network:
        text = re.sub(r"^(RUN\b.*?) --network=\S+", r"\1", text, flags=re.MULTILINE)
    settings = {
        name: os.environ.get(name) for name in re.findall(r"^ARG (\w+)", text, re.MULTILINE)
    }
    head, *stages = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    keys = {"": f"{head}{settings}"}
    for number, stage in enumerate(stages):
        first, _, steps = stage.partition("\n")
        needed = [
            re.sub(r"\$\{\w+\}", "*", x) for x in re.findall(r"(?:^FROM |from=)([^\s,]+)", stage)
        ]
        known = [keys[name] for each in ("", *needed) for name in fnmatch.filter(keys, each)]
        words = {*re.split(r"[\s,=]+", stage)}
        # The whole context, which is what .dockerignore lets through.
        if "." in words or "type=bind,target=" in stage:
            words |= {*re.findall(r"^!(.+)", read_text(Path(".dockerignore")), re.MULTILINE)}
        content = [stage, *known, *(_digest(re.sub(r"^(\./|/)+", "", x)) for x in sorted(words))]
        if first.endswith(" AS local"):  # Another context may be in its place.
            content.append(_digest(os.environ.get("LOCAL_CONTEXT", "")))
        key = hashlib.sha256("\0".join(content).encode()).hexdigest()
        keys[first.split()[-1]] = key
        if "type=bind" in steps:
            stages[number] = f"{first}\nARG INPUTS={key}\n{steps}"
    return "".join([head, *stages])


def _digest(word: str) -> str:
    """Return a digest of the files that a word of the Dockerfile names; empty for no file."""
    found = hashlib.sha256()
    for name in sorted(glob.glob(word)) if word not in ("", ".", "..", "*") else ():
        path = Path(name)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(
                    f"{str(file).removeprefix(word)}\0{file.stat().st_mode}\0{content}\0".encode(
                        errors="surrogateescape"
                    )
                )
    return found.hexdigest()


@functools.cache
def compose() -> str:
    """Return the program that is compose, and let it find Podman; raises SessionError."""
    own = os.path.expanduser(os.environ.get("DOCKER_CONFIG") or "~/.docker")
    folders = (os.environ.get("PATH", ""), f"{own}/cli-plugins", *PLUGINS)
    program = shutil.which("docker-compose", path=os.pathsep.join(folders))
    if not program:
        raise SessionError(
            "The program docker-compose is not installed. Install compose, version 2.20 or later."
        )
    if "DOCKER_HOST" not in os.environ:
        socket = docker("info", "--format={{.Host.RemoteSocket.Path}}").strip()
        if not Path(socket.removeprefix("unix://")).exists():
            user = "" if os.getuid() == 0 else "--user "
            raise SessionError(
                f"Podman does not listen at {socket}, where compose would reach it. "
                f"Let it: systemctl {user}enable --now podman.socket"
            )
        os.environ["DOCKER_HOST"] = f"unix://{socket.removeprefix('unix://')}"
    return program


@functools.cache
def _folder() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _has_step_network() -> bool:
    """Tell whether this Podman knows RUN --network; raises SessionError for one that is too old."""
    told = docker("--version")
    found = re.search(r"(\d+)\.(\d+)", told)
    version = (int(found[1]), int(found[2])) if found else OLDEST
    if version < OLDEST:
        raise SessionError(f"This is {told.strip()}. Install Podman 4.3 or later.")
    return version >= STEP_NETWORK
