"""Serve a package index with TLS, to those who know the password; print its port.

Packages that are not in the folder are redirected to the fallback index.
"""

import ssl
import sys
from wsgiref.simple_server import make_server

import pypiserver

packages, fallback, certificate, password = sys.argv[1:]
app = pypiserver.app(
    roots=[packages],
    fallback_url=fallback,
    disable_fallback=False,
    password_file=None,
    authenticate=["list", "download"],
    auther=lambda user, given: given == password,
)
server = make_server("0.0.0.0", 0, app)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
