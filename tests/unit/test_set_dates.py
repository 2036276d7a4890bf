"""docker/image/set_dates.py gives files one date, and leaves no mark of what a layer removes."""

import os
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import set_dates

EPOCH = 315532800


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return a root file system, as a layer below has it."""
    root = tmp_path / "before"
    for name in ("bin/pip", "bin/sh", "lib/ensurepip/__init__.py", "lib/os.py", "etc/passwd"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "lib/heavy.so").write_bytes(bytes(set_dates.MOST + 1))
    return root


@pytest.fixture
def root(tmp_path: Path, before: Path) -> Path:
    """Return a root file system that is the same, with the same dates."""
    os.system(f"cp -a '{before}' '{tmp_path / 'root'}'")
    return tmp_path / "root"


def test_all_dates_are_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    set_dates.set_dates(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert path.lstat().st_mtime == EPOCH, path


def test_only_what_is_changed_gets_the_date(before: Path, root: Path) -> None:
    """Of anything else, a layer would have a copy."""
    old = (root / "lib/os.py").stat()
    (root / "etc/passwd").write_text("other")
    (root / "etc/link").symlink_to("passwd")
    set_dates.set_dates_of_changes(before, root)
    dates = {path.relative_to(root).as_posix(): path.lstat().st_mtime for path in root.rglob("*")}
    dated = {name for name, date in dates.items() if date == EPOCH}
    assert dated == {"etc", "etc/link", "etc/passwd"}
    now = (root / "lib/os.py").stat()
    assert (now.st_mtime_ns, now.st_ctime_ns) == (old.st_mtime_ns, old.st_ctime_ns)


def test_a_small_folder_that_has_lost_something_is_a_new_one(before: Path, root: Path) -> None:
    (root / "bin/pip").unlink()
    (root / "bin/sh").chmod(0o750)
    old = (root / "bin").stat().st_ino
    set_dates.renew(before, root)
    assert (root / "bin").stat().st_ino != old
    assert {path.name for path in (root / "bin").iterdir()} == {"sh"}
    assert (root / "bin/sh").stat().st_mode & 0o777 == 0o750
    assert {path.name for path in root.iterdir()} == {"bin", "etc", "lib"}


def test_of_a_large_one_nothing_is_copied_and_a_folder_that_is_gone_is_empty(
    before: Path, root: Path
) -> None:
    os.system(f"rm -r '{root / 'lib/ensurepip'}'")
    old = (root / "lib").stat().st_ino
    set_dates.renew(before, root)
    assert (root / "lib").stat().st_ino == old
    assert not [*(root / "lib/ensurepip").iterdir()]


def test_among_the_modules_of_python_it_is_nothing_that_can_be_imported(
    before: Path, root: Path
) -> None:
    """An empty folder would be a namespace package (PEP 420)."""
    for folder in (before, root):
        (folder / "lib").rename(folder / "python3.13")
    os.system(f"rm -r '{root / 'python3.13/ensurepip'}'")
    set_dates.renew(before, root)
    assert (root / "python3.13/ensurepip").is_file()
    assert PathFinder.find_spec("ensurepip", [str(root / "python3.13")]) is None


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_a_distribution_that_is_gone_is_not_an_empty_one(
    before: Path, root: Path, packages: str
) -> None:
    """It would be a distribution without a name (importlib.metadata)."""
    for folder in (before, root):
        (folder / packages / "pip-1.dist-info").mkdir(parents=True)
        (folder / packages / "heavy.so").write_bytes(bytes(set_dates.MOST + 1))
    (root / packages / "pip-1.dist-info").rmdir()
    set_dates.renew(before, root)
    assert {path.name for path in (root / packages).iterdir()} == {"heavy.so"}


def test_a_folder_with_a_mount_in_it_stays_and_nothing_there_is_dated(
    before: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines mount files in /etc, which nothing can rename, and builds what nobody may write."""
    (before / "etc/gone").touch()
    (root / "etc/mounted").mkdir()
    (root / "etc/mounted/file").touch()
    monkeypatch.setattr(set_dates, "MOUNTS", {root / "etc/mounted"})
    old = (root / "etc").stat().st_ino
    set_dates.renew(before, root)
    set_dates.set_dates_of_changes(before, root)
    assert (root / "etc").stat().st_ino == old
    for path in (root / "etc/mounted", root / "etc/mounted/file"):
        assert path.stat().st_mtime != EPOCH


def test_mounts_are_known() -> None:
    assert Path("/proc") in set_dates.MOUNTS


def test_nothing_that_is_gone_changes_nothing(before: Path, root: Path) -> None:
    old = {path: path.lstat().st_ctime_ns for path in root.rglob("*")}
    set_dates.renew(before, root)
    set_dates.set_dates_of_changes(before, root)
    assert {path: path.lstat().st_ctime_ns for path in root.rglob("*")} == old
