"""docker/image/assemble_minimal.py copies what a Python needs, as it was, and nothing else."""

import json
import os
import re
import shutil
import ssl
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import assemble_minimal
import file_tree
import installation
import installed_packages
import pytest
import standard_library
from installed_packages import Database

Assemble = Callable[..., Path]
MakeDpkg = Callable[..., Path]
MakeElf = Callable[..., Path]
EXCLUDE_LIST = Path(assemble_minimal.__file__).parent.parent / "stdlib-exclude.txt"
EXCLUDE = standard_library.excluded(EXCLUDE_LIST)


@pytest.fixture
def tree(tmp_path: Path) -> file_tree.Tree:
    return file_tree.Tree(tmp_path / "root")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder to copy from."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def test_a_file_keeps_its_content_mode_and_time(tree: file_tree.Tree, source: Path) -> None:
    file = source / "program"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o751)
    os.utime(file, (7, 7))
    tree.add(file)
    copied = tree.at(file)
    assert copied.read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o751
    assert copied.stat().st_mtime == 7
    assert tree.copied == {file}


def test_folders_keep_their_modes(tree: file_tree.Tree, source: Path) -> None:
    file = source / "open/closed/file"
    file.parent.mkdir(parents=True)
    file.touch()
    (source / "open").chmod(0o1777)
    (source / "open/closed").chmod(0o710)
    tree.add(file)
    assert stat.S_IMODE(tree.at(source / "open").stat().st_mode) == 0o1777
    assert stat.S_IMODE(tree.at(source / "open/closed").stat().st_mode) == 0o710


def test_every_link_of_a_chain_is_kept(tree: file_tree.Tree, source: Path) -> None:
    """libx.so -> libx.so.1 -> libx.so.1.2 stays two links and a file."""
    (source / "libx.so.1.2").write_text("library")
    (source / "libx.so.1").symlink_to("libx.so.1.2")
    (source / "libx.so").symlink_to(source / "libx.so.1")
    tree.add(source / "libx.so")
    assert tree.at(source / "libx.so").readlink() == source / "libx.so.1"
    assert tree.at(source / "libx.so.1").readlink() == Path("libx.so.1.2")
    assert not tree.at(source / "libx.so.1.2").is_symlink()
    assert tree.at(source / "libx.so.1.2").read_text() == "library"
    assert tree.copied == {source / name for name in ("libx.so", "libx.so.1", "libx.so.1.2")}


def test_a_folder_that_is_a_link_stays_one(tree: file_tree.Tree, source: Path) -> None:
    """On a system with a merged /usr, /lib is a link, and /lib/x.so is a file below /usr."""
    (source / "usr/lib").mkdir(parents=True)
    (source / "usr/lib/x.so").write_text("library")
    (source / "lib").symlink_to("usr/lib")
    tree.add(source / "lib/x.so")
    assert tree.at(source / "lib").readlink() == Path("usr/lib")
    assert tree.at(source / "usr/lib/x.so").read_text() == "library"
    assert tree.copied == {source / "usr/lib/x.so"}


def test_a_link_with_dots_leads_to_the_same_file(tree: file_tree.Tree, source: Path) -> None:
    (source / "a/b").mkdir(parents=True)
    (source / "target").write_text("here")
    (source / "a/b/link").symlink_to("../../target")
    tree.add(source / "a/b/link")
    assert tree.at(source / "a/b/link").readlink() == Path("../../target")
    assert tree.at(source / "target").read_text() == "here"


def test_a_folder_is_copied_with_all_that_is_in_it(tree: file_tree.Tree, source: Path) -> None:
    (source / "empty").mkdir()
    (source / "folder").mkdir()
    (source / "folder/file").write_text("x")
    (source / "link").symlink_to("folder/file")
    tree.add(source)
    assert tree.at(source / "empty").is_dir()
    assert tree.at(source / "link").is_symlink()
    assert tree.at(source / "folder/file").read_text() == "x"


def test_adding_twice_changes_nothing(tree: file_tree.Tree, source: Path) -> None:
    (source / "file").write_text("first")
    tree.add(source)
    (source / "file").write_text("second")
    tree.add(source)
    assert tree.at(source / "file").read_text() == "first"


def test_a_link_that_leads_nowhere_is_kept_as_it_is(tree: file_tree.Tree, source: Path) -> None:
    (source / "link").symlink_to("nowhere")
    tree.add(source)
    assert tree.at(source / "link").readlink() == Path("nowhere")


def test_a_link_to_its_own_folder_ends(tree: file_tree.Tree, source: Path) -> None:
    """Some systems have /usr/share/zoneinfo/posix -> . ."""
    (source / "file").touch()
    (source / "posix").symlink_to(".")
    tree.add(source)
    assert tree.at(source / "posix").readlink() == Path()


def test_a_generated_file_gets_its_folders(tree: file_tree.Tree) -> None:
    tree.write(Path("/etc/deep/file"), "text\n")
    assert (tree.root / "etc/deep/file").read_text() == "text\n"


def test_the_interpreter_is_what_the_environment_links_to(tmp_path: Path) -> None:
    """The last name outside the environment: links of the system are the tree's to keep."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.13").touch()
    (tmp_path / "usr/bin/python3").symlink_to("python3.13")
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "usr/bin/python3")
    (tmp_path / "venv/bin/python3").symlink_to("python")
    assert assemble_minimal.base_interpreter(tmp_path / "venv") == tmp_path / "usr/bin/python3"


def test_of_the_standard_library_it_copies_what_declared_packages_change(
    library: Path, tmp_path: Path
) -> None:
    """Another version of Python, which one may need, replaces modules of the base image."""
    base = tmp_path / "base"
    shutil.copytree(library, base / library.relative_to("/"))
    (library / "testing.py").write_text("# another version\n")
    (library / "added.py").touch()
    found = {*assemble_minimal.in_own_layer(EXCLUDE, base)}
    names = ("json/__init__.py", "lib-dynload/_ssl.so", "unicodedata.txt")
    assert found == {library / name for name in names}


def test_users_are_few_and_those_of_the_image(tree: file_tree.Tree) -> None:
    assemble_minimal.add_users(tree, Path("/"))
    lines = (tree.root / "etc/passwd").read_text().splitlines()
    assert any(line.startswith("root:") for line in lines)
    assert {line.split(":")[0] for line in lines} <= {"root", "nobody", "app"}
    assert set(lines) <= set(Path("/etc/passwd").read_text().splitlines())


def test_users_that_an_installation_made_are_kept(tree: file_tree.Tree, tmp_path: Path) -> None:
    """The last line of this system's list was not in the base image's."""
    lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("".join(lines[:-1]))
    shutil.copy("/etc/group", tmp_path / "etc/group")
    assemble_minimal.add_users(tree, tmp_path)
    assert lines[-1] in (tree.root / "etc/passwd").read_text().splitlines(keepends=True)


def test_scripts_that_cannot_run_are_named_with_the_package_of_their_interpreter(
    tree: file_tree.Tree,
    source: Path,
    database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A script elsewhere is not run by itself, and Python is in the image."""
    interpreter = source / "usr/lib/libone.so.1"
    for name, line in {
        "bin/one": f"#!{interpreter} -e",
        "bin/two": f"#! /usr/bin/env {interpreter}",
        "bin/three": "\x7fELF",
        "sbin/four": "#!/none/perl",
        "share/five": "#!/none/perl",
        "bin/six": f"#!{source}/there",
    }.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(f"{line}\n")
        tree.add(source / name)
    (source / "there").touch()
    tree.add(source / "there")
    assemble_minimal.report_programs_without_interpreter(tree, database)
    lines = capsys.readouterr().err.splitlines()
    assert f"one, two need {interpreter}, which is not in this image. " in lines[0]
    assert lines[0].endswith("Declare one, too, if the application runs them.")
    assert "two need /usr/bin/env, " in lines[1]
    assert "four need /none/perl, " in lines[2]
    assert "Declare a package that has it" in lines[2]
    assert len(lines) == 3


def test_what_an_installation_made_comes_along_but_for_what_nobody_reads(
    alpine: Path, assemble: Assemble
) -> None:
    made = [alpine / "cache/made", Path(sysconfig.get_path("stdlib"), "os.py")]
    made[0].parent.mkdir()
    made[0].write_text("by a script")
    root = assemble(alpine / "venv", "two", made=made)
    assert (root / made[0].relative_to("/")).read_text() == "by a script"
    assert not (root / made[1].relative_to("/")).exists()


def test_certificates_are_found_where_openssl_looks(
    tree: file_tree.Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = source / "ca-certificates.crt"
    bundle.write_text("certificates")
    default = source / "ssl/cert.pem"
    monkeypatch.setattr(assemble_minimal, "CERTIFICATES", bundle)
    paths = SimpleNamespace(openssl_cafile=str(default))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assemble_minimal.add_certificates(tree)
    assert tree.at(bundle).read_text() == "certificates"
    assert tree.at(default).readlink() == bundle


def test_a_link_to_certificates_that_a_package_brings_is_kept(
    tree: file_tree.Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, default = source / "ca-certificates.crt", source / "ssl/cert.pem"
    default.parent.mkdir()
    bundle.touch()
    default.symlink_to("../ca-certificates.crt")
    tree.add(default)
    monkeypatch.setattr(assemble_minimal, "CERTIFICATES", bundle)
    paths = SimpleNamespace(openssl_cafile=str(default))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assemble_minimal.add_certificates(tree)
    assert tree.at(default).readlink() == Path("../ca-certificates.crt")


def test_a_system_without_certificates_has_none_in_the_image(
    tree: file_tree.Tree, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble_minimal, "CERTIFICATES", source / "none.crt")
    assemble_minimal.add_certificates(tree)
    assert list(tree.root.iterdir()) == []


@pytest.fixture
def database(source: Path, make_dpkg: MakeDpkg, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return a package database that says who owns the files in ``source``, where /usr is merged.

    Debian's lists name the paths as they were before.
    """
    (source / "usr/lib").mkdir(parents=True)
    (source / "lib").symlink_to("usr/lib")
    for name in ("libone.so.1", "libtwo.so", "two.conf"):
        (source / "usr/lib" / name).touch()
    (source / "usr/lib/libone.so").symlink_to("libone.so.1")
    files = {
        "one": ["lib/libone.so.1"],
        "one-dev": ["usr/lib/libone.so"],
        "two:amd64": ["usr/lib/libtwo.so", "usr/lib/two.conf", "usr/lib/gone", "empty"],
        "three": ["usr/lib/libthree.so"],
    }
    (source / "empty").mkdir()
    (source / "empty/of another").touch()
    fields = {"one": {"Description": "first\n .\n long"}, "two": {"Depends": "one (>= 1)"}}
    make_dpkg(
        source,
        {name.split(":")[0]: fields.get(name.split(":")[0], {}) for name in files},
        {name: [source / path for path in ("lib", *paths)] for name, paths in files.items()},
    )
    # The paths are those of this system, and the database is not.
    monkeypatch.setattr(installed_packages, "DPKG", source / "var/lib/dpkg")
    return Database()


def records(tree: file_tree.Tree, database: Database) -> dict[str, str]:
    """Return the records that are added to a tree by the names of their packages."""
    assemble_minimal.add_package_records(tree, database)
    return {path.name: path.read_text() for path in tree.root.rglob("status.d/*")}


def test_the_owner_of_a_copied_file_is_recorded(
    tree: file_tree.Tree, source: Path, database: Database
) -> None:
    tree.add(source / "lib/libone.so.1")
    assert records(tree, database) == {
        "one": "Package: one\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
        "Description: first\n .\n long\n"
    }


def test_a_package_with_an_architecture_in_its_list_is_recorded(
    tree: file_tree.Tree, source: Path, database: Database
) -> None:
    tree.add(source / "usr/lib/libtwo.so")
    assert records(tree, database).keys() == {"two"}


def test_the_owner_of_a_link_that_was_not_copied_is_not_recorded(
    tree: file_tree.Tree, source: Path, database: Database
) -> None:
    """libx.so belongs to libx-dev, and only libx.so.1 of libx1 is in the image."""
    tree.add(source / "usr/lib/libone.so.1")
    assert records(tree, database).keys() == {"one"}


def test_no_package_is_recorded_where_no_file_of_one_is(
    tree: file_tree.Tree, source: Path, database: Database
) -> None:
    tree.add(source / "empty/of another")
    assert records(tree, database) == {}


def test_a_system_without_a_database_has_no_records(tree: file_tree.Tree, source: Path) -> None:
    assemble_minimal.add_package_records(tree, Database(source))
    assert list(tree.root.iterdir()) == []


def test_a_declared_package_comes_whole_with_what_it_depends_on(
    tree: file_tree.Tree, source: Path, database: Database
) -> None:
    """Of a folder only the folder: what else is in it belongs to others."""
    file_tree.add_packages(tree, database, ["two"])
    copied = {
        path.relative_to(tree.at(source)).as_posix()
        for path in tree.root.rglob("*")
        if path.is_relative_to(tree.at(source)) and not path.is_dir()
    }
    assert copied == {"usr/lib/libone.so.1", "usr/lib/libtwo.so", "usr/lib/two.conf"}
    assert tree.at(source / "empty").is_dir()
    assert tree.at(source / "lib").is_symlink()
    assert records(tree, database).keys() == {"one", "two"}


def test_nothing_declared_adds_nothing(tree: file_tree.Tree, database: Database) -> None:
    file_tree.add_packages(tree, database, [])
    assert list(tree.root.iterdir()) == []


def test_what_nobody_reads_of_a_package_is_left_out(
    tree: file_tree.Tree, source: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_tree, "UNREAD", (f"{source}/usr/lib/two.",))
    file_tree.add_packages(tree, database, ["two"])
    assert tree.at(source / "usr/lib/libtwo.so").exists()
    assert not tree.at(source / "usr/lib/two.conf").exists()


@pytest.fixture
def alpine(source: Path, library: Path, make_elf: MakeElf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a small Alpine with a virtual environment; its paths are this system's."""
    lib = source / "lib"
    musl = make_elf(lib / "ld-musl-none.so.1")
    (lib / "libc.musl-none.so.1").symlink_to(musl.name)
    make_elf(lib / "libone.so.1", ["libc.musl-none.so.1"], runpath=str(lib))
    make_elf(lib / "libtwo.so.1", ["libone.so.1", "libc.musl-none.so.1"], runpath=str(lib))
    python = make_elf(
        source / "bin/python3.99", ["libc.musl-none.so.1"], interpreter=str(musl), runpath=str(lib)
    )
    # Made on another system, whose names of the C library are musl's own too.
    make_elf(source / "venv/module.so", ["libone.so.1", "libpthread.so.0"], runpath=str(lib))
    (source / "venv/bin").mkdir()
    (source / "venv/bin/python3").symlink_to(python)
    installed = source / "lib/apk/db/installed"
    installed.parent.mkdir(parents=True)
    folder = str(lib).lstrip("/")
    installed.write_text(
        "\n".join(
            f"P:{name}\nV:1-r0\nA:x86_64\nF:{folder}\n{''.join(f'R:{x}{chr(10)}' for x in files)}"
            for name, files in (
                ("musl", ("ld-musl-none.so.1", "libc.musl-none.so.1")),
                ("one", ("libone.so.1",)),
                ("two", ("libtwo.so.1",)),
                ("two-dev", ("libtwo.so",)),
            )
        )
    )
    monkeypatch.setattr(installed_packages, "DPKG", source / "none")
    monkeypatch.setattr(installed_packages, "APK", installed)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(assemble_minimal, "CERTIFICATES", source / "none.crt")
    monkeypatch.setattr(assemble_minimal, "DATA", ["/etc/os-release"])
    return source


@pytest.fixture
def assemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Assemble:
    """Return a function that runs the program for a list of packages, and returns the root."""

    def assemble(environment: Path, *names: str, made: Sequence[Path] = ()) -> Path:
        packages, root = tmp_path / "packages.json", tmp_path / "assembled"
        packages.write_text(json.dumps({"packages": list(names)}))
        # What an installation makes has tests of its own; here it would be all of this machine.
        monkeypatch.setattr(installation, "made", lambda _: iter(made))
        arguments = [environment, packages, EXCLUDE_LIST, Path("/"), root]
        monkeypatch.setattr(sys, "argv", ["assemble_minimal.py", *map(str, arguments)])
        assemble_minimal.main()
        return root

    return assemble


def recorded(root: Path, source: Path) -> list[str]:
    """Return the packages that the database of apk below ``root`` has."""
    text = (root / (source / "lib/apk/db/installed").relative_to("/")).read_text()
    return re.findall(r"^P:(.+)$", text, flags=re.MULTILINE)


def test_on_musl_the_linker_and_its_names_are_kept_with_what_is_needed(
    alpine: Path, assemble: Assemble
) -> None:
    """And the database of apk has the owners of what is there, and nobody else."""
    root = assemble(alpine / "venv")
    lib = root / (alpine / "lib").relative_to("/")
    assert {path.name for path in lib.iterdir()} == {
        *("apk", "ld-musl-none.so.1", "libc.musl-none.so.1", "libone.so.1")
    }
    assert (lib / "libc.musl-none.so.1").readlink() == Path("ld-musl-none.so.1")
    assert recorded(root, alpine) == ["musl", "one"]


def test_on_musl_a_declared_package_is_kept_and_recorded(alpine: Path, assemble: Assemble) -> None:
    root = assemble(alpine / "venv", "two")
    assert (root / (alpine / "lib/libtwo.so.1").relative_to("/")).exists()
    assert recorded(root, alpine) == ["musl", "one", "two"]


def test_what_is_nowhere_is_reported_and_musls_own_names_are_not(
    alpine: Path,
    assemble: Assemble,
    make_elf: MakeElf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = make_elf(alpine / "venv/other.so", ["libm.so.6", "libtbb.so.12"])
    assemble(alpine / "venv")
    line = f"{module} needs libtbb.so.12, which is not in this image. Run nox -s sys_check, "
    assert capsys.readouterr().err == f"{line}which names its package.\n"


@pytest.mark.parametrize("there", [False, True], ids=["musl", "glibc"])
def test_the_linkers_cache_is_made_where_there_is_a_list_of_folders_for_it(
    alpine: Path, assemble: Assemble, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    if there and not Path("/etc/ld.so.conf").exists():
        pytest.skip("needs a list of folders")
    monkeypatch.setattr(assemble_minimal, "DATA", ["/etc/ld.so.conf"] if there else [])
    root = assemble(alpine / "venv")
    assert commands == ([["/sbin/ldconfig", "-r", str(root)]] if there else [])


@pytest.mark.proofs
@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="needs dpkg to compare with")
def test_real_records_are_those_of_the_owners(tree: file_tree.Tree) -> None:
    path = Path("/etc/debian_version")
    tree.add(path)
    assemble_minimal.add_package_records(tree, Database())
    owner = subprocess.run(
        ["dpkg-query", "--search", str(path)], capture_output=True, text=True, check=True
    ).stdout.split(":")[0]
    found = {record.name for record in (tree.root / installed_packages.DPKG / "status.d").iterdir()}
    assert found == {owner}
    assert tree.at(Path("/usr/share/doc", owner, "copyright")).exists()


def test_a_script_whose_interpreter_no_file_can_be_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "bin/x"
    script.parent.mkdir()
    script.write_bytes(b"#!/bin/s\0h\n")
    tree = file_tree.Tree(tmp_path / "root")
    tree.copied.add(script)
    assemble_minimal.report_programs_without_interpreter(tree, Database(tmp_path))
    assert capsys.readouterr().err == ""
