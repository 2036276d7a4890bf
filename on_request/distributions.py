"""The distributions in an image's environment: what they are, what is in them, what they need.

Sources: https://packaging.python.org/en/latest/specifications/core-metadata/, the file names of
wheels beside it, and PEP 770 for bills of materials that wheels bring.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from email.message import Message
from typing import Any

import labels
from bill import Bill, licences, sha256
from cyclonedx.model import Property
from cyclonedx.model.component import Component, ComponentType, Pedigree
from packageurl import PackageURL
from packaging.tags import Tag, parse_tag
from packaging.utils import parse_wheel_filename
from requirements import Installed, header
from root_files import Root, canonical, normalise
from untrusted import tables, text

ELF = b"\x7fELF"
# auditwheel adds a part of the file's hash to its name.
LIBRARY = re.compile(r"(?P<name>lib.+?)(-[0-9a-f]{8,})?(?P<end>\.so(\.\d+)*)")
METADATA = re.compile(r"\.dist-info/METADATA$|\.egg-info(/PKG-INFO)?$")
SHA256 = re.compile(r"[0-9a-f]{64}")
CLASSIFIER = "License :: "
LONGEST_NAME = 100

Files = list[dict[str, str]]


class Distributions:
    """The distributions in the root file system of an image."""

    def __init__(
        self, root: Root, lock: Mapping[str, Any], architecture: str, compiled: Iterable[str] = ()
    ) -> None:
        """Take the files, and what the project says of them.

        That is the content of poetry.lock, the architecture as engines call it, and the names of
        what is compiled although there may be a wheel.
        """
        self._root = root
        # There may be several versions, each with a marker of its own.
        self._locked: dict[tuple[str, str], dict[str, Any]] = {
            (normalise(x["name"]), x["version"]): x
            for x in tables(lock, "package")
            if _are_texts(x, "name", "version")
        }
        self._compiled = {normalise(name) for name in compiled}
        self._installed = Installed(root, architecture)
        self._metadata, self._files = self._installed.metadata, self._installed.files

    def add_to(self, bill: Bill, own: str) -> dict[str, str]:
        """Add them to a bill; return their references by their names.

        In: the name of the project's own, empty if there is none.
        """
        found = {}
        for name in sorted(self._metadata):
            part = self._component(name, is_own=name == normalise(own))
            reference = str(part.purl or f"{name}@{part.version}")
            found[name] = bill.add("distribution", part, reference=reference)
        for name, reference in found.items():
            self._add_bundled(bill, name, reference)
            self._add_listed(bill, name, reference)
        for name, needed, _ in self._installed.needed():
            bill.needs[found[name]].add(found[needed])
        return found

    def files_of(self, name: str) -> list[str]:
        """Return the paths of a distribution's files; none if there is no such distribution."""
        return self._files.get(normalise(name), [])

    def _component(self, name: str, *, is_own: bool) -> Component:
        version, folder = self._root.distributions[name]
        metadata, locked = self._metadata[name], self._locked.get((name, version), {})
        # What is in no index has no address of one, which others could take for theirs.
        is_local = is_own or _source(locked).get("type") in ("directory", "file")
        purl = PackageURL("pypi", name=name, version=version, qualifiers=_place(locked))
        part = Component(
            type=ComponentType.APPLICATION if is_own else ComponentType.LIBRARY,
            name=str(metadata.get("Name") or name),
            version=version,
            description=metadata.get("Summary"),
            licenses=licences(_licences(metadata)),
            purl=None if is_local else purl,
        )
        file = self._artifact(name, _artifacts(locked))
        if file and file["file"].endswith(".whl"):
            part.hashes.add(sha256(file["hash"].removeprefix("sha256:")))
            part.properties.add(Property(name="seedpod:file", value=file["file"]))
        elif file:
            # What is installed was built from it, and is in no index.
            source = Component(name=file["file"], version=version)
            source.hashes.add(sha256(file["hash"].removeprefix("sha256:")))
            part.pedigree = Pedigree(ancestors=[source])
        part.properties.add(Property(name="seedpod:path", value=folder))
        return part

    def _artifact(self, name: str, files: Files) -> dict[str, str] | None:
        """Return the locked file that was installed: the wheel, or what it was built from.

        None if that cannot be told.
        """
        version = self._root.distributions[name][0]
        path = f"{self._root.distributions[name][1]}/WHEEL"
        content = self._root.read(path) if self._root.file(path) else b""
        tags: set[Tag] = set()
        for tag in header(content).get_all("Tag") or []:
            with suppress(ValueError):
                tags |= parse_tag(str(tag).strip())
        wheels, sources = [], []
        for file in files:
            if not SHA256.fullmatch(file["hash"].removeprefix("sha256:")):
                continue
            try:
                parsed = parse_wheel_filename(file["file"])
            except ValueError:  # No name of a wheel, or a number that is longer than Python reads.
                sources.append(file)
            else:
                wheels.append((parsed, file))
        if name not in self._compiled:
            for (_, number, _, whole), file in wheels:
                # A file's name may have more tags than what is in it.
                if tags and tags <= whole and canonical(str(number)) == canonical(version):
                    return file
        # A wheel of an index is never for "linux" alone.
        is_compiled = any(tag.platform.startswith("linux_") for tag in tags)
        is_source = is_compiled or name in self._compiled or not wheels
        return sources[0] if sources and is_source else None

    def _add_bundled(self, bill: Bill, name: str, reference: str) -> None:
        """Add the shared libraries that a distribution has of others."""
        for path in self._files[name]:
            found = LIBRARY.fullmatch(posixpath.basename(path))
            if not found or not self._root.file(path):
                continue
            with self._root.open(path) as file:
                if file.read(len(ELF)) != ELF:
                    continue
            part = Component(name=path, description=f"{found['name']}{found['end']}")
            part.hashes.add(sha256(self._root.hash(path, "sha256").hex()))
            bill.add("bundled library", part, reference)

    def _add_listed(self, bill: Bill, name: str, reference: str) -> None:
        """Add what is in a distribution besides, as its files say: bills, packages within it."""
        folder = f"{self._root.distributions[name][1]}/"
        for path in self._files[name]:
            if path.startswith(f"{folder}sboms/"):
                found = listed(self._root.read(path), path)
            elif path.endswith("/package.json"):
                found = _of_node(self._root.read(path))
            elif METADATA.search(path) and not path.startswith(folder):
                found = _of_python(self._root.read(path))
            else:
                continue
            for part in found:
                purl = str(part.purl or "").partition("?")[0]
                # A wheel's bill may describe the wheel itself.
                if purl and purl == reference.partition("?")[0]:
                    continue
                part.properties.add(Property(name="seedpod:path", value=path))
                # Each distribution has its own copy, and none stands for what is in the image.
                own = f"{path}#{part.purl or f'{part.name}@{part.version}'}"
                bill.add("part of a wheel", part, reference, own)


def _licences(metadata: Message) -> Iterable[str]:
    """Return what a distribution says of its licence: an expression, else older fields."""
    expression = str(metadata.get("License-Expression") or "").strip()
    if expression:
        return [expression]
    classifiers = map(str, metadata.get_all("Classifier") or [])
    named = [x.rpartition(" :: ")[2] for x in classifiers if x.startswith(CLASSIFIER)]
    old = str(metadata.get("License") or "").strip()
    # Some have the whole text of a licence there.
    is_name = old and old.upper() != "UNKNOWN" and "\n" not in old and len(old) <= LONGEST_NAME
    return [old] if is_name else [x for x in named if x != "OSI Approved"]


def _are_texts(table: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(table.get(key), str) for key in keys)


def _source(locked: Mapping[str, Any]) -> dict[str, str]:
    """Return where a locked package comes from; empty for the default index."""
    source = locked.get("source")
    return source if isinstance(source, dict) and _are_texts(source, *source) else {}


def _artifacts(locked: Mapping[str, Any]) -> Files:
    """Return the locked files of a package."""
    return [x for x in tables(locked, "files") if _are_texts(x, "file", "hash")]


def _place(locked: Mapping[str, Any]) -> dict[str, str]:
    """Return qualifiers of a package URL for what comes from elsewhere than the default index.

    None of it logs in anywhere, or is a folder of this machine.
    """
    source = _source(locked)
    place = labels.address(source.get("url", ""))
    address, _, _ = place.partition("?")
    match source.get("type"):
        case "git" if address:
            return {"vcs_url": f"git+{address}@{source.get('resolved_reference', '')}"}
        case "url" if address:
            return {"download_url": address}
        case "legacy" if address:
            return {"repository_url": address}
    return {}


def listed(content: bytes, path: str) -> Iterator[Component]:
    """Yield the components of a bill in CycloneDX's format, as far as they can be read.

    What cannot be read is said: bills are other people's, and one may have anything.
    """
    try:
        document = json.loads(content)
        if document["bomFormat"] != "CycloneDX":
            return
        yield from _parts(document)
    except (LookupError, RecursionError, TypeError, ValueError):
        print(f"{path} is no bill in CycloneDX's format: what it lists is not in this one.")


def _parts(document: Mapping[str, Any]) -> Iterator[Component]:
    for part in tables(document, "components"):
        name = text(part, "name")
        if not name:
            continue
        try:
            kind = ComponentType(part.get("type"))
        except ValueError:
            kind = ComponentType.LIBRARY
        hashes = [x for x in tables(part, "hashes") if x.get("alg") == "SHA-256"]
        digests = (text(x, "content") or "" for x in hashes)
        yield Component(
            type=kind,
            group=text(part, "group"),
            name=name,
            version=text(part, "version"),
            hashes=[sha256(digest) for digest in digests if SHA256.fullmatch(digest)],
            licenses=licences(_licence_names(part)),
            purl=_purl(part.get("purl")),
        )
        yield from _parts(part)


def _licence_names(part: Mapping[str, Any]) -> Iterator[str]:
    for choice in tables(part, "licenses"):
        licence = choice.get("license")
        licence = licence if isinstance(licence, dict) else {}
        if name := text(choice, "expression") or text(licence, "id") or text(licence, "name"):
            yield name


def _purl(address: Any) -> PackageURL | None:
    try:
        return PackageURL.from_string(address) if isinstance(address, str) else None
    except ValueError:
        return None


def _of_node(content: bytes) -> Iterator[Component]:
    """Yield the package of Node.js that a file describes, as wheels with web pages have them."""
    try:
        found = json.loads(content)
        group, _, name = found["name"].rpartition("/")
        purl = PackageURL("npm", group or None, name, str(found["version"]))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return
    yield Component(name=found["name"], version=purl.version, purl=purl)


def _of_python(content: bytes) -> Iterator[Component]:
    """Yield a distribution that another one has in a folder of its own."""
    metadata = header(content)
    name, version = (str(metadata.get(key) or "").strip() for key in ("Name", "Version"))
    if name and version:
        purl = PackageURL("pypi", name=normalise(name), version=version)
        yield Component(
            name=name, version=version, purl=purl, licenses=licences(_licences(metadata))
        )
