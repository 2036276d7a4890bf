"""docker/image/installation.py finds what an installation made, beyond the lists of packages."""

import os
import shutil
from pathlib import Path

import installation
import pytest


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Return two root file systems that are alike: before and after."""
    before = tmp_path / "before"
    for name in ("etc/settings", "usr/lib/old.so", "var/lib/dpkg/status", "opt/venv/x", "opt/y"):
        (before / name).parent.mkdir(parents=True, exist_ok=True)
        (before / name).write_text(name)
    (before / "etc/link").symlink_to("settings")
    after = tmp_path / "after"
    shutil.copytree(before, after, symlinks=True)
    return before, after


def made(roots: tuple[Path, Path]) -> set[str]:
    before, after = roots
    return {path.relative_to(after).as_posix() for path in installation.made(before, after)}


def test_what_is_as_it_was_is_not_made(roots: tuple[Path, Path]) -> None:
    assert made(roots) == set()


def test_a_program_that_lost_the_rights_of_its_owner_is_not_made(roots: tuple[Path, Path]) -> None:
    """The Dockerfile does that to all of the base image."""
    before, after = roots
    (before / "opt/y").chmod(0o4755)
    (after / "opt/y").chmod(0o755)
    assert made(roots) == set()
    (after / "opt/y").chmod(0o700)
    assert made(roots) == {"opt/y"}


def test_new_files_changed_files_and_links_are_made(roots: tuple[Path, Path]) -> None:
    after = roots[1]
    (after / "usr/lib/plugins").mkdir()
    (after / "usr/lib/plugins/config6a").write_text("made by a script")
    (after / "etc/settings").write_text("longer than it was")
    (after / "etc/link").unlink()
    (after / "etc/link").symlink_to("elsewhere")
    (after / "usr/lib/libblas.so.3").symlink_to("/etc/alternatives/libblas.so.3")
    expected = {"usr/lib/plugins/config6a", "etc/settings", "etc/link", "usr/lib/libblas.so.3"}
    assert made(roots) == expected


def test_a_change_that_keeps_the_size_and_one_of_the_mode_count(roots: tuple[Path, Path]) -> None:
    after = roots[1]
    os.utime(after / "etc/settings", (7, 7))
    (after / "opt/y").chmod(0o700)
    assert made(roots) == {"etc/settings", "opt/y"}


def test_databases_of_packages_mounts_and_caches_are_apart(roots: tuple[Path, Path]) -> None:
    after = roots[1]
    for name in (
        *("var/lib/dpkg/status", "opt/venv/x", "var/cache/apt/new", "tmp/new", "proc/1"),
        *("etc/hosts", "etc/resolv.conf", "etc/shadow-"),
    ):
        (after / name).parent.mkdir(parents=True, exist_ok=True)
        (after / name).write_text("new and longer than before")
    assert made(roots) == set()


def test_a_file_in_the_place_of_a_folder_counts(roots: tuple[Path, Path]) -> None:
    before, after = roots
    (before / "etc/folder").mkdir()
    (before / "etc/folder/file").touch()
    (after / "etc/folder").write_text("x")
    (before / "opt/y").unlink()
    (after / "opt/y").unlink()
    (before / "opt/y").write_text("x")
    (after / "opt/y").mkdir()
    (after / "opt/y/file").touch()
    assert made(roots) == {"etc/folder", "opt/y/file"}
