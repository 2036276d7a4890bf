"""docker/image/install_packages.py installs a list while no other step uses the same cache."""

import fcntl
import sys
from pathlib import Path

import install_packages
import package_managers
import pytest

from tests.unit.managers import Archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Return the package manager of the image that the program runs in."""
    found = Archive()
    found.cache = Path("debian13-amd64")
    monkeypatch.setattr(package_managers, "of_this_image", lambda *_: found)
    monkeypatch.setattr(package_managers, "CACHE", tmp_path)
    return found


def test_a_step_has_the_cache_of_its_release_to_itself(archive: Archive, tmp_path: Path) -> None:
    lock = tmp_path / "debian13-amd64.lock"
    lock.touch()
    with lock.open() as file:
        with install_packages.alone(), pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_list_is_installed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"source": "catalogue.toml", "packages": {"libpq5": "*"}}'
    monkeypatch.setattr(sys, "argv", ["install_packages.py", text])
    install_packages.main()
    assert archive.done == ["update", {"libpq5": "17.6-1"}]


def test_an_empty_list_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_packages, "alone", None)
    monkeypatch.setattr(sys, "argv", ["install_packages.py", "{}"])
    install_packages.main()


def test_a_package_that_is_not_available_ends_it_in_words(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '{"source": "[sys.debian13] in catalogue.toml", "packages": {"libqp5": "*"}}'
    monkeypatch.setattr(sys, "argv", ["install_packages.py", text])
    with pytest.raises(
        SystemExit, match=r"System packages: \[sys.debian13\] in catalogue.toml names"
    ):
        install_packages.main()
