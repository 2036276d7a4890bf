"""A package index on this machine that lets nobody in without a login."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Index:
    """What it answers to whom: the status for strangers, and for who has its user and password."""

    address: str
    strangers: int = 401
    known: int = 200
    login: tuple[str, str] = ("joe@example", "p@s/s:w%rd $1")
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Index]:
    """Run an index as long as this lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            token = b64encode(":".join(index.login).encode()).decode()
            is_known = self.headers.get("Authorization") == f"Basic {token}"
            status = index.known if is_known else index.strangers
            self.send_response(status)
            if status == HTTPStatus.FOUND:
                self.send_header("Location", "/elsewhere/")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index = Index(f"http://127.0.0.1:{server.server_port}/simple")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()
