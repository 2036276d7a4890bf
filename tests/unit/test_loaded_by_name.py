"""docker/image/loaded_by_name.py finds libraries that a module loads by a name in its source."""

from pathlib import Path

import loaded_by_name
import pytest


def loaded(folder: Path, source: str) -> list[tuple[str, int]]:
    module = folder / "module.py"
    module.write_text(source, encoding="utf-8")
    return list(loaded_by_name.libraries(module))


@pytest.mark.parametrize(
    ("call", "library"),
    [
        ("ctypes.util.find_library('pq')", "libpq"),
        ("find_library('zbar')", "libzbar"),
        ("ctypes.CDLL('libmagic.so.1')", "libmagic"),
        ("CDLL('libpango-1.0.so.0')", "libpango"),
        ("ffi.dlopen('libgobject-2.0-0')", "libgobject"),
        ("ctypes.cdll.LoadLibrary('libc.so.6')", "libc"),
        ("find_library('stdc++')", "libstdc++"),
        ("_dlopen(ffi, 'libgobject-2.0-0', 'gobject-2.0')", "libgobject"),
    ],
)
def test_each_way_to_load_a_library_is_known(tmp_path: Path, call: str, library: str) -> None:
    assert loaded(tmp_path, f"import ctypes\n\nx = {call}\n") == [(library, 3)]


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("libpango-1.0.so.0", True),
        ("libpango.so", True),
        ("libpangoft2-1.0.so.0", False),
        ("libpango.a", False),
    ],
)
def test_a_library_is_known_by_the_names_of_its_files(file: str, fits: bool) -> None:
    assert loaded_by_name.fits("libpango", file) == fits


@pytest.mark.parametrize(
    "source",
    [
        "find_library(name)",
        "ctypes.CDLL(None)",
        "ctypes.CDLL('kernel32')",
        "ctypes.CDLL('user32.dll')",
        "find_library('CoreFoundation')",
        "'''ctypes.CDLL('libx.so.1')'''",
        "# find_library('x')",
        "ctypes.CDLL('libx.so.1'",
        "find_library('')",
    ],
)
def test_what_names_nothing_here_is_passed_over(tmp_path: Path, source: str) -> None:
    assert loaded(tmp_path, source) == []


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "source", ["ctypes.CDLL(" + "-" * 100_000 + "1)", f"ctypes.CDLL('a{'1' * 200_000}!')"]
)
def test_what_nobody_wrote_is_passed_over(tmp_path: Path, source: str) -> None:
    assert [name for name, _ in loaded(tmp_path, source) if len(name) < 200] == []
