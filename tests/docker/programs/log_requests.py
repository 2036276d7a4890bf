"""Be a proxy that writes down what is asked for; print its port.

    python log_requests.py NAME HOST ARCHIVE

Who asks for the host NAME, which no other server knows, gets what HOST has, by TLS; who asks this
server for a path, as of a mirror, gets what is there at the server of ARCHIVE, an address. It says
that it keeps earlier states of that, /archive/FOLDER/DATE/, and has the one of today.
"""

import http.client
import http.server
import re
import select
import socket
import ssl
import sys
from urllib.parse import urlsplit

name, host, archive = sys.argv[1:]
STATE = re.compile(r"^/archive/([\w-]+)/\d{8}T\d{6}Z/")
KEPT = ("Accept", "Accept-Encoding", "Range", "User-Agent")


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy for HTTP/1.1 (RFC 9110, 7.6 and 9.3.6)."""

    def do_GET(self) -> None:
        """Fetch what an absolute address names."""
        url = urlsplit(self.path)
        if not url.hostname:
            there_too = urlsplit(archive)
            path = STATE.sub(r"/\1/", url.path)
            url = url._replace(scheme=there_too.scheme, netloc=there_too.netloc, path=path)
        there: http.client.HTTPConnection
        if url.hostname == name:
            there = http.client.HTTPSConnection(host, context=ssl.create_default_context())
        elif url.scheme == "https":
            there = http.client.HTTPSConnection(url.netloc, context=ssl.create_default_context())
        else:
            there = http.client.HTTPConnection(url.netloc)
        headers = {key: value for key in KEPT if (value := self.headers.get(key))}
        there.request(self.command, url._replace(scheme="", netloc="").geturl(), headers=headers)
        answer = there.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        """Pass on what both sides say, until one has finished."""
        target, _, port = self.path.rpartition(":")
        with socket.create_connection((target, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            sides = {self.connection: there, there: self.connection}
            while True:
                for side in select.select([*sides], [], [])[0]:
                    data = side.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    sides[side].sendall(data)


server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Proxy)
print(server.server_port, flush=True)
server.serve_forever()
