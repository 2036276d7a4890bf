"""Measure images by what is in their layers: the same on every engine and image store.

    python docker/host/layers.py IMAGE …

Prints JSON: for each image its id, its size and compressed size in bytes, and its layers from the
lowest to the highest. The size of a layer is the sum of the bytes of the regular files in its
archive: a hard link counts once, a file that a later layer replaces counts in both. Compressed, it
is the whole archive as gzip. Only the image for this platform counts, and no attestation.

What engines report themselves are other sizes: of unpacked layers, of packed ones, or of both.
"""

import gzip
import hashlib
import importlib
import json
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import asdict, dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import IO, Any

from figures import is_size
from session import (
    SessionError,
    cache,
    docker,
    docker_client,
    ended_by_errors,
    read_json,
    write_text,
)

# Bytes that are read at once, and those of a block of an archive.
CHUNK, BLOCK = 1 << 20, 512
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# In the user's cache folder: both sizes of a layer, the instructions of an image, by digest.
SIZES, INSTRUCTIONS = "layer-sizes.json", "instructions.json"
MOST_IMAGES = 200


class SizeError(SessionError):
    """Images that cannot be measured."""


@dataclass(frozen=True)
class Layer:
    """A layer: the digest of its archive, the instruction that made it, and its sizes in bytes."""

    digest: str
    instruction: str
    size: int
    compressed: int


@dataclass(frozen=True)
class Image:
    """An image for one platform: its id in this engine's store, its layers from the lowest."""

    id: str
    layers: list[Layer]

    @property
    def size(self) -> int:
        """Return the bytes of all files in all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def key(self) -> str:
        """Return a digest of what is in it; an id may stand for an image of several platforms."""
        return _key(self.id, [layer.digest for layer in self.layers])

    @property
    def compressed(self) -> int:
        """Return the bytes of all layers as gzip."""
        return sum(layer.compressed for layer in self.layers)


def _key(id: str, digests: list[str]) -> str:
    return f"sha256:{hashlib.sha256(' '.join([id, *digests]).encode()).hexdigest()}"


def recall(name: str) -> dict[str, Any]:
    """Return what is kept in the user's cache folder under ``name``, by digest."""
    return read_json(cache(name))


def keep(name: str, facts: dict[str, Any], most: int | None = None) -> None:
    """Add facts by digest to those that are kept under ``name``; drop the oldest beyond ``most``.

    What has a digest never changes, so a fact stays true. If it cannot be kept, a warning says so.
    """
    path = cache(name)
    # Read again, because another process may have added to it.
    kept = [*(recall(name) | facts).items()]
    try:
        write_text(path, json.dumps(dict(kept[-most:] if most else kept)))
    except OSError as error:
        print(
            f"{path} cannot be written: {error.strerror}. Every run measures again what is new.",
            file=sys.stderr,
        )


def measure(*names: str) -> list[Image]:
    """Measure the images with these names.

    A layer is read once, and its sizes are kept; so are the instructions of an image. Raises
    SessionError if docker fails, or if a layer cannot be read.
    """
    found = json.loads(docker("image", "inspect", *names))
    return [
        _measure(name, image["Id"], image["RootFS"].get("Layers"))
        for name, image in zip(names, found, strict=True)
    ]


def _measure(name: str, id: str, digests: list[str] | None) -> Image:
    # An image without layers has none.
    digests = digests or []
    key = _key(id, digests)
    sizes = recall(SIZES)
    instructions: Any = recall(INSTRUCTIONS).get(key)
    known = {digest for digest, entry in sizes.items() if _are(is_size, entry, 2)}
    if not (known.issuperset(digests) and _are(_is_text, instructions, len(digests))):
        measured, configurations = _read(name, known)
        sizes |= measured
        missing = set(digests) - known - measured.keys()
        if missing:
            raise SizeError(
                f"docker save {name} has no readable layer {min(missing)}. Build or pull it again."
            )
        instructions = _instructions(configurations, digests)
        keep(SIZES, measured)
        keep(INSTRUCTIONS, {key: instructions}, MOST_IMAGES)
    rows = zip(digests, instructions, strict=True)
    return Image(id, [Layer(digest, text, *sizes[digest]) for digest, text in rows])


def _are(holds: Callable[[Any], bool], entry: Any, length: int) -> bool:
    """Tell whether an entry of a cache, which may be damaged, is a list of values of one kind."""
    return isinstance(entry, list) and len(entry) == length and all(map(holds, entry))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _instructions(configurations: list[dict[str, Any]], digests: list[str]) -> list[str]:
    """Return the instruction that made each layer; its digest where no configuration says it."""
    for configuration in configurations:
        # Each platform has its own.
        if configuration["rootfs"]["diff_ids"] == digests:
            history = configuration.get("history") or []
            made = [entry for entry in history if not entry.get("empty_layer")]
            if len(made) == len(digests):
                return [
                    str(entry.get("created_by") or entry.get("comment") or digest)
                    for entry, digest in zip(made, digests, strict=True)
                ]
    return digests


def _read(image: str, known: Container[str]) -> tuple[dict[str, list[int]], list[dict[str, Any]]]:
    """Read what docker saves of an image; other platforms and attestations may be among it.

    Returns both sizes of each layer that is not ``known``, by its digest, and the configurations.
    """
    sizes: dict[str, list[int]] = {}
    configurations = []
    for name, content in saved(image):
        # A blob is named by its digest (OCI image layout specification).
        blob = f"sha256:{name.name}"
        if blob in known:
            continue
        if isinstance(content, dict):
            configurations.append(content)
            continue
        size = _size_of_files(content)
        if size is not None:
            sizes[content.digest] = [size, content.compressed]
            if name.parent.name == "sha256":
                # Where it is kept compressed, that is another digest.
                sizes[blob] = sizes[content.digest]
    return sizes, configurations


def saved(image: str) -> Iterator[tuple[Path, "dict[str, Any] | Archive"]]:
    """Yield the name of each file that docker saves of an image, and what it is.

    That is a configuration, or what may be a layer, to be read before the next one. Raises
    SessionError if docker fails.
    """
    try:
        with (
            subprocess.Popen([docker_client(), "save", image], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|", bufsize=CHUNK) as archive,
        ):
            for member in archive:
                # Older engines save a layer that comes twice as a link.
                content = archive.extractfile(member) if member.isreg() else None
                if not isinstance(content, BufferedReader):
                    continue
                if not _is_document(content.peek(BLOCK)):
                    yield Path(member.name), Archive(content, image)
                elif configuration := _configuration(content):
                    yield Path(member.name), configuration
            assert process.stdout is not None, "it is a pipe"
            # What follows the last member; without it docker would fail to write.
            while process.stdout.read(CHUNK):
                pass
    except tarfile.TarError as error:
        raise SizeError(f"docker save failed for {image}. Fix what it says above.") from error
    if process.returncode:
        raise SizeError(f"docker save failed for {image}. Fix what it says above.")


def _is_document(start: bytes) -> bool:
    """Tell a JSON object from an archive whose first file has such a name."""
    return start.startswith(b"{") and b"ustar" not in start[:BLOCK]


def _configuration(content: IO[bytes]) -> dict[str, Any] | None:
    """Return the JSON document if it is an image's configuration."""
    try:
        document: dict[str, Any] = json.load(content)
        return document if _is_configuration(document) else None
    except (AttributeError, ValueError, LookupError, RecursionError, TypeError):
        return None


def _is_configuration(document: dict[str, Any]) -> bool:
    """Tell whether a document has what is read of one (OCI image configuration), in its form."""
    names = (document.get("config") or {}).get("Labels") or {}
    entries, words = document.get("history") or [], ("architecture", "os", "variant", "created")
    return (
        isinstance(document["rootfs"]["diff_ids"], list)
        and all(map(_is_text, document["rootfs"]["diff_ids"]))
        and all(map(_is_text, names.values()))
        and all(map(_is_text, (document.get(word, "") for word in words)))
        and all(isinstance(entry, dict) for entry in entries)
    )


class Archive(BufferedIOBase):
    """A layer's archive as a file that is read once, and measured on the way."""

    def __init__(self, content: BufferedReader, image: str) -> None:
        """Take a blob of an image."""
        self._file = _unpacked(content, image)
        self._hash, self._compressor = hashlib.sha256(), zlib.compressobj()
        self._written = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(size)
        self._hash.update(chunk)
        self._written += len(self._compressor.compress(chunk))
        return chunk

    @property
    def digest(self) -> str:
        """Return the digest of what was read."""
        return f"sha256:{self._hash.hexdigest()}"

    @property
    def compressed(self) -> int:
        """Return the bytes of what was read, compressed."""
        return self._written + len(self._compressor.copy().flush())


def _unpacked(content: BufferedReader, image: str) -> BufferedIOBase:
    """Return a file with what is in a blob; containerd's store keeps layers as they were pulled."""
    start = content.peek(len(ZSTANDARD))
    if start.startswith(GZIP):
        return gzip.open(content)
    if not start.startswith(ZSTANDARD):
        return content
    try:
        zstandard = importlib.import_module("compression.zstd")
    except ImportError as error:
        raise SizeError(
            f"{image} has layers that are compressed with Zstandard, which Python reads from 3.14 "
            "on. Run Nox with that, or build the image with gzip."
        ) from error
    file: BufferedIOBase = zstandard.open(content)
    return file


def _size_of_files(archive: Archive) -> int | None:
    """Read an archive to its end and return the bytes of its regular files; None if it is none."""
    try:
        with tarfile.open(fileobj=archive, mode="r|", bufsize=CHUNK) as members:
            # The other names of a file with several are links.
            size: int = sum(member.size for member in members if member.isreg())
        while archive.read(CHUNK):
            pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error):
        return None
    return size


def main() -> None:
    """Take the names of images."""
    if not sys.argv[1:] or any(name.startswith("-") for name in sys.argv[1:]):
        sys.exit("Usage: python docker/host/layers.py IMAGE …")
    with ended_by_errors():
        images = measure(*sys.argv[1:])
    totals = ({"size": image.size, "compressed": image.compressed} for image in images)
    report = [asdict(image) | total for image, total in zip(images, totals, strict=True)]
    print(json.dumps(dict(zip(sys.argv[1:], report, strict=True)), indent=1))


if __name__ == "__main__":
    main()
