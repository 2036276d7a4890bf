"""docker/host/reproducible.py names the first difference of two images."""

import tarfile
from typing import Any

import pytest
import reproducible
from layers import SizeError

from tests.unit.images import Engine, Entry, archive, layer, link, saved

FILES: dict[str, Entry] = {
    "opt/a.py": b"one",
    "opt/b.py": b"two",
    "opt/c": link(tarfile.SYMTYPE, "a"),
}


def difference(engine: Engine, *images: dict[str, Entry], stored: str = "oci") -> str | None:
    """Compare two images with a common layer and these files in the one above it."""
    for name, files in zip(("x", "y"), images, strict=True):
        engine.add(name, layer(5, "base"), archive(files), stored=stored)
    return reproducible.difference(reproducible.read("x"), reproducible.read("y"))


@pytest.mark.parametrize("stored", ["oci", "legacy", "gzip"])
def test_the_same_files_are_the_same_image_however_they_are_kept(
    engine: Engine, stored: str
) -> None:
    assert difference(engine, FILES, FILES, stored=stored) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"opt/b.py": b"TWO"}, "differs first in opt/b.py: content"),
        ({"opt/b.py": b"longer"}, "differs first in opt/b.py: content"),
        ({"opt/c": link(tarfile.SYMTYPE, "z")}, "differs first in opt/c: target"),
        ({"opt/b.py": link(tarfile.LNKTYPE, "opt/a.py")}, "in opt/b.py: kind, target, content"),
        ({"opt/d": b""}, "differs first in opt/d, which only one has at this place"),
    ],
)
def test_the_first_file_that_differs_is_named_with_what_differs(
    engine: Engine, changed: dict[str, Entry], words: str
) -> None:
    found = difference(engine, FILES, FILES | changed)
    assert found is not None
    assert found.startswith("layer 2 (COPY 1) ")
    assert words in found


def entry(**values: Any) -> reproducible.Entry:
    given = {"name": "a", "kind": b"0", "mode": 0o644, "owner": (0, 0), "date": 1.0}
    return reproducible.Entry(**{**given, "target": "", "attributes": (), "content": "", **values})


@pytest.mark.parametrize(
    ("values", "word"),
    [({"date": 2.0}, "date"), ({"mode": 0o600}, "mode"), ({"owner": (1, 0)}, "owner")],
)
def test_what_is_not_content_differs_too(values: dict[str, Any], word: str) -> None:
    images = [
        reproducible.Content({"rootfs": {"diff_ids": [digest]}}, {digest: [entry(**more)]})
        for digest, more in (("sha256:1", {}), ("sha256:2", values))
    ]
    found = reproducible.difference(*images)
    assert found == f"layer 1 () differs first in a: {word}"


def test_layers_with_the_same_files_may_be_written_otherwise() -> None:
    images = [
        reproducible.Content({"rootfs": {"diff_ids": [digest]}}, {digest: [entry()]})
        for digest in ("sha256:1", "sha256:2")
    ]
    assert str(reproducible.difference(*images)).endswith("in how the archive is written")


def test_a_layer_more_is_a_difference(engine: Engine) -> None:
    engine.add("x", layer(5, "a"))
    engine.add("y", layer(5, "a"), layer(5, "b"))
    found = reproducible.difference(reproducible.read("x"), reproducible.read("y"))
    assert str(found).startswith("layer 2 (COPY 1) differs first in b, which only one has")


def test_a_date_of_the_image_is_one() -> None:
    images = [
        reproducible.Content({"rootfs": {"diff_ids": []}, "created": date}, {})
        for date in ("2026-11-30", "2026-12-01")
    ]
    assert reproducible.difference(*images) == "created of the configuration differs"


def test_an_image_without_a_configuration_is_refused(engine: Engine) -> None:
    engine.add("x", layer(5), archive=saved("oci", [layer(5)]))
    with pytest.raises(SizeError, match=r"has no readable image\. Build it again"):
        reproducible.read("x")
