"""Measure the stages of the image and hold them against their budgets in pyproject.toml.

    python docker/sizes.py base=myapp:base production=myapp:production …

Prints a table of the stages, then the largest layers and distributions of the last one, and what
grew since the last measurement within budget, which is kept in build/sizes.json. The same text
goes to build/sizes.txt. The exit status is 1 if a stage is over its budget. One MB is 1,000,000
bytes, as docker prints it.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zlib
from collections.abc import Container, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

BASE = "base"
REPORT = Path("build/sizes.json")
TEXT = Path("build/sizes.txt")
LONGEST_LIST = 8
CHUNK = 1 << 20
UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
# Runs inside the image: the size of each distribution, with the bytecode beside its modules.
DISTRIBUTIONS = """
import importlib.metadata, json, os
from importlib.util import cache_from_source
sizes = {}
for distribution in importlib.metadata.distributions():
    files = {str(file.locate()) for file in distribution.files or ()}
    files |= {cache_from_source(file) for file in files if file.endswith(".py")}
    name = distribution.metadata["Name"]
    sizes[name] = sum(os.path.getsize(file) for file in files if os.path.exists(file))
print(json.dumps(sizes))
"""


class SizeError(Exception):
    """One sentence on what is wrong and one on what to do."""


@dataclass
class Stage:
    """What was measured of one stage; sizes in bytes."""

    size: int
    compressed: int
    budget: int | None = None
    layers: list[tuple[str, int]] = field(default_factory=list)
    distributions: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Tell whether the stage is larger than it may be."""
        return self.budget is not None and self.size > self.budget


def read_json(path: Path) -> dict[str, Any]:
    """Return what the file holds; nothing if it is missing or damaged."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    partial.replace(path)


def docker(*arguments: str) -> str:
    """Return what docker prints; SizeError if it fails."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise SizeError(
            "The program docker is not installed. Install Docker 23 or later."
        ) from error
    except subprocess.CalledProcessError as error:
        raise SizeError(
            f"docker {arguments[0]} failed. Mend this: {error.stderr.strip()}"
        ) from error
    return done.stdout


def parse_size(text: str) -> int:
    """Return a size like "58 MB" in bytes; SizeError if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]B)", str(text).strip())
    if not found:
        raise SizeError(
            f"[tool.seedpod.size] in pyproject.toml has {text!r}, which is not a size. "
            'Write a number and a unit, like "58 MB".'
        )
    return int(float(found.group(1)) * UNITS[found.group(2)])


def show_size(size: int) -> str:
    """Return bytes as megabytes, or kilobytes below one of them."""
    return f"{size / 1e6:.1f} MB" if abs(size) >= UNITS["MB"] else f"{size / 1e3:.1f} kB"


def compressed_sizes(images: Iterable[str]) -> dict[str, int]:
    """Return the size of each layer of ``images`` as gzip, as a registry stores and sends it.

    Keys are the layers' digests. A layer never changes, so what was measured once is kept in the
    user's cache folder.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = Path(home, "seedpod", "layers.json")
    sizes = read_json(cache)
    for image in images:
        if not sizes.keys() >= set(layer_digests(image)):
            sizes |= _measure_layers(image, known=sizes)
            write_json(cache, sizes)
    return sizes


def _measure_layers(image: str, known: Container[str]) -> dict[str, int]:
    """Return the compressed sizes of those layers of ``image`` that are not known."""
    sizes = {}
    try:
        with (
            subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member)
                # A blob is named by its digest (OCI image layout specification).
                if content is not None and f"sha256:{Path(member.name).name}" not in known:
                    digest, size = _compress(content)
                    sizes[digest] = size
    except tarfile.TarError as error:
        raise SizeError(f"docker save failed for {image}. Mend what it says above.") from error
    return sizes


def _compress(content: IO[bytes]) -> tuple[str, int]:
    digest, compressor, size = hashlib.sha256(), zlib.compressobj(), 0
    for chunk in _unpacked(content):
        digest.update(chunk)
        size += len(compressor.compress(chunk))
    return f"sha256:{digest.hexdigest()}", size + len(compressor.flush())


def _unpacked(content: IO[bytes]) -> Iterator[bytes]:
    """Yield a layer's bytes; containerd's image store, Docker 29's default, keeps them as gzip."""
    chunk = content.read(CHUNK)
    unpack = zlib.decompressobj(wbits=31).decompress if chunk.startswith(b"\x1f\x8b") else bytes
    while chunk:
        yield unpack(chunk)
        chunk = content.read(CHUNK)


def layer_digests(image: str) -> list[str]:
    """Return the digests of the layers of ``image``; SizeError if docker does not know it."""
    template = "{{json .RootFS.Layers}}"
    digests: list[str] = json.loads(docker("image", "inspect", "--format", template, image))
    return digests


def measure(image: str, budget: int | None, compressed: dict[str, int]) -> Stage:
    """Measure one image; ``compressed`` has the compressed size of each of its layers."""
    history = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", image)
    entries = [json.loads(line) for line in history.splitlines()]
    return Stage(
        size=int(docker("image", "inspect", "--format", "{{.Size}}", image)),
        compressed=sum(compressed[digest] for digest in layer_digests(image)),
        budget=budget,
        layers=[(_shorten(entry["CreatedBy"]), int(entry["Size"])) for entry in entries],
    )


def _shorten(instruction: str) -> str:
    text = re.sub(r"^(RUN )?(/bin/sh -c |\|\d+ .*?/bin/sh -c )(#\(nop\) +)?", "", instruction)
    text = " ".join(text.replace("# buildkit", "").split())
    return text if len(text) <= 70 else f"{text[:69]}…"


def distributions(image: str) -> dict[str, int]:
    """Return the bytes of each distribution that is installed in ``image``."""
    run = ("run", "--rm", "--network", "none", "--entrypoint", "python3", image)
    sizes: dict[str, int] = json.loads(docker(*run, "-c", DISTRIBUTIONS))
    return sizes


def print_table(rows: list[list[str]]) -> None:
    """Print rows in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def print_stages(stages: dict[str, Stage], before: dict[str, Any]) -> None:
    """Print what was measured of each stage."""
    rows = [["stage", "size", "over base", "compressed", "budget", "change", "verdict"]]
    for name, stage in stages.items():
        old = before.get(name)
        rows.append(
            [
                name,
                show_size(stage.size),
                show_size(stage.size - stages[BASE].size),
                show_size(stage.compressed),
                show_size(stage.budget) if stage.budget is not None else "-",
                show_size(stage.size - old["size"]) if old else "-",
                "OVER" if stage.over else "ok" if stage.budget is not None else "-",
            ]
        )
    print_table(rows)


def print_largest(title: str, sizes: Iterable[tuple[str, int]]) -> None:
    """Print the largest of ``sizes`` that are not empty."""
    largest = sorted(((size, name) for name, size in sizes if size), reverse=True)[:LONGEST_LIST]
    if largest:
        print(f"\n{title}")
        print_table([[f"  {name}", show_size(size)] for size, name in largest])


def growth(stage: Stage, before: dict[str, Any] | None) -> list[tuple[str, int]]:
    """Return by how many bytes which distribution grew since the measurement ``before``."""
    if before is None:
        return []
    old = before["distributions"]
    changes = ((name, size - old.get(name, 0)) for name, size in stage.distributions.items())
    return [(name, change) for name, change in changes if change > 0]


def run(images: dict[str, str]) -> bool:
    """Measure and report ``images`` by stage; return whether all are within budget."""
    pyproject = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    table = pyproject.get("tool", {}).get("seedpod", {}).get("size", {})
    budgets = {name: parse_size(value) for name, value in table.items()}
    before = read_json(REPORT)
    compressed = compressed_sizes(images.values())
    stages = {name: measure(image, budgets.get(name), compressed) for name, image in images.items()}
    last = list(images)[-1]
    for name, image in images.items():
        if name == last or stages[name].budget is not None:
            stages[name].distributions = distributions(image)
    print_stages(stages, before)
    for name, stage in stages.items():
        if name == last or stage.over:
            print_largest(f"largest layers of {name}", stage.layers)
            print_largest(f"largest distributions in {name}", stage.distributions.items())
            print_largest(f"grown in {name}", growth(stage, before.get(name)))
    over = [name for name, stage in stages.items() if stage.over]
    if over:
        print(f"\nOver budget: {', '.join(over)}. Shrink it, or raise [tool.seedpod.size].")
        return False
    write_json(REPORT, {name: asdict(stage) for name, stage in stages.items()})
    return True


def main() -> None:
    """Take STAGE=IMAGE arguments, the base first."""
    images = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if BASE not in images or not all(images.values()):
        sys.exit("Usage: python docker/sizes.py base=IMAGE STAGE=IMAGE …")
    report = io.StringIO()
    try:
        with redirect_stdout(report):
            within = run(images)
    except SizeError as error:
        sys.exit(str(error))
    print(report.getvalue(), end="")
    # For pipelines, whose log has the builds before it.
    TEXT.parent.mkdir(parents=True, exist_ok=True)
    TEXT.write_text(report.getvalue(), encoding="utf-8")
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
