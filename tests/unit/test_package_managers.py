"""docker/image/package_managers.py reads what apt and apk print.

That was recorded on Debian 13 and Alpine 3.23.
"""

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import package_managers
import pytest
from package_managers import Apk, Apt, Known, Manager, ManagerError, Package

Program = Callable[..., Path]

APT_POLICY = """\
libpq5:
  Installed: (none)
  Candidate: 17.11-0+deb13u1
  Version table:
     17.11-0+deb13u1 500
        500 http://deb.example.org/debian trixie/main amd64 Packages
     17.5-1 500
        500 http://snapshot.example.org/debian trixie/main amd64 Packages
libz-dev:
  Installed: (none)
  Candidate: (none)
  Version table:
zlib1g:
  Installed: 1:1.3.dfsg+really1.3.1-1+b1
  Candidate: 1:1.3.dfsg+really1.3.1-2
  Version table:
     1:1.3.dfsg+really1.3.1-2 500
        500 http://deb.example.org/debian trixie/main amd64 Packages
 *** 1:1.3.dfsg+really1.3.1-1+b1 100
        100 /var/lib/dpkg/status
libxml2:
  Installed: (none)
  Candidate: 2.9.14-1
  Package pin: 2.9.14-1
  Version table:
     2.12.7-1 500
        500 http://deb.example.org/debian trixie/main amd64 Packages
     2.9.14-1 1001
       1001 http://deb.example.org/debian bookworm/main amd64 Packages
"""

APT_SHOWPKG = """\
Package: libz-dev
Versions: 

Reverse Depends: 
  libxft-dev,libz-dev
  libglc-dev,libz-dev
Dependencies: 
Provides: 
Reverse Provides: 
zlib1g-dev 1:1.3.dfsg+really1.3.1-1+b1 (= )
zlib-ng-dev 2.2.4 (= )
"""  # noqa: W291

APT_SIMULATION = """\
Reading package lists...
Building dependency tree...
Reading state information...
libssl3t64 is already the newest version (3.5.7-1~deb13u2).
The following additional packages will be installed:
  libxml2
Suggested packages:
  rng-tools
The following NEW packages will be installed:
  libxml2 libxslt1.1
The following packages will be upgraded:
  zlib1g
1 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Inst zlib1g [1:1.3.dfsg+really1.3.1-1+b1] (1:1.3.dfsg+really1.3.1-2 Debian:13.7/stable [amd64])
Inst libxml2 (2.12.7+dfsg+really2.9.14-2.1+deb13u3 Debian:13.7/stable [amd64])
Inst tzdata [2025b-4] (2026c-0+deb13u1 Debian:13.7/stable, Debian:13/stable [all]) [libc6:amd64 ]
Inst libxslt1.1 (1.1.35-1.2+deb13u3 Debian:13.7/stable [amd64])
Conf libxml2 (2.12.7+dfsg+really2.9.14-2.1+deb13u3 Debian:13.7/stable [amd64])
Conf libxslt1.1 (1.1.35-1.2+deb13u3 Debian:13.7/stable [amd64])
"""

RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Suite: stable
Date: {}
Acquire-By-Hash: yes
"""

CONTENTS = """\
usr/lib/R/site-library/RcppParallel/lib/libtbb.so.12.15 gnu-r/r-cran-rcppparallel
usr/lib/python3/dist-packages/open3d/libtbb.so.12       python/python3-open3d
usr/lib/x86_64-linux-gnu/genwqe/libz.so.1               libs/libzadc4
usr/lib/x86_64-linux-gnu/libpq.so.5                     libs/libpq5
usr/lib/x86_64-linux-gnu/libtbb.so.12                   libs/libtbb12
usr/lib/x86_64-linux-gnu/libtbb.so.12.15                libs/libtbb12
usr/lib/x86_64-linux-gnu/libtwo.so.1                    contrib/libs/libtwo1,libs/libtwo1-compat
usr/lib/x86_64-linux-gnu/libz.so.1                      libs/zlib1g
usr/share/doc/libonly.so.1                              doc/only-doc
"""

APK_POLICY = """\
WARNING: opening from cache http://mirror.example/main/x86_64/APKINDEX.tar.gz: No such file
busybox policy:
  1.37.0-r30:
    lib/apk/db/installed
libffi policy:
  3.4.8-r0:
    lib/apk/db/installed
    http://mirror.example/alpine/v3.23/main
  3.4.8-r1:
    http://mirror.example/alpine/v3.23/main
libpq policy:
  17.11-r0:
    http://mirror.example/alpine/v3.23/main
"""

APK_SIMULATION = """\
(1/5) Downgrading libffi (3.4.8-r1 -> 3.4.8-r0)
(2/5) Installing linux-headers (6.12.107-r0)
(3/5) Installing libffi-dev (3.4.8-r0)
(4/5) Upgrading musl (1.2.5-r22 -> 1.2.5-r23)
(5/5) Installing pkgconf (1.8.1-r0)
OK: 27.7 MiB in 31 packages
"""


@pytest.fixture
def apt(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Apt:
    """Return the package manager of Debian 13."""
    system = {"ID": "debian", "VERSION_ID": "13"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: system)
    monkeypatch.setattr(package_managers, "CACHE", tmp_path / "cache")
    program("dpkg", {"--print-architecture": "amd64\n"})
    return Apt()


@pytest.fixture
def apk(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Apk:
    """Return the package manager of Alpine 3.23, with no answers but those of a test."""
    system = {"ID": "alpine", "VERSION_ID": "3.23.6"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: system)
    monkeypatch.setattr(package_managers, "CACHE", tmp_path / "cache")
    program("apk", {"--print-arch": "x86_64\n"})
    return Apk()


@pytest.mark.parametrize(("name", "kind"), [("apt-get", Apt), ("apk", Apk)])
def test_the_manager_is_the_one_that_the_image_has(
    program: Program, monkeypatch: pytest.MonkeyPatch, apt: Apt, name: str, kind: type[Manager]
) -> None:
    program("apk", {"--print-arch": "x86_64\n"})
    program(name)
    monkeypatch.setattr(shutil, "which", lambda asked: asked if asked == name else None)
    assert type(package_managers.of_this_image()) is kind


def test_an_image_with_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(ManagerError, match=r"neither apt nor apk\. Choose one"):
        package_managers.of_this_image()


def test_downloads_are_kept_by_release_and_processor(apt: Apt, apk: Apk, tmp_path: Path) -> None:
    assert apt.cache == tmp_path / "cache/debian13-amd64"
    assert apk.cache == tmp_path / "cache/alpine3.23.6-x86_64"


def test_apt_knows_versions_the_preferred_first(apt: Apt, program: Program) -> None:
    calls = program("apt-cache", {"policy": APT_POLICY})
    zlib = "1:1.3.dfsg+really1.3.1"
    assert apt.known(["libpq5", "libz-dev", "zlib1g", "libxml2", "nope"]) == {
        "libpq5": Known(None, ("17.11-0+deb13u1", "17.5-1")),
        "zlib1g": Known(f"{zlib}-1+b1", (f"{zlib}-2", f"{zlib}-1+b1")),
        "libxml2": Known(None, ("2.9.14-1", "2.12.7-1")),
    }
    assert calls.read_text().endswith(" policy libpq5 libz-dev zlib1g libxml2 nope\n")


def test_apk_knows_versions_the_newest_first(apk: Apk, program: Program) -> None:
    program("apk", {"policy": APK_POLICY})
    assert apk.known(["busybox", "libffi", "libpq", "so:libpq.so.5", "nope"]) == {
        "busybox": Known("1.37.0-r30", ("1.37.0-r30",)),
        "libffi": Known("3.4.8-r0", ("3.4.8-r1", "3.4.8-r0")),
        "libpq": Known(None, ("17.11-r0",)),
    }


def test_apt_finds_what_provides_a_name(apt: Apt, program: Program) -> None:
    program("apt-cache", {"showpkg": APT_SHOWPKG})
    assert apt.providers("libz-dev") == ["zlib-ng-dev", "zlib1g-dev"]


def test_apk_finds_what_provides_a_name(apk: Apk, program: Program) -> None:
    program("apk", {"search": "pkgconf-1.8.1-r0\nlibffi-dev-3.4.8-r0\nlibffi-dev-3.4.8-r1\n"})
    assert apk.providers("pkgconfig") == ["libffi-dev", "pkgconf"]


def test_names_are_without_versions(apt: Apt, apk: Apk, program: Program) -> None:
    program("apt-cache", {"pkgnames": "libpq5\nlibxslt1.1\n"})
    assert list(apt.names()) == ["libpq5", "libxslt1.1"]
    program("apk", {"search": "g++-14.2.0-r0\nlibcom_err-1.47.2-r2\nkrb5-libs-1.21.3-r0\n"})
    assert list(apk.names()) == ["g++", "libcom_err", "krb5-libs"]


@pytest.mark.parametrize(
    ("version", "constraint", "fits"),
    [
        *[(x, "*", True) for x in ("1.2", "1:1.3.dfsg-1", "17.11-0+deb13u1", "2026c")],
        ("17.5-1", "17.5-1", True),
        ("17.5-1", "17.5", False),
        ("17.5-1+b1", "17.5-1", False),
        ("1:1.3-1", "1:1.3-1", True),
        ("17.5-1", "~17.5", True),
        ("17.5", "~17.5", True),
        ("17.5.1-0+deb13u1", "~17.5", True),
        ("17.5~rc1-1", "~17.5", True),
        ("17.5+dfsg-1", "~17.5", True),
        ("17.50-1", "~17.5", False),
        ("17.11-1", "~17", True),
        ("117.5-1", "~17.5", False),
        ("17x5-1", "~17.5", False),
        ("1:1.3.dfsg-1", "~1.3", True),
        ("1:1.3.dfsg-1", "~1:1.3", True),
        ("2:1.3.dfsg-1", "~1:1.3", False),
        ("1.3.dfsg-1", "~1:1.3", False),
        ("1:2.3-1", "~1", False),
        ("2.1+really1.3-1", "~1.3", False),
    ],
)
def test_debian_versions_fit_constraints(
    apt: Apt, version: str, constraint: str, fits: bool
) -> None:
    assert apt.matches(version, constraint) is fits


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg, which compares")
@pytest.mark.parametrize(
    ("version", "constraint", "fits"),
    [
        ("17.11-0+deb13u1", ">=17.5", True),
        ("17.5-1", ">=17.5", True),
        ("17.5-1", ">=17.5-1", True),
        ("17.5-1", ">=17.5-2", False),
        ("17.5~rc1-1", ">=17.5", False),
        ("9.6-1", ">=17", False),
        ("1:1.3-1", ">=1:1.4", False),
        ("2:0.1-1", ">=1:1.4", True),
        ("1.5-1", ">=1:1.4", False),
        ("1:1.3-1", ">=1.2", True),
        ("1:1.3-1", ">=1.4", False),
    ],
)
def test_debian_versions_are_at_least(
    monkeypatch: pytest.MonkeyPatch, version: str, constraint: str, fits: bool
) -> None:
    monkeypatch.setattr(
        "platform.freedesktop_os_release", lambda: {"ID": "debian", "VERSION_ID": "13"}
    )
    assert Apt().matches(version, constraint) is fits


@pytest.mark.parametrize(
    ("version", "constraint", "fits"),
    [
        ("17.5-r0", "*", True),
        ("17.5-r0", "17.5-r0", True),
        ("17.5-r1", "17.5-r0", False),
        ("17.5-r0", "17.5", False),
        ("17.5-r0", "~17.5", True),
        ("17.5.1-r0", "~17.5", True),
        ("17.5_rc1-r0", "~17.5", True),
        ("17.50-r0", "~17.5", False),
        ("3.4.8-r10", "~3.4.8-r1", False),
        ("17.6-r0", ">=17.5", True),
        ("17.5-r0", ">=17.5-r0", True),
        ("17.4-r0", ">=17.5", False),
    ],
)
def test_alpine_versions_fit_constraints(
    apk: Apk, program: Program, version: str, constraint: str, fits: bool
) -> None:
    # What apk says of the last three: greater, equal, less.
    said = {"17.6-r0 17.5": ">\n", "17.5-r0 17.5-r0": "=\n", "17.4-r0 17.5": "<\n"}
    program("apk", {f"version --test {pair}": sign for pair, sign in said.items()})
    assert apk.matches(version, constraint) is fits


def test_apt_tells_what_an_installation_adds_and_changes(apt: Apt, program: Program) -> None:
    calls = program("apt-get", {"--simulate": APT_SIMULATION})
    assert apt.resolve({"libxslt1.1": "1.1.35-1.2+deb13u3", "a": "1"}) == [
        Package("zlib1g", "1:1.3.dfsg+really1.3.1-2", "amd64"),
        Package("libxml2", "2.12.7+dfsg+really2.9.14-2.1+deb13u3", "amd64"),
        Package("tzdata", "2026c-0+deb13u1", "all"),
        Package("libxslt1.1", "1.1.35-1.2+deb13u3", "amd64"),
    ]
    assert calls.read_text().endswith(" a=1 libxslt1.1=1.1.35-1.2+deb13u3\n")
    assert "APT::Install-Recommends=false" in calls.read_text()


def test_apk_tells_what_an_installation_adds_and_changes(apk: Apk, program: Program) -> None:
    calls = program("apk", {"--simulate": APK_SIMULATION})
    assert [(x.name, x.version) for x in apk.resolve({"libffi-dev": "3.4.8-r0"})] == [
        ("libffi", "3.4.8-r0"),
        ("linux-headers", "6.12.107-r0"),
        ("libffi-dev", "3.4.8-r0"),
        ("musl", "1.2.5-r23"),
        ("pkgconf", "1.8.1-r0"),
    ]
    assert calls.read_text().endswith("add --simulate libffi-dev=3.4.8-r0\n")


@pytest.fixture
def var(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder that an installation takes for /var, where it removes files."""
    monkeypatch.setattr(package_managers, "Path", lambda path: tmp_path / path.lstrip("/"))
    return tmp_path / "var"


@pytest.mark.usefixtures("var")
def test_an_installation_names_exact_versions_and_shows_its_progress(
    apt: Apt, apk: Apk, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words, manager in (("apt-get", "install", apt), ("apk", "add", apk)):
        calls = program(name, {words: f"{name} at work\n"})
        manager.install({"libb": "2", "liba": "1"})
        assert calls.read_text().endswith(" liba=1 libb=2\n")
        assert capsys.readouterr().out == f"{name} at work\n"


@pytest.mark.parametrize("existed", [False, True])
def test_an_installation_leaves_no_copies_of_old_lists(
    apt: Apt, program: Program, var: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    """What a base image has of that is empty then: of a removed file, a layer has the time."""
    old = ("cache/debconf/config.dat-old", "cache/ldconfig/aux-cache", "lib/dpkg/status-old")
    kept = ("cache/debconf/config.dat", "cache/ldconfig/other", "lib/dpkg/status")

    def write(*_: str, show: bool = False) -> str:
        for name in (*old, *kept):
            (var / name).parent.mkdir(parents=True, exist_ok=True)
            (var / name).write_text("x")
        return ""

    if existed:
        write()
    monkeypatch.setattr(apt, "_apt", write)
    apt.install({"liba": "1"})
    files = {path.relative_to(var).as_posix() for path in var.rglob("*") if path.is_file()}
    assert files == {*kept, *(old if existed else ())}
    assert {(var / name).read_text() for name in old if existed} <= {""}
    assert {(var / name).read_text() for name in kept} == {"x"}


def test_an_installation_has_folders_for_manuals_and_leaves_none_that_is_empty(
    apt: Apt, program: Program, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alternatives of Java's packages are links in there, which slim images lack."""
    manuals = var.parent / "usr/share/man"
    (manuals / "man8").mkdir(parents=True)
    program("apt-get", {"install": ""})
    run = apt._apt

    def install(*arguments: str, show: bool = False) -> str:
        (manuals / "man1/java.1.gz").symlink_to("/etc/alternatives/java.1.gz")
        return run(*arguments, show=show)

    monkeypatch.setattr(apt, "_apt", install)
    apt.install({"liba": "1"})
    assert {path.name for path in manuals.iterdir()} == {"man1", "man8"}


def test_lists_are_fetched_into_the_cache_and_nowhere_else(
    apt: Apt, apk: Apk, program: Program
) -> None:
    calls = program("apt-get", {"update": ""})
    apt.update()
    assert f"-o=Dir::State::lists={apt.cache}/lists " in calls.read_text()
    assert f"-o=Dir::Cache::archives={apt.cache}/archives " in calls.read_text()
    # Both programs refuse a folder that is not there.
    assert (apt.cache / "lists/partial").is_dir()
    calls = program("apk", {"update": ""})
    apk.update()
    assert calls.read_text().endswith(f"--cache-dir {apk.cache} update\n")
    assert apk.cache.is_dir()


def test_the_date_is_that_of_the_newest_list(apt: Apt) -> None:
    lists = apt.cache / "lists"
    lists.mkdir(parents=True)
    dates = ("Sat, 12 Sep 2026 07:55:41 UTC", "Mon, 02 Nov 2026 20:10:00 UTC")
    (lists / "deb.example.org_debian_dists_trixie_InRelease").write_text(RELEASE.format(dates[0]))
    (lists / "deb.example.org_security_dists_trixie_Release").write_text(RELEASE.format(dates[1]))
    (lists / "deb.example.org_debian_dists_trixie_main_binary-amd64_Packages").touch()
    assert apt.date() == "2026-11-02"


def test_lists_without_a_date_have_none(apt: Apt, apk: Apk) -> None:
    assert apt.date() is None
    assert apk.date() is None


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libpq.so.5", "libpq5"),
        ("libtbb.so.12", "libtbb12"),
        ("libz.so.1", "zlib1g"),
        ("libtwo.so.1", "libtwo1"),
        ("libz.so", None),
        ("z.so.1", None),
        ("libonly.so.1", None),
    ],
)
def test_debian_says_which_package_has_a_library(
    apt: Apt, program: Program, tmp_path: Path, library: str, package: str | None
) -> None:
    paths = [tmp_path / f"Contents-{name}.gz" for name in ("amd64", "all")]
    for path, text in zip(paths, (CONTENTS, ""), strict=True):
        path.write_bytes(gzip.compress(text.encode()))
    listing = "".join(f"Contents-deb {path}\n" for path in paths)
    program("apt-get", {"update": "", "indextargets": f"Packages {tmp_path}/none\n{listing}"})
    assert apt.owner(library) == package


BUILDING = """\
usr/bin/gcc                                             devel/gcc
usr/include/boringssl/openssl/ssl.h                     libdevel/libother-dev
usr/include/openssl/ssl.h                               libdevel/libopenssl-dev
usr/include/x86_64-linux-gnu/ffi.h                      libdevel/libffi-dev
usr/lib/R/include/ffi.h                                 gnu-r/r-ffi
usr/lib/gcc/bin/gcc                                     devel/tcc
usr/lib/x86_64-linux-gnu/libpng.so                      libdevel/libpng-dev
usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc              libdevel/zlib1g-dev
usr/share/doc/libpng.so                                 doc/doc
"""
FOR_ALL = "usr/include/eigen3/Eigen/Dense  libdevel/libeigen3-dev\n"


@pytest.mark.parametrize(
    ("wanted", "package"),
    [
        ("header openssl/ssl.h", "libopenssl-dev"),
        ("header ffi.h", "libffi-dev"),
        ("header Eigen/Dense", "libeigen3-dev"),
        ("header fi.h", None),
        ("program gcc", "gcc"),
        ("program ffi.h", None),
        ("library png", "libpng-dev"),
        ("library zlib", "zlib1g-dev"),
        # As CMake writes them.
        ("library ZLIB", "zlib1g-dev"),
        ("library PNG", "libpng-dev"),
        ("library gcc", None),
    ],
)
def test_debian_says_which_package_has_what_a_compilation_lacks(
    apt: Apt, program: Program, tmp_path: Path, wanted: str, package: str | None
) -> None:
    paths = [tmp_path / f"Contents-{x}.gz" for x in ("amd64", "all", "i386")]
    texts = (BUILDING, FOR_ALL, "usr/include/fi.h x/foreign\n")
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(gzip.compress(text.encode()))
    listing = "".join(f"Contents-deb {path}\n" for path in paths)
    program("apt-get", {"update": "", "indextargets": listing})
    assert apt.builder(*wanted.split()) == package


@pytest.mark.parametrize(
    ("kind", "name", "asked"),
    [("program", "pg_config", "cmd:pg_config"), ("library", "libpq", "pc:libpq")],
)
def test_alpine_says_which_package_has_a_program_or_a_library_to_compile_with(
    apk: Apk, program: Program, kind: str, name: str, asked: str
) -> None:
    calls = program("apk", {"search": "libpq-dev-17.11-r0\n"})
    assert apk.builder(kind, name) == "libpq-dev"
    assert calls.read_text().endswith(f"search --exact {asked}\n")


def test_alpine_finds_a_library_by_the_name_that_its_linker_knows(
    apk: Apk, program: Program
) -> None:
    program("apk", {"pc:libpng": "libpng-dev-1-r0\n"})
    assert apk.builder("library", "png") == "libpng-dev"


def test_alpine_has_no_list_of_headers(apk: Apk) -> None:
    with pytest.raises(ManagerError, match=r"name no headers\. Search the contents"):
        apk.builder("header", "libpq-fe.h")


def test_alpine_says_which_package_has_a_library(apk: Apk, program: Program) -> None:
    calls = program("apk", {"search": "libpq-compat-1-r0\nlibpq-17.11-r0\n"})
    assert apk.owner("libpq.so.5") == "libpq"
    assert calls.read_text().endswith("search --exact so:libpq.so.5\n")
    # It fails where it finds nothing.
    program("apk", {"search": ""}, status=1)
    assert apk.owner("libnone.so.1") is None


APT_FAILURE = """\
Reading package lists...
Building dependency tree...
Reading state information...

E: Version '1' for 'libpq5' was not found
"""
APK_FAILURE = """\
ERROR: unable to select packages:
  libpq-17.11-r0:
    breaks: world[libpq=1]
"""


def test_a_file_that_is_not_served_is_named(apt: Apt, program: Program) -> None:
    failed = "E: Failed to fetch there/Contents-amd64.gz  File has unexpected size\n"
    text = f"{failed}E: Failed to fetch there/more\nE: Some index files failed to download.\n"
    program("apt-get", {"update": text}, status=100)
    with pytest.raises(ManagerError, match=r": E: Failed to fetch there/Contents-amd64\.gz  File"):
        apt.update()


def test_a_failure_is_shown_and_told_in_two_sentences(
    apt: Apt, apk: Apk, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    program("apt-get", {"install": APT_FAILURE}, status=100)
    with pytest.raises(ManagerError) as error:
        apt.resolve({"libpq5": "1"})
    assert str(error.value) == (
        "apt-get failed. Fix what it reported: E: Version '1' for 'libpq5' was not found"
    )
    assert capsys.readouterr().out == APT_FAILURE
    program("apk", {"add": APK_FAILURE}, status=1)
    with pytest.raises(ManagerError, match=r"^apk failed\. Fix .* ERROR: unable to select "):
        apk.resolve({"libpq": "1"})
    assert capsys.readouterr().out == APK_FAILURE


def test_a_failure_without_a_word_is_told_too(apt: Apt, program: Program) -> None:
    program("apt-get", {"update": ""}, status=1)
    with pytest.raises(ManagerError, match=r"^apt-get failed\. .* no message$"):
        apt.update()


@pytest.mark.parametrize("content", ["certificate", ""])
def test_a_private_authority_is_trusted_where_one_is_named(
    apt: Apt, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    """A build mounts an empty file where no authority is named."""
    certificates = tmp_path / "ca.pem"
    certificates.write_text(content)
    monkeypatch.setattr(package_managers, "CERTIFICATES", certificates)
    calls = program("apt-get", {"update": ""})
    apt.update()
    option = f"-o=Acquire::https::CAInfo={certificates}"
    assert (option in calls.read_text()) is bool(content)


MIRROR = "https://joe:p%40s@mirror.example:8443/all/"
# Of other makers, who have packages for Debian.
OTHERS = """\
deb https://other.example.org/linux/debian x main
deb [arch=amd64] https://packages.example.org/debian/12/prod bookworm main
"""
DEBIAN = """\
# Ours.
Types: deb
URIs: http://deb.example.org/debian https://old.example.org/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: http://security.example.org/debian-security
Suites: trixie-security
Components: main
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root file system with sources of Debian, of Alpine and of somebody else."""
    root = tmp_path / "root"
    files = {
        "etc/apt/sources.list": "deb [arch=amd64] http://a.example.org/ubuntu noble main\n",
        "etc/apt/sources.list.d/debian.sources": DEBIAN,
        "etc/apt/sources.list.d/other.list": OTHERS,
        "etc/apk/repositories": "https://a.example.org/alpine/v3.23/main\n#http://b/alpine/x\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of settings that a build has."""
    file = tmp_path / "pip.env"
    monkeypatch.setattr(package_managers, "SETTINGS", file)
    monkeypatch.setattr(package_managers, "SOURCES", tmp_path / "sources")
    return file


def test_without_a_mirror_the_sources_are_those_of_the_image(
    apt: Apt, root: Path, secret: Path
) -> None:
    assert apt.sources("APT_MIRROR", root) is None
    secret.write_text(f"APK_MIRROR={MIRROR}\nXAPT_MIRROR=x\nAPT_MIRROR=\n")
    assert apt.sources("APT_MIRROR", root) is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"], ids=ascii)
def test_a_mirror_takes_the_place_of_the_servers_of_the_distribution(
    apt: Apt, root: Path, secret: Path, ending: str
) -> None:
    secret.write_bytes(f"PIP_INDEX_URL=x\nAPT_MIRROR={MIRROR}{ending}".encode())
    folder = apt.sources("APT_MIRROR", root)
    assert folder is not None
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    address = MIRROR.rstrip("/")
    assert texts == {
        "sources.list": f"deb [arch=amd64] {address}/ubuntu noble main\n",
        "debian.sources": DEBIAN.replace("http://deb.example.org", address)
        .replace("https://old.example.org", address)
        .replace("http://security.example.org", address),
        "other.list": OTHERS,
    }
    assert apt.sources("APT_MIRROR", root) == folder
    assert (root / "etc/apt/sources.list.d/debian.sources").read_text() == DEBIAN


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("2026-11-02", "20261102T235959Z"),
        ("20261102T120000Z", "20261102T120000Z"),
        ("", r"20\d{6}T\d{6}Z"),
        ("yesterday", r"20\d{6}T\d{6}Z"),
        ("2026-99-99", r"20\d{6}T\d{6}Z"),
    ],
)
def test_a_mirror_may_have_places_for_the_archive_and_for_a_date(
    request: pytest.FixtureRequest, root: Path, program: Program, date: str, moment: str
) -> None:
    """An old lock gets the packages of its day, whose list has expired since."""
    request.getfixturevalue("apt")
    secret = request.getfixturevalue("secret")
    secret.write_text("APT_MIRROR=http://old.example/archive/{archive}/{date}/\n")
    apt = Apt(date)
    folder = apt.sources("APT_MIRROR", root)
    assert folder is not None
    text = (folder / "debian.sources").read_text()
    assert re.search(rf"^URIs: http://old\.example/archive/debian/{moment}/ ", text, flags=re.M)
    assert re.search(rf"http://old\.example/archive/debian-security/{moment}/", text)
    assert re.fullmatch(moment, str(apt.date()))
    calls = program("apt-get")
    apt.update()
    assert "-o=Acquire::Check-Valid-Until=false" in calls.read_text()


def test_the_lists_of_a_mirror_without_a_date_must_not_have_expired(
    apt: Apt, root: Path, secret: Path, program: Program
) -> None:
    secret.write_text(f"APT_MIRROR={MIRROR}\n")
    apt.sources("APT_MIRROR", root)
    calls = program("apt-get")
    apt.update()
    assert "Check-Valid-Until" not in calls.read_text()


def test_apk_has_a_mirror_of_its_own(apk: Apk, root: Path, secret: Path) -> None:
    secret.write_text("APK_MIRROR=http://mirror.example\n")
    folder = apk.sources("APK_MIRROR", root)
    assert folder is not None
    text = (folder / "repositories").read_text()
    assert text.splitlines()[0] == "http://mirror.example/alpine/v3.23/main"


@pytest.mark.parametrize("address", ["mirror.example", "ftp://mirror.example", "http://a b", "/a"])
def test_a_mirror_that_is_no_address_is_refused(
    apt: Apt, root: Path, secret: Path, address: str
) -> None:
    secret.write_text(f"APT_MIRROR={address}\n")
    with pytest.raises(ManagerError, match=r"^APT_MIRROR is '.+'\. Write the address of a server"):
        apt.sources("APT_MIRROR", root)


def test_a_mirror_of_nothing_is_refused(apt: Apt, root: Path, secret: Path) -> None:
    secret.write_text(f"APT_MIRROR={MIRROR}\n")
    for path in (root / "etc/apt").rglob("*.*"):
        if path.is_file():
            path.write_text(OTHERS)
    with pytest.raises(ManagerError, match=r"names none\. Correct its sources, or remove APT_MIR"):
        apt.sources("APT_MIRROR", root)


def test_every_call_of_apt_and_of_apk_has_the_mirror(
    apt: Apt, apk: Apk, program: Program, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret.write_text("APT_MIRROR=http://a.example\nAPK_MIRROR=http://b.example\n")
    for manager, name in ((apt, "apt-get"), (apk, "apk")):
        calls = program(name)
        monkeypatch.setattr(manager, "sources", lambda mirror: Path("/folder", mirror))
        manager.update()
        assert {"apt-get": "/folder/APT_MIRROR", "apk": "/folder/APK_MIRROR/repositories"}[
            name
        ] in calls.read_text()
