"""docker/host/system_packages.py keeps what docker/image/resolve_system.py found in sys.lock."""

import copy
import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pins
import pytest
import select_system
import system_packages
from declaration import LOCK_VERSION, Requirement, Section
from session import SessionError

Exports = Callable[..., list[str]]
Lock = Callable[..., str]
Program = Callable[..., Path]

DIGEST = f"sha256:{'0a1b' * 16}"
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
    program("docker", {"imagetools": json.dumps({"digest": DIGEST})})
    return project


@pytest.fixture
def lock(
    folder: Path,
    exports: Exports,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Lock:
    """Return a function that runs the program on what was resolved and returns what it prints."""

    def lock(found: Mapping[str, Any], *arguments: str, refusal: str | None = None) -> str:
        built = exports({"system-lock": ("resolved.json", {"lock-version": 1, **found})})
        monkeypatch.setattr(sys, "argv", ["system_packages.py", "lock", *arguments])
        code: object = 0
        try:
            system_packages.main()
        except SystemExit as error:
            code = error.code
        assert built == ["system-lock"]
        assert {path.name for path in folder.iterdir()} <= {"Dockerfile", "sys.lock"}
        assert code == (refusal or 0)
        return capfd.readouterr().out

    return lock


def images() -> list[dict[str, Any]]:
    """Return the entries of the lock in the working folder."""
    content = tomllib.loads(Path("sys.lock").read_text(encoding="utf-8"))
    assert content["version"] == LOCK_VERSION
    found: list[dict[str, Any]] = content["image"]
    return found


def test_a_lock_has_every_package_and_the_base_image(lock: Lock) -> None:
    assert lock(FOUND) == "sys.lock has 2 packages for debian13 on amd64.\n"
    assert images() == [
        {
            **FOUND,
            "package": sorted(FOUND["package"], key=lambda package: str(package["name"])),
            "base-image": "python:3.13-slim",
            "base-image-digest": DIGEST,
        }
    ]


def test_a_lock_is_one_that_the_build_takes(lock: Lock) -> None:
    section = Section("debian13", {"libpq5": Requirement("*")})
    lock(changed(declaration=section.digest()))
    content = tomllib.loads(Path("sys.lock").read_text(encoding="utf-8"))
    packages = select_system.locked(content, "debian13", "amd64", section)
    assert select_system.selections(section, packages)["production"] == {"libpq5": "17.11-1"}


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
    text = system_packages.text(entries, 1)
    assert text == system_packages.text(entries[::-1], 1)
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


def test_where_nothing_is_declared_any_more_the_base_image_is_left(lock: Lock) -> None:
    lock(FOUND)
    nothing = changed(package=[])
    out = lock(nothing, "--check", refusal="Run nox -s sys_lock.")
    assert "sys.lock is out of date: gcc is not needed any more, locked is 4:14.2-1." in out
    assert lock(nothing) == "sys.lock has 0 packages for debian13 on amd64.\n"
    [image] = images()
    assert image["base-image-digest"] == DIGEST
    assert "package" not in image
    assert lock(nothing, "--check") == ""


def test_a_check_asks_for_no_lock_where_nothing_is_declared(lock: Lock) -> None:
    out = lock(changed(package=[]), "--check")
    assert out == "pyproject.toml declares no system packages for debian13.\n"
    assert not Path("sys.lock").exists()


def test_one_base_image_has_one_digest_for_all_processors(lock: Lock, program: Program) -> None:
    lock(changed(architecture="arm64"))
    other = f"sha256:{'9' * 64}"
    program("docker", {"imagetools": json.dumps({"digest": other})})
    lock(FOUND)
    assert [image["base-image-digest"] for image in images()] == [other, other]


def test_packages_are_resolved_in_the_image_that_is_written_down(
    lock: Lock, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine has of that name may be older; a comparison asks no registry."""
    asked: list[str] = []

    def exported(*arguments: str, platform: str) -> dict[str, Any]:
        asked.extend(x for x in arguments if "PYTHON_IMAGE" in x)
        return {"lock-version": 1, **FOUND}

    monkeypatch.setattr("engine.exported", exported)
    monkeypatch.setattr("platforms.locked", lambda: [""])
    system_packages.lock_each()
    assert asked == [f"--build-arg=PYTHON_IMAGE=python:3.13-slim@{DIGEST}"]
    system_packages.lock_each(compare=True)
    assert len(asked) == 1


def test_an_image_that_names_a_digest_needs_no_other(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    monkeypatch.setenv("PYTHON_IMAGE", f"python@{DIGEST}")
    calls = program("docker")
    assert lock(FOUND) == "sys.lock has 2 packages for debian13 on amd64.\n"
    [image] = images()
    assert (image["base-image"], image.get(pins.PINNED)) == (f"python@{DIGEST}", None)
    assert calls.read_text() == ""


@pytest.mark.parametrize(
    ("said", "status"), [("", 1), ("", 0), ("null", 0), ('{"digest": "x"}', 0), ("not found", 1)]
)
def test_where_no_registry_tells_a_digest_there_is_none_which_is_said(
    lock: Lock, program: Program, said: str, status: int
) -> None:
    program("docker", {"imagetools": said}, status=status)
    out = lock(FOUND)
    assert "No registry tells the digest of python:3.13-slim, so that builds take what" in out
    assert pins.PINNED not in images()[0]


Rebuild = Callable[..., str]
LAYERS = '["sha256:1","sha256:2"]\n'


@pytest.fixture
def rebuild(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Rebuild:
    """Return a function that rebuilds, with production's layers before and after."""

    def rebuild(before: str | Exception, after: str | Exception) -> str:
        results: list[str | Exception] = [before, after]
        used: list[str] = []

        def build(stage: str) -> None:
            assert stage == "production"
            pins.use_base_image()
            used.append(os.environ["PYTHON_IMAGE"])

        def docker(*_: str) -> str:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        def lock_each() -> bool:
            assert os.environ["PYTHON_IMAGE"] == "python:3.13-slim"
            name = "base-image = 'python:3.13-slim'\n"
            text = f"{ENTRY}declaration = ''\n{name}base-image-digest = 'sha256:{'2' * 64}'\n"
            Path("sys.lock").write_text(f"version = 1\n[[image]]\n{text}")
            return True

        # Set first, so that it is removed in the end.
        monkeypatch.setenv("PYTHON_IMAGE", "python:3.13-slim")
        monkeypatch.setattr("engine.build_for_all", build)
        monkeypatch.setattr("engine.name", lambda: "shop")
        monkeypatch.setattr(system_packages, "docker", docker)
        monkeypatch.setattr(system_packages, "lock_each", lock_each)
        monkeypatch.setattr("settings.apply", lambda: None)
        monkeypatch.setattr("platforms.wanted", lambda: [""])
        monkeypatch.setattr(sys, "argv", ["system_packages.py", "lock", "--rebuild"])
        system_packages.main()
        assert used == ["python:3.13-slim", f"python:3.13-slim@sha256:{'2' * 64}"]
        return capfd.readouterr().out

    return rebuild


@pytest.mark.parametrize("old", [None, "version = 1\r\n# mine\r\n"])
def test_a_lock_stays_as_it_is_if_production_is_the_same(rebuild: Rebuild, old: str | None) -> None:
    if old:
        Path("sys.lock").write_text(old, newline="")
    out = rebuild(LAYERS, LAYERS)
    assert out == "Production is the same with what there is today: sys.lock stays as it is.\n"
    assert Path("sys.lock").exists() == bool(old)
    assert not old or Path("sys.lock").read_bytes() == old.encode()


def test_a_lock_is_a_new_one_if_production_differs(rebuild: Rebuild) -> None:
    out = rebuild(LAYERS, LAYERS.replace("2", "3"))
    assert out == "Production differs with what there is today, which sys.lock has now.\n"
    assert "sha256:2222" in Path("sys.lock").read_text()


def test_a_lock_whose_packages_are_gone_is_a_new_one(rebuild: Rebuild) -> None:
    """Archives do not keep what they have replaced, which is when a new lock is wanted."""
    out = rebuild(SessionError("System packages: gone."), LAYERS)
    assert "Production cannot be built as sys.lock is: System packages: gone.\n" in out
    assert "Production differs with what there is today" in out
    assert "sha256:2222" in Path("sys.lock").read_text()


def test_a_build_that_fails_leaves_the_lock_as_it_was(rebuild: Rebuild) -> None:
    Path("sys.lock").write_text("version = 1\n# mine\n")
    with pytest.raises(SystemExit):
        rebuild(LAYERS, SessionError("It failed."))
    assert Path("sys.lock").read_text() == "version = 1\n# mine\n"


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


ENTRY = 'release = "debian13"\narchitecture = "amd64"\n'
UNREADABLE = [
    "",
    "<<<<<<< HEAD\n",
    "version = 99\n[[image]]\nx = 1\n",
    "# \xfc\n",
    "version = 1\nimage = 5\n",
    "version = 1\nimage = [1]\n",
    f"version = 1\n[[image]]\n{ENTRY}",
    f"version = 1\n[[image]]\ndeclaration = ''\n{ENTRY}package = 5\n",
    f"version = 1\n[[image]]\ndeclaration = ''\n{ENTRY}package = [{{ name = 'x' }}]\n",
    "version = 1\n[[image]]\ndeclaration = ''\nrelease = [1]\narchitecture = 'amd64'\n",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_lock_that_cannot_be_read_is_written_anew(lock: Lock, text: str) -> None:
    Path("sys.lock").write_text(text, encoding="latin-1")
    lock(FOUND, "--check", refusal="Run nox -s sys_lock.")
    lock(FOUND)
    assert len(images()) == 1


def test_a_package_in_another_set_is_a_difference() -> None:
    moved = changed(package=[{**FOUND["package"][0], "sets": ["dev-dependencies"]}])
    old = changed(package=FOUND["package"][:1])
    assert len(system_packages.differences(old, moved)) == 1
    assert system_packages.differences(old, old) == []


@pytest.mark.usefixtures("folder")
def test_the_base_image_is_that_of_the_dockerfile_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pins.named_base_image() == "python:3.13-slim"
    monkeypatch.setenv("PYTHON_IMAGE", "mirror.example/python:3.12")
    assert pins.named_base_image() == "mirror.example/python:3.12"
    monkeypatch.setenv("PYTHON_IMAGE", "")
    assert pins.named_base_image() == "python:3.13-slim"
