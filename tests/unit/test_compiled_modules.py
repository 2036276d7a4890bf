"""docker/image/compiled_modules.py finds packages that have lost their compiled modules."""

from pathlib import Path

import compiled_modules
import pytest

WHEEL = "some_thing-3.2-{}.whl"
MODULES = WHEEL.format("cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64")
SOURCES = "some_thing-3.2.tar.gz"


def found(
    environment: Path, files: list[str], installed: str, name: str = "Some_Thing"
) -> list[str]:
    """Return what is found of a distribution with these files on the index and one installed."""
    packages = environment / "lib/python3.13/site-packages"
    folder = packages / f"{name.replace('-', '_')}-3.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.2\n")
    (folder / "RECORD").write_text(f"some_thing/__init__.py,,\nsome_thing/{installed},,\n")
    return [*compiled_modules.without(environment, [{"name": "some-thing", "files": files}])]


@pytest.mark.parametrize("name", ["Some_Thing", "some.thing", "some-thing", "Some__Thing"])
@pytest.mark.parametrize("files", [[MODULES, SOURCES], [WHEEL.format("1-cp310-abi3-win_amd64")]])
def test_a_package_whose_wheels_all_have_modules_has_them_or_is_named(
    files: list[str], name: str, tmp_path: Path
) -> None:
    assert found(tmp_path / "without", files, "speedups.py", name) == ["some-thing 3.2"]
    assert found(tmp_path / "with", files, "_speedups.cpython-313-x86_64-linux-gnu.so", name) == []


@pytest.mark.parametrize(
    "files",
    [
        # Its makers offer it without modules, too.
        [MODULES, WHEEL.format("py3-none-any")],
        # A wheel may be for a platform for other reasons, a program in it, for one.
        [WHEEL.format("py3-none-manylinux2014_x86_64")],
        [SOURCES],
        [],
        ["no-wheel.whl"],
    ],
)
def test_a_package_that_may_do_without_is_not_named(files: list[str], tmp_path: Path) -> None:
    assert found(tmp_path, files, "speedups.py") == []


def test_what_is_not_locked_is_not_named(tmp_path: Path) -> None:
    assert found(tmp_path, [MODULES], "speedups.py", "another") == []


def test_what_a_package_says_of_itself_may_be_damaged(tmp_path: Path) -> None:
    """Only its list of files counts, as far as that can be read."""
    folder = tmp_path / "lib/python3.13/site-packages/some_thing-3.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_bytes(b"\xff")
    locked = [{"name": "some-thing", "files": [MODULES]}]
    for content, told in ((b"\xff,x,y\n", ["some-thing 3.2"]), (b"\xff,,\na.so,,\n", [])):
        (folder / "RECORD").write_bytes(content)
        assert [*compiled_modules.without(tmp_path, locked)] == told
