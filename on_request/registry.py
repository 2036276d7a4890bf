"""Attach documents to an image in a registry, as referrers, and read them again.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
says how, also where a registry does not know of referrers: then an index with a tag lists them.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import client
import requests
import settings
from oras.auth import AuthenticationException
from oras.auth.token import TokenAuth
from oras.container import Container
from oras.provider import Registry
from requests.adapters import HTTPAdapter
from session import SessionError
from untrusted import tables

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
REPOSITORY = re.compile(
    r"(?P<name>[^\s@]+?)(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
NOT_FOUND, SECONDS = 404, 60
# Bytes of a document; that of the largest image at hand has one million.
MOST = 100_000_000
# Where Docker's own registry is, and how Docker's settings call it.
HUB, HUB_SERVER, HUB_LOGIN = "docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Document:
    """A document about an image: its media type, its text, and a title."""

    kind: str
    text: str
    title: str


class MissingError(SessionError):
    """What a registry does not have."""


class Timed(HTTPAdapter):
    """Connections that do not wait for ever."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request as the library does."""
        return super().send(*arguments, **{**options, "timeout": SECONDS})


class Login(TokenAuth):  # type: ignore[misc]  # It has no types.
    """Logs in as a registry asks for it, also without a token."""

    def authenticate_request(
        self, original: requests.Response, headers: dict[str, str], refresh: bool = False
    ) -> tuple[dict[str, str], bool]:
        """Return headers, and whether to ask again with them."""
        if original.headers.get("Www-Authenticate", "").lower().startswith("basic"):
            if not hasattr(self, "_basic_auth"):
                return headers, False
            return {**headers, "Authorization": f"Basic {self._basic_auth}"}, True
        # A token is for what was asked then: who may read may not write with it.
        self.token = None
        answer: tuple[dict[str, str], bool] = super().authenticate_request(original, headers)
        return answer


class Plain(Registry):  # type: ignore[misc]  # It has no types.
    """A registry that is asked once: what asks for two minutes looks as if it hangs."""

    do_request = Registry.do_request.__wrapped__

    def __init__(self, *, insecure: bool, certificates: str | bool) -> None:
        """Take whether it speaks without TLS, and a file with authorities to trust."""
        super().__init__(insecure=insecure, tls_verify=certificates)
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, Timed())
        self.auth = Login()
        self.auth.session, self.auth.prefix = self.session, self.prefix
        self.auth._tls_verify = certificates


class Repository:
    """A repository of a registry, reached with the logins that Docker has."""

    def __init__(self, name: str) -> None:
        """Take the name, without a tag or a digest."""
        self.name = name
        host, _, path = name.partition("/")
        is_host = path and re.search(r"[.:]|^localhost$", host)
        server, path = (host, path) if is_host else (HUB, name if path else f"library/{name}")
        self._login = f"docker login {'' if server == HUB else server}".strip()
        self._container = Container(f"{HUB_SERVER if server == HUB else server}/{path}")
        certificates = settings.certificates() or True
        self._registry = Plain(insecure=_is_insecure(server), certificates=certificates)
        folder = os.environ.get("DOCKER_CONFIG")
        file = Path(folder, "config.json") if folder else None
        auth = self._registry.auth
        try:
            auth.load_configs(self._container, [str(file)] if file and file.exists() else None)
            if server == HUB:
                auth._load_auth(HUB_LOGIN)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise SessionError(
                f"Docker's settings cannot be read ({error}). Correct config.json in "
                f"{folder or '~/.docker'}, or in ~/.docker."
            ) from error

    def attach(self, digest: str, document: Document, made: str) -> str:
        """Attach a document to the manifest with a digest, and return the document's own.

        In: the time that it was made, in ISO 8601's form. The same document has the same digest,
        and is listed once. Raises SessionError if the registry refuses.
        """
        kind, size = self._head(digest)
        config = self._upload(b"{}", EMPTY)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": document.kind,
            "config": config,
            "layers": [self._upload(document.text.encode(), document.kind)],
            "subject": {"mediaType": kind, "digest": digest, "size": size},
            "annotations": {
                "org.opencontainers.image.created": made,
                "org.opencontainers.image.title": document.title,
            },
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        own = _digest(content)
        answer = self._put(own, content, MANIFEST)
        if "OCI-Subject" not in answer.headers:
            self._list(digest, manifest, own, len(content))
        return own

    def documents(self, digest: str, kind: str) -> Iterator[str]:
        """Yield the text of each document of a media type attached to a manifest; SessionError.

        What others attached may be anything; what cannot be read is left out.
        """
        for entry in tables(self._referrers(digest), "manifests"):
            if entry.get("artifactType", kind) != kind:
                continue
            with suppress(MissingError):
                manifest = _json(self._manifest(str(entry.get("digest"))))
                for layer in tables(manifest, "layers"):
                    name, size = str(layer.get("digest")), layer.get("size")
                    if layer.get("mediaType") != kind or not isinstance(size, int) or size > MOST:
                        continue
                    blob = self._ask("GET", f"blobs/{name}", {}).content
                    if _digest(blob) == name:
                        yield blob.decode(errors="replace")

    def _referrers(self, digest: str) -> dict[str, Any]:
        """Return the index of what is attached, of several pages one."""
        found: list[dict[str, Any]] = []
        place = f"referrers/{digest}"
        try:
            while place:
                answer = self._ask("GET", place, {"Accept": INDEX})
                found += tables(_json(answer), "manifests")
                following = answer.links.get("next", {}).get("url", "")
                place = following.partition(f"{self._container.api_prefix}/")[2]
        except MissingError:
            return self._index(digest)
        return {"manifests": found}

    def _list(self, subject: str, manifest: Mapping[str, Any], digest: str, size: int) -> None:
        """Add a document to the index with a tag, in which others stay."""
        index = self._index(subject)
        kept = [x for x in tables(index, "manifests") if x.get("digest") != digest]
        keys = ("artifactType", "annotations")
        entry = {"mediaType": MANIFEST, "digest": digest, "size": size}
        kept.append({**entry, **{key: manifest[key] for key in keys}})
        content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": kept}
        self._put(_tag(subject), json.dumps(content, sort_keys=True).encode(), INDEX)

    def _index(self, subject: str) -> dict[str, Any]:
        """Return the index that lists the referrers of a manifest; an empty one without it."""
        try:
            return _json(self._manifest(_tag(subject)))
        except MissingError:
            return {}

    def _head(self, digest: str) -> tuple[str, int]:
        """Return media type and bytes of a manifest."""
        answer = self._manifest(digest)
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        return str(_json(answer).get("mediaType") or kind or MANIFEST), len(answer.content)

    def _manifest(self, reference: str) -> requests.Response:
        headers = {"Accept": ", ".join((MANIFEST, DOCKER_MANIFEST, *INDEXES))}
        return self._ask("GET", f"manifests/{reference}", headers)

    def _put(self, reference: str, content: bytes, kind: str) -> requests.Response:
        return self._ask("PUT", f"manifests/{reference}", {"Content-Type": kind}, content)

    def _upload(self, content: bytes, kind: str) -> dict[str, Any]:
        """Upload a blob, unless the registry has it, and return what a manifest says of it."""
        entry = {"mediaType": kind, "digest": _digest(content), "size": len(content)}
        with tempfile.TemporaryDirectory() as folder, self._explained():
            file = Path(folder, "blob")
            file.write_bytes(content)
            answer = self._registry.upload_blob(str(file), self._container, entry)
            answer.raise_for_status()
        return entry

    def _ask(
        self, method: str, place: str, headers: dict[str, str], content: bytes | None = None
    ) -> requests.Response:
        """Return the registry's answer; raises MissingError, else SessionError."""
        container = self._container
        address = f"{container.registry}/v2/{container.api_prefix}/{place}"
        with self._explained():
            answer: requests.Response = self._registry.do_request(
                f"{self._registry.prefix}://{address}", method, data=content, headers=headers
            )
            if answer.status_code == NOT_FOUND:
                raise MissingError(
                    f"{self.name} has no {place}. Push the image: nox -s docker_push -- NAME:TAG"
                )
            answer.raise_for_status()
        return answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what to do where the registry does not do what it is asked."""
        try:
            yield
        # The library raises ValueError for what it does not expect, as a login that is missing.
        except (requests.RequestException, AuthenticationException, ValueError) as error:
            raise SessionError(
                f"The registry of {self.name} does not do what it is asked ({error}). Correct "
                f"that, or log in as a user who may do it: {self._login}"
            ) from error


def _json(answer: requests.Response) -> dict[str, Any]:
    """Return the object that a registry answers; an empty one for anything else."""
    try:
        content = answer.json()
    except (RecursionError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tag(subject: str) -> str:
    """Return the tag of the index that lists the referrers of a manifest."""
    return subject.replace(":", "-")


def _is_insecure(server: str) -> bool:
    """Tell whether Docker speaks to a registry without TLS: on this machine, or as it was told."""
    if LOOPBACK.fullmatch(server):
        return True
    text = client.output(("docker", "info", "--format={{json .RegistryConfig.IndexConfigs}}"))
    found = (json.loads(text) or {}).get(server) or {}
    return found.get("Secure") is False
