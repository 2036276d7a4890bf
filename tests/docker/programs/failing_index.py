"""Serve the default package index, as badly as a file says; print the port.

"well", "third" (every third request fails), "all" (each one does), or "slow". It is a relay of the
real index, whose files it serves, too: only so can they fail.
"""

import itertools
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urljoin

index, mode = sys.argv[1], Path(sys.argv[2])
context = ssl.create_default_context()
known: dict[str, tuple[int, str, bytes]] = {}
numbers = itertools.count(1)


def ask(address: str) -> tuple[int, str, bytes]:
    """Return status, type and content of what the real index has at an address."""
    if address not in known:
        headers = {"Accept": "text/html, */*;q=0.1"}
        request = urllib.request.Request(address, headers=headers)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as answer:
                known[address] = (200, answer.headers["Content-Type"] or "", answer.read())
        except urllib.error.HTTPError as error:
            return error.code, "text/plain", b""
    return known[address]


class Relay(BaseHTTPRequestHandler):
    """Answer as the real index does, or not."""

    def do_GET(self) -> None:
        """Relay a page with the links of its files, or a file."""
        number = next(numbers)
        how = mode.read_text(encoding="utf-8")
        print(how, self.path[:80], file=sys.stderr, flush=True)
        if how == "all" or (how == "third" and number % 3 == 0):
            self.send_error(503)
            return
        if self.path.startswith("/simple/"):
            address = urljoin(index, self.path.removeprefix("/simple/"))
            status, kind, content = ask(address)

            def relayed(found: re.Match[str]) -> str:
                target, _, fragment = urljoin(address, found[1]).partition("#")
                folder, _, name = target.rpartition("/")
                return f'href="/files/{quote(folder, safe="")}/{name}#{fragment}"'

            content = re.sub(r'href="([^"]+)"', relayed, content.decode()).encode()
        else:
            status, kind, content = ask(unquote(self.path.removeprefix("/files/")))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        for part in (content[:half], content[half:]):
            if how == "slow":
                time.sleep(0.5)
            self.wfile.write(part)
            self.wfile.flush()

    def log_message(self, format: str, *values: object) -> None:
        """Log nothing more."""


server = ThreadingHTTPServer(("0.0.0.0", 0), Relay)
print(server.server_port, flush=True)
server.serve_forever()
