"""A builder elsewhere: a BuildKit that a client reaches by TCP and that loads nothing by itself.

There is no image of BuildKit without a registry, but every engine has one inside: dockerd answers
``POST /grpc`` with BuildKit's own protocol. A relay offers that as buildkitd would.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from support import SupportError, docker

UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
NAME = "elsewhere"


@contextmanager
def remote(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give the variables of a client whose images are built by a remote builder.

    ``variables`` are those of a client of the engine whose BuildKit it is; with DOCKER_HOST set to
    another engine in the result, builder and engine are two machines. Raises SupportError where
    the engine listens on no socket of this machine, or has no such builder.
    """
    address = variables.get("DOCKER_HOST", os.environ.get("DOCKER_HOST", "")).partition("://")
    if address[0] not in ("", "unix"):
        raise SupportError(
            f"The engine at {''.join(address)} has no socket here. Name one in DOCKER_HOST."
        )
    with (
        tempfile.TemporaryDirectory() as configuration,
        _relay(address[2] or "/var/run/docker.sock") as port,
    ):
        # A configuration of builders of its own: the user's is left as it is.
        elsewhere = {**variables, "BUILDX_CONFIG": configuration, "BUILDX_BUILDER": NAME}
        create = ("create", "--name", NAME, "--driver", "remote", f"tcp://127.0.0.1:{port}")
        docker.run_or_raise(elsewhere, "There is no remote builder.", "buildx", *create)
        yield elsewhere


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
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(path)
            engine.sendall(UPGRADE)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += engine.recv(1)
            for pair in ((client, engine), (engine, client)):
                threading.Thread(target=_pass, args=pair, daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
