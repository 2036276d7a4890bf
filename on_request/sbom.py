"""Write the bill of materials of an image, and attach it to the image in its registry.

In: production, which is built first, or an image by name. Out: a document in CycloneDX's format in
build/, and a table of what is in it. The same image has the same document.
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import advisories
import client
import engine
import platforms
import project_file
import push
import reproducible
import statements
import system
from bill import KINDS, Bill, sha256
from cyclonedx.model.component import Component, ComponentType
from distributions import Distributions
from figures import print_table
from packageurl import PackageURL
from program import running
from registry import REPOSITORY, Document, Repository
from root_files import exported
from session import SessionError, read_text, write_text

import template

BUILD = Path("build")
CYCLONEDX, SIGNED = "application/vnd.cyclonedx+json", "application/vnd.dsse.envelope.v1+json"
# https://docs.docker.com/build/metadata/attestations/attestation-storage/
STATEMENT = "vnd.docker.reference.type"
# What the application's own layers come after, in every image that the Dockerfile makes.
ENVIRONMENT = "COPY /environment/ /"


@dataclass(frozen=True)
class Image:
    """An image: its name in the engine, and how its documents are called.

    What was pushed has a repository and the digest of its manifest, for one platform.
    """

    name: str
    suffix: str = ""
    repository: str = ""
    digest: str = ""


def built() -> Iterator[Image]:
    """Build production, and yield it for each of its platforms."""
    wanted = platforms.wanted()
    for platform in wanted:
        tag = platforms.tag(engine.PRODUCTION, platform)
        engine.build(engine.PRODUCTION, tag=tag, platform=platform)
        suffix = f"-{platforms.suffix(platform)}" if len(wanted) > 1 else ""
        yield Image(f"{engine.name()}:{tag}", suffix)


def pushed(name: str) -> Iterator[Image]:
    """Yield what a name stands for in a registry: an image, or one for each platform."""
    found = REPOSITORY.fullmatch(name)
    if not found or not (found["tag"] or found["digest"]):
        raise SessionError(
            f"{name} names no image in a registry. Write REPOSITORY:TAG, or leave it out."
        )
    tools = ("docker", "buildx", "imagetools", "inspect", "--raw")
    text = client.output([*tools, name])
    document, repository = json.loads(text), found["name"]
    if "manifests" not in document:
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        yield Image(f"{repository}@{digest}", "", repository, digest)
        return
    entries = [x for x in document["manifests"] if not _is_statement(x)]
    if not entries:
        raise SessionError(f"{name} is an index without images. Push one: nox -s docker_push")
    for entry in entries:
        place = entry.get("platform") or {}
        platform = "/".join(filter(None, map(place.get, ("os", "architecture", "variant"))))
        suffix = f"-{platforms.suffix(platform)}" if len(entries) > 1 else ""
        yield Image(f"{repository}@{entry['digest']}", suffix, repository, entry["digest"])


def _is_statement(entry: dict[str, Any]) -> bool:
    """Tell whether an entry of an index is Docker's own statement about an image.

    That is for no platform: what an engine would run is an image, whatever it says of itself.
    """
    platform = entry.get("platform") or {}
    return STATEMENT in (entry.get("annotations") or {}) and platform.get("os") == "unknown"


def described(image: Image) -> tuple[Bill, dict[str, Any]]:
    """Return the bill of an image, and its configuration; raises SessionError."""
    if image.repository:
        client.output(("docker", "pull", "--quiet", image.name))
    content = reproducible.read(image.name)
    configuration, pyproject = content.configuration, project_file.read()
    own = project_file.name(pyproject) if project_file.has_package(pyproject) else ""
    wheels = project_file.setting("wheels")
    compiled = wheels.get("no-binary", []) if isinstance(wheels, dict) else []
    bill = Bill()
    with exported(image.name, engine.own_name("sbom")) as root:
        architecture = configuration.get("architecture", "")
        found = Distributions(root, locked(), architecture, compiled)
        references = found.add_to(bill, own)
        system.add_to(bill, root)
        recorded = {path: x for name, x in references.items() for path in found.files_of(name)}
        for path, digest in _own_files(content):
            # A later step may have removed or replaced it.
            if root.file(path) and root.hash(path, "sha256").hex() == digest:
                part = Component(type=ComponentType.FILE, name=path, hashes=[sha256(digest)])
                bill.add("own file", part, recorded.get(path, ""))
    return bill, configuration


def locked() -> dict[str, Any]:
    """Return the content of poetry.lock, empty without it; raises SessionError."""
    lock = Path("poetry.lock")
    try:
        return tomllib.loads(read_text(lock)) if lock.exists() else {}
    except (RecursionError, ValueError) as error:
        raise SessionError(f"{lock} cannot be read ({error}). Restore it from Git.") from error


def _own_files(content: reproducible.Content) -> Iterator[tuple[str, str]]:
    """Yield paths and digests of files in the layers after that of the environment."""
    made = [x for x in content.configuration.get("history") or [] if not x.get("empty_layer")]
    steps = [str(x.get("created_by", "")) for x in made]
    after = max((n for n, x in enumerate(steps, 1) if x.startswith(ENVIRONMENT)), default=0)
    if not after:
        print("The image is not of this Dockerfile: files of the project are not listed.")
        return
    for layer in content.digests[after:]:
        for entry in content.layers[layer]:
            if entry.content and not Path(entry.name).name.startswith(".wh."):
                yield f"/{entry.name.lstrip('/')}", entry.content


def described_image(image: Image, configuration: dict[str, Any]) -> Component:
    """Return the image itself as a component; what was pushed has a package URL."""
    layers = configuration["rootfs"]["diff_ids"]
    digest = image.digest or f"sha256:{hashlib.sha256(' '.join(layers).encode()).hexdigest()}"
    name = image.repository or engine.name()
    part = Component(type=ComponentType.CONTAINER, name=name, version=digest, bom_ref=digest)
    if image.repository:
        architecture = configuration.get("architecture", "")
        part.purl = PackageURL(
            "oci",
            name=name.rpartition("/")[2].lower(),
            version=digest,
            qualifiers={"arch": architecture, "repository_url": name.lower()},
        )
    return part


def made(configuration: dict[str, Any]) -> datetime:
    """Return when an image says that it was made, which is the time of its commit."""
    text = str(configuration.get("created", ""))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.fromtimestamp(0, UTC)
    return found.replace(microsecond=0, tzinfo=found.tzinfo or UTC)


def report(bill: Bill, known: Sequence[advisories.Known] | None) -> None:
    """Print what a bill has, and which vulnerabilities are known, if that was asked."""
    counts = {title: [*bill.of(kind)] for kind, title in KINDS.items()}
    print_table(
        [
            [title, str(len(found)), ", ".join(f"{x.name} {x.version}" for x in found[:1])]
            if title in ("operating system", "interpreter")
            else [title, str(len(found)), ""]
            for title, found in counts.items()
        ]
    )
    if known is None:
        return
    rows = [["vulnerability", "in", "version", "without it", "accepted"]]
    for item in known:
        subject = item.subject
        names = next((x for x in item.names if x.startswith("CVE-")), item.names[0])
        rows.append([names, subject.name, subject.version, item.fixed or "-", item.reason or "-"])
    print()
    print_table(rows) if known else print("No vulnerability is known.")
    used = {name for item in known for name in item.names}
    for name in sorted(advisories.accepted().keys() - used):
        print(f"{name!r} in [tool.seedpod.vulnerabilities] accepts nothing. Remove it.")


def write(image: Image, options: argparse.Namespace) -> bool:
    """Write and attach the documents of an image; tell whether nothing is to be done about it."""
    bill, configuration = described(image)
    known = None
    if options.vulnerabilities:
        known = advisories.known(advisories.subjects(bill), options.vulnerabilities)
        advisories.add_to(bill, known)
    date = made(configuration)
    text = bill.as_json(described_image(image, configuration), date, template.answer("_commit"))
    file = BUILD / f"sbom{image.suffix}.cdx.json"
    documents = [Document(CYCLONEDX, text, file.name)]
    if options.attach or options.key:
        about = (image.repository or engine.name(), image.digest)
        built_of = statements.provenance(configuration)
        stated = {"provenance": statements.statement(*about, statements.PROVENANCE, built_of)}
        title = f"provenance{image.suffix}.json"
        content = json.dumps(stated["provenance"], indent=1) + "\n"
        documents.append(Document(statements.PAYLOAD, content, title))
        if options.key:
            stated["sbom"] = statements.statement(*about, statements.BILL, json.loads(text))
            documents += [
                Document(SIGNED, statements.sign(x, options.key), f"{name}{image.suffix}.dsse.json")
                for name, x in stated.items()
            ]
    for document in documents:
        write_text(BUILD / document.title, document.text)
    print(f"{image.name}: {', '.join(str(BUILD / document.title) for document in documents)}")
    report(bill, known)
    if options.attach:
        repository = Repository(image.repository)
        for document in documents:
            digest = repository.attach(image.digest, document, date.isoformat())
            print(f"attached {document.title}: {image.repository}@{digest}")
    return all(item.reason for item in known or ())


def verify(options: argparse.Namespace) -> None:
    """Print what signed documents state, of a file or an image; SessionError if they are not."""
    if not options.key:
        raise SessionError("--verify needs the public key of who signed. Add --key FILE")
    if Path(options.verify).is_file():
        stated = statements.verified(read_text(Path(options.verify)), options.key)
        print(_said(stated, options.key))
        return
    statements.public_key(options.key)
    # Each image of an index is somebody's to run.
    said = []
    for image in pushed(options.verify):
        documents = Repository(image.repository).documents(image.digest, SIGNED)
        good = [*_signed(image, documents, options.key)]
        if not good:
            raise SessionError(
                f"{image.name} has nothing that is signed with {options.key}. Do not trust it, or "
                "name the right key."
            )
        said += good
    print(*said, sep="\n")


def _signed(image: Image, documents: Iterable[str], key: Path) -> Iterator[str]:
    """Yield what is stated about an image with a key; raises SessionError for another image's."""
    for text in documents:
        try:
            statement = statements.verified(text, key)
        except SessionError:
            # Others may sign, too, and keys are replaced; what they attach may be anything.
            continue
        about = statements.subject(statement)
        if not about.endswith(f"@{image.digest}"):
            raise SessionError(
                f"A signed document of {image.name} is about {about}. Do not trust it: it was "
                "attached to another image."
            )
        yield _said(statement, key)


def _said(statement: dict[str, Any], key: Path) -> str:
    return f"{statements.subject(statement)}: {statement['predicateType']} is signed with {key}"


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the options; ends the program with a usage for others."""
    parser = argparse.ArgumentParser(
        prog="nox -s docker_sbom --",
        description="Write the bill of materials of production, or of an image, into build/.",
        allow_abbrev=False,
    )
    parser.add_argument("image", nargs="?", help="REPOSITORY:TAG or REPOSITORY@DIGEST, pushed")
    parser.add_argument(
        "--attach",
        action="store_true",
        help="to what was pushed, else to that of build/digest.txt, with how it was built",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign with it, or verify")
    parser.add_argument("--verify", metavar="IMAGE|FILE", help="check what is signed, and end")
    parser.add_argument(
        "--vulnerabilities",
        nargs="?",
        const=advisories.SERVICE,
        metavar="FILE|URL",
        help="list what is known, of advisories in OSV's format, or of a service for them",
    )
    options = parser.parse_args(words)
    if options.verify and (options.attach or options.image or options.vulnerabilities):
        parser.error("--verify goes with --key alone")
    return options


def main() -> None:
    """Do what the options say."""
    options = arguments(sys.argv[1:])
    with running():
        if options.verify:
            verify(options)
            return
        if not options.image and (options.attach or options.key):
            if not push.DIGEST_FILE.exists():
                raise SessionError(
                    "Nothing was pushed from here. Push first, nox -s docker_push -- "
                    "REPOSITORY:TAG, or name what was pushed."
                )
            options.image = read_text(push.DIGEST_FILE).strip()
        if options.key:
            # Before what takes longer.
            statements.signer(options.key)
        images = [*(pushed(options.image) if options.image else built())]
        fine = [write(image, options) for image in images]
    if not all(fine):
        sys.exit(
            "Vulnerabilities are known. Update what has them, or accept each with a reason in "
            "[tool.seedpod.vulnerabilities]."
        )


if __name__ == "__main__":
    main()
