"""Serve the files of a folder, to all or to those who know user and password; print its port."""

import base64
import functools
import http.server
import sys

folder, login = sys.argv[1], sys.argv[2:]
TOKENS = [f"Basic {base64.b64encode(pair.encode()).decode()}" for pair in login]


class Handler(http.server.SimpleHTTPRequestHandler):
    """A server that asks who is there."""

    def do_GET(self) -> None:
        """Answer 401 to strangers."""
        if TOKENS and self.headers.get("Authorization") not in TOKENS:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
        else:
            super().do_GET()


handler = functools.partial(Handler, directory=folder)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
