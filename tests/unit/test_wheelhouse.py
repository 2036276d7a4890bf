"""docker/wheelhouse.py tells what has to be compiled, and lets a build use what was made before."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requirements
import wheelhouse
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag, sys_tags
from packaging.utils import canonicalize_name
from wheelhouse import Locked, WheelhouseError

MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]
Run = Callable[[], dict[str, Any]]
Stock = Callable[..., list[Path]]

LOCKS = Path(__file__).parent / "locks"
ANY = set(parse_tag("py3-none-any"))
MUSL = [
    *cpython_tags(
        (3, 13), ["cp313"], ["linux_x86_64", "musllinux_1_2_x86_64", "musllinux_1_1_x86_64"]
    ),
    *compatible_tags((3, 13), "cp313", ["musllinux_1_2_x86_64"]),
]
INDEX = "--extra-index-url https://index.example/simple"
HASHES = " --hash=sha256:aa --hash=sha256:bb"


def locked(*requirements: str) -> list[Locked]:
    """Return packages, each with two hashes, as the lock has them."""
    return wheelhouse.read("".join(f"{x}{HASHES}\n" for x in requirements))[1]


def read(text: str) -> list[str]:
    """Return the names and versions of the packages of a requirements file that apply here."""
    return [f"{x.name}=={x.version}" for x in wheelhouse.read(text)[1]]


def test_a_package_has_its_hashes_on_the_lines_that_follow() -> None:
    options, packages = wheelhouse.read(
        f"{INDEX}\none==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    )
    assert options == [INDEX]
    assert packages == [Locked("one", "1.0", f"one==1.0{HASHES}")]
    assert packages[0].requirement == "one==1.0"


def test_every_option_is_kept_in_its_order() -> None:
    text = f"{INDEX}\n--trusted-host index.example\none==1.0\n"
    assert wheelhouse.read(text)[0] == [INDEX, "--trusted-host index.example"]


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ('python_version >= "3.11"', True),
        ('python_version < "3.11"', False),
        ('python_version >= "3.11" and (os_name == "nt" or os_name == "posix")', True),
        ('sys_platform == "win32"', False),
        ('sys_platform == "win32" or python_version >= "3.11"', True),
    ],
)
def test_a_package_of_another_python_or_system_is_left_out(marker: str, applies: bool) -> None:
    packages = wheelhouse.read(f"one==1.0 ; {marker} \\\n    --hash=sha256:aa\n")[1]
    assert [package.requirement for package in packages] == (
        [f"one==1.0 ; {marker}"] if applies else []
    )


def test_a_name_is_known_in_its_normal_form() -> None:
    assert read("Foo_Bar.baz==1.0\n") == ["foo-bar-baz==1.0"]


@pytest.mark.parametrize("version", ["1!2.0", "1.0+local.1", "2.0rc1", "1.0.post1.dev2"])
def test_any_version_is_read(version: str) -> None:
    assert read(f"one=={version} ; os_name == 'posix' --hash=sha256:aa\n") == [f"one=={version}"]


@pytest.mark.parametrize("name", sorted(path.name for path in LOCKS.iterdir()))
def test_what_docker_requirements_py_writes_is_read_whole(name: str) -> None:
    lock = requirements.load(LOCKS / name)
    text = requirements.requirements(lock)
    lines = re.sub(r" \\\n\s+--hash=\S+", "", text).splitlines()
    wanted = [Requirement(line) for line in lines if not line.startswith("--")]
    assert wanted
    options, packages = wheelhouse.read(text)
    assert options == [line for line in lines if line.startswith("--")]
    assert [(package.name, f"=={package.version}") for package in packages] == [
        (canonicalize_name(x.name), str(x.specifier))
        for x in wanted
        if x.marker is None or x.marker.evaluate()
    ]
    assert all(Requirement(package.requirement) in wanted for package in packages)


@pytest.mark.parametrize("platform", ["musllinux_1_2_x86_64", "manylinux_2_41_aarch64"])
def test_a_platform_is_python_c_library_and_processor(platform: str) -> None:
    """The tag of Linux as such, which comes first, says nothing of the C library."""
    other = platform.replace("_1_2_", "_1_1_").replace("_41_", "_40_")
    platforms = [f"linux_{platform.partition('_')[2]}", platform, other]
    tags = cpython_tags((3, 13), ["cp313"], platforms)
    assert wheelhouse.platform_tag(tags) == f"cp313-{platform}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="images are for Linux")
def test_the_platform_of_this_python_has_a_name() -> None:
    tag = wheelhouse.platform_tag(sys_tags())
    assert re.fullmatch(r"[a-z]+\d+-(manylinux|musllinux)_\d+_\d+_\w+", tag)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("one-1.0-cp313-cp313-musllinux_1_2_x86_64.whl", True),
        ("one-1.0-cp313-cp313-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl", True),
        ("one-1.0-cp311-abi3-musllinux_1_1_x86_64.whl", True),
        ("one-1.0-py3-none-musllinux_1_2_x86_64.whl", True),
        ("one-1.0-py3-none-any.whl", True),
        ("one-1.0-py2.py3-none-any.whl", True),
        ("one-1.0-1-py3-none-any.whl", True),
        ("one-1.0-cp314-abi3-musllinux_1_2_x86_64.whl", False),
        ("one-1.0-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("one-1.0-cp313-cp313t-musllinux_1_2_x86_64.whl", False),
        ("one-1.0-cp313-cp313-musllinux_1_3_x86_64.whl", False),
        ("one-1.0-cp313-cp313-musllinux_1_2_aarch64.whl", False),
        ("one-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", False),
        ("one-1.0-cp313-cp313-win_amd64.whl", False),
        ("one-1.0-cp313-cp313-macosx_11_0_universal2.whl", False),
        ("one-1.0-py2-none-any.whl", False),
        ("one-1.0.tar.gz", False),
        ("one-1.0.zip", False),
        # What an index may serve beside it.
        ("one.whl", False),
        ("one-1.0-py3-none.whl", False),
        ("one-of a kind-py3-none-any.whl", False),
        ("", False),
    ],
)
def test_a_package_without_a_wheel_that_fits_is_compiled(file: str, fits: bool) -> None:
    files = {("one", "1.0"): ["one-1.0.tar.gz", file]}
    compiled = wheelhouse.to_compile(locked("one==1.0"), files, [], set(MUSL))
    assert compiled == ([] if fits else ["one"])


def test_one_wheel_of_many_is_enough_and_each_version_has_its_own() -> None:
    wheels = [f"one-1.0-cp313-cp313-{x}_x86_64.whl" for x in ("manylinux_2_17", "musllinux_1_2")]
    files = {("one", "1.0"): wheels, ("one", "2.0"): wheels[:1], ("two", "1.0"): list[str]()}
    packages = locked("two==1.0", "one==1.0")
    assert wheelhouse.to_compile(packages, files, [], set(MUSL)) == ["two"]
    assert wheelhouse.to_compile(locked("one==2.0"), files, [], set(MUSL)) == ["one"]


def test_a_package_whose_wheels_are_not_wanted_is_compiled() -> None:
    files = {(name, "1.0"): [f"{name}-1.0-py3-none-any.whl"] for name in ("one", "two")}
    packages = locked("two==1.0", "one==1.0")
    assert wheelhouse.to_compile(packages, files, ["one", "none"], ANY) == ["one"]


@pytest.mark.parametrize(
    ("names", "no_binary", "text"),
    [
        (
            ["cffi", "greenlet"],
            [],
            "2 of 41 packages have no musllinux wheel for cp313: cffi, greenlet. ",
        ),
        (["lxml"], ["lxml", "pillow"], "1 of 41 are not taken as wheels: lxml. "),
        (
            ["cffi", "lxml"],
            ["lxml"],
            "1 of 41 packages have no musllinux wheel for cp313: cffi. "
            "1 of 41 are not taken as wheels: lxml. ",
        ),
    ],
    ids=["no wheel", "by choice", "both"],
)
def test_what_will_be_compiled_is_announced_with_the_reason(
    names: list[str], no_binary: list[str], text: str
) -> None:
    found = wheelhouse.announcement(names, no_binary, 41, "cp313-musllinux_1_2_x86_64")
    assert found == f"{text}Expect compiling."


def test_where_nothing_is_compiled_nothing_is_announced() -> None:
    assert wheelhouse.announcement([], ["lxml"], 41, "cp313-musllinux_1_2_x86_64") == ""


def names(
    folder: Path, packages: list[Locked], tags: set[Tag] = ANY, no_binary: tuple[str, ...] = ()
) -> list[str]:
    """Return the file names of what is chosen from a folder of the wheelhouse."""
    found = wheelhouse.select(packages, folder, tags, no_binary)
    return sorted(path.name for path, _ in found.values())


def test_a_wheel_that_the_lock_names_is_chosen_with_its_digest(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    one = make_wheel(tmp_path, "one")
    foo = make_wheel(tmp_path, "Foo_Bar")
    make_house(tmp_path, [one, foo])
    found = wheelhouse.select(locked("foo-bar==1.0", "one==1.0"), tmp_path, ANY, [])
    assert found == {
        (name, "1.0"): (path, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in (("one", one), ("foo-bar", foo))
    }


def test_a_wheel_of_another_version_or_package_is_left(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    wheels = [make_wheel(tmp_path, *x) for x in (("one", "1.0"), ("one", "1.0.1"), ("two", "1.0"))]
    make_house(tmp_path, wheels)
    assert names(tmp_path, locked("one==1.0.1", "three==1.0")) == ["one-1.0.1-py3-none-any.whl"]
    assert names(tmp_path, locked("one==2.0")) == []


def test_a_version_that_is_written_in_another_way_is_the_same(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    """A lock keeps what the index has, and a wheel has the normal form in its name."""
    make_house(tmp_path, [make_wheel(tmp_path, "one", "2024.1.7")])
    packages = locked("one==2024.01.07")
    assert wheelhouse.select(packages, tmp_path, ANY, []).keys() == {("one", "2024.01.07")}


def test_a_wheel_for_another_platform_is_left(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    tags = ("cp313-cp313-manylinux_2_41_x86_64", "cp313-cp313-musllinux_1_2_x86_64")
    make_house(tmp_path, [make_wheel(tmp_path, "one", tag=tag) for tag in tags])
    packages = locked("one==1.0")
    assert names(tmp_path, packages, set(MUSL)) == [f"one-1.0-{tags[1]}.whl"]
    assert names(tmp_path, packages, ANY) == []


def test_only_what_the_manifest_names_and_what_is_there_counts(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    packages = locked("one==1.0", "two==1.0")
    assert names(tmp_path / "none", packages) == []
    wheels = [make_wheel(tmp_path, name) for name in ("one", "two")]
    assert names(tmp_path, packages) == []
    make_house(tmp_path, wheels[:1])
    assert names(tmp_path, packages) == ["one-1.0-py3-none-any.whl"]
    wheels[0].unlink()
    assert names(tmp_path, packages) == []


def test_a_wheel_that_has_changed_is_refused(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "one")
    make_house(tmp_path, [wheel])
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(WheelhouseError) as error:
        names(tmp_path, locked("one==1.0"))
    assert str(error.value) == (
        "one-1.0-py3-none-any.whl in the wheelhouse has changed since it was made. "
        "Delete it and run nox -s docker_wheels."
    )
    # What the lock does not name any more does not matter.
    assert names(tmp_path, locked("one==2.0")) == []


@pytest.mark.parametrize(("origin", "taken"), [("index", False), ("built", True)])
def test_of_a_package_whose_wheels_are_not_wanted_only_one_made_here_is_taken(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path, origin: str, taken: bool
) -> None:
    """The index's one may be there from before somebody decided so."""
    make_house(tmp_path, [make_wheel(tmp_path, "one")], origin=origin)
    assert bool(names(tmp_path, locked("one==1.0"), no_binary=("one",))) is taken


WHEELS = {(name, "1.0"): (Path(name), name * 3) for name in ("one", "two")}
OPTIONS = [INDEX]


def write(
    packages: list[Locked],
    wheels: Mapping[tuple[str, str], tuple[Path, str]],
    *no_binary: str,
) -> list[str]:
    """Return the lines of a requirements file."""
    return wheelhouse.requirements(OPTIONS, packages, wheels, no_binary).splitlines()


def test_a_complete_wheelhouse_asks_no_index() -> None:
    """Each package is known by the digest of its wheel alone: the lock has others."""
    marker = ' ; python_version >= "3.11"'
    assert write(locked(f"one==1.0{marker}", "two==1.0"), WHEELS) == [
        "--no-index",
        "--find-links /wheels",
        f"one==1.0{marker} --hash=sha256:oneoneone",
        "two==1.0 --hash=sha256:twotwotwo",
    ]


def test_what_the_wheelhouse_lacks_comes_from_the_index() -> None:
    assert write(locked("one==1.0", "three==1.0"), WHEELS) == [
        INDEX,
        "--find-links /wheels",
        "one==1.0 --hash=sha256:oneoneone",
        f"three==1.0{HASHES}",
    ]


def test_without_wheels_the_requirements_are_those_of_the_lock() -> None:
    assert write(locked("one==1.0", "two==1.0"), {}) == [
        INDEX,
        f"one==1.0{HASHES}",
        f"two==1.0{HASHES}",
    ]


def test_only_what_is_not_there_is_compiled_while_it_is_installed() -> None:
    packages = locked("one==1.0", "three==1.0", "four==1.0")
    lines = write(packages, WHEELS, "one", "three", "none")
    assert [line for line in lines if line.startswith("--no-binary")] == ["--no-binary three"]
    assert "--no-binary one" in write(packages, {}, "one")


@pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")
def test_uv_installs_from_a_complete_wheelhouse_and_from_no_index(
    make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And refuses a wheel that has not got the digest that was written."""
    folder = tmp_path / "wheels"
    monkeypatch.setattr(wheelhouse, "INSTALLED_FROM", str(folder))
    path = make_wheel(folder, "one")
    file = tmp_path / "requirements.txt"
    command = ["uv", "pip", "install", "--no-cache", "--no-config", "--no-deps", "--require-hashes"]
    command += ["--python", sys.executable, "--target", str(tmp_path / "target")]
    for digest, status in (("0" * 64, 1), (wheelhouse.digest(path), 0)):
        wheels = {("one", "1.0"): (path, digest)}
        file.write_text(wheelhouse.requirements([INDEX], locked("one==1.0"), wheels, []))
        done = subprocess.run(
            [*command, "--requirements", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
    assert "VERSION" in (tmp_path / "target/one.py").read_text()


LOCK = """
[[package]]
name = "{name}"
version = "1.0"
files = [
    {{file = "{file}", hash = "sha256:aa"}},
    {{file = "{name}-1.0.tar.gz", hash = "sha256:bb"}},
]
"""


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    """Return a folder with what docker/metadata.py writes, for two sets of packages.

    The index has wheels of all of them but of ``raw``.
    """
    folder = tmp_path / "metadata"
    folder.mkdir()
    main = ["foo-bar", "one", "raw"]
    for file, packages in (
        ("requirements.txt", main),
        ("requirements-development.txt", [*main, "tool"]),
    ):
        text = "".join(f"{name}==1.0 \\\n    --hash=sha256:aa\n" for name in packages)
        (folder / file).write_text(f"{INDEX}\n{text}")
    lock = [
        LOCK.format(name=name, file=f"{name.replace('-', '_')}-1.0-{tag}.whl")
        for name, tag in (
            *(("Foo.Bar", "py3-none-any"), ("one", "py3-none-any")),
            *(("raw", "py3-none-win_amd64"), ("tool", "py3-none-any")),
        )
    ]
    (tmp_path / "poetry.lock").write_text("".join(lock))
    (tmp_path / "house").mkdir()
    return folder


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return the wheelhouse's folder of this platform."""
    return tmp_path / "house" / wheelhouse.platform_tag(sys_tags())


@pytest.fixture
def stock(make_wheel: MakeWheel, make_house: MakeHouse) -> Stock:
    """Return a function that puts wheels of packages into a folder, which it has to make."""

    def stock(folder: Path, *names: str) -> list[Path]:
        wheels = [make_wheel(folder, name) for name in names]
        make_house(folder, wheels)
        return wheels

    return stock


@pytest.fixture
def run(metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program and returns the plan that it wrote."""
    arguments = [metadata, tmp_path / "poetry.lock", tmp_path / "house", metadata]
    monkeypatch.setattr(sys, "argv", ["wheelhouse.py", *map(str, arguments)])
    settings(metadata)

    def run() -> dict[str, Any]:
        wheelhouse.main()
        plan: dict[str, Any] = json.loads((metadata / "wheels.json").read_text())
        return plan

    return run


def settings(folder: Path, **lists: list[str]) -> None:
    """Write the settings of wheels, as docker/metadata.py does."""
    none: dict[str, list[str]] = {"build-first": [], "no-binary": [], "no-build-isolation": []}
    own = {name.replace("_", "-"): value for name, value in lists.items()}
    (folder / "wheels.json").write_text(json.dumps({**none, **own}))


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_without_a_wheelhouse_everything_comes_from_the_index_and_compiling_is_announced(
    run: Run, metadata: Path, house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run()
    assert plan == {
        "tag": house.name,
        "compile": ["raw"],
        "announcement": plan["announcement"],
        "build-first": [],
        "no-binary": [],
        "no-build-isolation": [],
    }
    assert plan["announcement"].startswith("1 of 4 packages have no ")
    assert plan["announcement"].endswith(": raw. Expect compiling.")
    assert capsys.readouterr().out == f"{plan['announcement']}\n"
    for folder in ("main", "development"):
        assert contents(metadata / "wheels" / folder) == {"requirements.txt"}
    text = (metadata / "wheels/main/requirements.txt").read_text()
    assert wheelhouse.read(text) == wheelhouse.read((metadata / "requirements.txt").read_text())


def test_each_set_gets_its_own_wheels_and_is_offline_if_it_has_all(
    run: Run, metadata: Path, house: Path, stock: Stock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The production image is built without an index although development lacks a wheel."""
    stock(house, "foo-bar", "one", "raw", "other")
    plan = run()
    wheels = {f"{name}-1.0-py3-none-any.whl" for name in ("foo_bar", "one", "raw")}
    for folder in ("main", "development"):
        assert contents(metadata / "wheels" / folder) == {"requirements.txt", *wheels}
    main, development = (
        wheelhouse.read((metadata / "wheels" / name / "requirements.txt").read_text())[0]
        for name in ("main", "development")
    )
    assert main == ["--no-index", "--find-links /wheels"]
    assert development == [INDEX, "--find-links /wheels"]
    # What was compiled before is still a package without a wheel, and nothing to announce.
    assert plan["compile"] == ["raw"]
    assert plan["announcement"] == capsys.readouterr().out == ""


def test_names_in_the_settings_may_be_written_in_any_way(run: Run, metadata: Path) -> None:
    settings(metadata, no_binary=["Foo_Bar"], build_first=["ONE"])
    plan = run()
    assert plan["no-binary"] == ["foo-bar"]
    assert plan["build-first"] == ["one"]
    assert plan["compile"] == ["foo-bar", "raw"]
    assert "1 of 4 are not taken as wheels: foo-bar." in plan["announcement"]
    text = (metadata / "wheels/main/requirements.txt").read_text()
    assert "--no-binary foo-bar" in text.splitlines()


def test_a_package_that_shall_be_compiled_from_now_on_is_so(
    run: Run, metadata: Path, house: Path, stock: Stock
) -> None:
    stock(house, "foo-bar", "one", "raw", "tool")
    settings(metadata, no_binary=["one"])
    assert "not taken as wheels: one." in run()["announcement"]
    text = (metadata / "wheels/main/requirements.txt").read_text()
    assert "--no-binary one" in text.splitlines()
    assert "one-1.0-py3-none-any.whl" not in contents(metadata / "wheels/main")


def test_a_wheelhouse_of_another_platform_does_not_matter(
    run: Run, metadata: Path, house: Path, stock: Stock
) -> None:
    stock(house.with_name("cp310-musllinux_1_2_riscv64"), "one")
    assert run()["tag"] == house.name
    assert contents(metadata / "wheels/main") == {"requirements.txt"}


def test_a_changed_wheel_stops_the_build(
    run: Run, metadata: Path, house: Path, stock: Stock
) -> None:
    [wheel] = stock(house, "one")
    wheel.write_bytes(b"")
    with pytest.raises(SystemExit) as error:
        run()
    assert str(error.value.code).startswith("Wheels: one-1.0-py3-none-any.whl in the wheelhouse ")
    assert not (metadata / "wheels").exists()
