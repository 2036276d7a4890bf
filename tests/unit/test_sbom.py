"""on_request/sbom.py knows which images a name stands for in a registry."""

import json
from typing import Any

import pytest
import sbom
from session import SessionError

DIGESTS = [f"sha256:{number * 64}" for number in "123"]
ATTESTS = {"vnd.docker.reference.type": "attestation-manifest"}


def entry(digest: str, platform: Any, **fields: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": platform, **fields}


def index(monkeypatch: pytest.MonkeyPatch, *entries: dict[str, Any]) -> list[tuple[str, str]]:
    """Return digests and suffixes of what an index has."""
    document = json.dumps({"manifests": entries})
    monkeypatch.setattr("sbom.client.output", lambda _: document)
    return [(image.digest, image.suffix) for image in sbom.pushed("registry.example/shop:1")]


def test_each_image_of_an_index_counts_and_no_statement_of_docker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = index(
        monkeypatch,
        entry(DIGESTS[0], {"os": "linux", "architecture": "amd64"}),
        entry(DIGESTS[1], {"os": "linux", "architecture": "arm64", "variant": "v8"}),
        entry(DIGESTS[2], {"os": "unknown", "architecture": "unknown"}, annotations=ATTESTS),
    )
    assert found == [(DIGESTS[0], "-amd64"), (DIGESTS[1], "-arm64-v8")]


def test_an_image_does_not_pass_for_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine would run it, so it has to be signed."""
    hidden = {"os": "linux", "architecture": "arm64"}
    first = entry(DIGESTS[0], {"os": "linux", "architecture": "amd64"})
    found = index(monkeypatch, first, entry(DIGESTS[1], hidden, annotations=ATTESTS))
    assert [digest for digest, _ in found] == DIGESTS[:2]
    # One for no platform at all may be run, too.
    assert len(index(monkeypatch, first, entry(DIGESTS[1], None))) == 2


def test_an_index_without_images_and_a_name_without_a_tag_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SessionError, match="is an index without images"):
        index(monkeypatch)
    for name in ("shop", "registry.example:5000/shop"):
        with pytest.raises(SessionError, match="names no image in a registry"):
            [*sbom.pushed(name)]


def test_one_image_has_the_digest_of_its_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbom.client.output", lambda _: "{}")
    [image] = sbom.pushed("registry.example:5000/shop:1")
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert image == sbom.Image(f"registry.example:5000/shop@{digest}", "", image.repository, digest)
