"""Build with Podman what docker build makes, and run compose on it.

Podman's builder knows less: 4.3 neither COPY --link, whose layers it makes anyway, nor the network
of a step. And it asks for no content of a mount before it takes a step from its cache
(https://github.com/containers/buildah/issues/6609), so that a stage with such a step gets, as an
argument, a digest of all that it is made of.
"""

import atexit
import functools
import glob
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from session import SessionError, docker, read_text, write_text

OLDEST, STEP_NETWORK, OLDEST_COMPOSE = (4, 3), (4, 5), (2, 20)
# Where "podman compose" looks for compose, too:
# https://docs.podman.io/en/latest/markdown/podman-compose.1.html
PLUGINS = [f"/usr/{x}/docker/cli-plugins" for x in ("local/lib", "local/libexec", "lib", "libexec")]
# The context that sessions give for path dependencies outside of the project.
LOCAL, WHOLE = "local", "."
LEFT_OUT = {".git", "__pycache__"}


def build(words: Sequence[str]) -> list[str]:
    """Return the start of a build's command, with a Dockerfile of its own; raises SessionError.

    In: the other words of the command.
    """
    given = arguments(words)
    text = "\n".join(read_text(Path("Dockerfile")).splitlines()) + "\n"
    path = Path(_folder(), "Dockerfile")
    write_text(path, translated(text, given, step_network=_has_step_network()))
    # Podman takes a default before the first stage for unset, where that chooses a stage.
    defaults = [f"--build-arg={name}={x}" for name, x in _defaults(text) if name not in given]
    # HEALTHCHECK is in Docker's format alone.
    return ["podman", "build", "--format=docker", f"--file={path}", *defaults]


def arguments(words: Sequence[str]) -> dict[str, str]:
    """Return the build arguments that a command gives; one without a value is the environment's."""
    found = {}
    for word, following in itertools.pairwise([*words, ""]):
        option, _, text = word.partition("=")
        if option == "--build-arg":
            name, is_given, value = (text or following).partition("=")
            if is_given or name in os.environ:
                found[name] = value if is_given else os.environ[name]
    return found


def _defaults(text: str) -> list[tuple[str, str]]:
    head = re.split(r"^FROM ", text, maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)[0]
    return re.findall(r"^ARG (\w+)=([^\s$]+)$", head, flags=re.MULTILINE)


def translated(text: str, given: Mapping[str, str], *, step_network: bool) -> str:
    """Return a Dockerfile for Podman, with the build arguments that are given.

    Without ``step_network`` its steps have the network of the build.
    """
    text = re.sub(r"^(COPY|ADD)\b(.*?) --link\b", r"\1\2", text, flags=re.MULTILINE)
    if not step_network:
        text = re.sub(r"^(RUN\b.*?) --network=\S+", r"\1", text, flags=re.MULTILINE)
    values = {**dict(_defaults(text)), **given}
    head, *stages = re.split(r"^(?=FROM )", text, flags=re.MULTILINE | re.IGNORECASE)
    keys: dict[str, str] = {}
    digest = functools.cache(lambda source: _digest(_files(source)))
    for number, stage in enumerate(stages):
        first, *steps = _instructions(stage)
        parent, name = _from(first)
        stages_read, sources, mounts = _inputs(steps)
        read = [_filled(x, values) for x in (parent, *stages_read)]
        declared = [x.partition("=")[0] for word, *named in steps if word == "ARG" for x in named]
        content = [
            *(" ".join(words) for words in (first, *steps)),
            *(keys.get(x, x) for x in read),
            *(f"{x}={values.get(x, '')}" for x in declared),
            *map(digest, sources),
        ]
        if name == LOCAL and (local := os.environ.get("LOCAL_CONTEXT")):  # It is in its place.
            content.append(_digest(Path(local).rglob("*"), local))
        key = hashlib.sha256("\0".join(content).encode(errors="surrogateescape")).hexdigest()
        keys |= {str(number): key, name: key}
        if mounts:
            line, _, rest = stage.partition("\n")
            stages[number] = f"{line}\nARG INPUTS={key}\n{rest}"
    return "".join([head, *stages])


def _instructions(stage: str) -> Iterator[list[str]]:
    """Yield the words of each instruction of a stage, that of the instruction in capitals."""
    text = re.sub(r"^[ \t]*#.*\n?", "", stage, flags=re.MULTILINE)
    for line in re.sub(r"\\[ \t]*\n", " ", text).splitlines():
        if words := line.split():
            yield [words[0].upper(), *words[1:]]


def _from(instruction: Sequence[str]) -> tuple[str, str]:
    """Return what a stage starts from, and its name; empty where there is none."""
    words = [word for word in instruction[1:] if not word.startswith("--")]
    return "".join(words[:1]), "".join(words[2:3])


def _inputs(steps: Iterable[Sequence[str]]) -> tuple[list[str], list[str], bool]:
    """Return the stages and the sources in the context that steps read, and whether one mounts."""
    stages, sources, mounts = list[str](), list[str](), False
    for instruction, *words in steps:
        options = [word[2:].partition("=") for word in words if word.startswith("--")]
        if instruction in ("COPY", "ADD"):
            named = [value for name, _, value in options if name == "from"]
            rest = [word for word in words if not word.startswith("--")]
            stages += named
            if not named:
                sources += [WHOLE] if "".join(rest).startswith("[") else rest[:-1]
        for mount in [value for name, _, value in options if name == "mount"]:
            fields = dict(field.partition("=")[::2] for field in mount.split(","))
            if fields.get("type", "bind") == "bind":
                mounts = True
                if "from" in fields:
                    stages.append(fields["from"])
                else:
                    sources.append(fields.get("source") or fields.get("src") or WHOLE)
    return stages, sources, mounts


def _filled(name: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ""), name)


def _digest(paths: Iterable[Path], folder: str = ".") -> str:
    """Return a digest of files, by their names in a folder."""
    found = hashlib.sha256()
    for path in sorted({*paths}):
        if path.is_file() and not LEFT_OUT & {*path.parts}:
            # What cannot be read, the build itself tells of.
            with suppress(OSError), path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
                name = os.path.relpath(path, folder)
                found.update(os.fsencode(f"{name}\0{path.stat().st_mode}\0{content}\0"))
    return found.hexdigest()


def _files(source: str) -> Iterator[Path]:
    """Yield the files of the context that a source of the Dockerfile names."""
    source = re.sub(r"^(\./|/)+", "", source)
    is_whole = source.strip("*/") in ("", WHOLE) or "$" in source
    for pattern in _context() if is_whole else [source]:
        for path in map(Path, glob.glob(pattern, recursive=True)):
            yield from path.rglob("*") if path.is_dir() else [path]


def _context() -> Iterator[str]:
    """Yield patterns of all that .dockerignore lets through, if it lists that, or of everything."""
    with suppress(SessionError):
        lines = [line.strip() for line in read_text(Path(".dockerignore")).splitlines()]
        if "*" in lines:
            yield from (line[1:].strip().lstrip("/") for line in lines if line.startswith("!"))
            return
    yield from ("*", ".*")


@functools.cache
def compose() -> str:
    """Return the program that is compose, and let it find Podman; raises SessionError."""
    own = os.path.expanduser(os.environ.get("DOCKER_CONFIG") or "~/.docker")
    folders = (os.environ.get("PATH", ""), f"{own}/cli-plugins", *PLUGINS)
    program = shutil.which("docker-compose", path=os.pathsep.join(folders))
    needed = f"Install compose, version {'.'.join(map(str, OLDEST_COMPOSE))} or later."
    if not program:
        raise SessionError(f"The program docker-compose is not installed. {needed}")
    asked = [program, "version", "--short"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if _version(told, (0, 0)) < OLDEST_COMPOSE:
        raise SessionError(f"{program} is compose {told or 'of no version'}. {needed}")
    if address := os.environ.get("DOCKER_HOST"):
        _check_address(address)
    else:
        os.environ["DOCKER_HOST"] = _own_address()
    return program


def _check_address(address: str) -> None:
    """Raise SessionError where Docker answers: it has other images and containers."""
    try:
        docker("--remote", f"--url={address}", "info", "--format={{.Host.RemoteSocket.Path}}")
    except SessionError as error:
        raise SessionError(
            f"DOCKER_HOST is {address}, where no Podman answers. Unset it, or write the address of "
            "Podman's socket."
        ) from error


def _own_address() -> str:
    socket = docker("info", "--format={{.Host.RemoteSocket.Path}}").strip().removeprefix("unix://")
    if not Path(socket).exists():
        user = "--user " if hasattr(os, "getuid") and os.getuid() else ""
        raise SessionError(
            f"Podman does not listen at {socket}, where compose would reach it. "
            f"Let it: systemctl {user}enable --now podman.socket; with a machine of Podman, set "
            "DOCKER_HOST as podman machine start says"
        )
    return f"unix://{socket}"


@functools.cache
def _folder() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _has_step_network() -> bool:
    """Tell whether this Podman knows RUN --network; raises SessionError for one that is too old."""
    told = docker("--version")
    version = _version(told, OLDEST)
    if version < OLDEST:
        raise SessionError(f"This is {told.strip()}. Install Podman 4.3 or later.")
    return version >= STEP_NETWORK


def _version(text: str, unknown: tuple[int, int]) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else unknown
