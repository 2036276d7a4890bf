"""The distributions in an image's environment: what they are, what is in them, what they need.

Sources: https://packaging.python.org/en/latest/specifications/core-metadata/, the file names of
wheels beside it, and PEP 770 for bills of materials that wheels bring.
"""

import csv
import email
import io
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bill import Bill, licences, sha256
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from packageurl import PackageURL
from packaging.markers import Environment, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from root_files import Root, normalise

SITE = re.compile(r"/opt/venv/lib/python(?P<version>3\.\d+)/site-packages/")
ELF = b"\x7fELF"
# auditwheel adds a part of the file's hash to its name.
LIBRARY = re.compile(r"(?P<name>lib.+?)(-[0-9a-f]{8,})?(?P<end>\.so(\.\d+)*)")
CLASSIFIER = "License :: "
LONGEST_NAME = 100
# As os.uname() has what an engine calls amd64.
MACHINES = {"386": "i686", "amd64": "x86_64", "arm": "armv7l", "arm64": "aarch64"}

Files = list[dict[str, str]]


class Distributions:
    """The distributions in the root file system of an image."""

    def __init__(self, root: Root, lock: Mapping[str, Any], architecture: str) -> None:
        """Take the files, the content of poetry.lock, and the architecture as engines call it."""
        self._root = root
        packages = lock.get("package", [])
        self._locked: dict[str, dict[str, Any]] = {normalise(x["name"]): x for x in packages}
        self._metadata = {
            name: _header(root.read(f"{folder}/METADATA"))
            for name, (_, folder) in root.distributions.items()
        }
        self._files = {name: [*self._recorded(name)] for name in root.distributions}
        self._environment = self._markers(architecture)

    def add_to(self, bill: Bill, own: str) -> dict[str, str]:
        """Add them to a bill; return their references by their names.

        In: the name of the project's own, empty if there is none.
        """
        found = {}
        for name in sorted(self._metadata):
            part = self._component(name, is_own=name == normalise(own))
            found[name] = bill.add("distribution", part)
        for name, reference in found.items():
            self._add_bundled(bill, name, reference)
            self._add_listed(bill, name, reference)
        for name, needed in self._needed():
            bill.needs[found[name]].add(found[needed])
        return found

    def files_of(self, name: str) -> list[str]:
        """Return the paths of a distribution's files; none if there is no such distribution."""
        return self._files.get(normalise(name), [])

    def _component(self, name: str, *, is_own: bool) -> Component:
        version, folder = self._root.distributions[name]
        metadata, locked = self._metadata[name], self._locked.get(name, {})
        part = Component(
            type=ComponentType.APPLICATION if is_own else ComponentType.LIBRARY,
            name=str(metadata.get("Name", name)),
            version=version,
            description=metadata.get("Summary"),
            licenses=licences(_licences(metadata)),
            purl=PackageURL("pypi", name=name, version=version, qualifiers=_place(locked)),
        )
        file = self._artifact(name, locked.get("files", []))
        if file and file["file"].endswith(".whl"):
            part.hashes.add(sha256(file["hash"].removeprefix("sha256:")))
            part.properties.add(Property(name="seedpod:file", value=file["file"]))
        elif file:
            # What is installed was built from it, and is in no index.
            source = Component(name=file["file"], version=version)
            source.hashes.add(sha256(file["hash"].removeprefix("sha256:")))
            source.bom_ref.value = f"{part.purl}#{file['file']}"
            part.pedigree = Pedigree(ancestors=[source])
        part.properties.add(Property(name="seedpod:path", value=folder))
        return part

    def _artifact(self, name: str, files: Files) -> dict[str, str] | None:
        """Return the locked file that was installed: the wheel, or what it was built from."""
        path = f"{self._root.distributions[name][1]}/WHEEL"
        text = self._root.read(path) if path in self._root.entries else b""
        tags: set[Tag] = set()
        for tag in _header(text).get_all("Tag") or []:
            tags |= parse_tag(str(tag).strip())
        source = None
        for file in files:
            if not file.get("hash", "").startswith("sha256:"):
                continue
            try:
                if parse_wheel_filename(file["file"])[3] == tags:
                    return file
            except InvalidWheelFilename:
                source = file
        return source

    def _add_bundled(self, bill: Bill, name: str, reference: str) -> None:
        """Add the shared libraries that a distribution has of others."""
        for path in self._files[name]:
            found = LIBRARY.fullmatch(posixpath.basename(path))
            entry = self._root.entries.get(path)
            # In what is no archive's regular file, a link say, it is another path's.
            if not found or entry is None or not (entry.isreg() or entry.islnk()):
                continue
            with self._root.open(path) as file:
                if file.read(len(ELF)) != ELF:
                    continue
            part = Component(name=path, description=f"{found['name']}{found['end']}")
            part.hashes.add(sha256(self._root.hash(path, "sha256").hex()))
            bill.add("bundled library", part, reference)

    def _add_listed(self, bill: Bill, name: str, reference: str) -> None:
        """Add what the bills of materials say that a wheel brings (PEP 770)."""
        folder = f"{self._root.distributions[name][1]}/sboms/"
        for path in self._files[name]:
            if not path.startswith(folder):
                continue
            for part in _listed(self._root.read(path)):
                # A wheel's bill may describe the wheel itself.
                if part.purl and str(part.purl).partition("?")[0] == reference.partition("?")[0]:
                    continue
                part.properties.add(Property(name="seedpod:path", value=path))
                bill.add("part of a wheel", part, reference)

    def _needed(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of distributions of which the first one requires the second."""
        waiting: list[tuple[str, str]] = [(name, "") for name in self._metadata]
        seen = set(waiting)
        while waiting:
            name, extra = waiting.pop()
            for requirement in self._requirements(name, extra):
                needed = normalise(requirement.name)
                if needed not in self._metadata:
                    continue
                yield name, needed
                for pair in ((needed, normalise(x)) for x in requirement.extras):
                    if pair not in seen:
                        seen.add(pair)
                        waiting.append(pair)

    def _requirements(self, name: str, extra: str) -> Iterator[Requirement]:
        for text in self._metadata[name].get_all("Requires-Dist") or []:
            try:
                requirement = Requirement(str(text))
            except InvalidRequirement:
                continue
            marker, environment = requirement.marker, {**self._environment, "extra": extra}
            if marker is None or marker.evaluate(environment):
                yield requirement

    def _markers(self, architecture: str) -> Mapping[str, str]:
        """Return what markers of requirements ask for: of the image, not of this machine."""
        version = next((x["version"] for x in map(SITE.match, self._root.entries) if x), "3")
        own: Environment = default_environment()
        return {
            **{key: str(value) for key, value in own.items()},
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": MACHINES.get(architecture, architecture),
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": "linux",
        }

    def _recorded(self, name: str) -> Iterator[str]:
        """Yield the files that a distribution lists, as far as they are there."""
        folder = self._root.distributions[name][1]
        record = f"{folder}/RECORD"
        text = self._root.read(record).decode(errors="replace") if self._has(record) else ""
        for row in csv.reader(io.StringIO(text)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(folder), *row[:1]))
            if self._has(path):
                yield path

    def _has(self, path: str) -> bool:
        entry = self._root.entries.get(path)
        return entry is not None and (entry.isreg() or entry.islnk())


def _header(content: bytes) -> Message:
    """Return the fields of a file like METADATA."""
    return email.message_from_string(content.decode(errors="replace"))


def _licences(metadata: Message) -> Iterable[str]:
    """Return what a distribution says of its licence: an expression, else older fields."""
    expression = str(metadata.get("License-Expression") or "").strip()
    if expression:
        return [expression]
    classifiers = map(str, metadata.get_all("Classifier") or [])
    named = [x.rpartition(" :: ")[2] for x in classifiers if x.startswith(CLASSIFIER)]
    text = str(metadata.get("License") or "").strip()
    # Some have the whole text of a licence there.
    is_name = text and text.upper() != "UNKNOWN" and "\n" not in text and len(text) <= LONGEST_NAME
    return [text] if is_name else [x for x in named if x != "OSI Approved"]


def _place(locked: Mapping[str, Any]) -> dict[str, str]:
    """Return qualifiers of a package URL for what comes from elsewhere than an index."""
    source = locked.get("source", {})
    parts = urlsplit(source.get("url", ""))
    # A password in it is nobody's business.
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    match source.get("type"):
        case "git":
            return {"vcs_url": f"git+{address}@{source.get('resolved_reference', '')}"}
        case "url":
            return {"download_url": address}
    return {}


def _listed(content: bytes) -> Iterator[Component]:
    """Yield the components of a bill in CycloneDX's format; nothing of another one."""
    try:
        document = json.loads(content)
        if document.get("bomFormat") != "CycloneDX":
            return
        bom = Bom.from_json(document)  # type: ignore[attr-defined]  # A decorator makes it.
    except Exception:
        return
    for part in _flat(bom.components if bom else ()):
        yield Component(
            type=part.type,
            group=part.group,
            name=part.name,
            version=part.version,
            hashes=part.hashes,
            licenses=part.licenses,
            purl=part.purl,
            cpe=part.cpe,
        )


def _flat(parts: Iterable[Component]) -> Iterator[Component]:
    for part in sorted(parts, key=lambda x: (x.name, x.version or "")):
        yield part
        yield from _flat(part.components)
