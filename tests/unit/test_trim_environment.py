"""docker/image/trim_environment.py leaves out what its rules name, and nothing that is needed."""

import base64
import csv
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trim_environment

from tests.unit.conftest import elf_bytes

PROGRAM = Path(trim_environment.__file__)
NOBODY = 65534


class Made(trim_environment.Environment):
    """A virtual environment, and what is written into it."""

    def __init__(self, root: Path) -> None:
        """Create it, without any package."""
        venv.EnvBuilder(symlinks=True).create(root)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        super().__init__(root, root / "lib" / version / "site-packages")

    def write(self, files: Mapping[str, str | bytes], mode: int = 0o644) -> None:
        """Write files below the folder of packages."""
        for name, content in files.items():
            path = self.packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            path.chmod(mode)

    def names(self) -> list[str]:
        """Return what is below the folder of packages, folders with a slash."""
        return sorted(
            f"{path.relative_to(self.packages)}{'/' if path.is_dir() else ''}"
            for path in self.packages.rglob("*")
        )

    def copy(self, root: Path) -> Path:
        """Return the folder of a copy, which works as this one does."""
        shutil.copytree(self.root, root, symlinks=True)
        return root


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return an environment without packages."""
    return Made(tmp_path / "venv")


# --- The environment ------------------------------------------------------------------------------


def test_links_are_no_files_of_an_environment(made: Made, tmp_path: Path) -> None:
    """The interpreter is one, to what is not in it."""
    made.write({"shop.py": ""})
    (made.packages / "link.py").symlink_to("shop.py")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.py").write_text("")
    (made.packages / "folder").symlink_to(tmp_path / "outside")
    names = {path.name for path in made.files()}
    assert {"shop.py", "pyvenv.cfg"} <= names
    assert names.isdisjoint({"link.py", "python3", "x.py"})


def test_a_file_with_two_names_counts_once(made: Made) -> None:
    before = made.size()
    made.write({"a": b"x" * 1000, "b": b"x" * 100})
    (made.packages / "c").hardlink_to(made.packages / "a")
    assert made.size() == before + 1100


def test_modules_have_the_names_they_are_imported_by(made: Made) -> None:
    made.write(
        dict.fromkeys(
            [
                *("single.py", "shop/__init__.py", "shop/till.py", "space/sub/x.py"),
                *("shop/_a.abi3.so", "shop/__main__.py", "shop/data.txt", "shop/v1.2/x.py"),
                *("shop/0001_first.py", "a-b/x.py", "shop/till.pyi", "shop/lib.so.1"),
                *("shop/__pycache__/till.cpython-311.pyc", "../../../share/other.py"),
            ],
            "",
        )
    )
    assert made.modules() == {
        name: made.packages / path
        for name, path in {
            "single": "single.py",
            "shop": "shop/__init__.py",
            "shop.till": "shop/till.py",
            "shop._a": "shop/_a.abi3.so",
            "space.sub.x": "space/sub/x.py",
        }.items()
    }


def test_of_a_module_with_two_files_the_compiled_one_counts(made: Made) -> None:
    """Python takes it first."""
    made.write({"shop/till.py": "", "shop/till.abi3.so": ""})
    assert made.modules() == {"shop.till": made.packages / "shop/till.abi3.so"}
    without = {made.packages / "shop/till.abi3.so"}
    assert made.modules(without) == {"shop.till": made.packages / "shop/till.py"}


@pytest.mark.parametrize("name", ["till.sample.py", "till.py.py"])
def test_a_file_that_no_import_finds_takes_no_place_of_a_module(made: Made, name: str) -> None:
    made.write({"shop/till.py": "", f"shop/{name}": ""})
    assert made.modules() == {"shop.till": made.packages / "shop/till.py"}


def test_bytecode_goes_with_its_module_and_stays_with_others(made: Made) -> None:
    made.write({f"shop/{name}.py": "" for name in ("a", "b")})
    for name in ("a", "b"):
        for level in (0, 1, 2):
            py_compile.compile(str(made.packages / f"shop/{name}.py"), optimize=level)
    assert made.remove([made.packages / "shop/a.py"]) == 1
    tag = sys.implementation.cache_tag
    pyc = [f"shop/__pycache__/b.{tag}{level}.pyc" for level in (".opt-1", ".opt-2", "")]
    assert made.names() == ["shop/", "shop/__pycache__/", *pyc, "shop/b.py"]


def test_folders_that_are_empty_go_and_others_stay(made: Made) -> None:
    made.write({"shop/a/b/c/x.py": "", "shop/y.py": "", "space/z.py": ""})
    py_compile.compile(str(made.packages / "shop/a/b/c/x.py"))
    (made.packages / "shop/empty").mkdir()
    made.remove([made.packages / "shop/a/b/c/x.py", made.packages / "space/z.py"])
    assert made.names() == ["shop/", "shop/empty/", "shop/y.py"]


# --- tests ----------------------------------------------------------------------------------------


def left_by_tests(made: Made, files: Mapping[str, str]) -> list[str]:
    """Return the files that the rule leaves."""
    made.write(files)
    trim_environment.tests(made)
    return [name for name in made.names() if not name.endswith("/")]


def test_folders_of_tests_go_with_all_that_is_in_them(made: Made) -> None:
    files = ["shop/__init__.py", "shop/x.py"]
    unneeded = [
        *("shop/tests/__init__.py", "shop/tests/test_x.py", "shop/tests/data/a.csv"),
        *("shop/sub/test/x.py", "tests/__init__.py", "test/x.py", "other/tests/only.txt"),
    ]
    made.write(dict.fromkeys([*files, *unneeded], "x = 1"))
    py_compile.compile(str(made.packages / "shop/tests/test_x.py"))
    assert trim_environment.tests(made) == len(unneeded) + 1
    assert made.names() == ["shop/", *files]


def test_what_is_only_called_alike_stays(made: Made) -> None:
    files = dict.fromkeys(
        [
            *("shop/__init__.py", "shop/tests.py", "shop/test.py", "shop/test_x.py"),
            *("shop/testing/x.py", "shop/unittest/x.py", "shop/tests_/x.py", "shop/Tests/x.py"),
            *("../../../share/tests/x.py", "../../../test/x.txt"),
        ],
        "",
    )
    made.write(files)
    assert trim_environment.tests(made) == 0
    assert all((made.packages / name).exists() for name in files)


def test_without_tests_nothing_changes(made: Made) -> None:
    assert left_by_tests(made, {"shop/__init__.py": ""}) == ["shop/__init__.py"]


IMPORTS = {
    "absolute": "import shop.tests",
    "module": "import shop.tests.support as s",
    "from": "from shop.tests import support",
    "folder": "from shop import tests",
    "what": "from shop.tests.support import f",
    "relative": "from . import tests",
    "relative-module": "from .tests.support import f",
    "function": "def f():\n    from .tests import support",
    "guarded": "try:\n    import shop.tests\nexcept ImportError:\n    pass",
    "typing": "import typing\nif typing.TYPE_CHECKING:\n    from shop.tests import support",
    "text": "RUNNER = 'shop.tests.support'",
    "text-class": "RUNNER = {'class': 'shop.tests.support.Runner'}",
    "text-folder": "def f():\n    return __import__('shop.tests')",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_tests_stay_that_a_module_outside_of_them_imports(made: Made, text: str) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/x.py": text,
        "shop/tests/__init__.py": "",
        "shop/tests/data.csv": "",
        "shop/tests/support.py": "",
        "other/tests/__init__.py": "",
    }
    assert left_by_tests(made, files) == sorted(name for name in files if "other" not in name)


@pytest.mark.parametrize("name", ["shop/__init__.py", "shop/sub/__init__.py", "other.py"])
def test_tests_stay_whoever_imports_them(made: Made, name: str) -> None:
    files = {"shop/__init__.py": "", "shop/tests/x.py": "", name: "from shop.tests import x"}
    assert left_by_tests(made, files) == sorted(files)


def test_tests_stay_that_their_package_imports_as_its_own(made: Made) -> None:
    files = {"shop/__init__.py": "from .tests import run", "shop/tests/__init__.py": "run = 1"}
    assert left_by_tests(made, files) == sorted(files)


@pytest.mark.parametrize(
    "text",
    [
        "import shop.testing",
        "from shop import test_x",
        "import tests_of_shop",
        "import other.tests",
        "x = 'tests'",
        "x = 'shop tests'",
        "x = 'the tests. They fail.'",
        "# import shop.tests",
        "import unittest.test_x",
        "def tests(): ...",
    ],
)
def test_tests_go_that_are_only_mentioned(made: Made, text: str) -> None:
    files = {"shop/__init__.py": text, "shop/tests/__init__.py": "", "shop/tests/x.py": ""}
    assert left_by_tests(made, files) == ["shop/__init__.py"]


def test_tests_go_whose_name_another_name_begins_with(made: Made) -> None:
    files = {"shop/__init__.py": "import shop.testsuite.test.x", "shop/test/y.py": ""}
    left = {"shop/__init__.py": files["shop/__init__.py"], "shop/testsuite/test/x.py": ""}
    assert left_by_tests(made, {**files, **left}) == list(left)


def test_tests_go_that_only_tests_import(made: Made) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/tests/__init__.py": "from . import support",
        "shop/tests/support.py": "import shop.tests, other.tests.y",
        "shop/sub/tests/x.py": "from shop.tests import support",
        "other/tests/y.py": "from shop.tests import support",
    }
    assert left_by_tests(made, files) == ["shop/__init__.py"]


def test_tests_stay_that_tests_that_stay_import(made: Made) -> None:
    """And what those import, however often; only some do."""
    files = {
        "shop/__init__.py": "import a.tests.x",
        "a/tests/x.py": "def f():\n    from b.test import y",
        "b/test/y.py": "NEXT = 'c.tests.z'",
        "c/tests/z.py": "",
        "c/sub/tests/w.py": "import d.tests",
        "d/tests/v.py": "import c.tests",
    }
    assert left_by_tests(made, files) == [
        *("a/tests/x.py", "b/test/y.py", "c/tests/z.py", "shop/__init__.py")
    ]


def test_tests_around_those_that_are_needed_stay_too(made: Made) -> None:
    """Without the package around it, no module could be imported."""
    files = {
        "shop/__init__.py": "import shop.tests.sub.tests.x",
        "shop/tests/__init__.py": "",
        "shop/tests/sub/__init__.py": "",
        "shop/tests/sub/tests/x.py": "",
        "shop/tests/test/y.py": "",
    }
    assert left_by_tests(made, files) == sorted(files)[:-1]


def test_tests_within_those_that_are_needed_go(made: Made) -> None:
    files = {
        "shop/__init__.py": "from shop.tests import support",
        "shop/tests/support.py": "",
        "shop/tests/tests/x.py": "",
        "shop/tests/data/test/y.py": "import shop.tests.data.test.y",
    }
    assert left_by_tests(made, files) == ["shop/__init__.py", "shop/tests/support.py"]


def test_the_part_of_a_framework_that_is_called_test_stays(made: Made) -> None:
    """As of Django: commands import it late, and settings name it."""
    files = {
        "django/__init__.py": "",
        "django/conf/global_settings.py": 'TEST_RUNNER = "django.test.runner.DiscoverRunner"\n',
        "django/core/management/commands/test.py": "from django.test.utils import get_runner\n",
        "django/test/__init__.py": "from django.test.client import Client\n",
        "django/test/client.py": "",
        "django/test/runner.py": "from django.test.utils import x\n",
        "django/test/utils.py": "",
        "django/contrib/admin/tests.py": "from django.test import TestCase\n",
        "django/contrib/gis/tests/x.py": "from django.test import TestCase\n",
    }
    assert left_by_tests(made, files) == sorted(x for x in files if "/gis/" not in x)


@pytest.mark.parametrize(
    "line",
    [
        "[console_scripts]\nshop-test = shop.tests.run:main",
        "[console_scripts]\nshop = shop.till:main\nshop-test=shop.tests.run:main [extra]",
        "[pytest11]\nshop = shop.tests",
        "\n# a comment = x\n[shop.plugins]\nA b.c =   shop.tests.run",
    ],
)
def test_tests_stay_that_an_entry_point_names(made: Made, line: str) -> None:
    files = {
        "shop-1.0.dist-info/entry_points.txt": f"{line}\n",
        "shop/tests/run.py": "from other.tests import x",
        "other/tests/x.py": "",
        "shop/sub/tests/y.py": "",
    }
    assert left_by_tests(made, files) == sorted(x for x in files if "/sub/" not in x)


def test_tests_go_that_an_entry_point_has_only_in_its_name(made: Made) -> None:
    text = "[console_scripts]\nshop.tests = shop.till:tests\n# x = shop.tests:main\n"
    files = {"shop-1.0.dist-info/entry_points.txt": text, "shop/tests/x.py": ""}
    assert left_by_tests(made, files) == ["shop-1.0.dist-info/entry_points.txt"]


def test_what_cannot_be_read_imports_no_tests(made: Made) -> None:
    files = {"shop/a.py": "import shop.tests\ndef f(:", "shop/tests/x.py": ""}
    assert left_by_tests(made, files) == ["shop/a.py"]


@pytest.mark.parametrize(
    "text",
    [
        "LOAD = 'shop.tests:load'",
        "import importlib\ndef f():\n    return importlib.import_module('.tests', __package__)",
        "import importlib\ndef f():\n    return importlib.import_module(f'{__package__}.tests')",
    ],
)
def test_tests_stay_that_a_text_names_in_other_ways(made: Made, text: str) -> None:
    files = {"shop/__init__.py": text, "shop/tests/__init__.py": ""}
    assert left_by_tests(made, files) == sorted(files)


@pytest.mark.parametrize("name", ["shop/__main__.py", "shop/migrations/0001_first.py"])
def test_tests_stay_that_only_a_program_imports(made: Made, name: str) -> None:
    """A program (python3 -m shop), and what a framework finds by a name that is no name."""
    files = {"shop/__init__.py": "", name: "from shop.tests import x", "shop/tests/x.py": ""}
    assert left_by_tests(made, files) == sorted(files)


# --- sources, symbols, duplicates -----------------------------------------------------------------


def test_what_was_compiled_goes_by_its_suffix(made: Made) -> None:
    gone = [f"shop/x{suffix}" for suffix in trim_environment.SOURCES]
    left = [
        *("shop/a.abi3.so", "shop/a.css", "shop/a.f.txt", "shop/a.js", "shop/a.json", "shop/a.o"),
        *("shop/a.py", "shop/a.pyi", "shop/a.typed", "shop/c", "shop/h/a.txt"),
    ]
    assert len(set(gone)) == 15
    made.write(dict.fromkeys([*gone, *left, "shop/include/deep/x.h"], "x"))
    assert trim_environment.sources(made) == 16
    assert made.names() == ["shop/", *left[:-1], "shop/h/", left[-1]]


def test_sources_go_from_the_whole_environment(made: Made) -> None:
    made.write({"../../../include/shop/x.h": "x", "../../../share/shop/x.js.map": "x"})
    assert trim_environment.sources(made) == 2
    assert not (made.root / "share").exists()


def shared_library(*needed: str) -> bytes:
    return elf_bytes(needed)


def test_shared_libraries_lose_what_is_not_loaded(made: Made) -> None:
    names = ["shop/_a.cpython-311-x86_64-linux-gnu.so", "shop/_b.abi3.so", "shop.libs/libc-1.so.2"]
    loaded = {name: shared_library(f"lib{index}.so") for index, name in enumerate(names)}
    made.write({name: content + b"symbols" * 99 for name, content in loaded.items()}, 0o755)
    made.write({"shop/__init__.py": ""})
    before = made.size()
    assert trim_environment.symbols(made) == 3
    assert before - made.size() == 3 * 99 * len(b"symbols")
    for name in names:
        path = made.packages / name
        assert path.stat().st_mode & 0o777 == 0o755
        # Its headers say no more where sections are.
        assert len(path.read_bytes()) == len(loaded[name])


def test_what_is_no_shared_library_keeps_its_symbols(made: Made) -> None:
    """Programs, text with such a name, and a library without symbols."""
    program = elf_bytes(["libc.so"], interpreter="/lib/ld.so") + b"data"
    files = {
        "shop/bin/program": program,
        "shop/program.so": program,
        "shop/libx.so": b"/* GNU ld script */ GROUP(libc.so.6)",
        "shop/empty.so": b"",
        "shop/liby.so": shared_library("libz.so"),
        "shop/library": shared_library("libz.so") + b"symbols" * 99,
    }
    made.write(files)
    assert trim_environment.symbols(made) == 0
    assert {name: (made.packages / name).read_bytes() for name in files} == files


def test_files_with_the_same_content_become_one(made: Made) -> None:
    names = ["a/x.txt", "b/y.py", "c/d/z"]
    made.write({**dict.fromkeys(names, "same" * 100), "other": "diff" * 100, "less": "same"})
    before = made.size()
    assert trim_environment.duplicates(made) == 2
    assert before - made.size() == 800
    paths = [made.packages / name for name in names]
    assert len({path.stat().st_ino for path in paths}) == 1
    assert {path.read_text() for path in paths} == {"same" * 100}
    assert (made.packages / "other").stat().st_nlink == 1
    assert trim_environment.duplicates(made) == 0


def test_files_of_another_mode_stay_on_their_own(made: Made) -> None:
    """One of them is a program, or can be written."""
    made.write({"a": "same", "b": "same"})
    made.write({"c": "same", "d": "same"}, 0o755)
    made.write({"e": "same"}, 0o664)
    assert trim_environment.duplicates(made) == 2
    status = {name: (made.packages / name).stat() for name in "abcde"}
    assert [status[x].st_mode & 0o777 for x in "abcde"] == [0o644, 0o644, 0o755, 0o755, 0o664]
    assert status["a"].st_ino == status["b"].st_ino != status["c"].st_ino == status["d"].st_ino
    assert status["e"].st_nlink == 1


def test_empty_files_stay_on_their_own(made: Made) -> None:
    """Together they would save nothing."""
    made.write({"a/__init__.py": "", "b/__init__.py": ""})
    assert trim_environment.duplicates(made) == 0
    assert (made.packages / "a/__init__.py").stat().st_nlink == 1


def test_duplicates_are_found_in_the_whole_environment(made: Made) -> None:
    made.write({"shop/x.js": "same", "../../../share/x.js": "same"})
    assert trim_environment.duplicates(made) == 1
    assert (made.root / "share/x.js").samefile(made.packages / "shop/x.js")


# --- exclude --------------------------------------------------------------------------------------

FILES = [
    *("babel/__init__.py", "babel/locale/de.dat", "babel/locale/en.dat", "babel/locale/sub/x.dat"),
    *("shop/__init__.py", "shop/a.py", "shop/b.py", "shop/static/a.js", "shop/static/a.js.gz"),
]


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("shop/a.py", {"shop/a.py"}),
        ("shop/?.py", {"shop/a.py", "shop/b.py"}),
        ("shop/[!a].py", {"shop/b.py"}),
        ("*.gz", {"shop/static/a.js.gz"}),
        ("babel/locale", {x for x in FILES if "locale" in x}),
        ("babel/locale/", {x for x in FILES if "locale" in x}),
        ("babel/locale/*", {x for x in FILES if "locale" in x}),
        ("babel/*/sub", {"babel/locale/sub/x.dat"}),
        ("babel/locale/[!e]?.dat", {"babel/locale/de.dat"}),
        ("*/static", {"shop/static/a.js", "shop/static/a.js.gz"}),
        ("shop", {x for x in FILES if "shop" in x}),
        ("lib/python3*/site-packages/shop/a.py", {"shop/a.py"}),
    ],
)
def test_a_pattern_names_files_or_folders(made: Made, pattern: str, gone: set[str]) -> None:
    made.write(dict.fromkeys(FILES, "x = 1"))
    assert trim_environment.exclude(made, [pattern]) == len(gone)
    left = [name for name in made.names() if not name.endswith("/")]
    assert left == [name for name in FILES if name not in gone]


@pytest.mark.parametrize("pattern", ["share/shop", "share/shop/", "share/*/x.txt", "share"])
def test_a_pattern_is_also_compared_below_the_whole_environment(made: Made, pattern: str) -> None:
    made.write({"../../../share/shop/x.txt": "x", "shop/share/x.txt": "x"})
    assert trim_environment.exclude(made, [pattern]) == 1
    assert not (made.root / "share").exists()
    assert (made.packages / "shop/share/x.txt").exists()


@pytest.mark.parametrize("pattern", ["shop/a", "a.py", "Shop/a.py", "shop/a.pyc", "hop/a.py", ""])
def test_a_pattern_that_names_nothing_is_refused(made: Made, pattern: str) -> None:
    """Whoever wrote it believes that it leaves out something."""
    made.write(dict.fromkeys(FILES, ""))
    patterns = ["shop/b.py", pattern]
    with pytest.raises(trim_environment.TrimError) as error:
        trim_environment.exclude(made, patterns)
    assert str(error.value) == (
        f"{pattern} in exclude of [tool.seedpod.trim] names no file that is there. "
        "Remove or correct it."
    )
    assert [name for name in made.names() if not name.endswith("/")] == FILES


@pytest.mark.parametrize("second", ["babel/locale/de.dat", "babel/locale/*"])
def test_two_patterns_may_name_the_same_files(made: Made, second: str) -> None:
    made.write(dict.fromkeys(FILES, ""))
    assert trim_environment.exclude(made, ["babel/locale", second]) == 3


def test_bytecode_goes_with_a_module_that_a_pattern_names(made: Made) -> None:
    made.write(dict.fromkeys(FILES, ""))
    for name in ("a", "b"):
        py_compile.compile(str(made.packages / f"shop/{name}.py"))
    trim_environment.exclude(made, ["shop/a.py"])
    tag = sys.implementation.cache_tag
    assert [x for x in made.names() if x.endswith(".pyc")] == [f"shop/__pycache__/b.{tag}.pyc"]


def test_bytecode_goes_once_with_a_folder_that_a_pattern_names(made: Made) -> None:
    """In whatever order they come; uppercase is before the folder of bytecode."""
    made.write({"shop/A.py": "", "shop/a.py": "", "other.py": ""})
    for name in ("A", "a"):
        py_compile.compile(str(made.packages / f"shop/{name}.py"))
    trim_environment.exclude(made, ["shop"])
    assert made.names() == ["other.py"]


def refused(made: Made, patterns: list[str], files: Mapping[str, str]) -> str:
    """Return why patterns are refused; nothing is removed then."""
    made.write(files)
    before = made.names()
    with pytest.raises(trim_environment.TrimError) as error:
        trim_environment.exclude(made, patterns)
    assert made.names() == before
    return str(error.value)


@pytest.mark.parametrize(
    ("importer", "text", "line"),
    [
        ("shop/b.py", "import shop.a", 1),
        ("shop/b.py", "import json\n\nfrom shop import a", 3),
        ("shop/b.py", "from shop.a import f", 1),
        ("shop/b.py", "from . import a", 1),
        ("shop/b.py", "from .a import f", 1),
        ("shop/b.py", "def f():\n    from .a import g", 2),
        ("shop/b.py", "class C:\n    def f(self):\n        import shop.a as x", 3),
        ("shop/__init__.py", "from shop.a import f", 1),
        ("other.py", "def f():\n    from shop import (\n        x,\n        a,\n    )", 2),
        ("shop/sub/b.py", "from shop.a import f", 1),
        ("shop/sub/__init__.py", "def shop():\n    from ..a import f", 2),
    ],
)
def test_a_pattern_that_leaves_out_what_a_module_imports_is_refused(
    made: Made, importer: str, text: str, line: int
) -> None:
    files = {"shop/__init__.py": "", "shop/a.py": "f = 1", importer: text, "z.dat": ""}
    name = importer.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    assert refused(made, ["z.dat", "shop/a*"], files) == (
        f"{name} imports shop.a in line {line}, which 'shop/a*' in exclude of "
        "[tool.seedpod.trim] leaves out. Remove that pattern or narrow it."
    )


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("stock/__init__.py", "def f():\n    from .till import g"),
        ("stock/__init__.py", "def f():\n    from . import till"),
        ("stock/sub/b.py", "def f():\n    from .. import till"),
        ("stock/sub/b.py", "def f():\n    from ..till import g"),
    ],
)
def test_a_module_need_not_name_the_package_of_what_it_imports(
    made: Made, importer: str, text: str
) -> None:
    """That is what relative imports are for."""
    files = {"stock/__init__.py": "", "stock/sub/__init__.py": "", "stock/till.py": ""}
    assert " imports stock.till in line 2, " in refused(
        made, ["stock/till.py"], {**files, importer: text}
    )


@pytest.mark.parametrize("importer", ["stock/__main__.py", "stock/migrations/0001_first.py"])
def test_a_pattern_that_leaves_out_what_a_program_imports_is_refused(
    made: Made, importer: str
) -> None:
    """It is not imported to prove anything, so that nothing else would tell."""
    files = {"stock/__init__.py": "", "stock/till.py": "", importer: "import stock.till"}
    assert " imports stock.till in line 1, " in refused(made, ["stock/till.py"], files)


def test_the_source_of_a_module_that_is_compiled_may_be_left_out(made: Made) -> None:
    """Python takes the compiled one first."""
    made.write({"shop/__init__.py": "", "shop/a.abi3.so": "", "shop/a.py": ""})
    made.write({"shop/b.py": "def f():\n    import shop.a"})
    assert trim_environment.exclude(made, ["shop/a.py"]) == 1


def test_a_pattern_that_leaves_out_what_an_entry_point_names_is_refused(made: Made) -> None:
    """The program in bin/ could not start."""
    text = "[console_scripts]\nshop = shop.till:main\n"
    files = {"shop/__init__.py": "", "shop/till.py": "", "shop-1.dist-info/entry_points.txt": text}
    assert refused(made, ["shop/till.py"], files) == (
        "The entry point shop starts shop.till, which 'shop/till.py' in exclude of "
        "[tool.seedpod.trim] leaves out. Remove that pattern or narrow it."
    )


@pytest.mark.parametrize(
    ("group", "patterns"),
    [
        ("console_scripts", ["shop", "shop-1.dist-info", "bin/shop"]),
        ("console_scripts", ["shop/till.py", "bin/shop"]),
        ("shop.plugins", ["shop", "shop-*"]),
    ],
)
def test_a_package_may_be_left_out_with_its_entry_points(
    made: Made, group: str, patterns: list[str]
) -> None:
    """All of it, or a part and the program that starts that."""
    text = f"[{group}]\nshop = shop.till:main\n"
    made.write({"shop/__init__.py": "", "shop/till.py": "", "../../../bin/shop": "#!python\n"})
    made.write({"shop-1.dist-info/entry_points.txt": text, "other.py": ""})
    assert trim_environment.exclude(made, patterns) >= 2
    assert not (made.packages / "shop/till.py").exists()


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import shop.a\nexcept ImportError:\n    pass",
        "def f():\n    try:\n        from .a import g\n    except Exception:\n        pass",
        "from contextlib import suppress\nwith suppress(ImportError):\n    from . import a",
        "import typing\nif typing.TYPE_CHECKING:\n    from .a import f",
        "import sys\nif sys.platform == 'win32':\n    from . import a",
        "x = 'shop.a'",
        "import a",
        "from other import a",
        "from .abc import x",
        "import shop.a:",
    ],
)
def test_what_a_module_can_do_without_may_be_left_out(made: Made, text: str) -> None:
    made.write({"shop/__init__.py": "", "shop/a.py": "", "shop/b.py": text})
    assert trim_environment.exclude(made, ["shop/a.py"]) == 1
    assert made.names() == ["shop/", "shop/__init__.py", "shop/b.py"]


def test_what_is_left_out_together_may_import_each_other(made: Made) -> None:
    made.write({"a/x.py": "import b.y", "b/y.py": "import a.x, a.z", "a/z.py": "", "c.py": ""})
    assert trim_environment.exclude(made, ["a", "b/*"]) == 3
    assert made.names() == ["c.py"]


# --- All rules ------------------------------------------------------------------------------------


def test_what_tests_alone_import_may_be_left_out(made: Made) -> None:
    files = {"shop/__init__.py": "", "shop/fake.py": "", "shop/tests/x.py": "import shop.fake"}
    made.write(files)
    settings = {"exclude": ["shop/fake.py"]}
    with pytest.raises(trim_environment.TrimError, match=r"^shop\.tests\.x imports shop\.fake in"):
        trim_environment.trim(made, settings)
    assert list(trim_environment.trim(made, {**settings, "tests": True})) == ["tests", "exclude"]
    assert made.names() == ["shop/", "shop/__init__.py"]


def test_a_file_of_two_that_are_the_same_may_be_left_out(made: Made) -> None:
    made.write({"shop/a.js": "same" * 99, "shop/b.js": "same" * 99})
    trim_environment.trim(made, {"duplicates": True, "exclude": ["shop/a.js"]})
    assert (made.packages / "shop/b.js").stat().st_nlink == 1


ALL = {"tests": True, "sources": True, "symbols": True, "duplicates": True}


def write_all(made: Made) -> None:
    """Write files that all rules save something of."""
    made.write(
        {
            "shop/__init__.py": "",
            "shop/x.c": "x" * 1001,
            "shop/_a.abi3.so": shared_library("liba.so") + b"symbols" * 99,
            "shop/_b.abi3.so": shared_library("liba.so") + b"SYMBOLS" * 88,
            "shop/a.txt": "same" * 50,
            "shop/b.txt": "same" * 50,
            "shop/locale/de.dat": "x" * 77,
            "shop/tests/test_x.py": "x = 1",
            "shop/tests/a.txt": "same" * 50,
        }
    )


def test_the_report_has_what_each_rule_really_saved(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all(made)
    before = made.size()
    report = trim_environment.trim(made, {**ALL, "exclude": ["shop/locale"]})
    once = len(shared_library("liba.so"))
    assert report == {
        "tests": {"files": 2, "saved": 205},
        "exclude": {"files": 1, "saved": 77},
        "sources": {"files": 1, "saved": 1001},
        "symbols": {"files": 2, "saved": 7 * (99 + 88)},
        "duplicates": {"files": 2, "saved": 200 + once},
    }
    assert sum(x["saved"] for x in report.values()) == before - made.size()
    order = ["tests", "exclude", "sources", "symbols", "duplicates"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(report) == order
    assert lines[0] == "tests: 2 files, 0.0 MB less"


@pytest.mark.parametrize("name", ALL)
def test_a_rule_that_is_not_set_changes_nothing(made: Made, name: str) -> None:
    write_all(made)
    assert list(trim_environment.trim(made, {name: True})) == [name]
    before = made.size(), made.names()
    assert trim_environment.trim(made, {**dict.fromkeys(ALL, False), "exclude": []}) == {}
    assert (made.size(), made.names()) == before


def test_all_rules_a_second_time_change_nothing(made: Made) -> None:
    write_all(made)
    trim_environment.trim(made, ALL)
    before = made.size(), made.names()
    again = trim_environment.trim(made, ALL)
    assert again == {name: {"files": 0, "saved": 0} for name in ALL}
    assert (made.size(), made.names()) == before


# --- RECORD ---------------------------------------------------------------------------------------


def row(name: str, content: bytes) -> str:
    """Return a line of a RECORD, as an installer writes it."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def test_the_list_of_installed_files_has_what_there_is(made: Made) -> None:
    library = shared_library("liba.so") + b"symbols" * 99
    script, data = b"#!python\n", b"x = 1\n"
    files = {
        "shop/__init__.py": data,
        "shop/with, comma.txt": data,
        "shop/_a.abi3.so": library,
        "shop/tests/x.py": data,
        "../../../bin/shop": script,
        "shop-1.0.dist-info/METADATA": b"Name: shop\n",
    }
    made.write(files)
    py_compile.compile(str(made.packages / "shop/__init__.py"))
    py_compile.compile(str(made.packages / "shop/tests/x.py"))
    tag = sys.implementation.cache_tag
    rows = {name: row(f'"{name}"' if "," in name else name, x) for name, x in files.items()}
    own = {
        f"shop/__pycache__/__init__.{tag}.pyc": f"shop/__pycache__/__init__.{tag}.pyc,,\n",
        f"shop/tests/__pycache__/x.{tag}.pyc": f"shop/tests/__pycache__/x.{tag}.pyc,,\n",
        "shop-1.0.dist-info/RECORD": "shop-1.0.dist-info/RECORD,,\n",
    }
    record = made.packages / "shop-1.0.dist-info/RECORD"
    record.write_text("".join({**rows, **own}.values()))
    trim_environment.trim(made, ALL)
    trim_environment.correct_records(made)
    new = (made.packages / "shop/_a.abi3.so").read_bytes()
    expected = {**rows, **own, "shop/_a.abi3.so": row("shop/_a.abi3.so", new)}
    assert len(new) < len(library)
    left = [text for name, text in expected.items() if "tests" not in name]
    assert record.read_text() == "".join(left)
    with record.open(newline="") as file:
        assert all((made.packages / name).exists() for name, *_ in csv.reader(file))


def test_a_list_without_changes_stays_as_it_is(made: Made) -> None:
    """To the byte, however it was written."""
    text = b'"shop.py",sha256=x,0\r\nshop-1.0.dist-info/RECORD,,\r\n'
    made.write({"shop.py": "", "shop-1.0.dist-info/RECORD": text})
    trim_environment.correct_records(made)
    assert (made.packages / "shop-1.0.dist-info/RECORD").read_bytes() == text


def test_a_row_without_a_hash_stays_without_one(made: Made) -> None:
    text = "shop.py,,\nshop.py,,99\nshop-1.0.dist-info/RECORD,,\ngone.py,,\n"
    made.write({"shop.py": "x = 1", "shop-1.0.dist-info/RECORD": text})
    trim_environment.correct_records(made)
    assert (made.packages / "shop-1.0.dist-info/RECORD").read_text() == text[: -len("gone.py,,\n")]


def test_files_that_became_one_keep_their_rows(made: Made) -> None:
    text = row("a.txt", b"same") + row("b.txt", b"same")
    made.write({"a.txt": "same", "b.txt": "same", "shop-1.0.dist-info/RECORD": text})
    assert trim_environment.duplicates(made) == 1
    trim_environment.correct_records(made)
    assert (made.packages / "shop-1.0.dist-info/RECORD").read_text() == text


@pytest.mark.parametrize("line", ["\n", "shop.py,sha256=x,\n"], ids=["empty", "no size"])
def test_a_row_may_be_empty_or_without_a_size(made: Made, line: str) -> None:
    """The specification has both fields optional, and says nothing of empty lines."""
    made.write({"shop.py": "", "shop-1.0.dist-info/RECORD": f"shop.py,,\n{line}"})
    trim_environment.correct_records(made)


# --- The proof ------------------------------------------------------------------------------------


def test_what_can_be_imported_as_before_is_counted(made: Made, tmp_path: Path) -> None:
    made.write({"shop/__init__.py": "", "shop/a.py": "import shop", "b.py": "", "c.py": ""})
    before = made.copy(tmp_path / "before")
    made.remove([made.packages / "c.py"])
    assert trim_environment.prove(made, before) == 3


def test_a_module_that_can_no_longer_be_imported_is_named_with_what_to_do(
    made: Made, tmp_path: Path
) -> None:
    text = "import pathlib\npathlib.Path(__file__).with_name('x.txt').read_text()"
    made.write({"shop/__init__.py": "", "shop/sub/a.py": text, "shop/sub/x.txt": ""})
    before = made.copy(tmp_path / "before")
    trim_environment.exclude(made, ["*.txt"])
    with pytest.raises(trim_environment.TrimError) as error:
        trim_environment.prove(made, before)
    told = str(error.value)
    assert told.startswith("shop.sub.a can no longer be imported (FileNotFoundError: [Errno 2] No ")
    assert told.endswith(
        "/x.txt'). Set the rule of [tool.seedpod.trim] that leaves out what is needed to false, "
        "or add what nobody needs to exclude: shop/sub/a.py"
    )


def test_of_many_modules_that_can_no_longer_be_imported_some_are_named(
    made: Made, tmp_path: Path
) -> None:
    made.write({"base.py": "", **{f"m{number}.py": "import base" for number in range(7)}})
    before = made.copy(tmp_path / "before")
    made.remove([made.packages / "base.py"])
    with pytest.raises(trim_environment.TrimError) as error:
        trim_environment.prove(made, before)
    assert str(error.value).startswith(
        "m0, m1, m2, m3, m4 and 2 more can no longer be imported "
        "(ModuleNotFoundError: No module named 'base'). "
    )
    assert str(error.value).endswith(": m0.py")


def test_a_module_that_could_not_be_imported_before_is_no_error(made: Made, tmp_path: Path) -> None:
    """Many packages have some: for other systems, or for what is not installed."""
    made.write({"a.py": "import absent", "b.py": "", "c.py": "1 / 0", "d.py": "import os, sys"})
    made.write({"e.py": "import os\nos._exit(0)"})
    before = made.copy(tmp_path / "before")
    assert trim_environment.prove(made, before) == 2


def test_a_module_that_fails_now_and_then_is_no_error(made: Made, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"import pathlib\np = pathlib.Path({str(mark)!r})\nif not p.exists():\n"
    made.write({"a.py": f"{text}    p.touch()\n    1 / 0", "b.py": ""})
    before = made.copy(tmp_path / "before")
    assert trim_environment.prove(made, before) == 1


def test_the_proof_writes_into_no_environment(made: Made, tmp_path: Path) -> None:
    made.write({"shop/__init__.py": "", "shop/a.py": "import absent", "b.py": ""})
    before = made.copy(tmp_path / "before")
    listed = made.names(), sorted(map(str, before.rglob("*")))
    trim_environment.prove(made, before)
    assert (made.names(), sorted(map(str, before.rglob("*")))) == listed


def test_an_interpreter_that_cannot_start_proves_nothing(made: Made, tmp_path: Path) -> None:
    """Else an image whose Python another user cannot run would always pass."""
    made.write({"shop.py": ""})
    before = made.copy(tmp_path / "before")
    for root in (made.root, before):
        (root / "bin/python3").unlink()
        (root / "bin/python3").write_text("#!/bin/sh\nexit 1\n")
        (root / "bin/python3").chmod(0o755)
    with pytest.raises(trim_environment.TrimError):
        trim_environment.prove(made, before)


# --- The program ----------------------------------------------------------------------------------


def run(root: Path, settings: Mapping[str, Any], before: Path) -> subprocess.CompletedProcess[str]:
    """Run the program with the interpreter of an environment; the report is beside that."""
    listed = root.parent / "trim.json"
    listed.write_text(json.dumps(settings))
    program: list[str | Path] = [root / "bin/python3", "-B", PROGRAM]
    command = [*program, listed, before, root.parent / "report.json"]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=root.parent)


def test_without_settings_nothing_changes(made: Made, tmp_path: Path) -> None:
    write_all(made)
    before = {path: path.stat() for path in made.root.rglob("*")}
    done = run(made.root, {}, tmp_path / "absent")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "report.json").read_text() == "{}"
    after = {path: path.stat() for path in made.root.rglob("*")}
    assert {path: (x.st_ino, x.st_mtime_ns, x.st_size) for path, x in after.items()} == {
        path: (x.st_ino, x.st_mtime_ns, x.st_size) for path, x in before.items()
    }


def test_a_fault_is_told_in_a_sentence_and_nothing_is_reported(made: Made, tmp_path: Path) -> None:
    write_all(made)
    done = run(made.root, {"exclude": ["shop/absent"]}, tmp_path / "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Trim: shop/absent in exclude of [tool.seedpod.trim] names no file that is there. "
        "Remove or correct it.\n"
    )
    assert not (tmp_path / "report.json").exists()


@pytest.fixture
def readable() -> Iterator[Path]:
    """Return an environment that anybody may read, whose interpreter anybody may run."""
    if os.getuid():
        pytest.skip("only root can run programs as another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "venv")
        for python in (Path(sys.base_prefix, "bin/python3"), Path("/usr/bin/python3")):
            code = "import sys; sys.exit(sys.version_info < (3, 11))"
            try:
                subprocess.run([python, "-c", code], check=True, user=NOBODY, cwd="/")
                subprocess.run([python, "-m", "venv", "--without-pip", root], check=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            yield root
            return
        pytest.skip("this machine has no Python that any user can run")


def packages_of(root: Path) -> Path:
    return next(root.glob("lib/python3*/site-packages"))


def test_the_program_trims_its_own_environment_and_reports_that(readable: Path) -> None:
    packages = packages_of(readable)
    for name, text in {
        "shop/__init__.py": "import os\nassert os.getuid() == 65534",
        "shop/a.py": "import shop",
        "shop/x.c": "x" * 99,
        "shop/tests/x.py": "",
        "shop-1.0.dist-info/RECORD": "shop/a.py,,\nshop/x.c,,\n",
    }.items():
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = shutil.copytree(readable, readable.with_name("before"), symlinks=True)
    done = run(readable, {"sources": True, "tests": True}, before)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "tests: 1 files, 0.0 MB less",
        "sources: 1 files, 0.0 MB less",
        "2 modules can be imported, as before",
    ]
    assert json.loads(readable.with_name("report.json").read_text()) == {
        "rules": {"tests": {"files": 1, "saved": 0}, "sources": {"files": 1, "saved": 99}},
        "imported": 2,
    }
    assert sorted(x.name for x in (packages / "shop").iterdir()) == ["__init__.py", "a.py"]
    assert (packages / "shop-1.0.dist-info/RECORD").read_text() == "shop/a.py,,\n"


def test_the_program_fails_if_a_module_can_no_longer_be_imported(readable: Path) -> None:
    packages = packages_of(readable)
    (packages / "shop.py").write_text("open(__file__.replace('.py', '.map'))")
    (packages / "shop.map").write_text("")
    before = shutil.copytree(readable, readable.with_name("before"), symlinks=True)
    done = run(readable, {"sources": True}, before)
    assert done.returncode == 1
    assert done.stderr.startswith("Trim: shop can no longer be imported (FileNotFoundError: ")
    assert not readable.with_name("report.json").exists()


def test_what_is_no_list_of_files_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "x-1.dist-info"
    folder.mkdir()
    for content in (b"\xff,,\n", b"a" * 200_000, b"x" * 300 + b",sha256=x,1\n"):
        (folder / "RECORD").write_bytes(content)
        (folder / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff = a:b\n")
        environment = trim_environment.Environment(tmp_path, tmp_path)
        trim_environment.correct_records(environment)
        assert [*environment.entry_points()] == ["a"]
