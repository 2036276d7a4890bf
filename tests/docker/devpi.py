"""A devpi-server: packages of its own, and a mirror of the default index."""

import base64
import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import waiting
from tests.docker.indexes import fallback
from tests.docker.projects import free_port

# Where it shows both, as pip and uv know it; its own client writes no plus sign.
PATH = "/root/ours/+simple/"
START_SECONDS = 60


@contextmanager
def devpi(folder: Path, *wheels: Path) -> Iterator[str]:
    """Run the server with wheels in an index of its own; give its host and port.

    Source: https://devpi.net/docs/devpi/devpi/stable/+doc/curl.html
    """
    data, password, port = folder / "devpi", secrets.token_hex(8), free_port()
    with (folder / "devpi.log").open("w") as log:
        programs = Path(sys.executable).parent
        root = ("--no-root-pypi", f"--root-passwd={password}")
        init = (programs / "devpi-init", f"--serverdir={data}", *root)
        subprocess.run(init, check=True, stdout=log, stderr=log)
        listen = ("--host=127.0.0.1", f"--port={port}")
        command = (programs / "devpi-server", f"--serverdir={data}", *listen)
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        waiting.fetch(f"{address}/+api", START_SECONDS)
        login = json.dumps({"user": "root", "password": password}).encode()
        answer: dict[str, Any] = json.loads(_send("POST", f"{address}/+login", login))
        token = answer["result"]["password"]
        # The list of all projects would take minutes, in which it has none.
        mirror = {"type": "mirror", "mirror_url": fallback(), "mirror_no_project_list": True}
        ours = {"type": "stage", "bases": ["root/pypi"]}
        for name, index in (("pypi", mirror), ("ours", ours)):
            _send("PUT", f"{address}/root/{name}", json.dumps(index).encode(), token)
        for wheel in wheels:
            _upload(f"{address}/root/ours/", wheel, token)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _send(
    method: str, address: str, body: bytes, token: str = "", kind: str = "application/json"
) -> bytes:
    headers = {"Content-Type": kind, "Accept": "application/json"}
    if token:
        headers["X-Devpi-Auth"] = base64.b64encode(f"root:{token}".encode()).decode()
    request = urllib.request.Request(address, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
        return bytes(answer.read())


def _upload(address: str, wheel: Path, token: str) -> None:
    """Upload a wheel as twine does (RFC 7578)."""
    name, version, *_ = wheel.name.split("-")
    fields = {":action": b"file_upload", "name": name.encode(), "version": version.encode()}
    parts = [*((f'name="{key}"', value) for key, value in fields.items())]
    parts.append((f'name="content"; filename="{wheel.name}"', wheel.read_bytes()))
    border = secrets.token_hex(16)
    body = b"".join(
        f"--{border}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    body += f"--{border}--\r\n".encode()
    _send("POST", address, body, token, f"multipart/form-data; boundary={border}")
