"""An archive of Debian that has lost files: the real one, seen through a server of this machine."""

import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support import debian

SECONDS = 60


@dataclass
class Archive:
    """A server that forwards what is asked to the real archive, but for what it has lost."""

    port: int
    # Parts of the paths that are answered with 404, and all paths that were asked for.
    lost: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def lose_sources(self) -> None:
        """Lose the sources that were asked for until now."""
        self.lost |= {path for path in self.asked if ".orig." in path}


@contextmanager
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Run an archive on all interfaces, and let this machine's apt take it for Debian's.

    ``folder`` is for the settings of apt, which reach it by the variable APT_CONFIG (apt.conf(5)).
    """
    origins = {"/debian/": debian.archives()[0], "/security/": debian.archives("-security")[0]}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            archive.asked.append(self.path)
            place = next((place for place in origins if self.path.startswith(place)), None)
            if place is None or any(part in self.path for part in archive.lost):
                self.send_error(404)
                return
            request = urllib.request.Request(origins[place] + self.path.removeprefix(place))
            for name in ("If-Modified-Since", "Range", "If-Range"):
                if name in self.headers:
                    request.add_header(name, self.headers[name])
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    self.send_response(answer.status)
                    for name in ("Content-Length", "Content-Range", "Last-Modified"):
                        if name in answer.headers:
                            self.send_header(name, answer.headers[name])
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)
            except urllib.error.HTTPError as error:
                self.send_response(error.code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                error.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("", 0), Handler)
    server.daemon_threads = True
    archive = Archive(server.server_port)
    here, release = f"http://127.0.0.1:{archive.port}", debian.host_release()
    (folder / "sources.list").write_text(
        f"deb {here}/debian {release} main\ndeb {here}/security {release}-security main\n"
    )
    (folder / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        'Acquire::http::Proxy "DIRECT";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(folder / "apt.conf"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
