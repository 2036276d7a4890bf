"""docker/image/assemble_test.py gathers what tests need beyond production, and nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import assemble_test
import file_tree
import pytest
from project_settings import SettingError


@pytest.fixture
def tree(tmp_path: Path) -> file_tree.Tree:
    return file_tree.Tree(tmp_path / "root")


def test_a_program_has_all_its_paths(
    tree: file_tree.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell is asked for as /bin/sh, which is a link in most systems."""
    folders = [tmp_path / "usr/bin", tmp_path / "bin"]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[0] / "dash").write_text("shell")
    (folders[0] / "sh").symlink_to("dash")
    (folders[1] / "sh").symlink_to("../usr/bin/dash")
    monkeypatch.setattr(assemble_test, "FOLDERS", (*map(str, folders), str(tmp_path / "none")))
    assemble_test.add_program(tree, "sh")
    assert [tree.at(folder / "sh").read_text() for folder in folders] == ["shell", "shell"]
    with pytest.raises(SettingError, match=r"names bash, which .* Declare its package"):
        assemble_test.add_program(tree, "bash")


def test_what_production_has_is_left_out_with_links_and_empty_folders(tmp_path: Path) -> None:
    root, below = tmp_path / "root", tmp_path / "below"
    for folder in (root, below):
        (folder / "usr/lib").mkdir(parents=True)
        (folder / "usr/lib/liba.so.1").write_text("a")
        (folder / "lib").symlink_to("usr/lib")
        # It leads nowhere, and is there.
        (folder / "usr/lib/liba.so").symlink_to("none")
    (root / "usr/share/empty").mkdir(parents=True)
    (root / "usr/lib/libb.so.1").write_text("b")
    assemble_test.leave_out(root, below, tmp_path / "before")
    left = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    assert left == {"usr", "usr/lib", "usr/lib/libb.so.1"}


def test_no_module_of_the_interpreter_comes_in_front_of_that_of_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A declared python3-dev brings all of them, and minimal has some as bytecode alone."""
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/usr/lib/python3.13")
    root, before, below = (tmp_path / name for name in ("root", "before", "below"))
    library = "usr/lib/python3.13"
    for folder, names in (
        (root, ("ctypes/util.py", "turtle.py", "tkinter/__init__.py")),
        (before, ("ctypes/util.py", "turtle.py")),
        (below, ("ctypes/util.pyc",)),
    ):
        for name in names:
            path = folder / library / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assemble_test.leave_out(root, below, before)
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    # What a declared package adds is there.
    assert left == {f"{library}/tkinter/__init__.py"}


def test_packages_of_tests_come_last_and_their_own_hooks_run(
    tree: file_tree.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool like coverage starts in each process by a file of this kind."""
    environment, packages = tmp_path / "venv", tmp_path / "test"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin/python3"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(site))
    monkeypatch.setattr(sys, "prefix", str(environment))
    assemble_test.add_hook(tree, packages)
    for path in tree.at(site).iterdir():
        path.rename(site / path.name)
    there = packages / site.relative_to(environment)
    there.mkdir(parents=True)
    (there / "tool.pth").write_text("import tool\n")
    (there / "tool.py").write_text("print('tool')\n")
    (there / "both.py").write_text("NAME = 'tests'\n")
    (site / "both.py").write_text("NAME = 'production'\n")
    told = subprocess.check_output([python, "-c", "import both; print(both.NAME)"], text=True)
    assert told.split() == ["tool", "production"]


def test_without_declarations_there_is_the_hook_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_dpkg: Callable[..., Path]
) -> None:
    make_dpkg(tmp_path / "system", {})
    for name, content in (("packages.json", {}), ("programs.json", [])):
        (tmp_path / name).write_text(json.dumps(content))
    for name in ("test", "before", "production"):
        (tmp_path / name).mkdir()
    names = ("test", "packages.json", "programs.json", "before", "production", "root")
    monkeypatch.setattr(sys, "argv", ["", *(str(tmp_path / name) for name in names)])
    monkeypatch.setattr(sys, "prefix", "/")
    # Neither libraries of the packages nor a linker to ask: pytest alone has none.
    monkeypatch.setattr("elf.Linker.of_this_system", lambda _: None)
    assemble_test.main()
    files = [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert files == ["packages_of_tests.pth"]
