"""ELF files, package databases, wheels and programs made by hand.

The tests need neither a compiler nor this machine's libraries, packages or package manager.
"""

import base64
import hashlib
import json
import os
import struct
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.unit.images import Engine
from tests.unit.indexes import Index, serving

X86_64, AARCH64, I386 = 62, 183, 3
LOAD, DYNAMIC, INTERP = 1, 2, 3
NULL, NEEDED, STRTAB, RPATH, RUNPATH = 0, 1, 5, 15, 29
# The strings are loaded at another address than where they are in the file, as they mostly are.
BASE = 0x40_0000

MakeElf = Callable[..., Path]
Exports = Callable[[Mapping[str, tuple[str, object]]], list[str]]
MakeDpkg = Callable[..., Path]
MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]
Program = Callable[..., Path]

# It says what is recorded for all of its arguments, else for the first word with a record.
STAND_IN = """#!/bin/sh
echo "$*" >> "$0.calls"
for words in "$*" "$@"; do
    case "$words" in */*) continue ;; esac
    if [ -e "$0.says/$words" ]; then
        cat "$0.says/$words"
        exit "$(cat "$0.status")"
    fi
done
"""


def elf_bytes(
    needed: Sequence[str] = (),
    *,
    interpreter: str | None = None,
    runpath: str | None = None,
    rpath: str | None = None,
    machine: int = X86_64,
    bits: int = 64,
    order: str = "<",
) -> bytes:
    """Return an ELF file (elf(5)): header, program headers, strings, the dynamic section."""
    wide = bits == 64
    header_size, segment_size = (64, 56) if wide else (52, 32)
    texts = [*needed, *filter(None, (interpreter, runpath, rpath))]
    strings, positions = b"\0", dict[str, int]()
    for text in texts:
        positions[text] = len(strings)
        strings += text.encode() + b"\0"
    count = 3 if interpreter else 2
    strings_at = header_size + count * segment_size
    entries = [(NEEDED, positions[name]) for name in needed]
    entries += [(tag, positions[x]) for tag, x in ((RPATH, rpath), (RUNPATH, runpath)) if x]
    entries += [(STRTAB, BASE + strings_at), (NULL, 0)]
    dynamic = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *x) for x in entries)
    dynamic_at = strings_at + len(strings)
    end = dynamic_at + len(dynamic)
    segments = [(LOAD, 0, BASE, end), (DYNAMIC, dynamic_at, BASE + dynamic_at, len(dynamic))]
    if interpreter:
        at = strings_at + positions[interpreter]
        segments.append((INTERP, at, BASE + at, len(interpreter) + 1))
    identity = bytes([0x7F, *b"ELF", 2 if wide else 1, 1 if order == "<" else 2, 1]).ljust(
        16, b"\0"
    )
    header = identity + struct.pack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
        *(3, machine, 1, 0, header_size, 0, 0, header_size, segment_size, count, 0, 0, 0),
    )
    for kind, offset, address, size in segments:
        if wide:
            header += struct.pack(
                order + "IIQQQQQQ", kind, 4, offset, address, address, size, size, 4096
            )
        else:
            header += struct.pack(
                order + "IIIIIIII", kind, offset, address, address, size, size, 4, 4096
            )
    return header + strings + dynamic


@pytest.fixture
def make_elf() -> MakeElf:
    """Return a function that writes an ELF file to a path, and returns the path."""

    def make_elf(path: Path, needed: Sequence[str] = (), **options: str | int | None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(elf_bytes(needed, **options))  # type: ignore[arg-type]
        return path

    return make_elf


@pytest.fixture
def make_dpkg() -> MakeDpkg:
    """Return a function that writes a database of dpkg (deb-control(5)) below a root.

    In: the fields of each package by its name, and the paths of each.
    """

    def make_dpkg(
        root: Path,
        packages: Mapping[str, Mapping[str, str]],
        files: Mapping[str, Sequence[str | Path]] | None = None,
    ) -> Path:
        folder = root / "var/lib/dpkg"
        (folder / "info").mkdir(parents=True)
        stanzas = []
        for name, own in packages.items():
            fields = {
                "Package": name,
                "Status": "install ok installed",
                "Version": "1",
                "Architecture": "amd64",
                **own,
            }
            stanzas.append("".join(f"{field}: {value}\n" for field, value in fields.items()))
        (folder / "status").write_text("\n".join(stanzas))
        for name, paths in (files or {}).items():
            lines = "".join(f"{path}\n" for path in ("/.", *paths))
            (folder / "info" / f"{name}.list").write_text(lines)
        return root

    return make_dpkg


def record_line(name: str, content: bytes) -> str:
    """Return a file's line in the RECORD of a wheel."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


@pytest.fixture
def make_wheel() -> MakeWheel:
    """Return a function that writes a wheel into a folder, and returns its path.

    In: name, version and tag, and the text of the files in it.
    """

    def make_wheel(
        folder: Path,
        name: str,
        version: str = "1.0",
        tag: str = "py3-none-any",
        files: Mapping[str, str] | None = None,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{name.replace('-', '_')}-{version}"
        texts = {
            **(files or {f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n"}),
            f"{stem}.dist-info/METADATA": (
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            ),
            f"{stem}.dist-info/WHEEL": (f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"),
        }
        record = f"{stem}.dist-info/RECORD"
        lines = [record_line(path, text.encode()) for path, text in texts.items()]
        path = folder / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for inner, text in {**texts, record: "".join([*lines, f"{record},,\n"])}.items():
                wheel.writestr(inner, text)
        return path

    return make_wheel


@pytest.fixture
def make_house() -> MakeHouse:
    """Return a function that writes the manifest of a wheelhouse's folder, and returns the folder.

    In: the folder, the wheels in it, and what the manifest says of all of them.
    """

    def make_house(folder: Path, wheels: Iterable[Path], **entry: object) -> Path:
        told = {"origin": "index", "seconds": 0.5, "new": True, **entry}
        manifest = {
            path.name: {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size": path.stat().st_size,
                **told,
            }
            for path in wheels
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make_house


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a function that puts a program first on PATH which says what is recorded of one.

    In: its name, what it prints for which of its arguments, and with which status it ends. The
    function returns the file with the arguments of all calls.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def program(name: str, says: Mapping[str, str] | None = None, status: int = 0) -> Path:
        path = folder / name
        path.write_text(STAND_IN)
        path.chmod(0o755)
        (folder / f"{name}.status").write_text(str(status))
        (folder / f"{name}.says").mkdir(exist_ok=True)
        for words, text in (says or {}).items():
            (folder / f"{name}.says" / words).write_text(text)
        calls = folder / f"{name}.calls"
        calls.touch()
        return calls

    return program


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> Exports:
    """Return a function after which sessions' programs build nothing and yet get files of stages.

    In: for each stage the name of a file, and what is in it as JSON. The function returns the list
    that stages are added to when they are built.
    """

    def exports(files: Mapping[str, tuple[str, object]]) -> list[str]:
        built: list[str] = []

        def export(stage: str, folder: str, *_: str, platform: str = "") -> None:
            built.append(stage)
            name, content = files[stage]
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))

        monkeypatch.setattr("engine.export", export)
        for name in ("locked", "wanted"):
            monkeypatch.setattr(f"platforms.{name}", lambda: [""])
        monkeypatch.setattr("settings.apply", lambda: None)
        return built

    return exports


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return a mock of an engine, which programs find on their PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Engine(folder)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Return an index that answers on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as index:
        yield index


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small standard library."""
    folder = tmp_path / "usr/lib/python3.99"
    for name in (
        "json/__init__.py",
        "json/tests/test_json.py",
        "json/__pycache__/__init__.cpython-399.pyc",
        "lib-dynload/_ssl.so",
        "lib-dynload/_testcapi.so",
        "lib-dynload/_tkinter.so",
        "site-packages/pip/__init__.py",
        "dist-packages/apt.py",
        "test/support.py",
        "testing.py",
        "turtle.py",
        "lib2to3/Grammar.txt",
        "unicodedata.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# x\n")
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(folder)}.__getitem__)
    return folder
