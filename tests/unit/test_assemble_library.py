"""docker/image/assemble_library.py keeps of the standard library what the minimal runtime has."""

import os
import py_compile
import subprocess
import sys
import sysconfig
from pathlib import Path

import assemble_library
import file_tree
import pytest
import standard_library

EXCLUDE_LIST = Path(assemble_library.__file__).parent.parent / "stdlib-exclude.txt"
EXCLUDE = [x for x in EXCLUDE_LIST.read_text().split("\n") if x and not x.startswith("#")]


@pytest.fixture
def tree(tmp_path: Path) -> file_tree.Tree:
    return file_tree.Tree(tmp_path / "root")


def test_the_list_decides_what_is_left_out_of_the_standard_library(library: Path) -> None:
    kept = {x.relative_to(library).as_posix() for x in standard_library.standard_library(EXCLUDE)}
    assert kept == {"json/__init__.py", "lib-dynload/_ssl.so", "testing.py", "unicodedata.txt"}
    everything = {x.relative_to(library).as_posix() for x in standard_library.standard_library([])}
    assert {"turtle.py", "test/support.py", "lib-dynload/_tkinter.so"} < everything
    # Installed packages and bytecode are no part of it, whatever the list says.
    assert not any("-packages" in name or "__pycache__" in name for name in everything)


def test_what_a_system_package_adds_is_no_part_of_it(library: Path, tmp_path: Path) -> None:
    """It is copied with its package: the library is that of the base image alone."""
    base = tmp_path / "base" / library.relative_to("/")
    (base / "json").mkdir(parents=True)
    for name in ("json/__init__.py", "testing.py"):
        (base / name).touch()
    found = {*standard_library.standard_library(EXCLUDE, tmp_path / "base")}
    assert found == {library / "json/__init__.py", library / "testing.py"}


def test_no_pattern_of_the_list_is_for_everything() -> None:
    for pattern in EXCLUDE:
        assert len(pattern.strip("*/.")) >= 3, pattern


def test_the_same_library_makes_the_same_files(library: Path, tmp_path: Path) -> None:
    """Whenever and in whatever order it was unpacked: an image layer is kept."""
    contents = []
    for order in (1, -1):
        tree = file_tree.Tree(tmp_path / f"root{order}")
        for date, path in enumerate(sorted(library.rglob("*"))[::order], start=1_000_000_000):
            os.utime(path, (date, date))
        assemble_library.add_standard_library(tree, EXCLUDE)
        folder = tree.at(library)
        files = (path for path in folder.rglob("*") if path.is_file())
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_modules_are_bytecode_and_everything_else_stays_as_it_is(
    library: Path, tree: file_tree.Tree
) -> None:
    assemble_library.add_standard_library(tree, EXCLUDE)
    folder = tree.at(library)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "json/__init__.pyc",
        "lib-dynload/_ssl.so",
        "testing.pyc",
        "unicodedata.txt",
    }
    # The second word of a .pyc (PEP 552): by hash, and not to be checked.
    assert (folder / "json/__init__.pyc").read_bytes()[4:8] == b"\x01\0\0\0"


def test_a_module_that_is_a_link_is_bytecode_too(library: Path, tree: file_tree.Tree) -> None:
    """Debian's sitecustomize.py leads to /etc."""
    (library / "sitecustomize.py").symlink_to(library / "testing.py")
    assemble_library.add_standard_library(tree, EXCLUDE)
    assert (tree.at(library) / "sitecustomize.pyc").is_file()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> file_tree.Tree:
    """Return a tree with the standard library of this Python."""
    tree = file_tree.Tree(tmp_path_factory.mktemp("whole") / "root")
    assemble_library.add_standard_library(tree, EXCLUDE)
    return tree


IMPORTS = """
import importlib, sys
sys.path[:] = [{stdlib!r}, {dynload!r}]
for name in sys.argv[1:]:
    module = importlib.import_module(name)
import asyncio, ctypes, email.message, json, zoneinfo
assert json.__file__ == {stdlib!r} + "/json/__init__.pyc", json.__file__
assert json.dumps.__code__.co_filename == {source!r} + "/json/__init__.py"
for name in ("tkinter", "ensurepip", "idlelib", "test.support", "antigravity", "pip"):
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise AssertionError(name)
print("imported")
"""


@pytest.mark.proofs
def test_the_bytecode_is_a_standard_library(whole: file_tree.Tree) -> None:
    """Modules come from it and name their source's place; the pruned ones are gone."""
    source = Path(sysconfig.get_path("stdlib"))
    stdlib = whole.at(source)
    dynload = str(stdlib / "lib-dynload")
    program = IMPORTS.format(stdlib=str(stdlib), dynload=dynload, source=str(source))
    modules = ["csv", "decimal", "http.server", "sqlite3.dbapi2", "unittest.mock", "xml.etree"]
    command = [sys.executable, "-I", "-S", "-c", program, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr


def test_what_is_left_out_stands_in_the_file_that_is_named(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pattern on each line; comments and empty lines are none."""
    file = tmp_path / "exclude.txt"
    file.write_text("# *.py\n\njson/*\nlib-dynload/_t*.so\n")
    monkeypatch.setattr(sys, "argv", ["assemble_library.py", str(file), str(tmp_path / "root")])
    assemble_library.main()
    folder = tmp_path / "root" / library.relative_to("/")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "lib-dynload/_ssl.so",
        "lib2to3/Grammar.txt",
        "test/support.pyc",
        "testing.pyc",
        "turtle.pyc",
        "unicodedata.txt",
    }


def test_a_list_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "stdlib-exclude.txt").write_bytes("für".encode("latin-1"))
    with pytest.raises(standard_library.ListError, match="Save it as UTF-8"):
        standard_library.excluded(tmp_path / "stdlib-exclude.txt")


def test_a_pattern_that_is_longer_than_a_path_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "stdlib-exclude.txt").write_text(f"turtle.py\n{'[' * 5000}\n", encoding="utf-8")
    with pytest.raises(standard_library.ListError, match=r"^Line 2 of stdlib-exclude\.txt"):
        standard_library.excluded(tmp_path / "stdlib-exclude.txt")


def test_a_module_that_cannot_be_compiled_ends_the_build(
    library: Path, tree: file_tree.Tree, capfd: pytest.CaptureFixture[str]
) -> None:
    (library / "json/wrong.py").write_text("def\n")
    with pytest.raises(ChildProcessError):
        assemble_library.add_standard_library(tree, EXCLUDE)
    assert py_compile.PyCompileError.__name__ in capfd.readouterr().err
