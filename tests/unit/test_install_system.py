"""docker/image/install_system.py installs all that a list names, or says in words why it cannot."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import install_system
import package_managers
import pytest

from tests.unit.managers import Archive

Run = Callable[[object], None]
DECLARED = "[tool.sys.debian13] in pyproject.toml"


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Return the package manager of the image that the program runs in."""
    found = Archive()
    monkeypatch.setattr(package_managers, "of_this_image", lambda *_: found)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program on the content of a list."""

    def run(content: object) -> None:
        path = tmp_path / "packages.json"
        path.write_text(json.dumps(content))
        monkeypatch.setattr(sys, "argv", ["install_system.py", str(path)])
        install_system.main()

    return run


def test_all_are_installed_at_once(run: Run, archive: Archive) -> None:
    run({"source": DECLARED, "packages": {"libpq5": "*", "libxml2": "2.14", "libc6": "*"}})
    assert archive.done == ["update", {"libpq5": "17.6-1", "libxml2": "2.14"}]


def test_nothing_is_installed_if_one_package_is_refused(run: Run, archive: Archive) -> None:
    with pytest.raises(SystemExit) as error:
        run({"source": "sys.lock", "packages": {"libpq5": "17.6-1", "libxml2": "9"}})
    assert archive.done == ["update"]
    assert error.value.code == (
        "System packages: sys.lock asks for libxml2 9, and the archive has 2.14, 2.12. "
        "Run nox -s sys_lock."
    )


def test_an_empty_list_needs_no_package_manager_and_no_network(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    run({})


def test_where_all_is_installed_nothing_is_done(run: Run, archive: Archive) -> None:
    run({"source": DECLARED, "packages": {"libc6": "*"}})
    assert archive.done == ["update"]


def test_an_image_without_a_package_manager_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SystemExit) as error:
        run({"source": DECLARED, "packages": {"libpq5": "*"}})
    assert error.value.code == (
        "System packages: The base image has neither apt nor apk. "
        "Choose one that is made from Debian or Alpine."
    )
