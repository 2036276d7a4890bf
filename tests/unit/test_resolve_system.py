"""docker/image/resolve_system.py finds the exact versions of all system packages."""

import json
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import declaration
import package_managers
import pytest
import resolve_system
import select_system
import system_packages
from declaration import Section
from installed_packages import Database
from package_managers import Known, Manager, ManagerError, Package

MakeDpkg = Callable[..., Path]
Program = Callable[..., Path]

DEBIAN = {"ID": "debian", "VERSION_ID": "13"}


class Archive:
    """What resolving asks a package manager for."""

    architecture = "amd64"
    depends: Mapping[str, Collection[str]] = {"libpq5": ["libldap2"], "libpq-dev": ["libpq5"]}
    versions: Mapping[str, Known] = {
        "libpq5": Known(None, ("17.11-1", "17.5-1")),
        "libpq-dev": Known(None, ("17.11-1",)),
        "gcc": Known(None, ("14.2-1",)),
        "tzdata": Known("2025b-4", ("2026c-1", "2025b-4")),
    }

    def update(self) -> None:
        """Have the lists already."""

    def known(self, names: Collection[str]) -> dict[str, Known]:
        return {name: self.versions[name] for name in names if name in self.versions}

    def providers(self, _: str) -> list[str]:
        return []

    def names(self) -> Collection[str]:
        return self.versions

    def matches(self, version: str, constraint: str) -> bool:
        return constraint in ("*", version)

    def resolve(self, versions: Mapping[str, str]) -> list[Package]:
        found = dict(versions)
        for name in versions:
            found |= {x: found.get(x, "17.11-1") for x in self.depends.get(name, ())}
        return [Package(name, version, "amd64") for name, version in found.items()]

    def date(self) -> str:
        return "2026-09-12"


@pytest.fixture
def archive(tmp_path: Path, make_dpkg: MakeDpkg, monkeypatch: pytest.MonkeyPatch) -> Manager:
    """Return the package manager of an image of Debian 13 in which tzdata is installed."""
    root = make_dpkg(tmp_path / "root", {"tzdata": {"Version": "2025b-4", "Architecture": "all"}})
    monkeypatch.setattr(resolve_system, "Database", lambda: Database(root))
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: DEBIAN)
    manager: Any = Archive()
    monkeypatch.setattr(package_managers, "of_this_image", lambda: manager)
    found: Manager = manager
    return found


def section(text: str) -> Section:
    return declaration.load(tomllib.loads(text))["debian13"]


DECLARED = """
[tool.sys.debian13.dependencies]
libpq5 = "*"
tzdata = "*"
[tool.sys.debian13.dev-dependencies]
gcc = "*"
libpq-dev = "*"
[tool.sys.debian13.groups.none]
"""


def test_every_set_is_resolved_with_what_it_pulls_in(archive: Manager) -> None:
    """Also a package that the base image has: a newer base image might have another version."""
    found = resolve_system.resolve(archive, section(DECLARED))
    run, build = "dependencies", "dev-dependencies"
    assert {(x["name"], x["version"], x["architecture"], *x["sets"]) for x in found} == {
        ("gcc", "14.2-1", "amd64", build),
        ("libldap2", "17.11-1", "amd64", run),
        ("libpq-dev", "17.11-1", "amd64", build),
        ("libpq5", "17.11-1", "amd64", run, build),
        ("tzdata", "2025b-4", "all", run),
    }
    assert [x["name"] for x in found] == sorted(x["name"] for x in found)


def test_two_versions_of_a_package_are_refused(archive: Manager) -> None:
    text = DECLARED.replace('libpq5 = "*"', 'libpq5 = "17.5-1"')
    with pytest.raises(ManagerError) as error:
        resolve_system.resolve(archive, section(text))
    assert str(error.value) == (
        "[tool.sys.debian13] needs libpq5 17.11-1 for dev-dependencies and 17.5-1 for "
        "dependencies. Declare one version for both."
    )


def test_a_version_that_is_not_available_is_refused_with_its_section(archive: Manager) -> None:
    text = DECLARED.replace('gcc = "*"', 'gcc = "15"')
    with pytest.raises(ManagerError, match=r"^\[tool\.sys\.debian13\] in pyproject\.toml asks for"):
        resolve_system.resolve(archive, section(text))


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that runs the program on a declaration and returns what it writes."""
    declared, output = tmp_path / "system.json", tmp_path / "resolved.json"
    monkeypatch.setattr(sys, "argv", ["resolve_system.py", str(declared), str(output)])

    def resolve(text: str) -> Any:
        sections = declaration.load(tomllib.loads(text))
        declared.write_text(json.dumps(declaration.facts(sections)))
        try:
            resolve_system.main()
        except SystemExit:
            assert not output.exists()
            raise
        return json.loads(output.read_text())

    return resolve


@pytest.mark.usefixtures("archive")
def test_what_is_resolved_can_be_locked(
    resolve: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: Program,
) -> None:
    found = resolve(DECLARED)
    assert (found["release"], found["architecture"]) == ("debian13", "amd64")
    assert found["archive-date"] == "2026-09-12"
    assert found["declaration"] == section(DECLARED).digest()
    assert found["lock-version"] == declaration.LOCK_VERSION
    program("docker", {"inspect": "sha256:0a1b\n"})
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text("ARG PYTHON_IMAGE=python:3.13-slim\n")
    system_packages.lock(found, "python:3.13-slim")
    assert system_packages.lock(found, "python:3.13-slim", compare=True)
    content = tomllib.loads(Path("sys.lock").read_text(encoding="utf-8"))
    entry = select_system.locked(content, "debian13", "amd64", section(DECLARED))
    assert entry["package"] == found["package"]


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.sys.debian12.dependencies]", "The base image is debian13"),
        ('[tool.sys.debian13.dependencies]\nlibpq6 = "*"', "names libpq6, which the archive does"),
    ],
)
def test_what_cannot_be_resolved_is_refused_in_words(
    resolve: Callable[[str], Any], text: str, problem: str
) -> None:
    with pytest.raises(SystemExit) as error:
        resolve(text)
    assert str(error.value.code).startswith("System packages: ")
    assert problem in str(error.value.code)


def test_an_image_without_a_package_manager_is_refused_in_words(
    resolve: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(package_managers, "shutil", SimpleNamespace(which=lambda _: None))
    with pytest.raises(SystemExit, match=r"^System packages: .* neither apt nor apk"):
        resolve(DECLARED)
