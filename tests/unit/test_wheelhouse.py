"""docker/image/wheelhouse.py finds in a wheelhouse what fits the lock and this platform."""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import poetry_lock
import pytest
import wheelhouse
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag, sys_tags
from packaging.utils import canonicalize_name
from poetry_lock import Chosen, Selection
from wheelhouse import WheelhouseError

from tests.unit.locked import locked

MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]

LOCKS = Path(__file__).parent / "locks"
ANY = set(parse_tag("py3-none-any"))
MUSL = [
    *cpython_tags(
        (3, 13), ["cp313"], ["linux_x86_64", "musllinux_1_2_x86_64", "musllinux_1_1_x86_64"]
    ),
    *compatible_tags((3, 13), "cp313", ["musllinux_1_2_x86_64"]),
]


def read(folder: Path, selection: Selection) -> Selection:
    """Return what is read of a selection that docker/image/split_facts.py wrote."""
    file = folder / "development.json"
    file.write_text(json.dumps(asdict(selection)), encoding="utf-8")
    return wheelhouse.read_selection(file)


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("", True),
        ('python_version >= "3.11"', True),
        ('python_version < "3.11"', False),
        ('python_version >= "3.11" and (os_name == "nt" or os_name == "posix")', True),
        ('sys_platform == "win32"', False),
        ('sys_platform == "win32" or python_version >= "3.11"', True),
    ],
)
def test_a_package_of_another_python_or_system_is_left_out(
    tmp_path: Path, marker: str, applies: bool
) -> None:
    packages = [Chosen("one", "1.0", marker, ["sha256:aa"], []), *locked("two==1.0")]
    found = read(tmp_path, Selection([], packages)).packages
    assert found == (packages if applies else packages[1:])


@pytest.mark.parametrize("name", sorted(path.name for path in LOCKS.iterdir()))
def test_what_split_facts_py_writes_is_read_whole(name: str, tmp_path: Path) -> None:
    selection = poetry_lock.select(poetry_lock.load(LOCKS / name))
    assert selection.packages
    found = read(tmp_path, selection)
    assert found.options == selection.options
    assert found.packages == [
        x for x in selection.packages if not x.marker or Marker(x.marker).evaluate()
    ]
    # As the names of wheels are read.
    assert all(package.name == canonicalize_name(package.name) for package in found.packages)


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


def names(
    folder: Path, packages: list[Chosen], tags: set[Tag] = ANY, no_binary: tuple[str, ...] = ()
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


def test_a_wheelhouse_of_an_earlier_version_is_read(
    make_wheel: MakeWheel, make_house: MakeHouse, tmp_path: Path
) -> None:
    """Its manifest had another name, which counts as long as there is no other."""
    house = make_house(tmp_path / "house", [make_wheel(tmp_path / "house", "one")])
    manifest = wheelhouse.read_manifest(house)
    assert manifest.keys() == {"one-1.0-py3-none-any.whl"}
    (house / "manifest.json").rename(house / "wheels.json")
    assert wheelhouse.read_manifest(house) == manifest
    assert names(house, locked("one==1.0")) == [*manifest]
    make_house(house, [make_wheel(house, "two")])
    assert wheelhouse.read_manifest(house).keys() == {"two-1.0-py3-none-any.whl"}


def test_without_a_manifest_it_is_empty(tmp_path: Path) -> None:
    assert wheelhouse.read_manifest(tmp_path) == wheelhouse.read_manifest(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "[" * 50_000,
        '{"one-1.0-py3-none-any.whl": 1}',
        '{"one-1.0-py3-none-any.whl": {"origin": "built"}}',
        '{"one.whl": {"origin": "built", "sha256": "a", "seconds": 1, "size": 1}}',
    ],
    ids=["list", "cut", "deep", "number", "half", "name"],
)
def test_a_manifest_that_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / wheelhouse.MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(WheelhouseError, match=r"damaged file manifest\.json .* Delete \.wheels/"):
        wheelhouse.read_manifest(tmp_path)


@pytest.mark.parametrize("requirement", ["one==1.0 ; other_name == 'x'", "one==first"])
def test_what_pip_could_not_read_is_refused(tmp_path: Path, requirement: str) -> None:
    with pytest.raises(WheelhouseError, match=r"one cannot be read in poetry\.lock"):
        read(tmp_path, Selection([], locked(requirement)))


def test_a_name_that_no_file_can_have_is_of_no_wheel(tmp_path: Path) -> None:
    """A build number may be of any length."""
    name = f"one-1.0-1{'a' * 300}-py3-none-any.whl"
    entry = {"origin": "built", "sha256": "a", "seconds": 1, "size": 1}
    (tmp_path / wheelhouse.MANIFEST).write_text(json.dumps({name: entry}), encoding="utf-8")
    assert wheelhouse.select(locked("one==1.0"), tmp_path, ANY, []) == {}
