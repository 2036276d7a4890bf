"""on_request/registry.py attaches documents to images, whatever the registry knows of referrers.

The registry is a stand-in of this file: no real one with the API for referrers is available here.
tests/docker/test_bill.py has a real one without it.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import registry
import requests
from registry import Document, Repository
from session import SessionError

SUBJECT = json.dumps({"schemaVersion": 2, "mediaType": registry.MANIFEST}).encode()
DIGEST = f"sha256:{hashlib.sha256(SUBJECT).hexdigest()}"
DATE = "2026-11-30T00:00:00+00:00"
LOGIN = base64.b64encode(b"user:secret").decode()


class Server(ThreadingHTTPServer):
    """What a registry has, and how it behaves."""

    knows_referrers = True
    login = ""
    gives_tokens = False

    def __init__(self) -> None:
        """Begin with the manifest of an image."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.manifests = {DIGEST: (registry.MANIFEST, SUBJECT)}
        self.blobs: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    """Answer as the distribution specification says."""

    server: Server

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_ANY(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/token?"):
            [scope] = parse_qs(urlsplit(self.path).query)["scope"]
            self.answer(200, json.dumps({"token": scope}).encode())
            return
        place, name = re.findall(r"^/v2/.+/(manifests|blobs|referrers)/(.*)$", self.path)[0]
        rights = "pull,push" if self.command in ("POST", "PUT") else "pull"
        scope = f"repository:team/shop:{rights}"
        given = self.headers["Authorization"] or ""
        if self.server.gives_tokens and not given.startswith(f"Bearer {scope}"):
            realm = f"http://127.0.0.1:{self.server.server_port}/token"
            challenge = f'Bearer realm="{realm}",service="x",scope="{scope}"'
            self.answer(401, WWW_Authenticate=challenge)
        elif self.server.login and given != f"Basic {self.server.login}":
            self.answer(401, WWW_Authenticate='Basic realm="x"')
        elif place == "referrers" and self.server.knows_referrers:
            found = [
                {"mediaType": kind, "digest": digest, "size": len(text)}
                for digest, (kind, text) in self.server.manifests.items()
                if json.loads(text).get("subject", {}).get("digest") == name
            ]
            self.answer(200, json.dumps({"manifests": found}).encode())
        elif place == "manifests" and self.command == "PUT":
            self.server.manifests[name] = (self.headers["Content-Type"], content)
            subject = json.loads(content).get("subject")
            known = subject and self.server.knows_referrers
            self.answer(201, **({"OCI_Subject": subject["digest"]} if known else {}))
        elif place == "manifests" and name in self.server.manifests:
            kind, text = self.server.manifests[name]
            self.answer(200, text, Content_Type=kind)
        elif place == "blobs" and self.command == "POST":
            self.answer(202, Location="/v2/team/shop/blobs/uploads/1?state=x")
        elif place == "blobs" and self.command == "PUT":
            self.server.blobs[f"sha256:{hashlib.sha256(content).hexdigest()}"] = content
            self.answer(201)
        elif place == "blobs" and name in self.server.blobs:
            self.answer(200, self.server.blobs[name])
        else:
            self.answer(404)

    do_GET = do_HEAD = do_POST = do_PUT = do_ANY  # noqa: N815  The library calls them so.

    def log_message(self, format: str, *values: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve an image, to a user without logins."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def repository(server: Server) -> Repository:
    return Repository(f"127.0.0.1:{server.server_port}/team/shop")


@pytest.mark.parametrize("knows", [True, False])
def test_what_is_attached_is_found_by_the_images_digest(server: Server, knows: bool) -> None:
    server.knows_referrers = knows
    own = repository(server)
    documents = [Document("text/x", text, "x") for text in ("one", "zwölf")]
    digests = [own.attach(DIGEST, document, DATE) for document in documents]
    assert sorted(own.documents(DIGEST, "text/x")) == ["one", "zwölf"]
    assert [*own.documents(DIGEST, "text/y")] == []
    manifest = json.loads(server.manifests[digests[0]][1])
    assert manifest["subject"] == {
        "mediaType": registry.MANIFEST,
        "digest": DIGEST,
        "size": len(SUBJECT),
    }
    # Only a registry that does not know referrers has the tag.
    assert (DIGEST.replace(":", "-") in server.manifests) != knows


@pytest.mark.parametrize("knows", [True, False])
def test_the_same_document_is_attached_once(server: Server, knows: bool) -> None:
    server.knows_referrers = knows
    document = Document("text/x", "text", "x")
    first, second = (repository(server).attach(DIGEST, document, DATE) for _ in range(2))
    assert first == second
    assert [*repository(server).documents(DIGEST, "text/x")] == ["text"]


def test_what_others_attached_stays(server: Server) -> None:
    server.knows_referrers = False
    tag = DIGEST.replace(":", "-")
    other = {"mediaType": registry.MANIFEST, "digest": DIGEST, "size": len(SUBJECT)}
    index = {"schemaVersion": 2, "manifests": [other]}
    server.manifests[tag] = (registry.INDEX, json.dumps(index).encode())
    repository(server).attach(DIGEST, Document("text/x", "text", "x"), DATE)
    assert other in json.loads(server.manifests[tag][1])["manifests"]


def test_docker_has_the_login(server: Server, tmp_path: Path) -> None:
    server.login = LOGIN
    document = Document("text/x", "text", "x")
    with pytest.raises(SessionError, match="docker login 127"):
        repository(server).attach(DIGEST, document, DATE)
    host = f"127.0.0.1:{server.server_port}"
    config = json.dumps({"auths": {host: {"auth": LOGIN}}})
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    assert repository(server).attach(DIGEST, document, DATE)


def test_a_token_for_reading_is_not_taken_for_writing(server: Server) -> None:
    server.gives_tokens = True
    assert repository(server).attach(DIGEST, Document("text/x", "text", "x"), DATE)


def test_an_image_that_is_not_there_is_named(server: Server) -> None:
    with pytest.raises(SessionError, match="has no manifests/sha256:0"):
        repository(server).attach(f"sha256:{'0' * 64}", Document("text/x", "", "x"), DATE)


def test_a_document_that_was_changed_is_left_out(server: Server) -> None:
    repository(server).attach(DIGEST, Document("text/x", "text", "x"), DATE)
    digest = f"sha256:{hashlib.sha256(b'text').hexdigest()}"
    server.blobs[digest] = b"other"
    assert [*repository(server).documents(DIGEST, "text/x")] == []


@pytest.mark.parametrize(
    "index",
    [
        b"<html>",
        b"[]",
        b'{"manifests": null}',
        b'{"manifests": [1, {}, {"digest": 1}, {"digest": "sha256:0"}]}',
        b"[" * 100_000,
    ],
)
def test_what_others_wrote_may_be_anything(server: Server, index: bytes) -> None:
    server.knows_referrers = False
    server.manifests[DIGEST.replace(":", "-")] = (registry.INDEX, index)
    own = repository(server)
    assert [*own.documents(DIGEST, "text/x")] == []
    own.attach(DIGEST, Document("text/x", "text", "x"), DATE)
    assert [*own.documents(DIGEST, "text/x")] == ["text"]


def test_docker_hub_has_no_name_to_log_in_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(registry, "_is_insecure", lambda _: False)
    assert Repository("me/app")._login == "docker login"
    assert Repository("registry.example/me/app")._login == "docker login registry.example"


def test_a_registry_that_does_not_answer_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(SessionError, match="does not do what it is asked"):
        Repository("127.0.0.1:1/x").attach(DIGEST, Document("text/x", "", "x"), DATE)


@pytest.mark.parametrize(
    "answer",
    [b"{", b'{"manifests": 1}', b'{"manifests": ["x"]}', b'{"manifests": [{}]}', b"[" * 50_000],
)
def test_an_answer_that_cannot_be_read_has_no_documents(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    found = requests.Response()
    found.status_code, found._content = 200, answer
    monkeypatch.setattr("registry.Plain.do_request", lambda *_, **__: found)
    assert [*Repository("127.0.0.1/shop").documents(DIGEST, "text/x")] == []
    assert Repository("127.0.0.1/shop")._head(DIGEST) == (registry.MANIFEST, len(answer))


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": 1}', "[" * 50_000])
def test_settings_of_docker_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "config.json").write_text(content)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(SessionError, match=r"Correct config\.json in "):
        Repository("127.0.0.1/shop")
