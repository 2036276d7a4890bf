"""docker/image/installed_packages.py reads the databases of dpkg and apk, below any root."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from installed_packages import Database

MakeDpkg = Callable[..., Path]

PACKAGES = {
    "app": {"Depends": "libone (>= 1.2), libtwo | libtwo-alternative, mail-agent, awk:any"},
    "exim": {"Provides": "mail-agent, smtp-server (= 4.98)", "Depends": "libsmtp-data (= 4)"},
    "gone": {"Status": "deinstall ok config-files", "Depends": "libone"},
    "half": {"Status": "install ok half-installed"},
    "held": {"Status": "hold ok installed"},
    "libone": {"Version": "1:1.3-2", "Depends": "libc6:amd64 (<< 3)", "Pre-Depends": "dpkg-base"},
    "libtwo-alternative": {},
    "libc6": {"Depends": "libone"},
    "dpkg-base": {},
    "libsmtp-data": {"Architecture": "all"},
    "mawk": {"Provides": "awk"},
    "unrelated": {"Depends": "app"},
    "wrapped": {"Depends": "mawk,\n libc6", "Description": "first\n .\n Package: no field"},
}


@pytest.fixture
def debian(make_dpkg: MakeDpkg, tmp_path: Path) -> Database:
    return Database(make_dpkg(tmp_path / "root", PACKAGES))


def test_a_root_without_a_database_has_no_packages(tmp_path: Path) -> None:
    database = Database(tmp_path)
    assert database.packages == {}
    assert database.closure(["libc6"]) == set()
    assert database.owner(Path("/usr/lib/libc.so.6")) is None
    assert list(database.libraries()) == []


def test_a_package_that_was_removed_is_not_installed(debian: Database) -> None:
    assert debian.packages.keys() == PACKAGES.keys() - {"gone", "half"}


def test_a_package_has_its_version_and_processor(debian: Database) -> None:
    assert debian.packages["libone"].version == "1:1.3-2"
    assert debian.packages["libone"].architecture == "amd64"
    assert debian.packages["libsmtp-data"].architecture == "all"


def test_dependencies_are_followed_to_the_end(debian: Database) -> None:
    """Alternatives, what another package provides, versions, architectures and circles."""
    assert debian.closure(["app"]) == {
        *("app", "libone", "libc6", "dpkg-base", "libtwo-alternative", "mawk"),
        *("exim", "libsmtp-data"),
    }
    assert debian.closure(["libone", "mawk"]) == {"libone", "libc6", "dpkg-base", "mawk"}
    assert debian.closure(["wrapped"]) == {"wrapped", "mawk", "libone", "libc6", "dpkg-base"}


def test_what_is_not_installed_brings_nothing(debian: Database) -> None:
    assert debian.closure(["gone", "none"]) == set()
    assert debian.closure([]) == set()


def test_a_record_is_the_whole_entry(debian: Database) -> None:
    assert debian.packages["wrapped"].record == (
        "Package: wrapped\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
        "Depends: mawk,\n libc6\nDescription: first\n .\n Package: no field"
    )


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        *(("devel", True), ("libdevel", True), ("contrib/libdevel", True), ("libs", False)),
        *(("doc", False), ("oldlibs", False), ("", False)),
    ],
)
def test_the_section_tells_what_is_for_building(
    make_dpkg: MakeDpkg, tmp_path: Path, section: str, expected: bool
) -> None:
    database = Database(make_dpkg(tmp_path, {"x": {"Section": section} if section else {}}))
    assert database.packages["x"].for_building is expected


@pytest.fixture
def merged(make_dpkg: MakeDpkg, tmp_path: Path) -> Database:
    """Return the database of a system with a merged /usr, whose lists name the paths of before."""
    root = tmp_path / "root"
    (root / "usr/lib/triplet").mkdir(parents=True)
    (root / "usr/lib64").mkdir()
    for name in ("lib", "link-of-this-root-alone"):
        (root / name).symlink_to("usr/lib")
    (root / "lib64").symlink_to("/usr/lib64")
    (root / "usr/lib/triplet/libone.so").symlink_to("libone.so.1")
    files = {
        "libone:amd64": ["/lib", "/lib/triplet", "/lib/triplet/libone.so.1"],
        "libone-dev": ["/usr/lib/triplet/libone.so", "/usr/include/one.h"],
        "libtwo1.1": ["/lib64/ld.so", "/usr/share/doc/libtwo1.1"],
    }
    return Database(make_dpkg(root, {name.split(":")[0]: {} for name in files}, files))


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/lib/triplet/libone.so.1", "libone"),
        ("/usr/lib/triplet/libone.so.1", "libone"),
        ("/link-of-this-root-alone/triplet/libone.so.1", "libone"),
        ("/usr/lib/triplet/../triplet/libone.so.1", "libone"),
        # A link belongs to who has the link, and not to the file that it leads to.
        ("/usr/lib/triplet/libone.so", "libone-dev"),
        ("/lib/triplet/libone.so", "libone-dev"),
        ("/usr/lib64/ld.so", "libtwo1.1"),
        ("/lib64/ld.so", "libtwo1.1"),
        ("/usr/lib/libone.so.1", None),
        ("/etc/passwd", None),
    ],
)
def test_a_file_has_one_owner_by_whatever_path(
    merged: Database, path: str, package: str | None
) -> None:
    assert merged.owner(Path(path)) == package


def test_libraries_are_known_by_name(merged: Database) -> None:
    assert set(merged.libraries()) == {
        ("ld.so", "libtwo1.1"),
        ("libone.so", "libone-dev"),
        ("libone.so.1", "libone"),
    }


def test_the_paths_of_a_package_are_those_of_its_list(merged: Database) -> None:
    assert merged.files("libone")[1:] == [
        Path("/lib"),
        Path("/lib/triplet"),
        Path("/lib/triplet/libone.so.1"),
    ]
    assert merged.files("none") == []


ALPINE = """\
C:Q1aLuX6lJV53qpdOZUdtZIMq1WKIo=
P:zlib
V:1.3.2-r0
A:x86_64
T:A compression/decompression Library
D:so:libc.musl-x86_64.so.1 !zlib-ng
p:so:libz.so.1=1.3.2
F:usr
F:usr/lib
R:libz.so.1
a:0:0:777
Z:Q1tB+V0rGZ237TINW/WVwfykixU6w=
R:libz.so.1.3.2

P:musl
V:1.2.5-r23
A:x86_64
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
R:libc.musl-x86_64.so.1

P:zlib-dev
V:1.3.2-r0
A:x86_64
D:zlib=1.3.2-r0 pkgconfig /bin/sh
F:usr/include
R:zlib.h

P:zlib-ng
V:2.2-r0
A:x86_64

P:pkgconf
V:1.8-r0
A:x86_64
p:pkgconfig=1 cmd:pkgconf=1.8-r0
D:musl>=1.2.3_git20230424

P:busybox-binsh
V:1.37.0-r30
A:x86_64
D:busybox=1.37.0-r30
p:/bin/sh cmd:sh=1.37.0-r30
F:
R:top
F:bin
R:sh

P:busybox
V:1.37.0-r30
A:x86_64
"""


@pytest.fixture
def alpine(tmp_path: Path) -> Database:
    folder = tmp_path / "lib/apk/db"
    folder.mkdir(parents=True)
    (folder / "installed").write_text(ALPINE)
    return Database(tmp_path)


def test_dependencies_of_apk_are_names_of_what_a_package_has(alpine: Database) -> None:
    """Libraries, commands and paths count as well as packages; a conflict brings nothing."""
    assert alpine.closure(["zlib"]) == {"zlib", "musl"}
    assert alpine.packages["zlib"].depends == (("so:libc.musl-x86_64.so.1",),)
    assert alpine.closure(["zlib-dev"]) == {
        *("zlib-dev", "zlib", "musl", "pkgconf", "busybox-binsh", "busybox")
    }


def test_apk_has_files_by_folder(alpine: Database) -> None:
    assert alpine.files("zlib") == [Path("/usr/lib/libz.so.1"), Path("/usr/lib/libz.so.1.3.2")]
    assert alpine.files("busybox-binsh") == [Path("/top"), Path("/bin/sh")]
    assert alpine.owner(Path("/usr/lib/libz.so.1")) == "zlib"
    assert alpine.owner(Path("/usr/lib/libz.so.2")) is None
    assert ("libc.musl-x86_64.so.1", "musl") in set(alpine.libraries())


def test_a_package_of_apk_has_its_version_and_is_for_building_by_its_name(alpine: Database) -> None:
    assert alpine.packages["zlib"].version == "1.3.2-r0"
    assert alpine.packages["zlib"].architecture == "x86_64"
    assert {x.name for x in alpine.packages.values() if x.for_building} == {"zlib-dev"}


def test_records_are_a_database_that_is_read_like_the_first(
    alpine: Database, tmp_path: Path
) -> None:
    [(path, text)] = alpine.records(["zlib", "musl"]).items()
    assert path == Path("/lib/apk/db/installed")
    copied = tmp_path / "copied" / path.relative_to("/")
    copied.parent.mkdir(parents=True)
    copied.write_text(text)
    found = Database(tmp_path / "copied")
    assert found.packages == {name: alpine.packages[name] for name in ("musl", "zlib")}
    assert found.files("zlib") == alpine.files("zlib")
    assert alpine.records([]) == {}


def test_records_of_dpkg_are_a_file_for_each_package(debian: Database) -> None:
    assert debian.records(["mawk", "exim"]).keys() == {
        Path("/var/lib/dpkg/status.d/exim"),
        Path("/var/lib/dpkg/status.d/mawk"),
    }
    assert debian.records([]) == {}


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="needs dpkg to compare with")
def test_this_system_has_what_dpkg_says() -> None:
    listing = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = (line.split() for line in listing.splitlines())
    expected = {name: version for status, name, version in lines if status == "installed"}
    found = Database().packages
    assert {name: package.version for name, package in found.items()} == expected


def test_what_is_no_package_is_passed_over_and_a_name_may_have_any_bytes(
    make_dpkg: MakeDpkg, tmp_path: Path
) -> None:
    root = make_dpkg(tmp_path / "root", {"a": {}, "b": {"Package": "../b"}}, {"a": ["/x"]})
    listing, status = root / "var/lib/dpkg/info/a.list", root / "var/lib/dpkg/status"
    listing.write_bytes(listing.read_bytes() + b"/\xff\n/a\0b\n")
    status.write_bytes(b"Status: install ok installed\n\n" + status.read_bytes())
    database = Database(root)
    assert [*database.packages] == ["a"]
    assert database.owner(Path("/\udcff")) == "a"
    apk = tmp_path / "alpine/lib/apk/db/installed"
    apk.parent.mkdir(parents=True)
    apk.write_bytes(b"V:1\n\nP:\n\nP:b\n")
    assert [*Database(tmp_path / "alpine").packages] == ["b"]
