"""docker/system_resolve.py finds the exact system packages, docker/system_lock.py keeps them."""

import copy
import json
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import managers
import pytest
import system
import system_lock
import system_resolve
from managers import Known, Manager, ManagerError, Package
from packages import Database

Program = Callable[..., Path]
MakeDpkg = Callable[..., Path]
Lock = Callable[..., str]

DEBIAN = {"ID": "debian", "VERSION_ID": "13"}
DIGEST = "sha256:0a1b"
FOUND: dict[str, Any] = {
    "release": "debian13",
    "architecture": "amd64",
    "declaration": "sha256:1",
    "archive-date": "2026-09-12",
    "package": [
        {"name": "libpq5", "version": "17.11-1", "architecture": "amd64", "sets": ["dependencies"]},
        {"name": "gcc", "version": "4:14.2-1", "architecture": "amd64", "sets": ["groups.c"]},
    ],
}


def changed(**values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FOUND), **values}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program) -> Path:
    """Return a project's folder, which is the working one; Docker knows every image."""
    monkeypatch.delenv("PYTHON_IMAGE", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    Path("Dockerfile").write_text("# x\nARG PYTHON_IMAGE=python:3.13-slim\nARG RUNTIME=full\n")
    program("docker", {"inspect": f"docker.example/python@{DIGEST}\n"})
    return project


@pytest.fixture
def lock(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Lock:
    """Return a function that runs the program on what was resolved and returns what it prints."""

    def lock(found: Mapping[str, Any], *arguments: str, refusal: str | None = None) -> str:
        Path("resolved.json").write_text(json.dumps(found))
        monkeypatch.setattr(sys, "argv", ["system_lock.py", "resolved.json", *arguments])
        code: object = 0
        try:
            system_lock.main()
        except SystemExit as error:
            code = error.code
        Path("resolved.json").unlink()
        assert {path.name for path in folder.iterdir()} <= {"Dockerfile", "sys.lock"}
        assert code == (refusal or 0)
        return capfd.readouterr().out

    return lock


def images() -> list[dict[str, Any]]:
    """Return the entries of the lock in the working folder."""
    content = tomllib.loads(Path("sys.lock").read_text(encoding="utf-8"))
    assert content["version"] == system.LOCK_VERSION
    found: list[dict[str, Any]] = content["image"]
    return found


def test_a_lock_has_every_package_and_the_base_image(lock: Lock) -> None:
    assert lock(FOUND) == "sys.lock has 2 packages for debian13 on amd64.\n"
    assert images() == [
        {
            **FOUND,
            "package": sorted(FOUND["package"], key=lambda package: str(package["name"])),
            "base-image": "python:3.13-slim",
            "base-digest": DIGEST,
        }
    ]


def test_a_lock_is_one_that_the_build_takes(lock: Lock) -> None:
    section = system.Section("debian13", {"libpq5": system.Requirement("*")})
    lock(changed(declaration=section.digest()))
    content = tomllib.loads(Path("sys.lock").read_text(encoding="utf-8"))
    packages = system.locked(content, "debian13", "amd64", section)
    assert system.selections(section, packages)["production"] == {"libpq5": "17.11-1"}


def test_the_same_packages_give_the_same_text(lock: Lock) -> None:
    """In whatever order they were found, and however often they are locked."""
    lock(FOUND)
    first = Path("sys.lock").read_text(encoding="utf-8")
    lock(changed(package=FOUND["package"][::-1]))
    assert Path("sys.lock").read_text(encoding="utf-8") == first


def test_a_text_is_sorted() -> None:
    entries = [
        changed(release=release, architecture=architecture, package=FOUND["package"])
        for release in ("debian13", "alpine3-23")
        for architecture in ("arm64", "amd64")
    ]
    text = system_lock.text(entries)
    assert text == system_lock.text(entries[::-1])
    found = tomllib.loads(text)["image"]
    assert [(image["release"], image["architecture"]) for image in found] == [
        *(("alpine3-23", "amd64"), ("alpine3-23", "arm64")),
        *(("debian13", "amd64"), ("debian13", "arm64")),
    ]
    for image in found:
        assert [package["name"] for package in image["package"]] == ["gcc", "libpq5"]
        assert list(image) == [*sorted(image.keys() - {"package"}), "package"]


def test_an_archive_without_a_date_has_none_in_the_lock(lock: Lock) -> None:
    lock(changed(**{"archive-date": None}))
    assert "archive-date" not in images()[0]


def test_other_releases_and_processors_stay(lock: Lock) -> None:
    others = [changed(release="alpine3-23"), changed(architecture="arm64")]
    for found in (*others, FOUND):
        lock(found)
    before = images()
    lock(changed(package=FOUND["package"][:1]))
    after = images()
    assert [x for x in after if x not in before] == [after[1]]
    assert len(after) == len(before) == 3
    assert [package["name"] for package in after[1]["package"]] == ["libpq5"]


def test_where_nothing_is_declared_any_more_the_entry_goes(lock: Lock) -> None:
    lock(FOUND)
    lock(changed(release="alpine3-23"))
    nothing = changed(package=[])
    out = lock(nothing, "--check", refusal="Run nox -s sys_lock.")
    assert "sys.lock is out of date: gcc is not needed any more, locked is 4:14.2-1." in out
    lock(nothing)
    assert [image["release"] for image in images()] == ["alpine3-23"]


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_where_nothing_is_declared_no_lock_is_written(lock: Lock, arguments: list[str]) -> None:
    out = lock(changed(package=[]), *arguments)
    assert out == "pyproject.toml declares no system packages for debian13.\n"
    assert not Path("sys.lock").exists()


def test_a_lock_that_is_up_to_date_passes(lock: Lock) -> None:
    """Another day and another digest of the base image change nothing that is installed."""
    lock(FOUND)
    assert lock(changed(**{"archive-date": "2026-11-02"}), "--check") == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"package": [*FOUND["package"], {**FOUND["package"][0], "name": "libxml2"}]},
            "libxml2 is 17.11-1, locked is none",
        ),
        ({"package": FOUND["package"][1:]}, "libpq5 is not needed any more, locked is 17.11-1"),
        (
            {"package": [{**FOUND["package"][0], "version": "17.12-1"}, FOUND["package"][1]]},
            "libpq5 is 17.12-1, locked is 17.11-1",
        ),
        ({"declaration": "sha256:2"}, "pyproject.toml declares other versions"),
        ({"architecture": "arm64"}, "nothing is locked for debian13 on arm64"),
        ({"release": "debian12"}, "nothing is locked for debian12 on amd64"),
    ],
    ids=["added", "removed", "version", "declaration", "processor", "release"],
)
def test_a_check_says_what_is_out_of_date_and_writes_nothing(
    lock: Lock, values: dict[str, Any], words: str
) -> None:
    lock(FOUND)
    before = Path("sys.lock").read_bytes()
    out = lock(changed(**values), "--check", refusal="Run nox -s sys_lock.")
    assert out == f"sys.lock is out of date: {words}.\n"
    assert Path("sys.lock").read_bytes() == before
    assert lock(changed(**values)).startswith("sys.lock has ")
    assert lock(changed(**values), "--check") == ""


def test_a_check_without_a_lock_fails_and_writes_none(lock: Lock) -> None:
    out = lock(FOUND, "--check", refusal="Run nox -s sys_lock.")
    assert "nothing is locked for debian13 on amd64" in out
    assert not Path("sys.lock").exists()


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "version = 99\n[[image]]\nx = 1\n", ""])
def test_a_lock_that_cannot_be_read_is_written_anew(lock: Lock, text: str) -> None:
    Path("sys.lock").write_text(text)
    lock(FOUND, "--check", refusal="Run nox -s sys_lock.")
    lock(FOUND)
    assert len(images()) == 1


def test_a_package_in_another_set_is_a_difference() -> None:
    moved = changed(package=[{**FOUND["package"][0], "sets": ["dev-dependencies"]}])
    old = changed(package=FOUND["package"][:1])
    assert len(system_lock.differences(old, moved)) == 1
    assert system_lock.differences(old, old) == []


@pytest.mark.usefixtures("folder")
def test_the_base_image_is_that_of_the_dockerfile_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert system_lock.base_image() == "python:3.13-slim"
    monkeypatch.setenv("PYTHON_IMAGE", "mirror.example/python:3.12")
    assert system_lock.base_image() == "mirror.example/python:3.12"
    monkeypatch.setenv("PYTHON_IMAGE", "")
    assert system_lock.base_image() == "python:3.13-slim"


def test_the_digest_of_an_image_without_a_registry_is_its_own(program: Program) -> None:
    calls = program("docker", {"inspect": f"{DIGEST}\n"})
    assert system_lock.digest("seedpod/python:3.13") == DIGEST
    assert calls.read_text().rstrip().endswith(" seedpod/python:3.13")


def test_an_image_that_cannot_be_had_is_refused_and_nothing_written(
    lock: Lock, program: Program
) -> None:
    """It is pulled first: with a build alone the engine may not have it."""
    calls = program("docker", {"inspect": "no such image\n", "pull": "denied\n"}, status=1)
    lock(
        FOUND,
        refusal="The base image python:3.13-slim cannot be inspected. Mend what Docker reported.",
    )
    assert "pull --quiet python:3.13-slim" in calls.read_text()
    assert not Path("sys.lock").exists()


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
    monkeypatch.setattr(system_resolve, "Database", lambda: Database(root))
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: DEBIAN)
    manager: Any = Archive()
    monkeypatch.setattr(managers, "of_this_image", lambda: manager)
    found: Manager = manager
    return found


def section(text: str) -> system.Section:
    return system.load(tomllib.loads(text))["debian13"]


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
    found = system_resolve.resolve(archive, section(DECLARED))
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
        system_resolve.resolve(archive, section(text))
    assert str(error.value) == (
        "[tool.sys.debian13] needs libpq5 17.11-1 for dev-dependencies and 17.5-1 for "
        "dependencies. Declare one version for both."
    )


def test_a_version_that_is_not_to_be_had_is_refused_with_its_section(archive: Manager) -> None:
    text = DECLARED.replace('gcc = "*"', 'gcc = "15"')
    with pytest.raises(ManagerError, match=r"^\[tool\.sys\.debian13\] in pyproject\.toml asks for"):
        system_resolve.resolve(archive, section(text))


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that runs the program on a pyproject.toml and returns what it writes."""
    output = tmp_path / "resolved.json"
    monkeypatch.setattr(sys, "argv", ["system_resolve.py", str(tmp_path), str(output)])

    def resolve(text: str) -> Any:
        (tmp_path / "pyproject.toml").write_text(text)
        try:
            system_resolve.main()
        except SystemExit:
            assert not output.exists()
            raise
        return json.loads(output.read_text())

    return resolve


@pytest.mark.usefixtures("archive")
def test_what_is_resolved_can_be_locked(resolve: Callable[[str], Any], lock: Lock) -> None:
    found = resolve(DECLARED)
    assert (found["release"], found["architecture"]) == ("debian13", "amd64")
    assert found["archive-date"] == "2026-09-12"
    assert found["declaration"] == section(DECLARED).digest()
    lock(found)
    assert lock(found, "--check") == ""


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.sys.debian12.dependencies]", "The base image is debian13"),
        ("[tool.sys.debian13]", "[tool.sys.debian13] is empty"),
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
    monkeypatch.setattr(managers, "shutil", SimpleNamespace(which=lambda _: None))
    with pytest.raises(SystemExit, match=r"^System packages: .* neither apt nor apk"):
        resolve(DECLARED)
