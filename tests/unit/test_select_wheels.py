"""docker/image/select_wheels.py tells what has to be compiled, and takes what was made before."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import path_dependencies
import poetry_lock
import pytest
import select_wheels
import wheelhouse
from packaging.tags import compatible_tags, cpython_tags, parse_tag, sys_tags
from poetry_lock import Chosen, Selection

from tests.unit.locked import joined, locked

MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]
Run = Callable[[], dict[str, Any]]
Stock = Callable[..., list[Path]]

ANY = set(parse_tag("py3-none-any"))
MUSL = [
    *cpython_tags(
        (3, 13), ["cp313"], ["linux_x86_64", "musllinux_1_2_x86_64", "musllinux_1_1_x86_64"]
    ),
    *compatible_tags((3, 13), "cp313", ["musllinux_1_2_x86_64"]),
]
INDEX = "--extra-index-url https://index.example/simple"
# What installing reads, beside wheels.
FILES = {"commits.txt", "indexes.json", "requirements.txt"}
HASHES = " --hash=sha256:aa --hash=sha256:bb"


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
    packages = locked("one==1.0", files=["one-1.0.tar.gz", file])
    compiled = select_wheels.to_compile(packages, [], set(MUSL))
    assert compiled == ([] if fits else ["one"])


def test_one_wheel_of_many_is_enough_and_each_version_has_its_own() -> None:
    wheels = [f"one-1.0-cp313-cp313-{x}_x86_64.whl" for x in ("manylinux_2_17", "musllinux_1_2")]
    packages = [*locked("two==1.0"), *locked("one==1.0", files=wheels)]
    assert select_wheels.to_compile(packages, [], set(MUSL)) == ["two"]
    packages = locked("one==2.0", files=wheels[:1])
    assert select_wheels.to_compile(packages, [], set(MUSL)) == ["one"]


def test_a_package_whose_wheels_are_not_wanted_is_compiled() -> None:
    files = [f"{name}-1.0-py3-none-any.whl" for name in ("one", "two")]
    packages = locked("two==1.0", "one==1.0", files=files)
    assert select_wheels.to_compile(packages, ["one", "none"], ANY) == ["one"]


@pytest.mark.parametrize(
    ("names", "no_binary", "text"),
    [
        (
            ["cffi", "greenlet"],
            [],
            "2 of 41 packages have no musllinux wheel for cp313: cffi, greenlet. ",
        ),
        (["lxml"], ["lxml", "pillow"], "1 of 41 are compiled because of no-binary: lxml. "),
        (
            ["cffi", "lxml"],
            ["lxml"],
            "1 of 41 packages have no musllinux wheel for cp313: cffi. "
            "1 of 41 are compiled because of no-binary: lxml. ",
        ),
    ],
    ids=["no wheel", "by choice", "both"],
)
def test_what_will_be_compiled_is_announced_with_the_reason(
    names: list[str], no_binary: list[str], text: str
) -> None:
    found = select_wheels.announcement(names, no_binary, 41, "cp313-musllinux_1_2_x86_64")
    assert found == f"{text}Expect compiling."


def test_where_nothing_is_compiled_nothing_is_announced() -> None:
    assert select_wheels.announcement([], ["lxml"], 41, "cp313-musllinux_1_2_x86_64") == ""


@pytest.mark.parametrize(
    ("tags", "made_for"),
    [
        (["cp310-cp310-win_amd64", "cp39-cp39-win_amd64"], "cp39, cp310"),
        (["py2-none-any"], "py2"),
        (["cp313-cp313-win_amd64", "cp312-cp312-musllinux_1_2_x86_64"], "win_amd64"),
        (["cp38-abi3-musllinux_1_2_aarch64"], "musllinux_1_2_aarch64"),
    ],
)
def test_what_has_neither_a_wheel_that_fits_nor_sources_is_named_with_what_it_is_for(
    tags: list[str], made_for: str
) -> None:
    packages = locked("one==1.0", files=[f"one-1.0-{tag}.whl" for tag in tags])
    told = select_wheels.unfit(packages, MUSL)
    assert told.startswith(
        f"one 1.0 has no sources, and wheels only for {made_for}: none for "
        "cp313-musllinux_1_2_x86_64. Allow another version "
    )


@pytest.mark.parametrize(
    "file",
    [
        "one-1.0.tar.gz",
        "one-1.0.zip",
        "one-1.0.tar.zst",
        "one-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
        "one__two-1.0-py3-none-any.whl",
        f"one-1.0-{'1' * 5000}-cp311-cp311-win_amd64.whl",
    ],
)
def test_what_could_be_taken_or_compiled_is_not_refused(file: str) -> None:
    packages = locked("one==1.0", files=["one-1.0-cp311-cp311-win_amd64.whl", file])
    assert select_wheels.unfit(packages, MUSL) == ""


def test_a_name_with_an_endless_number_fits_nothing() -> None:
    packages = locked("one==1.0", files=[f"one-1.0-{'1' * 5000}-py3-none-any.whl"])
    assert select_wheels.to_compile(packages, [], set(MUSL)) == ["one"]


WHEELS = {(name, "1.0"): (Path(name), name * 3) for name in ("one", "two")}
OPTIONS = [INDEX]


def write(
    packages: list[Chosen],
    wheels: Mapping[tuple[str, str], tuple[Path, str]],
    *no_binary: str,
) -> list[str]:
    """Return the lines of a requirements file."""
    return joined(select_wheels.requirements(OPTIONS, packages, wheels, no_binary))


def test_a_complete_wheelhouse_asks_no_index() -> None:
    """Each package is known only by the digest of its wheel: the lock has others."""
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


def test_uv_is_not_told_what_pip_alone_knows() -> None:
    options = [INDEX, "--trusted-host index.example"]
    text = select_wheels.requirements(options, locked("one==1.0"), {}, [])
    assert joined(text) == [INDEX, f"one==1.0{HASHES}"]


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
    monkeypatch.setattr(select_wheels, "INSTALLED_FROM", str(folder))
    path = make_wheel(folder, "one")
    file = tmp_path / "requirements.txt"
    command = ["uv", "pip", "install", "--no-cache", "--no-config", "--no-deps", "--require-hashes"]
    command += ["--python", sys.executable, "--target", str(tmp_path / "target")]
    for digest, status in (("0" * 64, 1), (wheelhouse.digest(path), 0)):
        wheels = {("one", "1.0"): (path, digest)}
        file.write_text(select_wheels.requirements([INDEX], locked("one==1.0"), wheels, []))
        done = subprocess.run(
            [*command, "--requirements", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
    assert "VERSION" in (tmp_path / "target/one.py").read_text()


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Return a folder with what docker/image/split_facts.py writes, for two sets of packages.

    The index has wheels of all of them but of ``raw``.
    """
    folder = tmp_path / "facts"
    folder.mkdir()
    tags = {"raw": "py3-none-win_amd64"}
    packages = [
        *locked('elsewhere==1.0 ; sys_platform == "win32"', files=["elsewhere-1.0.tar.gz"]),
        *(
            Chosen(
                *(name, "1.0", "", ["sha256:aa"]),
                [
                    f"{name.replace('-', '_')}-1.0-{tags.get(name, 'py3-none-any')}.whl",
                    f"{name.replace('-', '_')}-1.0.tar.gz",
                ],
            )
            for name in ("foo-bar", "one", "raw", "tool")
        ),
    ]
    for file, chosen in (("main.json", packages[:-1]), ("development.json", packages)):
        (folder / file).write_text(json.dumps(asdict(Selection([INDEX], chosen))))
    settings(folder)
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
def output(tmp_path: Path) -> Path:
    """Return the folder that the program writes."""
    return tmp_path / "output"


@pytest.fixture
def run(facts: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program and returns the plan that it wrote."""
    arguments = [facts, tmp_path / "house", tmp_path / "paths", output]
    monkeypatch.setattr(sys, "argv", ["select_wheels.py", *map(str, arguments)])

    def run() -> dict[str, Any]:
        select_wheels.main()
        plan: dict[str, Any] = json.loads((output / "wheel-plan.json").read_text())
        return plan

    return run


def settings(folder: Path, **lists: list[str]) -> None:
    """Write the settings of wheels, as docker/image/split_facts.py does."""
    none: dict[str, list[str]] = {"build-first": [], "no-binary": [], "no-build-isolation": []}
    own = {name.replace("_", "-"): value for name, value in lists.items()}
    (folder / "wheel-settings.json").write_text(json.dumps({**none, **own}))


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_without_a_wheelhouse_everything_comes_from_the_index_and_compiling_is_announced(
    run: Run, facts: Path, output: Path, house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run()
    assert plan == {
        "tag": house.name,
        "compile": ["raw"],
        "announcement": plan["announcement"],
        "build-first": [],
        "main": {"foo-bar": "1.0", "one": "1.0", "raw": "1.0"},
        "no-binary": [],
        "no-build-isolation": [],
        "refused": "",
    }
    assert plan["announcement"].startswith("1 of 4 packages have no ")
    assert plan["announcement"].endswith(": raw. Expect compiling.")
    assert capsys.readouterr().out == f"{plan['announcement']}\n"
    for folder in ("main", "development"):
        assert contents(output / "wheels" / folder) == FILES
    text = (output / "wheels/main/requirements.txt").read_text()
    main = wheelhouse.read_selection(facts / "main.json")
    assert text == poetry_lock.requirements_file(main.options, main.packages)
    assert joined(text) == [
        INDEX,
        *(f"{name}==1.0 --hash=sha256:aa" for name in ("foo-bar", "one", "raw")),
    ]


def test_each_set_gets_its_own_wheels_and_is_offline_if_it_has_all(
    run: Run, output: Path, house: Path, stock: Stock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The production image is built without an index although development lacks a wheel."""
    stock(house, "foo-bar", "one", "raw", "other")
    plan = run()
    wheels = {f"{name}-1.0-py3-none-any.whl" for name in ("foo_bar", "one", "raw")}
    for folder in ("main", "development"):
        assert contents(output / "wheels" / folder) == {*FILES, *wheels}
    main, development = (
        [
            line
            for line in (output / "wheels" / name / "requirements.txt").read_text().splitlines()
            if line.startswith("--")
        ]
        for name in ("main", "development")
    )
    assert main == ["--no-index", "--find-links /wheels"]
    assert development == [INDEX, "--find-links /wheels"]
    # What was compiled before is still a package without a wheel, and nothing to announce.
    assert plan["compile"] == ["raw"]
    assert plan["announcement"] == capsys.readouterr().out == ""


def test_names_in_the_settings_may_be_written_in_any_way(
    run: Run, facts: Path, output: Path
) -> None:
    settings(facts, no_binary=["Foo_Bar"], build_first=["ONE"])
    plan = run()
    assert plan["no-binary"] == ["foo-bar"]
    assert plan["build-first"] == ["one"]
    assert plan["compile"] == ["foo-bar", "raw"]
    assert "1 of 4 are compiled because of no-binary: foo-bar." in plan["announcement"]
    text = (output / "wheels/main/requirements.txt").read_text()
    assert "--no-binary foo-bar" in text.splitlines()


def test_a_package_that_shall_be_compiled_from_now_on_is_so(
    run: Run, facts: Path, output: Path, house: Path, stock: Stock
) -> None:
    stock(house, "foo-bar", "one", "raw", "tool")
    settings(facts, no_binary=["one"])
    assert "because of no-binary: one." in run()["announcement"]
    text = (output / "wheels/main/requirements.txt").read_text()
    assert "--no-binary one" in text.splitlines()
    assert "one-1.0-py3-none-any.whl" not in contents(output / "wheels/main")


def test_a_wheelhouse_of_another_platform_does_not_matter(
    run: Run, output: Path, house: Path, stock: Stock
) -> None:
    stock(house.with_name("cp310-musllinux_1_2_riscv64"), "one")
    assert run()["tag"] == house.name
    assert contents(output / "wheels/main") == FILES


def test_a_changed_wheel_stops_the_build(run: Run, output: Path, house: Path, stock: Stock) -> None:
    [wheel] = stock(house, "one")
    wheel.write_bytes(b"")
    with pytest.raises(SystemExit) as error:
        run()
    assert str(error.value.code).startswith("Wheels: one-1.0-py3-none-any.whl in the wheelhouse ")
    assert not list(output.rglob("requirements.txt"))


def test_tests_get_what_development_has_and_production_has_not(
    run: Run, facts: Path, output: Path
) -> None:
    """What production has by a marker that is not true here, it has not."""
    packages = [
        *locked('one==1.0 ; sys_platform == "win32"', "two==1.0 ; python_version > '3'"),
    ]
    (facts / "main.json").write_text(json.dumps(asdict(Selection([INDEX], packages))))
    packages = locked("one==1.0", "two==1.0", 'three==1.0 ; sys_platform == "win32"', "four==1.0")
    (facts / "development.json").write_text(json.dumps(asdict(Selection([INDEX], packages))))
    run()
    lines = joined((output / "wheels/test/requirements.txt").read_text())
    assert lines == [INDEX, f"one==1.0{HASHES}", f"four==1.0{HASHES}"]


def test_a_refusal_is_where_those_find_it_who_install_for_development(
    run: Run, facts: Path, output: Path
) -> None:
    main = wheelhouse.read_selection(facts / "main.json")
    refused = asdict(Selection(main.options, main.packages, "It has no hash. Depend on another."))
    (facts / "development.json").write_text(json.dumps(refused))
    run()
    told = {x.parent.name: x.read_text() for x in (output / "wheels").glob("*/refused.txt")}
    said = "Wheels: It has no hash. Depend on another.\n"
    assert told == {"development": said, "test": said}


NOWHERE = locked("bare==1.0", files=["bare-1.0-cp27-none-win_amd64.whl"])


def test_production_is_refused_before_anything_is_installed(run: Run, facts: Path) -> None:
    choose(facts, Selection([INDEX], NOWHERE))
    with pytest.raises(SystemExit, match=r"^Wheels: bare 1\.0 has no sources, .* for cp27: none "):
        run()


def test_what_only_development_cannot_have_does_not_keep_production_from_being_built(
    run: Run, facts: Path, output: Path
) -> None:
    choose(facts, Selection([INDEX], []), Selection([INDEX], NOWHERE))
    plan = run()
    assert plan["refused"].startswith("bare 1.0 has no sources, ")
    assert plan["announcement"] == ""
    told = {x.parent.name: x.read_text() for x in (output / "wheels").glob("*/refused.txt")}
    assert told == dict.fromkeys(("development", "test"), f"Wheels: {plan['refused']}\n")


def test_what_is_made_by_hand_and_put_into_the_wheelhouse_is_not_refused(
    run: Run, facts: Path, house: Path, stock: Stock
) -> None:
    stock(house, "bare")
    choose(facts, Selection([INDEX], NOWHERE))
    assert run()["refused"] == ""


def test_what_has_an_address_is_taken_from_there_unless_its_wheel_is_made() -> None:
    package = Chosen("one", "1.0", "", ["sha256:aa"], [], "https://files.example/one.zip")
    wheels = {("one", "1.0"): (Path("one"), "bb")}
    assert write([package], {})[-1] == "one @ https://files.example/one.zip --hash=sha256:aa"
    assert write([package], wheels)[-1] == "one==1.0 --hash=sha256:bb"


LOCATED = "sha256:cc"


def located(path: str, name: str = "shared", marker: str = "") -> Chosen:
    """Return a package at a path."""
    return Chosen(name, "1.0", marker, [LOCATED], [Path(path).name], path=path)


def choose(facts: Path, main: Selection, development: Selection | None = None) -> None:
    """Write what there is to install."""
    for name, selection in (("main", main), ("development", development or main)):
        (facts / f"{name}.json").write_text(json.dumps(asdict(selection)))


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """Return the folder with what was collected: a wheel, an archive and a folder."""
    libs = tmp_path / "libs"
    libs.mkdir()
    names = ("shared-1.0-py3-none-any.whl", "shared-1.0.tar.gz")
    for name in names:
        (libs / name).write_text(name)
    found = {f"../libs/{name}": libs / name for name in names}
    path_dependencies.copy({**found, "../libs": libs}, "shop", tmp_path / "paths")
    return tmp_path / "paths"


def requirements_of(output: Path, name: str = "main") -> list[str]:
    """Return the lines of the requirements file of a set."""
    return joined((output / "wheels" / name / "requirements.txt").read_text())


@pytest.mark.usefixtures("collected")
def test_a_wheel_at_a_path_is_there_and_asks_no_index(run: Run, facts: Path, output: Path) -> None:
    choose(facts, Selection([INDEX], [located("../libs/shared-1.0-py3-none-any.whl")]))
    assert run()["compile"] == []
    assert contents(output / "wheels/main") == {*FILES, "shared-1.0-py3-none-any.whl"}
    options = ["--no-index", "--find-links /wheels"]
    assert requirements_of(output) == [*options, f"shared==1.0 --hash={LOCATED}"]


@pytest.mark.usefixtures("collected")
def test_an_archive_at_a_path_is_there_and_what_builds_it_comes_from_the_index(
    run: Run, facts: Path, output: Path
) -> None:
    choose(facts, Selection([INDEX], [located("../libs/shared-1.0.tar.gz")]))
    assert run()["compile"] == ["shared"]
    assert contents(output / "wheels/main") == {*FILES, "shared-1.0.tar.gz"}
    options = [INDEX, "--find-links /wheels"]
    assert requirements_of(output) == [*options, f"shared==1.0 --hash={LOCATED}"]


def alone(field: str, package: Chosen) -> Selection:
    """Return a selection of one package, which is in this field."""
    if field == "folders":
        return Selection([INDEX], [], folders=[package])
    return Selection([INDEX], [package])


@pytest.mark.parametrize("field", ["packages", "folders"])
def test_a_path_that_was_not_collected_stops_the_build(run: Run, facts: Path, field: str) -> None:
    choose(facts, alone(field, located("../libs")))
    with pytest.raises(SystemExit, match=r"^Package: This build lacks the path dependency \.\./li"):
        run()


@pytest.mark.usefixtures("collected")
def test_a_folder_that_was_collected_is_not_among_the_wheels(
    run: Run, facts: Path, output: Path
) -> None:
    choose(facts, Selection([INDEX], [], folders=[located("../libs")]))
    run()
    assert contents(output / "wheels/main") == FILES
    assert requirements_of(output) == ["--no-index"]


@pytest.mark.parametrize("field", ["packages", "folders"])
def test_what_does_not_apply_here_need_not_be_collected(run: Run, facts: Path, field: str) -> None:
    elsewhere = located("../libs", marker="sys_platform == 'win32'")
    choose(facts, alone(field, elsewhere))
    assert run()["compile"] == []


def commit(name: str, marker: str = "") -> Chosen:
    """Return a package at a commit."""
    address = f"git+https://code.example/{name}.git@0a1b"
    return Chosen(name, "1.0", marker, [], [], url=address)


def test_each_set_has_the_commits_that_apply_and_tests_those_that_production_lacks(
    run: Run, facts: Path, output: Path
) -> None:
    shipped = [commit("one"), commit("two", "sys_platform == 'win32'")]
    choose(
        facts,
        Selection([], [], commits=shipped),
        Selection([], [], commits=[*shipped, commit("three")]),
    )
    run()
    told = {x.parent.name: x.read_text() for x in (output / "wheels").glob("*/commits.txt")}
    one, three = (
        f"{name} @ git+https://code.example/{name}.git@0a1b\n" for name in ("one", "three")
    )
    assert told == {"main": one, "test": three, "development": f"{one}{three}"}


def test_an_index_is_known_by_its_name_with_a_package_that_it_has(
    run: Run, facts: Path, output: Path
) -> None:
    sources = {"ours": "https://index.example/simple"}
    package = Chosen(
        "click", "8.1", "", ["sha256:0a"], ["click-8.1-py3-none-any.whl"], source="ours"
    )
    choose(facts, Selection([INDEX], [package], sources=sources))
    run()
    found = json.loads((output / "wheels/main/indexes.json").read_text())
    assert found == {"sources": sources, "packages": {"ours": "click"}}
