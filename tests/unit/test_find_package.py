"""docker/image/find_package.py names the system package that has what a compilation lacks."""

import json
import sys
from pathlib import Path

import declaration
import find_package
import package_managers
import pytest
from package_managers import ManagerError

from tests.unit.managers import Archive

TITLE = "tool.sys.debian13"
FOUND = {
    ("header", "libpq-fe.h"): "libpq-dev",
    ("program", "g++"): "g++",
    ("header", f"python3.{sys.version_info[1]}/Python.h"): "libpython3-dev",
}


class Builders(Archive):
    """An archive that knows what a few packages have."""

    def builder(self, kind: str, name: str) -> str | None:
        if name == "broken":
            raise ManagerError("apt-get failed. Fix what it reported: no such server")
        return FOUND.get((kind, name))


@pytest.fixture(autouse=True)
def archive(monkeypatch: pytest.MonkeyPatch) -> Builders:
    """Return the package manager of this image."""
    manager = Builders()
    monkeypatch.setattr(package_managers, "of_this_image", lambda: manager)
    return manager


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("header", "libpq-fe.h", 'The package libpq-dev has it. Add to {}: libpq-dev = "*"'),
        # Names that are no file, and a key that TOML wants in quotes.
        ("program", "c++", 'The package g++ has it. Add to {}: "g++" = "*"'),
        (
            "header",
            "Python.h",
            'The package libpython3-dev has it. Add to {}: libpython3-dev = "*"',
        ),
        (
            "header",
            "g++",
            "No package of this release has it by that name. Declare one that does in {}.",
        ),
        (
            *("library", "broken"),
            "Declare the package that has it in {}. It was not looked up: apt-get failed. Fix what "
            "it reported: no such server",
        ),
    ],
)
def test_the_package_is_named_with_the_line_to_add(
    archive: Builders, kind: str, name: str, told: str
) -> None:
    table = "[tool.sys.debian13.dev-dependencies]"
    assert find_package.remedy(kind, name, TITLE) == told.format(table)
    # Lists that were fetched before may be old.
    assert archive.done == ["update"]


def test_the_section_is_that_of_this_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = {"ID": "alpine", "VERSION_ID": "3.23.1"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    declared, output = tmp_path / "system.json", tmp_path / "found.json"
    sections = declaration.load({"tool": {"sys": {"alpine3.23": {"dependencies": {}}}}})
    declared.write_text(json.dumps(declaration.facts(sections)))
    arguments = ["find_package.py", str(declared), "header libpq-fe.h", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    find_package.main()
    remedy = json.loads(output.read_text())["remedy"]
    assert 'Add to [tool.sys."alpine3.23".dev-dependencies]: libpq-dev' in remedy
