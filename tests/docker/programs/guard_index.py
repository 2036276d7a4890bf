"""Let those who know a password reach a server behind, by TLS; print the port.

    python guard_index.py SERVER ADDRESS CERTIFICATE PASSWORD

The server is one without TLS, HOST:PORT; ADDRESS is the one that is asked for, up to its port. It
logs the status, the program that asks, and the path.
"""

import base64
import http.client
import http.server
import ssl
import sys

server, address, certificate, password = sys.argv[1:]
LOGIN = base64.b64encode(f"user:{password}".encode()).decode()
NOT_PASSED_ON = ("authorization", "connection", "content-length", "host", "transfer-encoding")


class Guard(http.server.BaseHTTPRequestHandler):
    """Basic authentication (RFC 7617) before a server that has none for those who read."""

    def do_GET(self) -> None:
        """Pass a request on, and what is answered."""
        if self.headers.get("Authorization") != f"Basic {LOGIN}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
        behind = http.client.HTTPConnection(server)
        # https://devpi.net/docs/devpi/devpi/stable/+doc/adminman/server.html, X-outside-url
        outside = f"{address}:{guard.server_port}"
        behind.request(self.command, self.path, headers={**headers, "X-outside-url": outside})
        answer = behind.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in NOT_PASSED_ON:
                self.send_header(key, value)
        self.send_header("Content-Length", answer.headers.get("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Pass on what has no body."""
        self.do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say who asked for what."""
        del size
        program = self.headers.get("User-Agent", "-").partition("/")[0]
        # In one piece: several threads write.
        sys.stderr.write(f"{int(code)} {program} {self.path}\n")


guard = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Guard)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate)
guard.socket = context.wrap_socket(guard.socket, server_side=True)
print(guard.server_port, flush=True)
guard.serve_forever()
