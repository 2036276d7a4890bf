"""Compare two images that were built from the same files, and name the first difference."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import IO, Any

from layers import CHUNK, Archive, SizeError, saved


@dataclass(frozen=True)
class Entry:
    """What a layer has of a file, a folder or a link; messages have the names of the fields."""

    name: str
    kind: bytes
    mode: int
    owner: tuple[int, int]
    date: float
    target: str
    attributes: tuple[tuple[str, str], ...]
    content: str
    size: int = 0


@dataclass(frozen=True)
class Content:
    """An image's configuration, and what is in its layers, by their digests."""

    configuration: dict[str, Any]
    layers: dict[str, list[Entry]]

    @property
    def digests(self) -> list[str]:
        """Return the digests of the layers, the lowest first."""
        digests: list[str] = self.configuration["rootfs"]["diff_ids"]
        return digests


def read(image: str) -> Content:
    """Read all of an image; raises SessionError if docker fails."""
    configurations, layers = list[dict[str, Any]](), dict[str, list[Entry]]()
    for _, content in saved(image):
        if isinstance(content, Archive):
            entries = [*_entries(content)]
            layers[content.digest] = entries
        else:
            configurations.append(content)
    # Statements about an image have one, too, and no layers.
    whole = (x for x in configurations if layers.keys() >= {*x["rootfs"]["diff_ids"]})
    configuration = next(whole, None)
    if configuration is None:
        raise SizeError(f"docker save {image} has no readable image. Build it again.")
    return Content(configuration, layers)


def difference(first: Content, second: Content) -> str | None:
    """Return in words what two images have first that is not the same; None if nothing is."""
    longer = max(first, second, key=lambda image: len(image.digests))
    instructions = [
        str(entry.get("created_by", "")).split("#")[0].strip()
        for entry in longer.configuration.get("history") or []
        if not entry.get("empty_layer")
    ]
    pairs = zip_longest(first.digests, second.digests, instructions, fillvalue="")
    for number, (one, other, instruction) in enumerate(pairs, start=1):
        if one != other:
            found = _of_layers(first.layers.get(one, []), second.layers.get(other, []))
            return f"layer {number} ({instruction[:60]}) differs first in {found}"
    for key in sorted(first.configuration.keys() | second.configuration.keys()):
        values = [x.configuration.get(key) for x in (first, second)]
        if values[0] != values[1]:
            return f"{key} of the configuration differs"
    return None


def _of_layers(first: Iterable[Entry], second: Iterable[Entry]) -> str:
    for one, other in zip_longest(first, second):
        if one is None or other is None or one.name != other.name:
            return f"{(one or other).name}, which only one has at this place"
        if one != other:
            facts, others = asdict(one), asdict(other)
            return f"{one.name}: {', '.join(x for x in facts if facts[x] != others[x])}"
    return "how the archive is written"


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _entries(archive: Archive) -> Iterator[Entry]:
    """Yield what is in a layer; nothing if it is none, as statements about an image are."""
    try:
        with tarfile.open(fileobj=archive, mode="r|", bufsize=CHUNK) as members:
            for member in members:
                file = members.extractfile(member) if member.isreg() else None
                yield Entry(
                    member.name,
                    member.type,
                    member.mode,
                    (member.uid, member.gid),
                    member.mtime,
                    member.linkname,
                    tuple(sorted(member.pax_headers.items())),
                    _digest(file) if file else "",
                    member.size if file else 0,
                )
        while archive.read(CHUNK):
            pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error):
        return
