"""docker/image/select_system.py chooses what applies to an image, and refuses all else in words."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import declaration
import pytest
import select_system
from declaration import DeclarationError, Requirement, Section

from tests.unit.declared import DEBIAN, DECLARED, load

Program = Callable[..., Path]
Write = Callable[[str], dict[str, str]]


def test_the_section_of_the_release_is_chosen() -> None:
    sections = load(DECLARED + '[tool.sys."ubuntu24.04".dependencies]\nlibpq5 = "16"')
    assert select_system.choose(sections, "ubuntu24-04").run == {"libpq5": Requirement("16")}
    assert select_system.choose(sections, "debian13") == sections["debian13"]


def test_where_nothing_is_declared_any_release_will_do() -> None:
    section = select_system.choose(load("[tool.sys]"), "debian13")
    assert section.key == "debian13"
    assert not any(section.sets().values())


def test_a_release_without_a_section_is_refused_with_those_that_have_one() -> None:
    tables = ("ubuntu24-04", "debian12", "alpine3-23")
    sections = load("".join(f"[tool.sys.{name}.dependencies]\n" for name in tables))
    with pytest.raises(DeclarationError) as error:
        select_system.choose(sections, "debian13")
    message = str(error.value)
    assert message.startswith("The base image is debian13, and pyproject.toml declares ")
    assert "for alpine3-23, debian12, ubuntu24-04 only. " in message
    assert "Add [tool.sys.debian13.dependencies]" in message
    assert "what [tool.sys.debian12] lists" in message


def entry(section: Section, **values: Any) -> dict[str, Any]:
    """Return what a lock has for a section on Debian 13."""
    image = {"release": "debian13", "architecture": "amd64", "declaration": section.digest()}
    return {**image, "package": [package("libpq5", "dependencies")], **values}


def package(name: str, *sets: str) -> dict[str, Any]:
    return {"name": name, "version": "17.5-1", "architecture": "amd64", "sets": list(sets)}


def test_a_lock_that_fits_gives_its_packages() -> None:
    section = load(DECLARED)["debian13"]
    others = [entry(section, release="debian12"), entry(section, architecture="arm64", package=[])]
    lock = {"version": 1, "image": [*others, entry(section)]}
    found = select_system.locked(lock, "debian13", "amd64", section)
    assert found["package"] == [package("libpq5", "dependencies")]


@pytest.mark.parametrize(
    ("lock", "problem"),
    [
        ({"version": 2}, "has a format of another version"),
        ({}, "has a format of another version"),
        ({"version": 1}, "has no packages for debian13 on amd64"),
        ({"architecture": "arm64"}, "has no packages for debian13 on amd64"),
        ({"release": "debian12"}, "has no packages for debian13 on amd64"),
        ({"declaration": "sha256:0"}, "does not fit [tool.sys.debian13]"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(lock: dict[str, Any], problem: str) -> None:
    section = load(DECLARED)["debian13"]
    if lock.keys() - {"version"}:
        lock = {"version": 1, "image": [entry(section, **lock)]}
    with pytest.raises(DeclarationError) as error:
        select_system.locked(lock, "debian13", "amd64", section)
    assert str(error.value).startswith(f"sys.lock {problem}")
    assert ". Run nox -s sys_lock" in str(error.value)


LOCKED = [
    package("gcc", "dev-dependencies"),
    package("gdb", "groups.debugger"),
    package("libc6", "dependencies", "dev-dependencies", "groups.client"),
    package("libpq-dev", "dev-dependencies"),
    package("libpq5", "dependencies", "groups.client"),
    package("libxslt1.1", "dependencies"),
    package("postgresql-client", "groups.client"),
]


@pytest.mark.parametrize("lock", [None, LOCKED], ids=["declared", "locked"])
def test_each_stage_installs_its_own_sets(lock: list[dict[str, Any]] | None) -> None:
    """Production never has a package for building, nor one of a group."""
    entry = None if lock is None else {"package": lock}
    found = select_system.selections(load(DECLARED)["debian13"], entry)
    more = {"libc6"} if lock else set[str]()
    assert found["production"].keys() == {"libpq5", "libxslt1.1"} | more
    assert found["development"].keys() == (
        {"gdb", "libpq5", "libxslt1.1", "postgresql-client"} | more
    )
    headers = {"gcc", "libpq-dev"}
    assert found["build"].keys() == headers | more


def test_a_package_that_runs_and_builds_is_in_both() -> None:
    section = load(
        "[tool.sys.debian13.dependencies]\ngcc = '*'\n"
        "[tool.sys.debian13.dev-dependencies]\ngcc = '*'"
    )["debian13"]
    found = select_system.selections(section, None)
    assert "gcc" in found["production"]
    assert "gcc" in found["build"]


def test_a_lock_gives_the_exact_versions() -> None:
    found = select_system.selections(load(DECLARED)["debian13"], {"package": LOCKED})
    assert set(found["production"].values()) == {"17.5-1"}


def test_wheels_are_kept_by_release_by_build_packages_and_by_what_the_image_has() -> None:
    """A builder of one's own has compilers and headers that nothing declares."""

    def key(release: str = "debian13", libpq: str = "*", there: str = "bash gcc") -> str:
        return select_system.compile_key(release, {"libpq-dev": libpq}, there.split())

    assert key().startswith("debian13-")
    assert key() == key(there="gcc bash")
    others = (key(release="debian12"), key(libpq="~17"), key(there="bash gcc libpq-dev"))
    assert len({key(), *others}) == 4
    assert re.fullmatch(r"[\w.-]+", key())
    first = select_system.compile_key("debian13", {"gcc": "*", "libpq-dev": "*"}, ())
    assert first == select_system.compile_key("debian13", {"libpq-dev": "*", "gcc": "*"}, ())


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that runs the program on a declaration and returns what it wrote.

    The image is Debian 13; a sys.lock is the one in the folder ``project``.
    """
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(select_system, "Database", lambda: SimpleNamespace(packages={"bash": None}))
    project, output = tmp_path / "project", tmp_path / "out"
    project.mkdir()
    declared = tmp_path / "system.json"
    monkeypatch.setattr(sys, "argv", ["select_system.py", str(declared), str(project), str(output)])

    def write(text: str) -> dict[str, str]:
        declared.write_text(json.dumps(declaration.facts(load(text))))
        output.mkdir(exist_ok=True)
        select_system.main()
        files = (path for path in output.rglob("*") if path.is_file())
        return {path.relative_to(output).as_posix(): path.read_text() for path in files}

    return write


LISTS = {f"system/{stage}/packages.json" for stage in ("build", "development", "production")}


def test_there_is_a_file_for_each_stage(write: Write) -> None:
    files = write(DECLARED)
    assert files.keys() == {*LISTS, "declaration.json", "compile-key.txt"}
    assert json.loads(files["system/production/packages.json"]) == {
        "source": "[tool.sys.debian13] in pyproject.toml",
        "packages": {"libpq5": "*", "libxslt1.1": "~1.1"},
    }


@pytest.mark.parametrize("text", ["", "[tool.sys]", "[tool.sys.debian13.dependencies]"])
def test_where_nothing_is_declared_the_lists_are_empty(write: Write, text: str) -> None:
    files = write(text)
    assert {files[name] for name in LISTS} == {"{}"}


def test_the_check_learns_what_is_loaded_by_name_and_what_to_ignore(write: Write) -> None:
    text = (
        '[tool.sys."debian13"]\nignored-libraries = ["libz.so", "liba.so"]\n'
        '[tool.sys."debian13".dependencies]\nlibpq5 = { dlopen = true }\nlibxml2 = "*"'
    )
    assert json.loads(write(text)["declaration.json"]) == {
        "key": "debian13",
        "title": "tool.sys.debian13",
        "ignored": ["liba.so", "libz.so"],
        "run": {"libpq5": True, "libxml2": False},
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('libpq5 = "*"', 'libpq5 = "*"  # for psycopg'),
        ("\n[tool", "\n[tool.ruff]\nline-length = 99\n[tool"),
        ('gcc = "*"\nlibpq-dev = ">=17"', 'libpq-dev = ">=17"\ngcc = "*"'),
    ],
    ids=["comment", "other table", "order"],
)
def test_an_edit_of_anything_else_changes_no_file(write: Write, old: str, new: str) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace(old, new, 1))
    assert changed(before, after) == set()


def test_a_runtime_package_more_leaves_what_compiles_wheels_as_it_is(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('libpq5 = "*"', 'libpq5 = "*"\nlibxml2 = "*"'))
    assert changed(before, after) == {
        "declaration.json",
        "system/development/packages.json",
        "system/production/packages.json",
    }


def test_dlopen_installs_nothing_again(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('libpq5 = "*"', "libpq5 = { dlopen = true }"))
    assert changed(before, after) == {"declaration.json"}


def test_a_build_package_more_changes_the_cache_of_wheels(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('gcc = "*"', 'gcc = "*"\nmake = "*"'))
    assert changed(before, after) == {"system/build/packages.json", "compile-key.txt"}


def write_lock(folder: Path, section: Section) -> None:
    """Write a lock for a section on Debian 13 and amd64, with the packages of ``LOCKED``."""
    lines = ["version = 1", "[[image]]", 'release = "debian13"', 'architecture = "amd64"']
    lines.append(f'declaration = "{section.digest()}"')
    for locked in LOCKED:
        lines += ["[[image.package]]", *(f"{k} = {json.dumps(v)}" for k, v in locked.items())]
    (folder / "sys.lock").write_text("\n".join(lines))


@pytest.fixture
def dpkg(program: Program) -> None:
    program("apt-get")
    program("dpkg", {"--print-architecture": "amd64\n"})


@pytest.mark.usefixtures("dpkg")
def test_a_lock_takes_the_place_of_declared_versions(write: Write, tmp_path: Path) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    content = json.loads(write(DECLARED)["system/production/packages.json"])
    assert content["source"] == "sys.lock"
    assert content["packages"] == dict.fromkeys(("libc6", "libpq5", "libxslt1.1"), "17.5-1")


@pytest.mark.usefixtures("dpkg")
def test_a_lock_of_another_declaration_stops_the_build(write: Write, tmp_path: Path) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    with pytest.raises(SystemExit) as error:
        write(DECLARED.replace('gcc = "*"', 'gcc = "~14"'))
    assert error.value.code == (
        "System packages: sys.lock does not fit [tool.sys.debian13]. Run nox -s sys_lock."
    )
    assert not list((tmp_path / "out").iterdir())


def test_a_lock_for_an_image_without_a_package_manager_stops_the_build(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SystemExit, match=r"^System packages: .* neither apt nor apk\. "):
        write(DECLARED)


def test_a_lock_does_not_matter_where_nothing_is_declared(write: Write, tmp_path: Path) -> None:
    (tmp_path / "project/sys.lock").write_text("version = 99\n")
    assert {write("")[name] for name in LISTS} == {"{}"}


def test_a_lock_that_is_no_toml_stops_the_build(write: Write, tmp_path: Path) -> None:
    (tmp_path / "project/sys.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(SystemExit) as error:
        write(DECLARED)
    assert "sys.lock cannot be read" in str(error.value.code)
    assert "Run nox -s sys_lock." in str(error.value.code)


@pytest.mark.parametrize(
    "images", ["image = 5", "image = [1]", "[[image]]\nrelease = 1"], ids=["no list", "1", "part"]
)
def test_a_lock_of_which_a_part_is_missing_stops_the_build(
    write: Write, tmp_path: Path, images: str
) -> None:
    (tmp_path / "project/sys.lock").write_text(f"version = 1\n{images}\n")
    with pytest.raises(SystemExit) as error:
        write(DECLARED)
    assert "sys.lock is not as it was written" in str(error.value.code)
    assert str(error.value.code).endswith("Run nox -s sys_lock.")


def test_a_declaration_for_other_releases_stops_the_build(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as error:
        write("[tool.sys.debian12.dependencies]")
    assert str(error.value.code).startswith("System packages: The base image is debian13, ")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "wrong", [{"name": "-oDPkg::Pre-Invoke::"}, {"version": "touch /x"}, {"version": 1}]
)
def test_a_lock_gives_the_package_manager_no_options(
    write: Write, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """As a declaration gives it none."""
    section = load(DECLARED)["debian13"]
    image = entry(section, package=[{**package("libpq5", "dependencies"), **wrong}])
    lock = {"version": declaration.LOCK_VERSION, "image": [image]}
    with pytest.raises((ValueError, TypeError)):
        select_system.locked(lock, image["release"], image["architecture"], section)
