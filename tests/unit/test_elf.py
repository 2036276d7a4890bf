"""docker/image/elf.py reads what the dynamic linker reads, and finds what that finds."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import elf
import pytest

MakeElf = Callable[..., Path]

READELF = shutil.which("readelf")
LDD = shutil.which("ldd")


def real_files() -> list[Path]:
    """Return the running interpreter, its library if it has one, and extension modules."""
    modules = sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
    shared = [library.resolve()] if library.suffix == ".so" and library.exists() else []
    return [Path(sys.executable).resolve(), *shared, *modules[:8]]


def read(path: Path) -> elf.Elf:
    found = elf.read(path)
    assert found is not None
    return found


@pytest.mark.skipif(not READELF, reason="needs readelf to compare with")
@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_real_files_read_as_readelf_reads_them(path: Path) -> None:
    command = [str(READELF), "--wide", "--dynamic", "--program-headers", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = read(path)
    assert list(found.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", text)
    assert list(found.search_path) == (paths[0].split(":") if paths else [])
    interpreter = re.search(r"interpreter: (.*)\]", text)
    assert found.interpreter == (interpreter.group(1) if interpreter else None)


@pytest.mark.skipif(not LDD, reason="needs ldd to compare with")
def test_the_libraries_of_the_interpreter_are_those_that_ldd_names() -> None:
    """Every library that ldd finds is found by name, and is the same file."""
    program = Path(sys.executable).resolve()
    text = subprocess.run([str(LDD), program], capture_output=True, text=True, check=True).stdout
    expected = {
        name: Path(path).resolve() for name, path in re.findall(r"^\s*(\S+) => (/\S+)", text, re.M)
    }
    folders = [folder for path in expected.values() for folder in (path.parent,)]
    linker = elf.Linker(folders)
    for name in read(program).needed:
        found = linker.find(name, read(program))
        assert found is not None
        assert found.resolve() == expected[name]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_names_are_read_from_files_of_any_machine(
    tmp_path: Path, make_elf: MakeElf, bits: int, order: str
) -> None:
    path = make_elf(
        tmp_path / "program",
        ["liba.so.1", "libb.so"],
        interpreter="/lib/ld.so",
        runpath="/opt/lib:$ORIGIN/lib",
        bits=bits,
        order=order,
        machine=183,
    )
    found = read(path)
    assert found.needed == ("liba.so.1", "libb.so")
    assert found.interpreter == "/lib/ld.so"
    assert found.search_path == ("/opt/lib", "$ORIGIN/lib")
    assert found.machine == ({32: 1, 64: 2}[bits], 183)


def test_a_library_may_need_nothing(tmp_path: Path, make_elf: MakeElf) -> None:
    found = read(make_elf(tmp_path / "lib.so"))
    assert (found.needed, found.interpreter, found.search_path) == ((), None, ())


def test_runpath_makes_the_linker_ignore_rpath(tmp_path: Path, make_elf: MakeElf) -> None:
    both = make_elf(tmp_path / "both", rpath="/old", runpath="/new")
    assert read(both).search_path == ("/new",)
    assert read(make_elf(tmp_path / "old", rpath="/old")).search_path == ("/old",)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7f", b"\x7fELF", b"#!/bin/sh\n", b"/* GNU ld script */ GROUP(libc.so.6)", b"MZ" * 99],
)
def test_anything_else_is_no_elf_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert elf.read(path) is None


def test_a_file_that_ends_too_early_is_no_elf_file(tmp_path: Path, make_elf: MakeElf) -> None:
    whole = make_elf(tmp_path / "whole", ["liba.so"], interpreter="/lib/ld.so", runpath="/opt")
    content = whole.read_bytes()
    for length in range(len(content)):
        path = tmp_path / f"{length}.so"
        path.write_bytes(content[:length])
        found = elf.read(path)
        # Without its last, empty entry the dynamic section is complete.
        assert found is None or found.needed == ("liba.so",), length


def test_a_damaged_file_is_no_reason_to_stop(tmp_path: Path, make_elf: MakeElf) -> None:
    content = make_elf(tmp_path / "whole", ["liba.so"], interpreter="/lib/ld.so").read_bytes()
    for position in range(4, len(content)):
        path = tmp_path / f"{position}.so"
        path.write_bytes(content[:position] + b"\xff" + content[position + 1 :])
        elf.read(path)


def test_an_executable_without_a_dynamic_section_needs_nothing(
    tmp_path: Path, make_elf: MakeElf
) -> None:
    content = bytearray(make_elf(tmp_path / "dynamic").read_bytes())
    content[64 + 56] = 6  # the second segment becomes PT_PHDR
    path = tmp_path / "static"
    path.write_bytes(content)
    assert read(path).needed == ()


def test_the_folders_of_the_file_come_before_those_of_the_system(
    tmp_path: Path, make_elf: MakeElf
) -> None:
    own = make_elf(tmp_path / "own/libx.so")
    system = make_elf(tmp_path / "system/libx.so")
    only = make_elf(tmp_path / "system/liby.so")
    user = read(make_elf(tmp_path / "user.so", runpath=str(own.parent)))
    linker = elf.Linker([system.parent])
    assert linker.find("libx.so", user) == own
    assert linker.find("liby.so", user) == only
    assert linker.find("libz.so", user) is None


@pytest.mark.parametrize("word", ["$ORIGIN", "${ORIGIN}"])
def test_origin_is_the_folder_of_the_file_itself(
    tmp_path: Path, make_elf: MakeElf, word: str
) -> None:
    library = make_elf(tmp_path / "package.libs/libx.so")
    module = make_elf(tmp_path / "package/sub/module.so", runpath=f"{word}/../../package.libs")
    (tmp_path / "link").symlink_to(module)
    for user in (module, tmp_path / "link"):
        assert elf.Linker([]).find("libx.so", read(user)) == library


def test_a_library_of_another_machine_is_passed_over(tmp_path: Path, make_elf: MakeElf) -> None:
    for folder, options in (
        ("arm", {"machine": 183}),
        ("narrow", {"bits": 32, "machine": 3}),
        ("right", {}),
    ):
        make_elf(tmp_path / folder / "libx.so", **options)
    (tmp_path / "script").mkdir()
    (tmp_path / "script/libx.so").write_text("GROUP(libx.so.1)")
    user = read(make_elf(tmp_path / "user"))
    linker = elf.Linker(tmp_path / name for name in ("arm", "narrow", "script", "right"))
    assert linker.find("libx.so", user) == tmp_path / "right/libx.so"


def test_a_name_with_a_slash_is_a_path(tmp_path: Path, make_elf: MakeElf) -> None:
    library = make_elf(tmp_path / "libx.so")
    user = read(make_elf(tmp_path / "user"))
    assert elf.Linker([]).find(str(library), user) == library
    assert elf.Linker([tmp_path]).find(str(tmp_path / "none.so"), user) is None


def test_empty_folders_in_a_search_path_are_passed_over(
    tmp_path: Path, make_elf: MakeElf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The linker takes the working folder for them; while an image is built it is nobody's."""
    make_elf(tmp_path / "libx.so")
    monkeypatch.chdir(tmp_path)
    user = read(make_elf(tmp_path / "user", runpath=f":{os.sep}none:"))
    assert elf.Linker([]).find("libx.so", user) is None


@pytest.mark.skipif(not os.path.exists("/etc/ld.so.cache"), reason="needs the cache of glibc")
def test_the_linker_of_this_system_finds_its_c_library() -> None:
    linker = elf.Linker.of_this_system()
    found = linker.find("libc.so.6", elf.interpreter())
    assert found is not None
    assert "glibc-hwcaps" not in str(found)
    assert linker.find("libnone.so.0", elf.interpreter()) is None


def test_the_linker_of_musl_is_the_c_library_too(tmp_path: Path, make_elf: MakeElf) -> None:
    """By every name that one of another system may have; Alpine's own name for it is a file."""
    musl = make_elf(tmp_path / "lib/ld-musl-x86_64.so.1")
    own = make_elf(tmp_path / "lib/libc.musl-x86_64.so.1")
    linker = elf.Linker([tmp_path / "lib"], musl=musl)
    user = read(make_elf(tmp_path / "user"))
    parts = ("c", "dl", "m", "pthread", "rt", "util", "xnet")
    for name in (f"lib{part}.so{version}" for part in parts for version in ("", ".0", ".6")):
        assert linker.find(name, user) == musl
        assert elf.Linker([tmp_path / "lib"]).find(name, user) is None
    assert linker.find(own.name, user) == own
    for name in ("libcrypto.so.3", "libmagic.so.1", "librtmp.so.1", "xlibc.so"):
        assert linker.find(name, user) is None


def test_the_linker_of_a_system_with_musl_needs_no_ldconfig(
    tmp_path: Path, make_elf: MakeElf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alpine's is a script of another kind; the Python that runs tells which linker there is."""
    musl = make_elf(tmp_path / "lib/ld-musl-none.so.1")
    python = make_elf(tmp_path / "python3", ["libc.so"], interpreter=str(musl))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(subprocess, "run", forbidden)
    linker = elf.Linker.of_this_system()
    assert linker.find("libpthread.so.0", read(python)) == musl
    assert linker.find("libnone.so.1", read(python)) is None
    assert elf.closure([elf.interpreter()], linker).found.keys() == {musl}


def forbidden(*arguments: object, **options: object) -> None:
    """Stand for a function that must not be called."""
    raise AssertionError(arguments, options)


def test_needed_libraries_are_followed_to_the_end(tmp_path: Path, make_elf: MakeElf) -> None:
    """Libraries of libraries, circles and the linker are found, each with the files that ask."""
    lib = tmp_path / "lib"
    loader = make_elf(lib / "ld.so")
    make_elf(lib / "liba.so", ["libb.so"])
    make_elf(lib / "libb.so", ["libc.so", "liba.so"])
    make_elf(lib / "libc.so", ["libmissing.so"])
    make_elf(lib / "libunused.so")
    program = read(make_elf(tmp_path / "program", ["liba.so"], interpreter=str(loader)))
    needed = elf.closure([program], elf.Linker([lib]))
    a, b, c = (lib / f"lib{name}.so" for name in "abc")
    assert {path: [user.path for user in users] for path, users in needed.found.items()} == {
        loader: [program.path],
        a: [program.path, b],
        b: [a],
        c: [b],
    }
    assert {name: [x.path for x in users] for name, users in needed.missing.items()} == {
        "libmissing.so": [c]
    }


def test_only_elf_files_are_looked_into(tmp_path: Path, make_elf: MakeElf) -> None:
    module = make_elf(tmp_path / "package/module.so")
    (tmp_path / "package/text.py").write_text("x = 1\n")
    (tmp_path / "package/empty").touch()
    (tmp_path / "link.so").symlink_to(module)
    assert [found.path for found in elf.files([tmp_path])] == [module]


@pytest.mark.parametrize("name", ["", ".", "/", "x" * 300, "/" + "x" * 300])
def test_a_name_that_no_library_has_is_missing(
    tmp_path: Path, make_elf: MakeElf, name: str
) -> None:
    user = read(make_elf(tmp_path / "user.so", [name]))
    closure = elf.closure([user], elf.Linker([tmp_path]))
    assert (dict(closure.found), [*closure.missing]) == ({}, [name])


@pytest.mark.timeout(10)
def test_a_section_that_is_named_many_times_is_read_once(tmp_path: Path, make_elf: MakeElf) -> None:
    path = make_elf(tmp_path / "many.so", ["libc.so.6"])
    content = bytearray(path.read_bytes() + bytes(1 << 20))
    # The size of a header is 0, so that each of 65535 is the first one: a dynamic section.
    content[32:40] = (64 + 56).to_bytes(8, "little")
    content[54:58] = b"\0\0\xff\xff"
    content[64 + 56 + 32 : 64 + 56 + 40] = len(content).to_bytes(8, "little")
    path.write_bytes(content)
    assert elf.read(path) is None
