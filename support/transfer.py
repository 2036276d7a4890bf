"""What a push to a registry sends."""

import gzip
import hashlib
import json
import subprocess
import tarfile

from support.project import Project


def bytes_to_push(project: Project, known: str, image: str) -> int:
    """Return the bytes that pushing ``image`` sends to a registry that has the image ``known``.

    Those are the compressed layers that are new and the image's configuration (OCI image
    specification, "manifest"); the manifest itself, about two kilobytes, is counted too.
    """
    old = set(_layers(project, known))
    new = [digest for digest in _layers(project, image) if digest not in old]
    configuration = project.docker("image", "inspect", image)
    return sum(_compressed_layers(project, image, set(new))) + len(json.dumps(configuration))


def _layers(project: Project, image: str) -> list[str]:
    text = project.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    layers: list[str] = json.loads(text)
    return layers


def _compressed_layers(project: Project, image: str, wanted: set[str]) -> list[int]:
    """Return the size as gzip of each layer of ``image`` whose digest is in ``wanted``."""
    sizes = []
    command = ["docker", "save", image]
    with subprocess.Popen(command, env=project.environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                data = content.read() if content else b""
                if f"sha256:{hashlib.sha256(data).hexdigest()}" in wanted:
                    sizes.append(len(gzip.compress(data, mtime=0)))
    return sizes
