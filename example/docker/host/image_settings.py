"""Write what [tool.seedpod.image] says into marked lines for Docker, compose and Kubernetes.

A plain "docker build ." reads no pyproject.toml: what an image has besides the application is there
in Docker's own words.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from session import SessionError, read_text, write_text

DOCKERFILE, COMPOSE = Path("Dockerfile"), Path("docker-compose.yml")
# Of the manifests, the one with the server.
MANIFESTS, SERVER = Path("kubernetes"), Path("kubernetes/web.yaml")
ANSWERS = Path(".copier-answers.yml")
BEGIN, END = "# [tool.seedpod.image]: ", "# End of [tool.seedpod.image]."
MARKED = (
    f"^(?P<begin>(?P<place>%s){re.escape(BEGIN)}.*\n)"
    f"(?:(?! *{re.escape(BEGIN)}).*\n)*?(?P<end>%s{re.escape(END)})$"
)
BLOCK, IN_MANIFEST = (re.compile(MARKED % (x, x), re.MULTILINE) for x in ("", " *"))
PORT = 8000
# docker/bin/init.py
INIT = "init"
# Where the folder with notebooks is mounted beside those for data.
WORK = "x-work: &work"
HEALTH = (
    'HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python3", "-c", \\\n'
    r"""    "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open("""
    r"""f'http://127.0.0.1:{os.environ.get(\"PORT\", %d)}%s')"]"""
)
# Started within a minute; asked by a Service every 5 seconds, and for a restart every 10.
PROBES = {
    "startup": ("failureThreshold: 60", "periodSeconds: 1"),
    "readiness": ("periodSeconds: 5", "timeoutSeconds: 3"),
    "liveness": ("timeoutSeconds: 3",),
}


def dockerfile_lines(settings: dict[str, Any], name: str, *, is_web: bool) -> Iterator[str]:
    """Yield the instructions for an image; ``name`` is the project's own command."""
    if settings.get("data") or _has_files():
        yield "COPY --link --from=files /files/ /"
    if settings.get("step"):
        yield "COPY --link --from=step /made/ /"
    for instruction, key in (("ENV", "environment"), ("LABEL", "labels")):
        for variable, text in sorted(settings.get(key, {}).items()):
            yield f"{instruction} {variable}={_quoted(text)}"
    port = settings.get("port", PORT if is_web else None)
    if port:
        # Most servers listen on all addresses only if they are told a port.
        if settings.keys() & {"command", "port"}:
            yield f"ENV PORT={port}"
        yield f"EXPOSE {port}"
    if health := _health(settings, is_web=is_web):
        yield HEALTH % (port or PORT, health)
    else:
        yield "HEALTHCHECK NONE"
    # A server is one of several processes that an image is good for, as its arguments say; those of
    # a program from the index are its own. A base image may have an entry point, which would take
    # them.
    command = settings.get("command", [name])
    takes_others = port and command[0] != INIT
    if takes_others:
        yield "ENTRYPOINT []"
    instruction = "CMD" if takes_others else "ENTRYPOINT"
    yield f"{instruction} {json.dumps(command, ensure_ascii=False)}"


def compose_lines(
    settings: dict[str, Any], *, is_web: bool, has_work: bool = False
) -> Iterator[str]:
    """Yield what compose's file has of it: the port, folders for data, that of notebooks."""
    port = settings.get("port", PORT if is_web else None)
    if has_work:
        # A server of notebooks prints the address that it has in the container.
        yield f"x-port: &port ${{PORT:-{port or PORT}}}"
    yield f"x-ports: &ports{'' if port else ' []'}"
    if port:
        yield "  - host_ip: 127.0.0.1"
        yield f"    published: {'*port' if has_work else f'${{PORT:-{PORT}}}'}"
        yield f"    target: {'*port' if has_work else port}"
    folders = _folders(settings)
    yield f"x-data: &data{'' if folders else ' []'}"
    mounts = []
    for folder in folders:
        mounts.append("  - type: tmpfs")
        # Compose reads a dollar as the beginning of a variable's name.
        quoted = json.dumps(folder, ensure_ascii=False).replace("$", "$$")
        mounts.append(f"    target: {quoted}")
    yield from mounts
    if has_work:
        yield WORK
        yield from ("  - type: bind", "    source: ./notebooks", "    target: /work")
        yield from mounts


def manifest_lines(settings: dict[str, Any], place: str, *, is_server: bool) -> Iterator[str]:
    """Yield what a manifest has of it: a server's port and probes, and folders for data.

    ``place`` are the spaces before the keys of a container; those of its pod have four less.
    """
    if is_server:
        yield f"{place}ports:"
        yield f"{place}  - name: http"
        yield f"{place}    containerPort: {settings.get('port', PORT)}"
        health = _health(settings, is_web=True)
        for probe, times in PROBES.items() if health else ():
            yield f"{place}{probe}Probe:"
            yield f"{place}  httpGet:"
            yield f"{place}    path: {_plain(health)}"
            yield f"{place}    port: http"
            # As the image's own check asks: not every server answers to the address of its pod.
            yield f"{place}    httpHeaders: [{{name: Host, value: 127.0.0.1}}]"
            yield from (f"{place}  {line}" for line in times)
    names = {"/tmp": "tmp"}
    for path in _folders(settings):
        # Of the path, so that another folder leaves it as it is; in what a name may have.
        name = re.sub(r"[^a-z0-9]+", "-", f"data{path.lower()}")[:50].strip("-")
        names[path] = f"{name}-{len(names)}" if name in names.values() else name
    yield f"{place}volumeMounts:"
    for path, name in names.items():
        yield f"{place}  - name: {name}"
        yield f"{place}    mountPath: {_plain(path)}"
    yield f"{place[4:]}volumes:"
    for name in names.values():
        yield f"{place[4:]}  - name: {name}"
        yield f"{place[4:]}    emptyDir: {{}}"


def _health(settings: dict[str, Any], *, is_web: bool) -> Any:
    """Return the path that a server is asked for, or False."""
    return settings.get("health", "/healthz" if is_web else False)


def _folders(settings: dict[str, Any]) -> list[str]:
    """Return the folders for data; /tmp is there anyway."""
    return [path for path in dict.fromkeys(settings.get("data", [])) if path != "/tmp"]


def _plain(path: str) -> str:
    """Return a path as YAML has it, in quotes if it needs them."""
    is_plain = re.fullmatch(r"[\w./-]+", path, re.ASCII)
    return path if is_plain else json.dumps(path, ensure_ascii=False)


def _quoted(text: str) -> str:
    """Return a text as a Dockerfile has it, where a dollar begins the name of a variable."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def rewritten(settings: dict[str, Any], name: str) -> dict[Path, str]:
    """Return the files that should have other lines, with their new texts; raises SessionError."""
    has_files = {"rootfs"} if _has_files() else set()
    files = {
        DOCKERFILE: settings.keys() | has_files,
        COMPOSE: settings.keys() & {"data", "port"},
        # Who has other manifests says there what they have.
        **{path: set() for path in sorted(MANIFESTS.glob("*.y*ml"))},
        SERVER: settings.keys() & {"data", "health", "port"},
    }
    texts = {path: read_text(path) for path in files if path.exists()}
    is_web = _is_web(texts.get(COMPOSE, ""))
    found = {}
    for path, old in texts.items():
        plain = old.replace("\r\n", "\n")
        is_manifest = MANIFESTS in path.parents
        marked = IN_MANIFEST if is_manifest else BLOCK
        new, count = marked.subn(partial(_block, path, settings, name, is_web), plain)
        # Before these lines it was the last one: what is left of it would win, or take CMD away.
        last = plain.partition("\nFROM shipped AS production\n")[2].partition("\nFROM ")[0]
        if f'\nENTRYPOINT ["{name}"]\n' in f"\n{last}\n":
            raise SessionError(
                f"{path} has the entry point of an earlier version below the lines for "
                f'[tool.seedpod.image]. Remove there: ENTRYPOINT ["{name}"], EXPOSE and HEALTHCHECK'
            )
        # Who has another Dockerfile, or removed these lines, says there what the image has.
        if count != 1 and files[path]:
            raise SessionError(
                f"{path} lacks the lines for [tool.seedpod.image]. Add these two, where they "
                f"should be: {BEGIN}…, and {END}"
            )
        if count != 1 and is_manifest and (BEGIN in plain or END in plain):
            raise SessionError(
                f"{path} has not one of each of the two lines for [tool.seedpod.image]. Correct "
                f"them, or remove all: {BEGIN}…, and {END}"
            )
        if count == 1 and new != plain:
            all_crlf = "\r\n" in old and old.count("\n") == old.count("\r\n")
            found[path] = new.replace("\n", "\r\n") if all_crlf else new
    return found


def _block(
    path: Path, settings: dict[str, Any], name: str, is_web: bool, found: re.Match[str]
) -> str:
    """Return the marked lines of a file as they should be."""
    if path == DOCKERFILE:
        lines = dockerfile_lines(settings, name, is_web=is_web)
    elif path == COMPOSE:
        has_work = f"\n{WORK}\n" in found.string
        lines = compose_lines(settings, is_web=is_web, has_work=has_work)
    else:
        lines = manifest_lines(settings, found["place"], is_server=path == SERVER)
    return "".join((found["begin"], *(f"{line}\n" for line in lines), found["end"]))


def _is_web(compose: str) -> bool:
    """Tell whether a project has a server: it was the answer, or one is developed in compose."""
    answers = read_text(ANSWERS) if ANSWERS.exists() else ""
    return bool(
        re.search(r"^kind: ['\"]?web\b", answers, flags=re.MULTILINE)
        or re.search(r"^ *- 127\.0\.0\.1:\$\{PORT:-\d+\}:\d+\r?$", compose, flags=re.MULTILINE)
    )


def _has_files() -> bool:
    """Tell whether rootfs has any; Git does not keep an empty folder."""
    return any(path.is_symlink() or not path.is_dir() for path in Path("rootfs").rglob("*"))


def write(settings: dict[str, Any], name: str) -> None:
    """Write these files, as far as they have to change, and say which did; raises SessionError."""
    for path, text in rewritten(settings, name).items():
        write_text(path, text)
        print(f"{path} has what [tool.seedpod.image] says.")


def check(settings: dict[str, Any], name: str) -> None:
    """Raise SessionError if a file does not have what the settings say."""
    for path in rewritten(settings, name):
        raise SessionError(f"{path} does not have what pyproject.toml says. Run nox -s lock")
