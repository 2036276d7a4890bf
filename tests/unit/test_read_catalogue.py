"""docker/image/read_catalogue.py reads a catalogue, or says what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import read_catalogue
from errors import BuildError

HEAD = """
repository = "registry.example.com:5000/our/python"
pythons = ["3.13", "3.14"]
"""
BASES = """
[bases.debian13]
image = "python:{python}-slim-trixie"
[bases.alpine3-23]
image = "python:{python}-alpine3.23"
pythons = ["3.12"]
"""
COMMON = """
[sys.debian13.dependencies]
ca-certificates = "*"
[sys.debian13.dev-dependencies]
gcc = "*"
"""
VARIANTS = """
[variants.plain]
[variants.database.sys.debian13.dependencies]
libpq5 = "~17.5"
[variants.database.sys.debian13.dev-dependencies]
libpq-dev = "*"
[variants.database.sys.alpine3-23.dependencies]
libpq = "*"
[variants.database.size.debian13]
base = "150 MB"
[variants.database.check]
libraries = ["libpq.so.5"]
"""
WHOLE = HEAD + BASES + COMMON + VARIANTS

Read = Callable[[str], dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads the text of a catalogue."""

    def read(text: str) -> dict[str, Any]:
        path = tmp_path / "catalogue.toml"
        path.write_text(text, encoding="utf-8")
        return read_catalogue.read(path)

    return read


def pair(catalogue: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the pair with a name."""
    [found] = [pair for pair in catalogue["pairs"] if pair["name"] == name]
    return dict(found)


def test_every_python_of_every_base_in_every_variant_is_a_pair(read: Read) -> None:
    assert {x["name"]: x["image"] for x in read(WHOLE)["pairs"]} == {
        "3.13-debian13-plain": "python:3.13-slim-trixie",
        "3.13-debian13-database": "python:3.13-slim-trixie",
        "3.14-debian13-plain": "python:3.14-slim-trixie",
        "3.14-debian13-database": "python:3.14-slim-trixie",
        "3.12-alpine3-23-plain": "python:3.12-alpine3.23",
        "3.12-alpine3-23-database": "python:3.12-alpine3.23",
    }


def test_each_stage_has_its_own_packages_and_the_builder_those_of_its_base(read: Read) -> None:
    stages = pair(read(WHOLE), "3.13-debian13-database")["stages"]
    variant, common = (f"[{x}sys.debian13] in catalogue.toml" for x in ("variants.database.", ""))
    assert stages == {
        "common": {"packages": {"ca-certificates": "*"}, "source": common},
        "common-builder": {"packages": {"gcc": "*"}, "source": common},
        "base": {"packages": {"libpq5": "~17.5"}, "source": variant},
        "builder": {"packages": {"libpq-dev": "*", "libpq5": "~17.5"}, "source": variant},
    }
    plain = pair(read(WHOLE), "3.12-alpine3-23-plain")["stages"]
    assert set(map(json.dumps, plain.values())) == {"{}"}


def test_budgets_and_checks_are_those_of_the_variant(read: Read) -> None:
    catalogue = read(WHOLE)
    assert pair(catalogue, "3.13-debian13-database")["sizes"] == {"base": "150 MB"}
    assert pair(catalogue, "3.12-alpine3-23-database")["sizes"] == {}
    assert pair(catalogue, "3.13-debian13-database")["check"]["libraries"] == ["libpq.so.5"]
    assert not any(pair(catalogue, "3.13-debian13-plain")["check"].values())


def test_what_is_checked_may_differ_between_bases(read: Read) -> None:
    """A library has another number on another release."""
    catalogue = read(f'{WHOLE}[variants.database.check.alpine3-23]\nlibraries = ["libx.so.1"]\n')
    checks = {x["release"]: x["check"]["libraries"] for x in catalogue["pairs"][-2:]}
    assert pair(catalogue, "3.13-debian13-database")["check"]["libraries"] == ["libpq.so.5"]
    assert checks["alpine3-23"] == ["libpq.so.5", "libx.so.1"]


def test_one_python_may_come_from_an_image_by_digest(read: Read) -> None:
    image = f"mirror.example:5000/python-312@sha256:{7:064x}"
    found = read(WHOLE.replace("python:{python}-alpine3.23", image))
    assert pair(found, "3.12-alpine3-23-plain")["image"] == image


WRONG = [
    ('repository = "Our/Python"', HEAD, "repository of catalogue.toml is 'Our/Python'"),
    ('repository = "our/python:3"', HEAD, "is 'our/python:3'"),
    ('pythons = ["3.13"]', HEAD, "repository of catalogue.toml is None"),
    ('pythons = "3.13"', 'pythons = ["3.13", "3.14"]', "pythons of [bases.debian13] is '3.13'"),
    ("pythons = []", 'pythons = ["3.13", "3.14"]', "No pythons are named for [bases.debian13]"),
    ('pythons = ["3"]', 'pythons = ["3.13", "3.14"]', "[bases.debian13] has the Python '3'"),
    ('pythons = ["3.9"]', 'pythons = ["3.13", "3.14"]', "has the Python '3.9'"),
    ('pythons = ["3.13", "3.13"]', 'pythons = ["3.13", "3.14"]', "would be called 3.13-debian13-"),
    ("[variants.default]", "[variants.plain]", "[variants.default] is called as"),
    ("[variants.debian13]", "[variants.plain]", "[variants.debian13] is called as"),
    (
        "[variants.plain.size.debian13]\nbase = 5",
        "[variants.plain]",
        "base of [variants.plain.s",
    ),
    ('gcc = {version = "*", dlopen = true}', 'gcc = "*"', "gcc in [sys.debian13] has dlopen"),
    ('ca-certificates = "1"', 'gcc = "*"', "names ca-certificates twice"),
    ('image = "python:3"', 'image = "python:{python}-slim-trixie"', "is one for 2 Pythons"),
    ('image = "${{X}}/p"', 'image = "python:{python}-slim-trixie"', "image of [bases.debian13] is"),
    ('image = "a b"', 'image = "python:{python}-slim-trixie"', "image of [bases.debian13] is"),
    ("[bases.alpine3.23]", "[bases.alpine3-23]", "Write alpine3-23"),
    ('repository = "python:3"', HEAD, "is 'python:3'"),
    ("", BASES, "catalogue.toml has no bases"),
    ("", VARIANTS, "catalogue.toml has no variants"),
    ("bases = 5", BASES, "bases in catalogue.toml is 5"),
    ("[bases.debian12]", "[bases.debian13]", "[sys.debian13] is for no base of this catalogue"),
    ("[bases.Debian]", "[bases.debian13]", "[bases.Debian] has a name that no tag can have"),
    ("[variants.x-builder]", "[variants.plain]", "[variants.x-builder] is called as"),
    ("[variants.plain]\nsizes = 5", "[variants.plain]", "[variants.plain] has no use for 'sizes'"),
    (
        "[variants.plain.sys.debian13.dependencies]",
        "[variants.plain]",
        "[variants.plain.sys] has packages for other bases than alpine3-23",
    ),
    (
        "[variants.plain.sys.debian13.groups.a]\nx = '*'",
        "[variants.plain]",
        "takes dependencies and dev-dependencies only",
    ),
    ("[variants.plain.size.debian12]", "[variants.plain]", "has no use for 'debian12'"),
    ("[variants.plain.check]\nimports = 'x'", "[variants.plain]", "imports of [variants.plain.ch"),
    ('gcc = "1 2"', 'gcc = "*"', "gcc in [sys.debian13.dev-dependencies] is '1 2'"),
    ('libpq5 = "$x"', 'libpq5 = "~17.5"', "libpq5 in [variants.database.sys.debian13.dep"),
    ("=", HEAD, "cannot be read"),
]


@pytest.mark.parametrize(("new", "old", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_what_is_wrong_is_named_with_a_remedy(new: str, old: str, message: str, read: Read) -> None:
    assert old in WHOLE
    with pytest.raises(BuildError) as error:
        read(WHOLE.replace(old, new, 1))
    assert message in str(error.value)
    assert str(error.value).endswith(".")
    assert len(str(error.value).replace("i.e.", "").split(". ")) >= 2


def test_a_file_that_is_missing_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["read_catalogue.py", str(tmp_path / "catalogue.toml")])
    with pytest.raises(SystemExit, match=r"catalogue.toml cannot be read \(No such file.*folder"):
        read_catalogue.main()
