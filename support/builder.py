"""A builder elsewhere: a BuildKit that a client reaches by TCP and that loads nothing by itself.

There is no image of BuildKit without a registry, but every engine has one inside: dockerd answers
``POST /grpc`` with BuildKit's own protocol. A relay offers that as buildkitd would. It makes images
of the usual formats where the engine has containerd's image store; for one that has not, a second
engine that only builds is started beside it.
"""

import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support import SupportError, engine, waiting
from support.docker import Client
from support.paths import alone, cache, content_key

UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
NAME = "elsewhere"
START_SECONDS = 60


@contextmanager
def elsewhere(client: Client, *needed: str) -> Iterator[Client]:
    """Give a client of the same engine whose builds are made by another builder.

    The images ``needed`` are there as base images. Raises SupportError where no second engine can
    be started for an engine without containerd's image store.
    """
    if _has_containerd_store(client):
        with remote(client, client) as ours:
            yield ours
        return
    with machine() as second:
        for image in needed:
            copy(image, client, second)
        with remote(second, client) as ours:
            # The second engine has no network for containers.
            yield ours.replace(BUILD_OPTIONS="--network=host")


@contextmanager
def remote(builder: Client, client: Client) -> Iterator[Client]:
    """Give a client whose remote builder is the BuildKit of the engine that ``builder`` reaches.

    Raises SupportError where that engine listens on no socket of this machine, or has no BuildKit.
    """
    address = builder.environment().get("DOCKER_HOST", "")
    scheme, _, path = address.partition("://")
    if scheme not in ("", "unix"):
        raise SupportError(f"The engine at {address} has no socket here. Name one in DOCKER_HOST.")
    with (
        tempfile.TemporaryDirectory() as configuration,
        _relay(path or "/var/run/docker.sock") as port,
    ):
        # A configuration of builders of its own: the user's is left as it is.
        ours = client.replace(BUILDX_CONFIG=configuration, BUILDX_BUILDER=NAME)
        create = ("create", "--name", NAME, "--driver", "remote", f"tcp://127.0.0.1:{port}")
        ours.run_or_raise("There is no remote builder.", "buildx", *create)
        yield ours


@contextmanager
def machine(folder: Path | None = None) -> Iterator[Client]:
    """Run an engine that only builds, and give a client of it.

    It leaves networks and packet filters alone, so it may run beside any other; its cache is kept
    for the next time, unless there is a folder for its data. Raises SupportError where it does not
    start, and as engine.programs() does.
    """
    tree, data = engine.programs(), folder or cache("engine", "builder")
    data.mkdir(parents=True, exist_ok=True)
    # A socket's path has at most 107 bytes (unix(7)).
    run = Path("/run", f"seedpod-builder-{content_key(str(cache()))}")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = run / "daemon.json"
    settings.write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    address = f"unix://{run}/docker.sock"
    client = engine.client_of(tree).replace(DOCKER_HOST=address)
    # The bridge is left to it as well: with --bridge=none it would delete the other engine's.
    # https://github.com/moby/moby/blob/v28.5.2/daemon/daemon_unix.go, removeDefaultBridgeInterface
    command = [
        *(str(tree / "usr/sbin/dockerd"), f"--config-file={settings}"),
        *(f"--host={address}", f"--pidfile={run / 'docker.pid'}"),
        *(f"--data-root={data}", f"--exec-root={run / 'exec'}"),
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    ]
    log = cache("engine", "builder.log")
    with (
        alone("engine-builder"),
        log.open("wb") as output,
        subprocess.Popen(
            command,
            env=engine.server_environment(tree),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            waiting.until(
                lambda: process.poll() is not None or bool(client.server_version()), START_SECONDS
            )
            if process.poll() is not None or not client.server_version():
                raise SupportError(f"The engine that builds does not start; {log} says why.")
            yield client
        finally:
            process.terminate()


def _has_containerd_store(client: Client) -> bool:
    info = client.run_or_raise("No engine answers.", "info", "--format={{json .DriverStatus}}")
    return "io.containerd.snapshotter" in info


def copy(image: str, source: Client, target: Client) -> None:
    """Load an image of one engine into another, unless it is there."""
    if target.image_id(image):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/image.tar"
        source.run_or_raise(f"{image} is not saved.", "save", f"--output={file}", image)
        target.run_or_raise(f"{image} is not loaded.", "load", f"--input={file}")


@contextmanager
def _relay(path: str) -> Iterator[int]:
    """Listen on the loopback interface, and pass on what comes to an engine's BuildKit."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, path), daemon=True).start()
        yield server.getsockname()[1]
        # A thread that waits in accept() keeps the port until it is woken.
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, path: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_connect, args=(client, path), daemon=True).start()


def _connect(client: socket.socket, path: str) -> None:
    """Pass bytes on between a client and the BuildKit of an engine until both have ended."""
    with client, socket.socket(socket.AF_UNIX) as backend, suppress(OSError):
        backend.connect(path)
        backend.sendall(UPGRADE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            # A closed connection gives nothing, for ever.
            answer += backend.recv(1) or b"\r\n\r\n"
        back = threading.Thread(target=_pass, args=(backend, client), daemon=True)
        back.start()
        _pass(client, backend)
        back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
