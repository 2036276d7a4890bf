"""on_request/statements.py signs what anybody can check, and believes nothing else."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import statements
from session import SessionError

DIGEST = f"sha256:{'a' * 64}"
KINDS = {
    "ed25519": ["-algorithm", "ed25519"],
    "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


def keys(folder: Path, kind: str = "ed25519", *options: str) -> tuple[Path, Path]:
    """Make a private key and its public one with OpenSSL."""
    private, public = folder / f"{kind}.pem", folder / f"{kind}.pub"
    make = ["openssl", "genpkey", *KINDS[kind], *options, "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    password = [f"-passin={x}" for x in options if x.startswith("pass:")]
    show = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    show += [word for x in password for word in x.split("=")]
    subprocess.run(show, check=True, capture_output=True)
    return private, public


@pytest.fixture
def stated() -> dict[str, Any]:
    """Return a statement."""
    return statements.statement("shop", DIGEST, statements.BILL, {"components": ["ü"]})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_signed_is_verified_by_the_public_key(
    tmp_path: Path, stated: dict[str, Any], kind: str
) -> None:
    private, public = keys(tmp_path, kind)
    text = statements.sign(stated, private)
    assert statements.verified(text, public) == stated
    assert statements.subject(stated) == f"shop@{DIGEST}"


def test_openssl_verifies_it_too(tmp_path: Path, stated: dict[str, Any]) -> None:
    """What is signed is DSSE's pre-authentication encoding, here made by hand."""
    private, public = keys(tmp_path)
    envelope = json.loads(statements.sign(stated, private))
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    signed, signature = tmp_path / "signed", tmp_path / "signature"
    signed.write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    files = ["-inkey", public, "-in", signed, "-sigfile", signature]
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", *map(str, files)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def test_another_key_and_another_text_are_refused(tmp_path: Path, stated: dict[str, Any]) -> None:
    private, public = keys(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = keys(tmp_path / "other")
    text = statements.sign(stated, private)
    with pytest.raises(statements.OtherKeyError, match="is not signed with"):
        statements.verified(text, other)
    changed = json.loads(text)
    payload = json.loads(base64.b64decode(changed["payload"]))
    payload["subject"][0]["digest"]["sha256"] = "b" * 64
    changed["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    with pytest.raises(statements.OtherKeyError, match="is not signed with"):
        statements.verified(json.dumps(changed), public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"payload": 1, "payloadType": "x", "signatures": []}',
        '{"payload": "!", "payloadType": "x", "signatures": [{}]}',
        '{"payload": "eA==", "payloadType": "x", "signatures": [{"keyid": "x", "sig": "!"}]}',
    ],
)
def test_what_is_no_signed_statement_is_refused(tmp_path: Path, text: str) -> None:
    _, public = keys(tmp_path)
    with pytest.raises(SessionError, match=r"is no(t| signed)"):
        statements.verified(text, public)


@pytest.mark.parametrize(
    "stated", [{}, {"subject": []}, {"subject": [{"name": "x"}]}, {"subject": 1}]
)
def test_a_statement_about_nothing_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises(SessionError, match="about no image"):
        statements.subject(stated)


def test_a_key_with_a_password_needs_it(
    tmp_path: Path, stated: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys(tmp_path, "ed25519", "-aes256", "-pass", "pass:secret")
    monkeypatch.delenv(statements.PASSWORD, raising=False)
    with pytest.raises(SessionError, match="no private key that can sign"):
        statements.sign(stated, private)
    monkeypatch.setenv(statements.PASSWORD, "secret")
    assert statements.verified(statements.sign(stated, private), public) == stated


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAA==\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, stated: dict[str, Any], content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SessionError, match="no private key that can sign"):
        statements.sign(stated, file)
    with pytest.raises(SessionError, match="is no public key"):
        statements.verified("{}", file)
    with pytest.raises(SessionError, match="No such file"):
        statements.signer(tmp_path / "none")


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Work in a repository, and return its commit."""
    monkeypatch.chdir(tmp_path)
    Path("poetry.lock").write_text("lock", encoding="utf-8")
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    for words in (["init", "--quiet"], ["add", "--all"], [*user, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *words], check=True)
    shown = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return shown.stdout.strip()


def configuration(**labels: str) -> dict[str, Any]:
    found = {f"org.opencontainers.image.{name.replace('_', '.')}": x for name, x in labels.items()}
    return {"os": "linux", "architecture": "amd64", "config": {"Labels": found}}


def test_provenance_names_commit_locks_and_base_image(commit: str) -> None:
    Path("poetry.lock").write_text("edited since", encoding="utf-8")
    labels = {"revision": commit, "base_name": "python:3.13", "base_digest": DIGEST}
    found = statements.provenance(configuration(**labels, source="https://code.example/shop"))
    assert found["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "git+https://code.example/shop", "digest": {"gitCommit": commit}},
        # printf lock | sha256sum
        {
            "name": "poetry.lock",
            "digest": {
                "sha256": "0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f"
            },
        },
        {"uri": "docker-image://python:3.13", "digest": {"sha256": "a" * 64}},
    ]
    assert found["buildDefinition"]["externalParameters"]["platform"] == "linux/amd64"
    # A base image without a name is none, and a commit without an address has only its hash.
    found = statements.provenance(configuration(revision=commit, base_digest=DIGEST))
    [source, lock] = found["buildDefinition"]["resolvedDependencies"]
    assert (source, lock["name"]) == ({"digest": {"gitCommit": commit}}, "poetry.lock")


def test_an_image_of_no_commit_and_of_an_unknown_one_are_refused(commit: str) -> None:
    with pytest.raises(SessionError, match="names no commit"):
        statements.provenance({"config": {}})
    with pytest.raises(SessionError, match="which is not here"):
        statements.provenance(configuration(revision="0" * 40))


def test_what_is_nested_too_deep_is_no_statement(tmp_path: Path) -> None:
    _, public = keys(tmp_path)
    with pytest.raises(SessionError, match="is no signed statement"):
        statements.verified("[" * 50_000, public)
