"""docker/image/imported_names.py reads what modules import, and runs none of them."""

import sysconfig
import warnings
from pathlib import Path

import imported_names
import pytest


def found(folder: Path, text: str | bytes, name: str, *, unprepared: bool = False) -> list[str]:
    """Return in order "line name" of what a module imports: a package if the name ends so."""
    is_package = name.endswith(".__init__")
    path = folder / ("__init__.py" if is_package else "module.py")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    own = name.removesuffix(".__init__")
    names = imported_names.names(path, own, unprepared=unprepared)
    return sorted(f"{line} {name}" for name, line in names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a", ["1 a"]),
        ("import a.b.c", ["1 a.b.c"]),
        ("import a.b as c", ["1 a.b"]),
        ("import a, b.c\n\nimport d", ["1 a", "1 b.c", "3 d"]),
        ("from a import b", ["1 a", "1 a.b"]),
        ("from a.b import c as d, e", ["1 a.b", "1 a.b.c", "1 a.b.e"]),
        ("from a import *", ["1 a", "1 a.*"]),
        ("from a import (\n    b,\n    c,\n)", ["1 a", "1 a.b", "1 a.c"]),
        ("", []),
        ("a = b.c", []),
    ],
)
def test_what_a_module_imports_is_named_and_what_of_it_may_be_a_module(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    assert found(tmp_path, text, "shop.sale.till") == names


@pytest.mark.parametrize(
    ("text", "name", "names"),
    [
        ("from . import a", "shop.sale.till", ["1 shop.sale", "1 shop.sale.a"]),
        ("from .a import b", "shop.sale.till", ["1 shop.sale.a", "1 shop.sale.a.b"]),
        ("from .. import a", "shop.sale.till", ["1 shop", "1 shop.a"]),
        ("from ..a.b import c", "shop.sale.till", ["1 shop.a.b", "1 shop.a.b.c"]),
        ("from . import a", "shop.sale.__init__", ["1 shop.sale", "1 shop.sale.a"]),
        ("from .a import b", "shop.sale.__init__", ["1 shop.sale.a", "1 shop.sale.a.b"]),
        ("from .. import a", "shop.sale.__init__", ["1 shop", "1 shop.a"]),
        ("from . import a", "shop.__init__", ["1 shop", "1 shop.a"]),
        ("from . import a", "shop.till", ["1 shop", "1 shop.a"]),
    ],
)
def test_a_relative_import_counts_from_the_package_of_the_module(
    tmp_path: Path, text: str, name: str, names: list[str]
) -> None:
    assert found(tmp_path, text, name) == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from . import a", "till"),
        ("from .. import a", "till"),
        ("from .. import a", "shop.till"),
        ("from .. import a", "shop.__init__"),
        ("from ....a import b", "shop.sale.till"),
    ],
)
def test_a_relative_import_beyond_the_outermost_package_is_none(
    tmp_path: Path, text: str, name: str
) -> None:
    assert found(tmp_path, f"{text}\nimport z", name) == ["2 z"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f():\n    import a", ["2 a"]),
        ("async def f():\n    from . import a", ["2 shop", "2 shop.a"]),
        ("class C:\n    def f(self):\n        if 1:\n            import a", ["4 a"]),
        ("def f():\n    def g():\n        import a\n    import b", ["3 a", "4 b"]),
        ("for x in y:\n    import a\nelse:\n    import b", ["2 a", "4 b"]),
        ("match x:\n    case 1:\n        import a", ["3 a"]),
        ("while 1:\n    with x:\n        import a", ["3 a"]),
        ("lambda: __import__('a.b')", ["1 a.b"]),
        ("if x: import a", ["1 a"]),
        ("try:\n    pass\nfinally:\n    import a", ["4 a"]),
    ],
)
def test_what_is_imported_later_is_named_too(tmp_path: Path, text: str, names: list[str]) -> None:
    """In functions, classes and branches: no import of the module shows that it is absent."""
    assert found(tmp_path, text, "shop.till") == names
    assert found(tmp_path, text, "shop.till", unprepared=True) == [x for x in names if x != "1 a.b"]


GUARDED = [
    "try:\n    import a\nexcept ImportError:\n    pass",
    "try:\n    from a import b\nexcept (OSError, ModuleNotFoundError):\n    c = 1",
    "def f():\n    try:\n        import a\n    except Exception:\n        pass",
    "try:\n    if x:\n        import a\nexcept:\n    pass",
    "try:\n    pass\nexcept ImportError:\n    import a",
    "import typing as t\nif t.TYPE_CHECKING:\n    import a",
    "if sys.version_info >= (3, 99):\n    import a",
    "if sys.platform == 'win32':\n    import a\nelse:\n    import b",
    "if os.name == 'nt':\n    import a",
    "if importlib.util.find_spec('a'):\n    import a",
    "with contextlib.suppress(ImportError):\n    import a",
]


@pytest.mark.parametrize("text", GUARDED)
def test_what_a_module_can_do_without_is_left_out_when_that_is_asked_for(
    tmp_path: Path, text: str
) -> None:
    left = [x.split()[1] for x in found(tmp_path, text, "shop.till", unprepared=True)]
    assert left == [x for x in left if x == "typing"]
    names = [x.split()[1] for x in found(tmp_path, text, "shop.till")]
    assert "a" in names


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("try:\n    import a\nexcept ValueError:\n    pass", 2),
        ("try:\n    import a\nfinally:\n    pass", 2),
        ("if debug:\n    import a", 2),
        ("with open('x'):\n    import a", 2),
        ("try:\n    import b\nexcept ImportError:\n    pass\nimport a", 5),
    ],
)
def test_what_a_module_cannot_do_without_stays_when_that_is_asked_for(
    tmp_path: Path, text: str, line: int
) -> None:
    assert found(tmp_path, text, "shop.till", unprepared=True) == [f"{line} a"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x = 'a.b.C'", ["1 a.b.C"]),
        ('x = {\n    "backend": "a.b",\n}', ["2 a.b"]),
        ("def f(x='a.b'):\n    return import_module('c.d')", ["1 a.b", "2 c.d"]),
        ("x = 'a.b:C.d'", ["1 a.b"]),
        ("x = '.a'", ["1 shop.a"]),
        ("x = f'{__package__}.a.b'", ["1 shop.a.b"]),
        ("x = 'a'", []),
        ("x = 'a: b.c'", []),
        ("x = 'See a.b. It ends.'", []),
        ("x = '...'", []),
        ("x = b'a.b'", []),
        ("x = 1.5", []),
        ("# a.b", []),
    ],
)
def test_a_text_with_a_dot_may_name_a_module(tmp_path: Path, text: str, names: list[str]) -> None:
    """As settings name classes: nothing else says that those are needed."""
    assert found(tmp_path, text, "shop.till") == names
    assert found(tmp_path, text, "shop.till", unprepared=True) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(:",
        "print 'a.b'",
        "import {{ name }}",
        "import a\nx = (",
        b"import a\0",
        b"\x7fELF\x02\x01\x01" + bytes(99),
        "# coding: latin-1\nimport a; x = '\xe4'".encode("utf-16"),
        b"import a\nx = '\xff'",
        b"# coding: nonsense\nimport a",
        "  import a",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("unprepared", [False, True])
def test_a_file_that_this_python_cannot_read_imports_nothing(
    tmp_path: Path, text: str | bytes, unprepared: bool
) -> None:
    """Another Python's, a template with gaps, or no text."""
    assert found(tmp_path, text, "shop.till", unprepared=unprepared) == []


def test_a_file_may_be_written_in_another_encoding(tmp_path: Path) -> None:
    text = "# coding: latin-1\nx = '\xe4'\nimport a".encode("latin-1")
    assert found(tmp_path, text, "shop.till") == ["3 a"]
    assert found(tmp_path, b"\xef\xbb\xbfimport a\r\nimport b\r\n", "x") == ["1 a", "2 b"]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 150 + ")" * 150 + "(" * 300,
        "x = " + "-" * 9_000 + "1",
        "x = 1" + "+1" * 20_000,
    ],
    ids=["brackets", "signs", "sum"],
)
def test_a_file_that_is_nested_too_deep_imports_nothing(tmp_path: Path, text: str) -> None:
    """Nor can Python run it."""
    assert found(tmp_path, f"import a\n{text}\n", "shop.till") == []


def test_a_module_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    text = f"open({str(mark)!r}, 'w').close()\nimport a\nraise SystemExit"
    assert "2 a" in found(tmp_path, text, "shop.till")
    assert not mark.exists()


def test_nothing_is_said_of_how_a_module_is_written(tmp_path: Path) -> None:
    """A build would show that for packages that its reader cannot edit."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert found(tmp_path, "import a\nx = '\\d'\n", "shop.till") == ["1 a"]
    assert said == []


SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("till.py", "till"),
        ("shop/till.py", "shop.till"),
        ("shop/__init__.py", "shop"),
        ("shop/sale/__init__.py", "shop.sale"),
        ("shop/sale/till.py", "shop.sale.till"),
        ("shop/__main__.py", "shop.__main__"),
        (f"_speed{SUFFIX}", "_speed"),
        (f"shop/_speed{SUFFIX}", "shop._speed"),
        ("shop/_speed.abi3.so", "shop._speed"),
        ("shop/_speed.so", "shop._speed"),
        (f"shop/__init__{SUFFIX}", "shop"),
        ("shop/__init__.abi3.so", "shop"),
    ],
)
def test_a_module_is_called_like_its_file_and_folders(path: str, name: str) -> None:
    assert imported_names.module_name(Path(path)) == name


@pytest.mark.parametrize(
    "path",
    [
        *("shop/till.sample.py", "shop/till.py.py", "shop/till.pyi", "shop/till.txt", "shop/py"),
        *("shop/till.pyc", "shop/till.cpython-34.pyc", "shop/lib.so.1", "shop/till.py.txt"),
        *("shop/_speed.cpython-34-x86_64-linux-gnu.so", "shop/_speed.cp313-win_amd64.pyd"),
    ],
)
def test_a_file_that_this_python_does_not_import_is_no_module(path: str) -> None:
    """Also another Python's: its name is that of a module only for that one."""
    assert imported_names.module_name(Path(path)) == ""


def test_a_package_that_is_compiled_imports_nothing_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / f"__init__{SUFFIX}"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + b"from . import a\n" * 9)
    assert list(imported_names.names(path, "shop")) == []
