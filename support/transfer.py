"""What a push to a registry sends: computed, and counted by a registry that receives it.

The parts of an image are those of the OCI image specification: compressed layers, a configuration
and a manifest that names them. All figures are bytes of content, without HTTP's own headers.
"""

import json
import socket
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support import SupportError, debian, waiting
from support.project import Project

REGISTRY = "docker-registry"
# Its program needs glibc 2.34 in each of them, so that the host's own release does not matter.
REGISTRY_RELEASES = ("trixie", "sid")
START_SECONDS = 20
CHUNK = 1 << 20
GZIP = b"\x1f\x8b"
# For zlib: Docker's own level, and a gzip header around the data.
LEVEL, GZIP_WINDOW = 6, 31
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def bytes_to_push(project: Project, known: str | None, image: str) -> int:
    """Return the bytes that pushing ``image`` sends to a registry that has the image ``known``.

    With None the registry has nothing, and the result is what it will store of the image.
    """
    present = set(_layer_digests(project, known)) if known else set()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "image.tar")
        project.docker("save", "--output", str(file), image)
        with tarfile.open(file) as archive:
            index = json.load(_open(archive, "manifest.json"))[0]
            configuration = _open(archive, index["Config"]).read()
            digests = json.loads(configuration)["rootfs"]["diff_ids"]
            new = {
                digest: _compressed(_open(archive, name))
                for digest, name in dict(zip(digests, index["Layers"], strict=True)).items()
                if digest not in present
            }
    sizes = [(digest, new.get(digest, 0)) for digest in digests]
    return sum(new.values()) + len(configuration) + len(_manifest(sizes, len(configuration)))


def _layer_digests(project: Project, image: str) -> list[str]:
    text = project.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    digests: list[str] = json.loads(text)
    return digests


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is a file"
    return file


def _compressed(layer: IO[bytes]) -> int:
    """Return the size of a layer as it is sent; some engines keep layers compressed."""
    start = layer.read(len(GZIP))
    layer.seek(0)
    if start == GZIP:
        return layer.seek(0, 2)
    compressor, size = zlib.compressobj(LEVEL, wbits=GZIP_WINDOW), 0
    while chunk := layer.read(CHUNK):
        size += len(compressor.compress(chunk))
    return size + len(compressor.flush())


def _manifest(layers: list[tuple[str, int]], configuration: int) -> str:
    """Return a manifest as long as the one that Docker sends; digests all have one length."""

    def entry(kind: str, digest: str, size: int) -> dict[str, Any]:
        return {"mediaType": kind, "size": size, "digest": digest}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": entry(
            "application/vnd.docker.container.image.v1+json", layers[0][0], configuration
        ),
        "layers": [entry(LAYER_TYPE, digest, size) for digest, size in layers],
    }
    return json.dumps(manifest, indent=3)


@dataclass(frozen=True)
class Registry:
    """A running registry and the folder where it stores what it receives."""

    address: str
    storage: Path

    def push(self, project: Project, image: str) -> int:
        """Push ``image`` and return how many bytes its own repository did not have.

        What only another repository had counts, though the registry may link it without a transfer.
        """
        repository = image.partition(":")[0]
        before = self.stored(repository)
        name = f"{self.address}/{image}"
        project.docker("tag", image, name)
        try:
            project.docker("push", "--quiet", name)
        finally:
            project.docker("rmi", name)
        return self.stored(repository) - before

    def stored(self, repository: str) -> int:
        """Return the bytes of all layers, configurations and manifests that a repository links."""
        root = self.storage / "docker/registry/v2"
        links = {
            link.parent.name
            for kind in ("_layers", "_manifests/revisions")
            for link in (root / "repositories" / repository / kind).glob("sha256/*/link")
        }
        blobs = (root / "blobs/sha256" / digest[:2] / digest / "data" for digest in links)
        return sum(blob.stat().st_size for blob in blobs)


@contextmanager
def registry() -> Iterator[Registry]:
    """Run an empty registry on the loopback interface, which engines trust without TLS.

    It is Debian's package, unpacked into a temporary folder. Raises SupportError where that package
    is not available or does not start.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address, storage = f"127.0.0.1:{free_port()}", folder / "storage"
        configuration = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(storage)}},
            "http": {"addr": address},
        }
        # The configuration is YAML, which JSON is a part of.
        (folder / "config.yml").write_text(json.dumps(configuration))
        command = [str(_program(folder)), "serve", str(folder / "config.yml")]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,
        ):
            try:
                _wait(process, f"http://{address}/v2/", folder / "log")
                yield Registry(address, storage)
            finally:
                process.terminate()


def _program(folder: Path) -> Path:
    """Unpack the registry into ``folder``, the host's own release first; return its program."""
    release = debian.host_release()
    if release is None:
        raise SupportError(
            "The registry that counts what a push sends is Debian's. Run this on a Debian machine."
        )
    return debian.program(REGISTRY, dict.fromkeys((release, *REGISTRY_RELEASES)), folder)


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until the registry answers; SupportError if it ends or takes too long."""

    def answers() -> bool:
        try:
            waiting.fetch(address, 0)
        except SupportError:
            return False
        return True

    waiting.until(lambda: process.poll() is not None or answers(), START_SECONDS)
    if process.poll() is not None or not answers():
        raise SupportError(f"The registry does not start. Fix what it reported: {log.read_text()}")
