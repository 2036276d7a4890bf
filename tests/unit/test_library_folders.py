"""docker/image/library_folders.py finds libraries as the linker names them, and runs nothing."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import extend_ctypes
import library_folders
import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the one folder in which libraries are looked for."""
    monkeypatch.setattr(library_folders, "FOLDERS", (str(tmp_path / "lib*"),))
    monkeypatch.setattr(library_folders, "LISTS", str(tmp_path / "none"))
    monkeypatch.setattr(library_folders, "MUSL", str(tmp_path / "lib/libc.musl-*.so.1"))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    (tmp_path / "lib").mkdir()
    return tmp_path / "lib"


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        (["libpq.so.5", "libpq.so.5.17"], "pq", "libpq.so.5"),
        (["libpq.so", "libpq.so.5"], "pq", "libpq.so.5"),
        (["libpq.so"], "pq", "libpq.so"),
        (["libpqtypes.so.1", "libpq.a"], "pq", None),
        (["libstdc++.so.6"], "stdc++", "libstdc++.so.6"),
        (["libc.musl-x86_64.so.1"], "c", "libc.musl-x86_64.so.1"),
        (["libc.musl-x86_64.so.1"], "pthread", "libc.musl-x86_64.so.1"),
        (["libc.musl-x86_64.so.1"], "z", None),
    ],
)
def test_a_library_is_found_by_its_name(
    folder: Path, files: list[str], name: str, found: str | None
) -> None:
    for file in files:
        (folder / file).touch()
    assert library_folders.find_library(name) == found


def test_folders_are_asked_in_the_linkers_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place, version in (("first", "1"), ("listed", "2"), ("lib", "3")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / f"libx.so.{version}").touch()
    assert library_folders.find_library("x") == "libx.so.3"
    (tmp_path / "x.conf").write_text(f"# ours\n\n{tmp_path}/listed\n{tmp_path}/none\n")
    monkeypatch.setattr(library_folders, "LISTS", str(tmp_path / "*.conf"))
    assert library_folders.find_library("x") == "libx.so.2"
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path}/first")
    assert library_folders.find_library("x") == "libx.so.1"


def test_ctypes_asks_the_folders_when_programs_find_nothing(tmp_path: Path) -> None:
    """With no program on the path; extended twice, it is what it was after once."""
    package = tmp_path / "ctypes"
    shutil.copytree(Path(ctypes.__file__).parent, package)
    extend_ctypes.extend(package / "util.py")
    once = (package / "util.py").read_bytes()
    extend_ctypes.extend(package / "util.py")
    assert (package / "util.py").read_bytes() == once
    (package / "_folders.py").write_text("def find_library(name):\n    return f'found {name}'\n")
    # Never checked against the source, which is another one now.
    shutil.rmtree(package / "__pycache__")
    program = "import ctypes.util; print(ctypes.util.find_library('none'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.devnull, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "found none\n"
