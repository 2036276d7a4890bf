"""The package repository, served to builds and containers on the engine's default network.

The server is a container in the engine's own network: whether the engine runs here, rootless, in a
virtual machine or elsewhere, that is where the address of its bridge is.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support import SupportError
from support.docker import Client
from support.paths import alone, cache

PACKAGES_IMAGE = "seedpod/alpine-packages:3.23"
CONTAINER = "seedpod-alpine-packages"
PORT_VARIABLE = "SEEDPOD_ALPINE_PORT"
# Images name the address, so it is the same from run to run.
PORT = "8917"
START_SECONDS = 20
# One process at a time starts or removes the server.
LOCK = "alpine-server"


def repository_address(client: Client) -> str:
    """Return the address of the repository, served or not, as /etc/apk/repositories has it.

    Raises SupportError for an engine without Docker's default network.
    """
    return f"http://{_bridge_address(client)}:{_port()}/alpine/v3.23/main"


@contextmanager
def serve(client: Client) -> Iterator[str]:
    """Serve the repository that stand_in() has made, and yield its address.

    Several processes may do so at once: they share one server, which the last one removes.
    Raises SupportError when there is no repository yet, or its server does not start.
    """
    address = repository_address(client)
    if client.image_id(PACKAGES_IMAGE) is None:
        raise SupportError(
            "The engine has no package repository for Alpine. Assemble a stand-in first."
        )
    cache().mkdir(parents=True, exist_ok=True)
    with cache("alpine-server.users").open("w") as users:
        try:
            with alone(LOCK):
                fcntl.flock(users, fcntl.LOCK_SH)
                _start(address, client)
            yield address
        finally:
            with alone(LOCK):
                _remove_unless_used(users.fileno(), client)


def _start(address: str, client: Client) -> None:
    """Start the server and wait until it answers, unless it runs already."""
    template = "{{.State.Running}} {{.Image}}"
    state = client.run("container", "inspect", "--format", template, CONTAINER)
    if state.stdout.strip() == f"true {client.image_id(PACKAGES_IMAGE)}":
        return
    client.run("rm", "--force", CONTAINER)
    client.run_or_raise(
        "The package repository for Alpine cannot be served.",
        *("run", "--detach", "--name", CONTAINER, "--network=host", "--read-only"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65534:65534"),
        *(PACKAGES_IMAGE, "python3", "-m", "http.server", "--directory=/srv"),
        *(f"--bind={_bridge_address(client)}", _port()),
    )
    index = f"{address}/x86_64/APKINDEX.tar.gz"
    deadline = time.monotonic() + START_SECONDS
    while client.run("exec", CONTAINER, "wget", "-qO/dev/null", index).returncode:
        running = client.run("container", "inspect", "-f", template, CONTAINER)
        if time.monotonic() > deadline or not running.stdout.startswith("true"):
            log = client.run("logs", CONTAINER).stderr.strip() or "it does not answer"
            client.run("rm", "--force", CONTAINER)
            raise SupportError(
                f"The package repository for Alpine cannot be served: {log.splitlines()[-1]}. "
                f"If port {_port()} is taken, name another in {PORT_VARIABLE}."
            )
        time.sleep(0.1)


def _remove_unless_used(users: int, client: Client) -> None:
    """Remove the server if no other process holds the lock on the file of its users."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    client.run("rm", "--force", CONTAINER)


def _bridge_address(client: Client) -> str:
    """Return the address at which containers on the default network reach the engine's host."""
    addresses = client.run_or_raise(
        "The engine has no network called bridge, by which containers reach the packages.",
        *("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", "bridge"),
    ).split()
    address = next((address for address in addresses if "." in address), None)
    if address is None:
        raise SupportError(
            "The engine's network called bridge has no gateway with an IPv4 address. "
            "Use an engine with Docker's default network."
        )
    return address


def _port() -> str:
    return os.environ.get(PORT_VARIABLE) or PORT
