"""Statements about an image that is in a registry: how it was built, and signatures of them.

Formats: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
https://slsa.dev/spec/v1.1/provenance, and for signatures
https://github.com/secure-systems-lab/dsse/blob/master/envelope.md.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import labels
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import (  # type: ignore[attr-defined]  # They are its interface.
    CryptoSigner,
    SSlibKey,
)
from session import SessionError, git, read_text

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE, BILL = "https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"
PAYLOAD = "application/vnd.in-toto+json"
BUILDER = "urn:seedpod:docker_prod"
BUILD_TYPE = "https://docs.docker.com/build/concepts/dockerfile"
# What the password of a key that has one is read from.
PASSWORD = "SEEDPOD_KEY_PASSWORD"
LOCKS = ("poetry.lock", "sys.lock")


class OtherKeyError(SessionError):
    """A document that a key did not sign."""


def statement(name: str, digest: str, kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement about the image with a name and a digest, like sha256:…"""
    algorithm, _, value = digest.partition(":")
    subject = {"name": name, "digest": {algorithm: value}}
    return {
        "_type": STATEMENT,
        "subject": [subject],
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def provenance(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an image was built of, by its labels and the files of the commit they name.

    Raises SessionError if it names no commit, or if that is not in this repository.
    """
    found = (configuration.get("config") or {}).get("Labels") or {}
    own = {x.removeprefix(labels.PREFIX): text for x, text in found.items()}
    commit = own.get("revision")
    if not commit:
        raise SessionError(
            "The image names no commit that it was built from. Commit everything, and build and "
            "push it again."
        )
    place = {"uri": f"git+{own['source']}"} if own.get("source") else {}
    sources: list[dict[str, Any]] = [{**place, "digest": {"gitCommit": commit}}]
    for name in LOCKS:
        content = _committed(commit, name)
        if content is not None:
            digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
            sources.append({"name": name, "digest": {"sha256": digest}})
    if (base := own.get("base.digest")) and own.get("base.name"):
        algorithm, _, value = base.partition(":")
        sources.append({"uri": f"docker-image://{own['base.name']}", "digest": {algorithm: value}})
    platform = "/".join(filter(None, map(configuration.get, ("os", "architecture", "variant"))))
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"target": "production", "platform": platform},
            "resolvedDependencies": sources,
        },
        # Not the machine or the pipeline: this may run elsewhere than the build did.
        "runDetails": {"builder": {"id": BUILDER}},
    }


def subject(statement: Mapping[str, Any]) -> str:
    """Return what a statement is about, like NAME@sha256:…; raises SessionError."""
    try:
        found = statement["subject"][0]
        return f"{found['name']}@{':'.join(*found['digest'].items())}"
    except (LookupError, TypeError, AttributeError) as error:
        raise SessionError("A signed statement is about no image. Do not trust it.") from error


def signer(key: Path) -> CryptoSigner:
    """Return what signs with a private key; raises SessionError for one that cannot be used.

    In: a file, as "openssl genpkey" writes it.
    """
    password = os.environ.get(PASSWORD)
    try:
        private = load_pem_private_key(
            read_text(key).encode(), password.encode() if password else None
        )
        return CryptoSigner(private)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise SessionError(
            f"{key} is no private key that can sign ({error}). Name one in PEM format, of Ed25519, "
            f"ECDSA or RSA, and its password in {PASSWORD} if it has one."
        ) from error


def sign(content: Mapping[str, Any], key: Path) -> str:
    """Return a signed statement; raises SessionError as ``signer`` does."""
    envelope = Envelope(json.dumps(content, separators=(",", ":")).encode(), PAYLOAD, {})
    envelope.sign(signer(key))
    return json.dumps(envelope.to_dict(), indent=1) + "\n"


def public_key(key: Path) -> SSlibKey:
    """Return a public key; raises SessionError for a file that has none."""
    try:
        return SSlibKey.from_crypto(load_pem_public_key(read_text(key).encode()))
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise SessionError(
            f"{key} is no public key ({error}). Make one: openssl pkey -in KEY -pubout"
        ) from error


def verified(text: str, key: Path) -> dict[str, Any]:
    """Return the statement in a signed document; raises OtherKeyError if the key did not sign it.

    Raises SessionError for another document.

    In: the document, and a file with the public key, as "openssl pkey -pubout" writes it.
    """
    public = public_key(key)
    try:
        envelope = Envelope.from_dict(json.loads(text))
        envelope.verify([public], 1)
        if envelope.payload_type != PAYLOAD:
            raise ValueError(envelope.payload_type)
        content: dict[str, Any] = json.loads(envelope.payload)
        if content["_type"] != STATEMENT or not isinstance(content["predicateType"], str):
            raise ValueError(content["_type"])
    except VerificationError as error:
        raise OtherKeyError(
            f"The document is not signed with {key}. Do not trust it, or name the right key."
        ) from error
    except (
        AttributeError,
        FormatError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise SessionError(
            "The document is no signed statement. Name one that nox -s docker_sbom wrote with "
            "--key, like build/sbom.dsse.json."
        ) from error
    return content


def _committed(commit: str, name: str) -> str | None:
    """Return a file of a commit; None if it has no such file."""
    try:
        git("cat-file", "-e", f"{commit}^{{commit}}")
    except SessionError as error:
        raise SessionError(
            f"The image was built from commit {commit}, which is not here. Fetch it with Git."
        ) from error
    return git("show", f"{commit}:./{name}") if git("ls-tree", commit, "--", name) else None
