"""What a push sends is computed from what "docker save" writes."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import cast

from support.project import Project
from support.transfer import bytes_to_push

BASE, APPLICATION = b"base " * 1000, b"application " * 100
# A manifest's text for two layers.
MANIFEST = range(500, 1000)


class Engine:
    """Stands for a project whose engine has an image of two layers, and one of the first alone."""

    def __init__(self, layers: list[bytes]) -> None:
        """Take the content of the layers, as the engine keeps them."""
        self.layers = layers
        self.configuration = json.dumps({"rootfs": {"diff_ids": ["sha256:base", "sha256:app"]}})

    def docker(self, command: str, *arguments: str) -> str:
        """Save the image, or name the layer of the other one."""
        if command == "save":
            self.save(Path(arguments[1]))
            return ""
        return json.dumps(["sha256:base"])

    def save(self, path: Path) -> None:
        """Write the image to a file, laid out as docker does it."""
        names = [f"blobs/sha256/{number}" for number, _ in enumerate(self.layers)]
        index = json.dumps([{"Config": "config.json", "Layers": names}])
        files = dict(zip(names, self.layers, strict=True))
        files |= {"config.json": self.configuration.encode(), "manifest.json": index.encode()}
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def pushed(engine: Engine, known: str | None) -> int:
    return bytes_to_push(cast(Project, engine), known, "image") - len(engine.configuration)


def test_a_registry_that_has_the_base_gets_the_other_layer_configuration_and_manifest() -> None:
    sent = pushed(Engine([BASE, APPLICATION]), "known")
    assert sent - len(gzip.compress(APPLICATION, 6)) in MANIFEST


def test_an_empty_registry_gets_every_layer() -> None:
    sent = pushed(Engine([BASE, APPLICATION]), None)
    layers = sum(len(gzip.compress(layer, 6)) for layer in (BASE, APPLICATION))
    assert sent - layers in MANIFEST


def test_a_layer_that_the_engine_keeps_compressed_is_sent_as_it_is() -> None:
    compressed = gzip.compress(APPLICATION, 1)
    assert pushed(Engine([BASE, compressed]), "known") - len(compressed) in MANIFEST
