"""docker/image/report_system.py derives what ELF files need, and judges what is declared."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import elf
import package_managers
import pytest
import report_system
from installed_packages import Database
from package_managers import ManagerError
from report_system import Finding, Library

MakeElf = Callable[..., Path]
MakeDpkg = Callable[..., Path]
Report = Callable[[], dict[str, Any]]

PACKAGES = {
    "libc6": {},
    "libldap2": {"Depends": "libc6"},
    "libpq5": {"Depends": "libldap2 (>= 2.6), libc6"},
    "libpq-dev": {"Depends": "libpq5 (= 17)", "Section": "libdevel"},
    "libstray1": {},
    "libstray-dev": {"Depends": "libstray1", "Section": "libdevel"},
    "gcc": {"Section": "devel"},
}


@pytest.fixture
def database(make_dpkg: MakeDpkg, tmp_path: Path) -> Database:
    return Database(make_dpkg(tmp_path / "production", PACKAGES))


def library(name: str, package: str | None, *, direct: bool = True) -> Library:
    return Library(name, package, (f"user of {name}",), direct)


LIBPQ = library("libpq.so.5", "libpq5")
LIBLDAP = library("libldap.so.2", "libldap2", direct=False)


def missing(library: Library) -> Finding:
    return Finding("missing", library.package, library.name, library.users)


def judge(database: Database, needed: Iterable[Library], declared: Iterable[str]) -> list[Finding]:
    """Return what is wrong if everything is installed and the base image has the C library."""
    names = dict.fromkeys(declared, False)
    return report_system.judge(needed, names, database, database, ["libc6"])


def test_a_declaration_that_has_what_is_needed_is_right(database: Database) -> None:
    """What a declared package depends on need not be declared."""
    assert judge(database, [LIBPQ, LIBLDAP], ["libpq5"]) == []


def test_nothing_needed_and_nothing_declared_is_right(database: Database) -> None:
    assert judge(database, [], []) == []


def test_a_library_without_a_declared_package_is_missing(database: Database) -> None:
    """One finding for the package, and none for what it brings along."""
    assert judge(database, [LIBLDAP, LIBPQ], []) == [missing(LIBPQ)]


def test_what_is_missing_may_be_known_from_the_place_of_compilation_alone(
    database: Database, make_dpkg: MakeDpkg, tmp_path: Path
) -> None:
    empty = Database(make_dpkg(tmp_path / "empty", {}))
    assert report_system.judge([LIBPQ, LIBLDAP], {}, empty, database) == [missing(LIBPQ)]


def test_two_libraries_of_one_package_are_one_finding(database: Database) -> None:
    other = library("libpqtypes.so.5", "libpq5")
    assert judge(database, [other, LIBPQ], []) == [missing(LIBPQ)]


def test_what_the_environment_itself_needs_is_declared_though_another_package_brings_it(
    database: Database,
) -> None:
    """Otherwise it would be gone as soon as the other does not depend on it any more."""
    needed = [LIBPQ, library("libldap.so.2", "libldap2")]
    assert judge(database, needed, ["libpq5"]) == [missing(needed[1])]


def test_what_a_library_needs_without_saying_so_is_missing(database: Database) -> None:
    stray = library("libstray.so.1", "libstray1", direct=False)
    assert judge(database, [LIBPQ, stray], ["libpq5"]) == [missing(stray)]


@pytest.mark.parametrize("direct", [True, False])
def test_what_the_base_image_has_is_never_missing(database: Database, direct: bool) -> None:
    needed = [library("libc.so.6", "libc6", direct=direct)]
    assert judge(database, needed, []) == []


def test_a_library_of_no_package_is_missing(database: Database) -> None:
    nowhere = library("libnowhere.so.1", None)
    assert judge(database, [nowhere], []) == [missing(nowhere)]


def test_what_nothing_needs_is_unused(database: Database) -> None:
    declared = ["libstray1", "libpq5"]
    assert judge(database, [LIBPQ], declared) == [Finding("unused", "libstray1")]


def test_what_the_base_image_has_is_not_unused(database: Database) -> None:
    there = Library("libstray.so.1", "libstray1", ("a module",), direct=True, in_base=True)
    assert judge(database, [LIBPQ, there], ["libpq5", "libstray1"]) == []


def test_what_is_loaded_by_name_is_not_unused(database: Database) -> None:
    declared = {"libstray1": True, "libldap2": False}
    assert report_system.judge([LIBLDAP], declared, database, database) == []


def test_what_is_for_building_is_not_for_running(database: Database) -> None:
    """It does not stand in for the package that is needed to run, though it brings it."""
    assert judge(database, [LIBPQ], ["gcc", "libpq-dev"]) == [
        missing(LIBPQ),
        Finding("build-only", "gcc"),
        Finding("build-only", "libpq-dev"),
    ]
    assert judge(database, [LIBPQ], ["libpq5", "libpq-dev"]) == [
        Finding("build-only", "libpq-dev"),
    ]
    stray = library("libstray.so.1", "libstray1", direct=False)
    assert judge(database, [LIBPQ, stray], ["libpq5", "libstray-dev"]) == [
        missing(stray),
        Finding("build-only", "libstray-dev"),
    ]


def test_a_compiler_that_the_application_runs_by_name_may_stay(database: Database) -> None:
    assert report_system.judge([], {"gcc": True}, database, database) == []


def test_a_package_for_building_whose_library_is_needed_is_needed(database: Database) -> None:
    assert judge(database, [library("libpq.so", "libpq-dev")], ["libpq-dev"]) == []


def native() -> dict[str, int | str]:
    """Return how an ELF file is made for the processor of this machine."""
    size, machine = elf.interpreter().machine
    return {"bits": {1: 32, 2: 64}[size], "machine": machine}


def test_files_for_other_systems_are_passed_over(tmp_path: Path, make_elf: MakeElf) -> None:
    """A wheel may bring programs for other processors and other C libraries along."""
    own = native()
    linker = elf.interpreter().interpreter
    other = {"bits": 96 - int(own["bits"]), "machine": 8}
    expected = {
        make_elf(tmp_path / "lib/module.so", **own),
        make_elf(tmp_path / "bin/tool", interpreter=linker, **own),
    }
    make_elf(tmp_path / "lib/other.so", **{**own, "machine": 8})
    make_elf(tmp_path / "lib/narrow.so", **other)
    make_elf(tmp_path / "bin/tool-other-libc", interpreter="/lib/ld-other.so.1", **own)
    (tmp_path / "lib/text.py").write_text("x = 1\n")
    assert {file.path for file in report_system.native_files(tmp_path)} == expected


@pytest.fixture
def environment(tmp_path: Path, make_elf: MakeElf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a virtual environment with a module that needs libraries of all kinds.

    The linker searches ``lib``, where liba needs libb, and ``base`` has libbase, too.
    """
    make: dict[str, Any] = native()
    lib = tmp_path / "lib"
    make_elf(lib / "liba.so.1", ["libb.so.1", "libbase.so.1"], **make)
    for name in ("libb.so.1", "libbase.so.1"):
        make_elf(lib / name, **make)
    make_elf(tmp_path / "base" / (lib / "libbase.so.1").relative_to("/"), **make)
    packages = tmp_path / "venv/lib/python3.13/site-packages"
    needed = ["liba.so.1", "libbundled.so.3", "libbase.so.1", "libgone.so.9", "libnowhere.so.0"]
    make_elf(packages / "psycopg_c/_psycopg.so", needed, **make)
    make_elf(packages / "psycopg_c.libs/libbundled.so.3", ["libb.so.1"], **make)
    information = packages / "psycopg_c-3.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: psycopg-c\nVersion: 3.2\n")
    (information / "RECORD").write_text("psycopg_c/_psycopg.so,,\n")
    monkeypatch.setattr(elf.Linker, "of_this_system", lambda bundled=(): elf.Linker([lib], bundled))
    return tmp_path / "venv"


@pytest.fixture
def production(tmp_path: Path, make_dpkg: MakeDpkg) -> Database:
    """Return the packages of production, which have the libraries in ``lib``."""
    lib = tmp_path / "lib"
    files = {"liba1": [lib / "liba.so.1"], "libb1": [lib / "libb.so.1"]}
    packages = {"liba1": {"Depends": "libb1"}, "libb1": {}, "libextra1": {}}
    return Database(make_dpkg(tmp_path / "production", packages, files))


def test_libraries_come_with_their_packages_and_those_who_need_them(
    environment: Path, production: Database, tmp_path: Path
) -> None:
    """What wheels bundle is not among them, and what the base image has is marked."""
    search = {"libgone.so.9": "libgone9"}.get
    found = report_system.libraries(environment, tmp_path / "base", production, search)
    by_name = {library.name: library for library in found}
    module = "psycopg-c (_psycopg.so)"
    bundle = environment / "lib/python3.13/site-packages/psycopg_c.libs"
    assert by_name == {
        "liba.so.1": Library("liba.so.1", "liba1", (module,), True),
        "libb.so.1": Library(
            # A file of no distribution is named by its folder.
            *("libb.so.1", "libb1", ("liba1 (liba.so.1)", f"{bundle} (libbundled.so.3)"), True)
        ),
        "libbase.so.1": Library(
            "libbase.so.1", None, ("liba1 (liba.so.1)", module), direct=True, in_base=True
        ),
        "libgone.so.9": Library("libgone.so.9", "libgone9", (module,), True),
        "libnowhere.so.0": Library("libnowhere.so.0", None, (module,), True),
    }


def test_what_only_a_library_needs_is_not_direct(
    environment: Path, production: Database, tmp_path: Path
) -> None:
    (environment / "lib/python3.13/site-packages/psycopg_c.libs/libbundled.so.3").unlink()
    found = report_system.libraries(environment, tmp_path / "base", production, lambda _: None)
    [library] = [library for library in found if library.name == "libb.so.1"]
    assert not library.direct


DECLARATION = {
    "key": "debian13",
    "title": "tool.sys.debian13",
    "ignored": ["libnowhere.so.0"],
    "run": {"liba1": False, "libextra1": False},
}


@pytest.fixture
def report(
    environment: Path,
    production: Database,
    tmp_path: Path,
    make_dpkg: MakeDpkg,
    monkeypatch: pytest.MonkeyPatch,
) -> Report:
    """Return a function that runs the program; libgone was there when it was compiled."""
    build = {"libgone9": ["/usr/lib/libgone.so.9"], "libgone-dev": ["/usr/lib/libgone.so"]}
    build["libnamed1"] = ["/usr/lib/libnamed.so.1"]
    make_dpkg(tmp_path / "build", {name: {} for name in build}, build)
    declaration, output = tmp_path / "declaration.json", tmp_path / "report.json"
    declaration.write_text(json.dumps(DECLARATION))
    main = tmp_path / "main.json"
    main.write_text(json.dumps({"packages": []}))
    names = [environment, declaration, main, tmp_path / "base", tmp_path / "build", output]
    monkeypatch.setattr(sys, "argv", ["report_system.py", *map(str, names)])
    monkeypatch.setattr(
        report_system, "Database", lambda root=None: Database(root) if root else production
    )

    def report() -> dict[str, Any]:
        report_system.main()
        content: dict[str, Any] = json.loads(output.read_text())
        return content

    return report


def no_archive() -> None:
    raise AssertionError("the archive was asked")


def test_a_report_has_the_findings_and_every_library(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is ignored nor what was there at compilation is looked for in the archive."""
    monkeypatch.setattr(package_managers, "of_this_image", no_archive)
    content = report()
    assert (content["key"], content["title"]) == ("debian13", "tool.sys.debian13")
    assert content["declared"] == 2
    assert {library["name"] for library in content["libraries"]} == {
        *("liba.so.1", "libb.so.1", "libgone.so.9")
    }
    found = [(x["kind"], x["package"], x["library"]) for x in content["findings"]]
    assert found == [
        ("missing", "libb1", "libb.so.1"),
        ("missing", "libgone9", "libgone.so.9"),
        ("unused", "libextra1", None),
    ]
    assert report() == content


def test_libraries_that_modules_load_by_name_are_hints_unless_production_has_them(
    report: Report, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """liba is there, libgone is a finding, libnamed was there at compilation; each is said once."""
    monkeypatch.setattr(package_managers, "of_this_image", no_archive)
    folder = environment / "lib/python3.13/site-packages"
    names = ("a", "gone", "named", "named", "unknown")
    calls = "".join(f"find_library({name!r})\n" for name in names)
    (folder / "loads.py").write_text(calls)
    (folder / "stray.py").write_text("find_library('stray')\n")
    info = next(folder.glob("*.dist-info"))
    with (info / "RECORD").open("a") as record:
        record.write("loads.py,,\n")
    assert report()["hints"] == [
        {"library": "libnamed", "package": "libnamed1", "user": "psycopg-c (loads.py, line 3)"},
        {"library": "libunknown", "package": None, "user": "psycopg-c (loads.py, line 5)"},
    ]


def test_a_package_that_has_lost_its_compiled_modules_is_in_the_report(
    report: Report, environment: Path, tmp_path: Path
) -> None:
    folder = environment / "lib/python3.13/site-packages/pure-3.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Pure\nVersion: 3.2\n")
    (folder / "RECORD").write_text("pure/__init__.py,,\n")
    tags = "cp313-cp313-manylinux_2_17_x86_64"
    names = {"psycopg-c": "psycopg_c", "pure": "pure"}
    packages = [{"name": x, "files": [f"{y}-3.2-{tags}.whl"]} for x, y in names.items()]
    (tmp_path / "main.json").write_text(json.dumps({"packages": packages}))
    assert report()["uncompiled"] == ["pure 3.2"]


def test_a_library_that_is_nowhere_is_looked_for_in_the_archive(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "declaration.json").write_text(json.dumps({**DECLARATION, "ignored": []}))
    archive = SimpleNamespace(
        update=lambda: None, owner={"libnowhere.so.0": "libnowhere0"}.__getitem__
    )
    monkeypatch.setattr(package_managers, "of_this_image", lambda: archive)
    packages = {library["name"]: library["package"] for library in report()["libraries"]}
    assert packages["libnowhere.so.0"] == "libnowhere0"


def test_an_archive_that_does_not_answer_ends_it_in_words(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ManagerError("apt-get failed. Fix what it reported: E: none")

    (tmp_path / "declaration.json").write_text(json.dumps({**DECLARATION, "ignored": []}))
    monkeypatch.setattr(package_managers, "of_this_image", lambda: SimpleNamespace(update=fail))
    with pytest.raises(SystemExit) as error:
        report()
    assert error.value.code == "System packages: apt-get failed. Fix what it reported: E: none"
    assert not (tmp_path / "report.json").exists()
