"""docker/image/compile_bytecode.py: the same sources have the same bytecode, on every machine."""

import compileall
import importlib.util
import os
from pathlib import Path

import compile_bytecode
import pytest

SOURCES = {
    "a/__init__.py": "names = {'one', 'two', 'three'}\n",
    "a/module.py": "import os\n\n\ndef find(checkcache: str) -> str:\n    return os.sep + 'one'\n",
    "a/tests/wrong.py": "def\n",
    "b/escape.py": "pattern = '\\d'\n",
    "b/null.py": "x = '\0'\n",
    "Grüezi mitenand/ä.py": "checkcache = 'checkcache'\n",
    "single.py": "one = 1\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with sources, some of which cannot be compiled."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def bytecode(tree: Path) -> dict[str, bytes]:
    """Compile, and return the content of each file that this makes."""
    compile_bytecode.compile_tree(tree)
    found = {}
    for path in tree.rglob("*.pyc"):
        found[path.relative_to(tree).as_posix()] = path.read_bytes()
        path.unlink()
    return found


def test_the_number_of_processors_does_not_matter(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = []
    for number in (1, 2, 64, None):
        monkeypatch.setattr(os, "cpu_count", lambda number=number: number)
        found.append(bytecode(tree))
    assert found[0]
    assert all(other == found[0] for other in found)
    # What is wrong with a package's own files is none of a build's concern.
    assert capfd.readouterr() == ("", "")


def test_all_is_compiled_that_can_be_and_valid_whatever_its_date(tree: Path) -> None:
    found = bytecode(tree)
    good = {"__init__", "module", "escape", "ä", "single"}
    assert {Path(name).name.split(".")[0] for name in found} == good
    for content in found.values():
        # Header and flags of PEP 552: by hash, and not to be checked.
        assert content[:4] == importlib.util.MAGIC_NUMBER
        assert content[4:8] == b"\1\0\0\0"


def test_each_folder_has_a_process_of_its_own(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another folder left in memory shows in bytecode."""

    def compile_dir(folder: str, **_: object) -> None:
        Path(folder, "process").write_text(str(os.getpid()))

    monkeypatch.setattr(compileall, "compile_dir", compile_dir)
    compile_bytecode.compile_tree(tree)
    processes = [path.read_text() for path in tree.rglob("process")]
    assert len(processes) == len({*processes}) == 5
    assert str(os.getpid()) not in processes


def test_a_folder_that_ends_its_process_ends_nothing_else(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_dir(folder: str, **_: object) -> None:
        if folder.endswith("/a"):
            raise MemoryError
        Path(folder, "done").touch()

    monkeypatch.setattr(compileall, "compile_dir", compile_dir)
    compile_bytecode.compile_tree(tree)
    assert len([*tree.rglob("done")]) == 4
