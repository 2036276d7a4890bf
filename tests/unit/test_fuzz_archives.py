"""No file of a package, of an image or of a server makes a program hang, or end in a traceback.

As test_fuzz.py has it for the files of a project.
"""

import base64
import gzip
import hashlib
import importlib.util
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from unittest import mock

import advisories
import assemble_minimal
import compiled_modules
import elf
import elf_segments
import import_modules
import imported_names
import install_application
import layers
import loaded_by_name
import make_wheels
import pytest
import registry
import reproducible
import requests
import root_files
import sbom
import sizes
import statements
import system
import trim_environment
import uv_records
from bill import Bill
from cyclonedx.model.component import Component
from distributions import Distributions
from file_tree import Tree
from installed_packages import Database

from tests.unit import mutations
from tests.unit.conftest import elf_bytes, record_line
from tests.unit.mutations import INPUTS, as_json, damaged, either, ends, flipped, spoilt
from tests.unit.roots import DATE, SITE, Entry, distribution, entry, root

SOURCE = b"""import os, ctypes
from . import near
try:
    import numpy
except ImportError:
    pass
if os.name == "nt":
    import winreg
HANDLER = "shop.handlers:main"
ctypes.CDLL("libmagic.so.1"), ctypes.util.find_library("gobject-2.0-0")
"""
METADATA = """Metadata-Version: 2.4
Summary: A shop
License-Expression: MIT OR Apache-2.0
Classifier: License :: OSI Approved :: MIT License
Requires-Dist: click[extra]>=8; python_version >= "3.9" and extra == "cli"
Requires-Dist: click
"""
WHEEL = b"Wheel-Version: 1.0\nTag: cp313-cp313-manylinux_2_17_x86_64\nTag: py3-none-any\n"
CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "components": [
        {
            "type": "library",
            "name": "memchr",
            "version": "2.7.4",
            "purl": "pkg:cargo/memchr@2.7.4",
            "licenses": [{"license": {"id": "MIT"}}],
            "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
            "components": [{"type": "library", "name": "inner"}],
        }
    ],
}
STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Section: libs
Source: glibc (2.41-1)
Version: 2.41-12
Provides: libc6-x (= 2), libc
Depends: libgcc-s1, libcrypt1 (>= 1:4.4) | awk
Description: first
 second

Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Version: 14
"""
APK = b"""C:Q1
P:musl
V:1.2.5-r1
A:x86_64
L:MIT
o:musl
p:so:libc.musl-x86_64.so.1=1
D:!uclibc so:libz.so.1 busybox>1
F:lib
R:ld-musl-x86_64.so.1
R:libc.so

P:zlib
V:1
A:x86_64
"""
COPYRIGHT = b"Format: https://x\n\nFiles: *\nLicense: LGPL-2.1+\n text\nLicense: MIT\n"
RELEASE = b'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian 13"\n'
BYTECODE = importlib.util.MAGIC_NUMBER + bytes(4) + DATE.to_bytes(4, "little") + bytes(4)
LIBRARIES = {"numpy.libs/libgfortran-91cc3cb1.so.3": elf_bytes(["libc.so.6"])}
SHOP = f"{SITE}/shop-1.0.dist-info"
LOCKED = {"shop": "1.0", "click": "8.1"}
LOCK = {
    "package": [
        {
            "name": "shop",
            "version": "1.0",
            "files": [
                {"file": "shop-1.0-py3-none-any.whl", "hash": "sha256:aa"},
                {"file": "shop-1.0.tar.gz", "hash": "sha256:bb"},
            ],
            "source": {"type": "git", "url": "https://x/a.git", "resolved_reference": "0a"},
        }
    ]
}
DIGEST = f"sha256:{'a' * 64}"
ADVISORY = {
    "id": "GHSA-1",
    "aliases": ["CVE-2024-0001"],
    "summary": "bad",
    "database_specific": {"severity": "MODERATE"},
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "web"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.6"}]},
                {"type": "SEMVER", "events": [{"introduced": "0"}, {"last_affected": "1.7"}]},
            ],
            "versions": ["1.4"],
        }
    ],
}
SUBJECTS = [
    advisories.Subject("pkg:pypi/web@1.5", "PyPI", "web", "1.5"),
    advisories.Subject("pkg:deb/debian/web@1", "Debian:13", "web", "1.5"),
    advisories.Subject("pkg:apk/alpine/web@1", "Alpine:v3.23", "web", "1.5-r0"),
    advisories.Subject("pkg:cargo/web@1", "crates.io", "web", "1.5.0"),
]
target = mutations.Targets()


def entries_of_an_image() -> list[Entry]:
    """Return the files of an image that is as it should be."""
    shop = distribution("shop", "1.0", {"shop.py": SOURCE, **LIBRARIES}, metadata=METADATA)
    record = b"shop-1.0.dist-info/sboms/x.json,,\nshop-1.0.dist-info/RECORD,,\n"
    head, listed, *files = shop
    return [
        head,
        entry(f"{SHOP}/RECORD", listed[1] + record),
        *files,
        *distribution("click", "8.1"),
        entry(f"{SHOP}/WHEEL", WHEEL),
        entry(f"{SHOP}/sboms/x.json", as_json(CYCLONEDX)),
        entry(f"{SITE}/__pycache__/shop.cpython-313.pyc", BYTECODE),
        entry("/etc/passwd", b"root:x:0:0::/:\napp:x:65532:0::/:\n"),
        entry("/etc/group", b"root:x:0:\n"),
        entry("/etc/os-release", b"", type=tarfile.SYMTYPE, linkname="../usr/lib/os-release"),
        entry("/usr/lib/os-release", RELEASE),
        entry("/var/lib/dpkg/status", STATUS),
        entry("/lib/apk/db/installed", APK),
        entry("/usr/share/doc/libc6/copyright", COPYRIGHT),
        entry("/usr/share/doc/libgcc-s1", b"", type=tarfile.SYMTYPE, linkname="libc6"),
        entry("/usr/bin/python3.13", b"\x003.13.1\x00"),
    ]


def packed(entries: list[Entry]) -> bytes:
    """Return an archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def spoilt_entry(random: Random, info: tarfile.TarInfo, content: bytes) -> Entry:
    """Return an entry that has another content, or is of another kind."""
    if random.randrange(3):
        if info.name.endswith("json"):
            content = either(random, CYCLONEDX, as_json)
        else:
            content = random.choice((spoilt, flipped))(random, content)
    else:
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE)
        info.type, content = random.choice((*kinds, tarfile.FIFOTYPE)), b""
        info.linkname = random.choice(
            (info.name, f"/{info.name}", "missing", "..", "etc", "x" * 300)
        )
        info.mode, info.uid = random.choice((0o4777, 0, 0o1777)), random.choice((0, 2**31))
        info.pax_headers = random.choice(({}, {root_files.CAPABILITY: "x"}))
    info.size = len(content)
    return info, content


@target()
def files_of_an_image(random: Random, _: Path) -> None:
    entries = entries_of_an_image()
    for _number in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(entries))
        entries[at] = spoilt_entry(random, *entries[at])
    content = packed(entries)
    if not random.randrange(8):
        content = flipped(random, content)

    def export(command: tuple[str, ...]) -> None:
        Path(command[2].partition("=")[2]).write_bytes(content)

    def described() -> None:
        with root_files.exported("x", "y") as files:
            list(root_files.findings(files, LOCKED, "shop", ["/data"], Path("none")))
            bill = Bill()
            found = Distributions(files, LOCK, "amd64")
            found.add_to(bill, "shop")
            found.files_of("shop")
            system.add_to(bill, files)
            list(advisories.subjects(bill))
            made = Component(name="shop", version=DIGEST, bom_ref=DIGEST)
            bill.as_json(made, datetime(2026, 1, 1, tzinfo=UTC), "1.0").encode()

    with (
        mock.patch("root_files.docker", return_value="id\n"),
        mock.patch("root_files.client.run", export),
        mock.patch("root_files.compose.removed", return_value=nullcontext()),
    ):
        ends(described)


@target()
def locked_files_of_distributions(random: Random, _: Path) -> None:
    files = root(*entries_of_an_image())
    Path("poetry.lock").write_bytes(either(random, LOCK, mutations.as_toml))
    lock = ends(sbom.locked)
    if lock is not None:
        ends(lambda: Distributions(files, lock, "amd64").add_to(Bill(), "shop"))


@target("docker")
def saved_images(random: Random, folder: Path) -> None:
    layer = packed(entries_of_an_image()[:4])
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    kind = random.randrange(6)
    packers = (lambda x: x, gzip.compress, lambda x: b"\x28\xb5\x2f\xfd" + x)
    layer = packers[kind % 3](flipped(random, layer) if kind == 1 else layer)
    if kind == 4:
        layer = flipped(random, layer)
    configuration = {
        "rootfs": {"diff_ids": digests},
        "history": [{"created_by": "RUN x"}, {"created_by": "ENV", "empty_layer": True}],
        "config": {"Labels": {"a": "b"}},
        "created": "2026-01-01T00:00:00Z",
    }
    content = packed(
        [
            entry(f"blobs/sha256/{'a' * 64}", either(random, configuration, as_json)),
            entry(f"blobs/sha256/{'b' * 64}", layer),
            entry("manifest.json", as_json([{}])),
        ]
    )
    Path("saved.tar").write_bytes(flipped(random, content) if kind == 5 else content)
    Path("docker").write_text(f"#!/bin/sh\nexec cat {folder}/saved.tar\n")
    Path("docker").chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    found = ends(layers._read, "x", ())
    if found:
        for text in layers._instructions(found[1], digests):
            sizes.shorten(text).encode()
    content_of = ends(reproducible.read, "x")
    if content_of:
        reproducible.difference(content_of, content_of)
        sbom.made(content_of.configuration)
        ends(statements.provenance, content_of.configuration)


@target("ldconfig")
def elf_files(random: Random, folder: Path) -> None:
    options = {"interpreter": "/lib64/ld.so", "runpath": "$ORIGIN:/opt", "rpath": "/a"}
    names = [*random.sample((*mutations.TEXTS[:16], "libc.so.6", "x" * 300, "/dev"), 3)]
    names = [name.replace("\0", "") for name in names]
    sample = elf_bytes(names, bits=random.choice((32, 64)), order=random.choice("<>"), **options)  # type: ignore[arg-type]
    content = flipped(random, sample)
    Path("lib.so").write_bytes(content)
    elf.read.cache_clear()
    found = ends(elf.read, folder / "lib.so")
    linker = elf.Linker([folder, Path("/lib")], [folder / "lib.so"])
    if found:
        ends(elf.closure, [found], linker)
    assert elf_segments.loaded(content) is not None


@target()
def modules_of_packages(random: Random, _: Path) -> None:
    module = Path("shop.py")
    module.write_bytes(spoilt(random, SOURCE))
    for unprepared in (True, False):
        ends(imported_names.names, module, "shop.shop", unprepared=unprepared)
    ends(loaded_by_name.libraries, module)
    with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        # It is imported before.
        compile(module.read_bytes(), "x", "exec")
        ends(import_modules.missing, "shop.shop", module)


@target()
def installed_distributions(random: Random, folder: Path) -> None:
    packages = folder / "lib/python3.13/site-packages"
    info = packages / "shop-1.0.dist-info"
    info.mkdir(parents=True)
    (packages / "shop.py").write_bytes(SOURCE)
    record = record_line("shop.py", SOURCE) + "shop-1.0.dist-info/uv_cache.json,,\n"
    samples = {
        "METADATA": b"Metadata-Version: 2.4\nName: shop\nVersion: 1.0\n",
        "RECORD": record.encode(),
        "entry_points.txt": b"[console_scripts]\nshop = shop:main [extra]\n",
        "uv_cache.json": b"{}",
    }
    chosen = random.choice([*samples])
    for name, content in samples.items():
        (info / name).write_bytes(spoilt(random, content) if name == chosen else content)
    environment = trim_environment.Environment(folder, packages)
    ends(environment.entry_points)
    ends(trim_environment.tests, environment)
    ends(compiled_modules.without, folder, [{"name": "shop", "files": ["shop-1-cp1-cp1-x.whl"]}])
    ends(trim_environment.correct_records, environment)
    ends(uv_records.remove, folder)


@target()
def databases_of_packages(random: Random, folder: Path) -> None:
    samples = {
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/libc6:amd64.list": b"/.\n/lib\n/lib/libc.so.6\n/usr/share/doc/libc6\n",
        "lib/apk/db/installed": APK,
    }
    if random.randrange(2):
        samples = {"lib/apk/db/installed": APK}
    chosen = random.choice([*samples])
    for name, content in samples.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(spoilt(random, content) if name == chosen else content)

    def read() -> None:
        database = Database(folder)
        database.closure(["libc6", "musl"])
        database.owner(Path("/lib/libc.so.6"))
        list(database.libraries())
        tree = Tree(folder / "new")
        for path, text in database.records(database.packages).items():
            assert ".." not in path.parts
            tree.write(path, text)

    ends(read)


@target()
def scripts_of_packages(random: Random, folder: Path) -> None:
    tree = Tree(folder / "root")
    script = folder / "bin/x"
    script.parent.mkdir()
    script.write_bytes(spoilt(random, b"#!/usr/bin/env perl -w\nprint 1;\n"))
    tree.copied.add(script)
    ends(assemble_minimal.report_programs_without_interpreter, tree, Database(folder))


@target()
def wheels_that_were_made(random: Random, folder: Path) -> None:
    record = f"{record_line('shop.py', SOURCE)}shop-1.0.dist-info/RECORD,,\n".encode()
    path = folder / "shop-1.0-py3-none-any.whl"
    kind = random.randrange(2)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("shop.py", SOURCE)
        wheel.writestr("shop-1.0.dist-info/RECORD", spoilt(random, record) if kind else record)
    if not kind:
        path.write_bytes(flipped(random, path.read_bytes()))
    ends(make_wheels.check_record, path)
    ends(install_application.check, folder, "shop")
    text = spoilt(
        random, b"error: Failed to build x\n  cause: y\nTraceback (most recent call last)"
    )
    ends(install_application.sentence, text.decode(errors="replace"))
    ends(install_application.without_tracebacks, text.decode(errors="replace"), folder)


@target()
def known_vulnerabilities(random: Random, _: Path) -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    content = either(random, random.choice((ADVISORY, [ADVISORY])), as_json)
    path = Path("a.json")
    path.write_bytes(content)
    if not random.randrange(3):
        path = Path("a.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", as_json(ADVISORY))
        path.write_bytes(flipped(random, path.read_bytes()))
    found = ends(advisories.known, SUBJECTS, str(path))
    if found:
        bill = Bill()
        ends(advisories.add_to, bill, found)
        made = Component(name="shop", version=DIGEST, bom_ref=DIGEST)
        ends(bill.as_json, made, datetime(2026, 1, 1, tzinfo=UTC), "1.0")
        [*(item.names for item in found)]


def response(content: bytes, **headers: str) -> requests.Response:
    """Return what a server answers."""
    found = requests.Response()
    found.status_code, found._content = 200, content
    found.headers.update(headers)
    return found


@target()
def answers_of_a_service(random: Random, _: Path) -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    results = {"results": [{"vulns": [{"id": "GHSA-1"}]}, {}, {"next_page_token": ""}, {}]}
    asked, told = as_json(results), as_json(ADVISORY)
    if random.randrange(2):
        asked = either(random, results, as_json)
    else:
        told = either(random, ADVISORY, as_json)
    pages = iter([asked] * 3)
    post = lambda *_, **__: response(next(pages, as_json({"results": []})))  # noqa: E731
    with (
        mock.patch("requests.Session.post", post),
        mock.patch("requests.Session.get", return_value=response(told)),
    ):
        ends(advisories.known, SUBJECTS, "https://osv.example")


@target()
def answers_of_a_registry(random: Random, _: Path) -> None:
    blob = b"{}"
    digest = registry._digest(blob)
    index = {"schemaVersion": 2, "manifests": [{"digest": digest, "artifactType": "x"}]}
    manifest = {"layers": [{"digest": digest, "mediaType": "x"}]}
    chosen = random.choice(("referrers", "manifests", "blobs", "login"))
    login = {"auths": {"x.example": {"auth": base64.b64encode(b"u:p").decode()}}, "credsStore": ""}
    Path("config.json").write_bytes(
        either(random, login, as_json) if chosen == "login" else as_json(login)
    )
    os.environ["DOCKER_CONFIG"] = "."
    answers = {"referrers": index, "manifests": manifest, "blobs": {}}

    def answer(_: object, address: str, *__: object, **___: object) -> requests.Response:
        kind = address.split("/")[-2]
        document = answers.get(kind, {})
        content = either(random, document, as_json) if kind == chosen else as_json(document)
        headers = {"Content-Type": registry.INDEX} if random.randrange(4) else {}
        return response(content, **headers)

    def used() -> None:
        repository = registry.Repository("x.example/shop")
        list(repository.documents(DIGEST, "text/x"))
        repository._list(DIGEST, {"artifactType": "x", "annotations": {}}, DIGEST, 3)
        repository._head(DIGEST)

    with (
        mock.patch("registry.client.output", return_value="{}"),
        mock.patch("registry.Plain.do_request", answer),
    ):
        ends(used)


PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""
PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=
-----END PUBLIC KEY-----
"""


@target()
def signed_documents(random: Random, folder: Path) -> None:
    content = statements.statement("shop", DIGEST, statements.BILL, {"components": []})
    files = {"key.pem": PRIVATE, "key.pub": PUBLIC}
    for name, sample in files.items():
        (folder / name).write_bytes(sample)
    kind = random.randrange(3)
    stated = damaged(random, content) if kind == 0 else content
    text = statements.sign(stated, folder / "key.pem") if isinstance(stated, dict) else "{}"
    if kind == 1:
        text = either(random, json.loads(text), as_json).decode(errors="replace")
    if kind == 2:
        for name, sample in files.items():
            (folder / name).write_bytes(spoilt(random, sample))
    Path("signed.json").write_text(text, errors="replace")
    ends(statements.signer, folder / "key.pem")
    options = sbom.arguments(["--verify", "signed.json", "--key", "key.pub"])
    ends(sbom.verify, options)


@pytest.mark.parametrize("name", target.known)
def test_a_damaged_file_is_refused_in_a_sentence(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """Or taken as far as it goes: nothing else is raised, nothing hangs, nothing is started."""
    record_property(INPUTS, target.run(name))
