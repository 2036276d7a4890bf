"""on_request/: a bill has everything that is in an image, by what the image itself says."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import system
from bill import Bill
from cyclonedx.model.component import Component
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from distributions import Distributions

from tests.unit.roots import SITE, Entry, distribution, entry, root

OS = entry("/etc/os-release", b'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian 13"\n')
LIBRARY = b"\x7fELF library"


def bill_of(
    *entries: Entry, lock: Mapping[str, Any] | None = None, own: str = ""
) -> dict[str, Component]:
    """Return the components of an image with these files, by their references."""
    return whole_bill(entries, lock, own).parts


def whole_bill(
    entries: Iterable[Entry], lock: Mapping[str, Any] | None = None, own: str = ""
) -> Bill:
    bill, files = Bill(), root(*entries)
    Distributions(files, lock or {}, "amd64").add_to(bill, own)
    system.add_to(bill, files)
    return bill


def document(bill: Bill) -> dict[str, Any]:
    """Return a bill as it is written, which has to hold to the format."""
    image = Component(name="shop", version="sha256:0", bom_ref="image")
    text = bill.as_json(image, datetime.fromtimestamp(0, UTC), "v1")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content: dict[str, Any] = json.loads(text)
    return content


def needs(content: Mapping[str, Any], reference: str) -> list[str]:
    """Return what a component of a document depends on."""
    [found] = [x for x in content["dependencies"] if x["ref"] == reference]
    return list(found.get("dependsOn", []))


def licences(part: Component) -> list[str]:
    return [str(x.value if hasattr(x, "value") else x.id or x.name) for x in part.licenses]


def wheel(tags: str) -> bytes:
    return f"Wheel-Version: 1.0\n{tags}\n".encode()


FILES = [
    {"file": "shop-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", "hash": f"sha256:{'1' * 64}"},
    {"file": "shop-1.0-py3-none-any.whl", "hash": f"sha256:{'2' * 64}"},
    {"file": "shop-1.0.tar.gz", "hash": f"sha256:{'3' * 64}"},
]


@pytest.mark.parametrize(
    ("tags", "number"),
    [("Tag: cp313-cp313-manylinux_2_17_x86_64", "1"), ("Tag: py3-none-any", "2")],
)
def test_a_distribution_has_the_hash_of_the_wheel_that_was_installed(
    tags: str, number: str
) -> None:
    lock = {"package": [{"name": "shop", "version": "1.0", "files": FILES}]}
    files = [
        *distribution("Shop", "1.0"),
        entry(f"{SITE}/Shop-1.0.dist-info/WHEEL", wheel(tags)),
    ]
    [part] = [x for x in bill_of(*files, lock=lock).values() if x.name == "Shop"]
    assert [x.content for x in part.hashes] == [number * 64]
    assert str(part.purl) == "pkg:pypi/shop@1.0"
    assert part.pedigree is None


def test_what_was_compiled_has_the_hash_of_its_sources() -> None:
    # No name of a wheel: Python reads no number of so many digits.
    odd = {"file": f"shop-1.0-{'1' * 5000}-py3-none-any.whl", "hash": f"sha256:{'4' * 64}"}
    lock = {"package": [{"name": "shop", "version": "1.0", "files": [*FILES, odd]}]}
    tags = "Tag: cp313-cp313-linux_x86_64"
    files = [*distribution("shop", "1.0"), entry(f"{SITE}/shop-1.0.dist-info/WHEEL", wheel(tags))]
    part = bill_of(*files, lock=lock)["pkg:pypi/shop@1.0"]
    assert not part.hashes
    assert part.pedigree
    [source] = part.pedigree.ancestors
    assert (source.name, [x.content for x in source.hashes]) == ("shop-1.0.tar.gz", ["3" * 64])


def test_a_package_from_elsewhere_says_from_where_without_what_logs_in() -> None:
    place = {
        "type": "git",
        "url": "https://user:secret@code.example/shop.git",
        "resolved_reference": "0" * 40,
    }
    lock = {"package": [{"name": "shop", "version": "1.0", "source": place}]}
    [reference] = [x for x in bill_of(*distribution("shop", "1.0"), lock=lock) if "pypi" in x]
    assert reference.endswith(f"?vcs_url=git%2Bhttps://code.example/shop.git%40{'0' * 40}")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", ["MIT OR Apache-2.0"]),
        ("License: MIT\n", ["MIT"]),
        ("License: Our own terms\n", ["Our own terms"]),
        ("Classifier: License :: OSI Approved :: MIT License\nLicense: UNKNOWN\n", ["MIT License"]),
        (f"License: {'text ' * 50}\n", []),
        ("", []),
    ],
)
def test_licences_are_what_a_distribution_says(metadata: str, expected: list[str]) -> None:
    part = bill_of(*distribution("shop", "1.0", metadata=metadata))["pkg:pypi/shop@1.0"]
    assert licences(part) == expected


def test_a_distribution_needs_what_it_requires_here() -> None:
    """Extras count if somebody asks for them, and markers are about the image."""
    shop = (
        "Requires-Dist: web[fast]>=1\nRequires-Dist: winonly; sys_platform == 'win32'\n"
        "Requires-Dist: unneeded; extra == 'more'\nRequires-Dist: missing\nRequires-Dist: ??\n"
    )
    web = "Requires-Dist: loop; extra == 'fast'\nRequires-Dist: old; python_version < '3.9'\n"
    content = document(
        whole_bill(
            [
                *distribution("shop", "1.0", metadata=shop),
                *distribution("web", "1.0", metadata=web),
                *(
                    x
                    for name in ("loop", "old", "winonly", "unneeded")
                    for x in distribution(name, "1")
                ),
            ],
            own="shop",
        )
    )
    assert needs(content, "shop@1.0") == ["pkg:pypi/web@1.0"]
    assert needs(content, "pkg:pypi/web@1.0") == ["pkg:pypi/loop@1"]
    # What nobody needs is the image's own.
    assert "shop@1.0" in needs(content, "image")
    assert "pkg:pypi/web@1.0" not in needs(content, "image")


def test_bundled_libraries_are_listed_and_modules_are_not() -> None:
    files = {
        "shop.libs/libssl-0123abcd.so.3.0.1": LIBRARY,
        "shop/libinner.so": LIBRARY,
        "shop/_speed.cpython-313-x86_64-linux-gnu.so": LIBRARY,
        "shop/libtext.so": b"INPUT(libc.so.6)",
    }
    content = document(whole_bill(distribution("shop", "1.0", files)))
    libraries = {
        x["name"]: x for x in content["components"] if "libssl" in x["name"] or "inner" in x["name"]
    }
    path = f"{SITE}/shop.libs/libssl-0123abcd.so.3.0.1"
    assert libraries.keys() == {path, f"{SITE}/shop/libinner.so"}
    assert libraries[path]["description"] == "libssl.so.3.0.1"
    assert libraries[path]["hashes"][0]["content"] == hashlib.sha256(LIBRARY).hexdigest()
    assert needs(content, "pkg:pypi/shop@1.0") == sorted(libraries)


INNER = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "components": [
        {
            "type": "library",
            "name": "memchr",
            "version": "2.7",
            "purl": "pkg:cargo/memchr@2.7",
            "components": [{"type": "library", "name": "inner", "version": "1"}],
        },
        {"type": "library", "name": "shop", "version": "1.0", "purl": "pkg:pypi/shop@1.0"},
    ],
}


WRONG = {
    "name": "odd",
    "version": "1",
    "type": "nonsense",
    "purl": "no address",
    "hashes": [{"alg": "SHA-256", "content": "zz"}],
    "licenses": [{"license": {"id": "NOT-A-LICENCE"}}, {"expression": "MIT OR BSD-3-Clause"}],
}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(INNER), {"pkg:cargo/memchr@2.7", "inner@1"}),
        ('{"spdxVersion": "SPDX-2.3"}', set()),
        ('{"bomFormat": "CycloneDX", "components": 1}', set()),
        ('{"bomFormat": "CycloneDX", "components": [{"name": 1, "type": "nonsense"}]}', set()),
        # What is wrong is left out, and no more.
        (json.dumps({"bomFormat": "CycloneDX", "components": [WRONG]}), {"odd@1"}),
        ("[" * 100_000, set()),
        ("[]", set()),
        ("{", set()),
        ("\xff", set()),
    ],
)
def test_what_a_wheels_own_bill_lists_is_listed(content: str, expected: set[str]) -> None:
    files = {"shop-1.0.dist-info/sboms/shop.cyclonedx.json": content.encode("latin-1")}
    written = whole_bill(distribution("shop", "1.0", files))
    document(written)
    names = {name.partition("#")[2] for name in written.parts} - {""}
    assert names == expected


STATUS = """Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Source: gcc-14 (14.1-2)
Version: 14.2-1
Depends: gcc-14-base (= 14.2-1), libc6:any (>= 2.35) | libc

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.41-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_packages_of_dpkg_have_their_source_package_and_what_they_need() -> None:
    copyright = (
        b"Format: https://www.debian.org/doc/\n\nFiles: *\nLicense: Expat\n text\nLicense: GPL-2\n"
    )
    entries = [
        OS,
        entry("/var/lib/dpkg/status", STATUS.encode()),
        entry("/usr/share/doc/libc6/copyright", copyright),
    ]
    content = document(whole_bill(entries))
    gcc = "pkg:deb/debian/libgcc-s1@14.2-1?arch=amd64&distro=debian-13&upstream=gcc-14%4014.1-2"
    libc = "pkg:deb/debian/libc6@2.41-1?arch=amd64&distro=debian-13&upstream=glibc"
    parts = {x["bom-ref"]: x for x in content["components"]}
    assert parts.keys() == {"debian", gcc, libc}
    assert needs(content, gcc) == [libc]
    [source] = parts[gcc]["pedigree"]["ancestors"]
    assert (source["name"], source["version"]) == ("gcc-14", "14.1-2")
    assert [x["license"].get("name") or x["license"]["id"] for x in parts[libc]["licenses"]] == [
        "Expat",
        "GPL-2",
    ]


def test_packages_of_a_minimal_image_are_those_of_status_d() -> None:
    stanza = STATUS.split("\n\n", maxsplit=1)[0].replace("Status: install ok installed\n", "")
    entries = [
        OS,
        entry("/var/lib/dpkg/status.d/libgcc-s1", stanza.encode()),
        entry("/var/lib/dpkg/status.d/libgcc-s1.md5sums", b"0  usr/lib/libgcc_s.so.1\n"),
    ]
    assert [x.name for x in bill_of(*entries).values()] == ["debian", "libgcc-s1"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/var/lib/dpkg/status", "Package: \nVersion: 1\n\nPackage: a\nVersion: 2\nSource: \n"),
        ("/lib/apk/db/installed", "P:\nV:1\n\nP:a\nV:2\no:\n"),
    ],
)
def test_a_damaged_database_has_the_packages_that_have_a_name(path: str, text: str) -> None:
    content = document(whole_bill([OS, entry(path, text.encode())]))
    [package] = [x for x in content["components"] if x["name"] != "debian"]
    [source] = package["pedigree"]["ancestors"]
    assert (package["name"], source["name"]) == ("a", "a")


def test_packages_of_apk() -> None:
    installed = (
        "P:ssl_client\nV:1.37-r1\nA:x86_64\nL:GPL-2.0-only\no:busybox\nD:so:libc.musl.so.1 !x\n\n"
    )
    installed += "P:musl\nV:1.2-r1\nA:x86_64\nL:MIT\no:musl\np:so:libc.musl.so.1=1\n"
    release = entry("/etc/os-release", b"ID=alpine\nVERSION_ID=3.23.1\n")
    content = document(whole_bill([release, entry("/lib/apk/db/installed", installed.encode())]))
    client = "pkg:apk/alpine/ssl_client@1.37-r1?arch=x86_64&distro=alpine-3.23.1&upstream=busybox"
    assert needs(content, client) == ["pkg:apk/alpine/musl@1.2-r1?arch=x86_64&distro=alpine-3.23.1"]


@pytest.mark.parametrize(
    "path",
    ["/usr/local/bin/python3.13", "/usr/bin/python3.13", "/usr/local/lib/libpython3.13.so.1.0"],
)
def test_the_interpreter_has_the_version_that_its_program_has(path: str) -> None:
    content = b"\x7fELF\x003.13\x00\x003.14.1\x00\x003.13.5\x00"
    part = bill_of(entry(path, content))["pkg:generic/python@3.13.5"]
    assert part.cpe == "cpe:2.3:a:python:python:3.13.5:*:*:*:*:*:*:*"


def test_links_to_documentation_are_followed_and_never_for_ever() -> None:
    stanza = "Package: a\nArchitecture: amd64\nVersion: 1\n"
    link = {"type": b"2"}
    files = [
        OS,
        entry("/var/lib/dpkg/status.d/a", stanza.encode()),
        entry("/usr/share/doc/a", b"", **link, linkname="b"),
        entry("/usr/share/doc/b/copyright", b"Format: x\nLicense: MIT\n"),
    ]
    [part] = [x for x in bill_of(*files).values() if x.name == "a"]
    assert licences(part) == ["MIT"]
    files[2] = entry("/usr/share/doc/a", b"", **link, linkname="a")
    assert bill_of(*files)


def test_the_same_image_has_the_same_document() -> None:
    entries = [OS, *distribution("shop", "1.0"), *distribution("web", "1.0")]
    first, second = whole_bill(entries), whole_bill(reversed(entries))
    assert document(first) == document(second)


def test_hashes_of_files_in_base64_are_not_taken_for_hexadecimal() -> None:
    digest = base64.b64encode(b"x" * 32).decode()
    lock = {
        "package": [
            {
                "name": "shop",
                "version": "1.0",
                "files": [{"file": "shop-1.0.tar.gz", "hash": f"md5:{digest}"}],
            }
        ]
    }
    part = bill_of(*distribution("shop", "1.0"), lock=lock)["pkg:pypi/shop@1.0"]
    assert part.pedigree is None


def test_a_hash_is_of_the_version_that_is_installed() -> None:
    """The lock may be of another commit, and may have several versions."""
    files = [*distribution("shop", "1.0"), entry(f"{SITE}/shop-1.0.dist-info/WHEEL", wheel(TAG))]
    later = [{**x, "file": x["file"].replace("1.0", "2.0")} for x in FILES]
    for packages in (
        [{"name": "shop", "version": "2.0", "files": later}],
        [{"name": "shop", "version": "1.0", "files": later[:2]}],
    ):
        part = bill_of(*files, lock={"package": packages})["pkg:pypi/shop@1.0"]
        assert (len(part.hashes), part.pedigree) == (0, None)


TAG = "Tag: py3-none-any"


def test_what_is_compiled_by_choice_has_not_the_hash_of_the_wheel() -> None:
    lock = {"package": [{"name": "shop", "version": "1.0", "files": FILES}]}
    files = [*distribution("shop", "1.0"), entry(f"{SITE}/shop-1.0.dist-info/WHEEL", wheel(TAG))]
    bill = Bill()
    Distributions(root(*files), lock, "amd64", ["Shop"]).add_to(bill, "")
    part = bill.parts["pkg:pypi/shop@1.0"]
    assert not part.hashes
    assert part.pedigree
    assert [x.name for x in part.pedigree.ancestors] == ["shop-1.0.tar.gz"]


def test_a_wheel_whose_name_has_more_tags_is_the_one() -> None:
    file = {"file": "shop-1.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"}
    lock = {"package": [{"name": "shop", "version": "1.0", "files": [{**file, **HASH}, FILES[2]]}]}
    tag = wheel("Tag: cp313-cp313-manylinux2014_x86_64")
    files = [*distribution("shop", "1.0"), entry(f"{SITE}/shop-1.0.dist-info/WHEEL", tag)]
    part = bill_of(*files, lock=lock)["pkg:pypi/shop@1.0"]
    assert [x.content for x in part.hashes] == ["4" * 64]


HASH = {"hash": f"sha256:{'4' * 64}"}


@pytest.mark.parametrize(
    ("source", "purl"),
    [
        ({"type": "directory", "url": "../shop"}, None),
        ({"type": "git", "url": "/home/me/shop", "resolved_reference": "1"}, "pkg:pypi/shop@1.0"),
        ({"type": "git", "url": "https://[::1/x"}, "pkg:pypi/shop@1.0"),
        (
            {"type": "url", "url": "https://files.example/shop.whl?signature=secret"},
            "pkg:pypi/shop@1.0?download_url=https://files.example/shop.whl",
        ),
        (
            {"type": "legacy", "url": "https://me:secret@index.example/simple"},
            "pkg:pypi/shop@1.0?repository_url=https://index.example/simple",
        ),
    ],
)
def test_an_address_tells_where_a_package_is_and_nothing_private(
    source: dict[str, str], purl: str | None
) -> None:
    lock = {"package": [{"name": "shop", "version": "1.0", "source": source}]}
    [part] = [
        x for x in bill_of(*distribution("shop", "1.0"), lock=lock).values() if x.version == "1.0"
    ]
    assert (str(part.purl) if part.purl else None) == purl


def test_packages_within_a_distribution_are_listed() -> None:
    files = {
        "shop/static/package.json": b'{"name": "@team/web", "version": "2.0"}',
        "shop/static/lib/package.json": b'{"private": true}',
        "shop/_vendor/six-1.16.dist-info/METADATA": b"Name: six\nVersion: 1.16\n",
    }
    found = whole_bill(distribution("shop", "1.0", files)).of("part of a wheel")
    assert {str(x.purl) for x in found} == {"pkg:npm/%40team/web@2.0", "pkg:pypi/six@1.16"}


def test_a_wheel_does_not_stand_for_what_is_in_the_image() -> None:
    listed = {
        "bomFormat": "CycloneDX",
        "components": [
            {"type": "operating-system", "name": "debian", "version": "12"},
            {"type": "library", "name": "zlib", "version": "1"},
            {"type": "library", "name": "zlib", "version": "2"},
        ],
    }
    files = {"shop-1.0.dist-info/sboms/x.json": json.dumps(listed).encode()}
    written = whole_bill([*distribution("shop", "1.0", files), OS])
    assert [x.version for x in written.of("operating system")] == ["13"]
    assert sorted(str(x.version) for x in written.of("part of a wheel")) == ["1", "12", "2"]


@pytest.mark.parametrize("state", ["unpacked", "half-configured", "triggers-pending"])
def test_a_package_that_is_not_configured_is_there(state: str) -> None:
    stanza = f"Package: a\nStatus: install ok {state}\nArchitecture: amd64\nVersion: 1\n"
    assert "a" in {
        x.name for x in bill_of(OS, entry("/var/lib/dpkg/status", stanza.encode())).values()
    }
    gone = stanza.replace(state, "not-installed").replace("install ok", "purge ok")
    assert len(bill_of(OS, entry("/var/lib/dpkg/status", gone.encode()))) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        "Requires-Dist: web; os_name ~= 'posix'\n",
        "Requires-Dist: web; nonsense == 'x'\n",
        "Name:\nVersion:\n",
        "License-Expression: nonsense AND (\n",
    ],
)
def test_odd_metadata_is_no_error(metadata: str) -> None:
    assert document(whole_bill(distribution("shop", "1.0", metadata=metadata)))


@pytest.mark.parametrize("record", [["x" * 200_000], ["a\rb,,"], ["\0"], ['"']])
def test_an_odd_record_is_no_error(record: list[str]) -> None:
    assert document(whole_bill(distribution("shop", "1.0", record=record)))
