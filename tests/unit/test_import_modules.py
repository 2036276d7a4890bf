"""docker/image/import_modules.py names what production cannot import, and why."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import import_modules
import pytest

Import = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Import:
    """Return a function that installs modules as the distribution ``shop`` and imports them."""

    def run(
        files: dict[str, str], entries: str = "", **exceptions: str
    ) -> subprocess.CompletedProcess[str]:
        info = tmp_path / "shop-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entries)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        listed = [
            *files,
            f"{info.name}/METADATA",
            f"{info.name}/entry_points.txt",
            "../../bin/shop",
        ]
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
        # As in a container: the program is no file there.
        text = Path(import_modules.__file__).read_text(encoding="utf-8")
        command = [sys.executable, "-I", "-c", f"import sys; sys.path.append({str(tmp_path)!r})"]
        command[-1] += f"\nexec({text!r})"
        arguments = ["shop", json.dumps({x.replace("__", "."): y for x, y in exceptions.items()})]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    return run


def test_all_modules_are_imported_those_of_folders_without_a_package_too(run: Import) -> None:
    files = {f"shop/{name}.py": f"print({name!r})" for name in ("__init__", "one", "sub/0001_two")}
    done = run(files)
    assert done.returncode == 0, done.stderr
    said = ["__init__", "one", "sub/0001_two", "Production can import all modules of shop."]
    assert done.stdout.splitlines() == said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import absent", "(ModuleNotFoundError: No module named 'absent'). Add what has that"),
        ("import ctypes\nctypes.CDLL('libnone.so.1')", "libnone.so.1: cannot open shared object"),
        ("raise ImportError('libpq library not found')", "Declare the system package of that"),
        ("from shop import nothing", "(ImportError: cannot import name 'nothing' from 'shop'"),
        ("1 / 0", "(ZeroDivisionError: division by zero). Correct what it does when it is"),
        ("import sys\nsys.exit(3)", "(SystemExit: 3)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(
    run: Import, text: str, told: str
) -> None:
    """Once, though another module imports it, too."""
    done = run({"shop/__init__.py": "", "shop/a.py": "import shop.b", "shop/b.py": text})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line
    assert line.startswith("shop.b cannot be imported in production ")
    assert line.endswith(
        ", or name the module in not-imported of [tool.seedpod.test], with a reason."
    )


def test_a_module_that_is_no_python_is_named_by_its_file(run: Import) -> None:
    done = run({"shop/__init__.py": "", "shop/b.py": "def f(:"})
    assert done.returncode == 1
    assert "shop.b cannot be imported in production (SyntaxError: " in done.stderr
    assert "(b.py, line 1)" in done.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f():\n    import absent", 2),
        ("class C:\n    def f(self):\n        from absent.part import x", 3),
        ("def f():\n    try:\n        import absent\n    except ValueError:\n        pass", 3),
        ("def f():\n    with open('x'):\n        import absent", 3),
        ("def f(name):\n    if name:\n        import absent", 3),
        ("def f():\n    try:\n        import absent\n    except ImportError:\n        pass", 0),
        ("try:\n    import absent\nexcept (OSError, ModuleNotFoundError):\n    pass", 0),
        ("def f():\n    try:\n        import absent\n    except:\n        raise", 0),
        ("import typing\nif typing.TYPE_CHECKING:\n    import absent", 0),
        ("import sys\nif sys.version_info < (3, 9):\n    import absent", 0),
        ("import os\ndef f():\n    if os.name == 'nt':\n        import absent", 0),
        ("from contextlib import suppress\nwith suppress(ImportError):\n    import absent", 0),
        ("def f():\n    from . import other\n    import json.decoder", 0),
        ("def f():\n    import json.absent", 2),
        ("def f():\n    from .absent import x", 2),
        ("def f():\n    from . import x\n    from .. import y", 0),
    ],
)
def test_what_functions_import_has_to_be_there_unless_they_are_prepared(
    run: Import, text: str, line: int
) -> None:
    done = run({"shop/__init__.py": "", "shop/report.py": text})
    if line:
        assert re.search(r"^shop\.report imports (\w+\.)?absent", done.stderr)
        assert f" in line {line}, which production does not have." in done.stderr
    assert done.returncode == bool(line), done.stderr


def test_a_program_is_not_started_and_what_it_imports_is_there(run: Import) -> None:
    files = {"shop/__init__.py": "", "shop/__main__.py": "import json, shop\nprint('started')\n"}
    done = run(files)
    assert done.returncode == 0, done.stderr
    assert "started" not in done.stdout


def test_a_program_that_imports_what_is_absent_is_named(run: Import) -> None:
    done = run({"shop/__init__.py": "", "shop/__main__.py": "import absent\nprint('started')\n"})
    assert done.returncode == 1
    assert done.stderr.startswith("shop.__main__ cannot be imported")


@pytest.mark.parametrize("place", ["shop.mian:main", "shop.__main__:mian", "absent:main"])
def test_an_entry_point_that_leads_nowhere_is_named(run: Import, place: str) -> None:
    files = {"shop/__init__.py": "", "shop/__main__.py": "def main(): ...\n"}
    done = run(files, f"[console_scripts]\nshop = {place}\n")
    assert done.returncode == 1
    assert done.stderr.startswith("The entry point shop is wrong: ")


def test_what_is_no_module_is_not_imported(run: Import) -> None:
    """Templates in folders with other names, and a library that ctypes loads."""
    done = run({"shop/__init__.py": "", "shop/v1.2/x.py": "1 / 0", "shop/a-b/y.py": "1 / 0"})
    assert done.returncode == 0, done.stderr


def test_a_package_that_may_be_absent_is_an_exception_too(run: Import) -> None:
    """The module that would import it is tried all the same."""
    text = "import sys\ndef f():\n    if sys.argv: return\n    import winreg.x\n"
    done = run({"shop/__init__.py": "", "shop/w.py": text}, winreg="only on Windows")
    assert done.returncode == 0, done.stderr


def test_a_module_that_crashes_python_is_named(run: Import) -> None:
    done = run({"shop/__init__.py": "", "shop/crash.py": "import ctypes\nctypes.string_at(0)\n"})
    assert done.returncode != 0
    assert "shop/crash.py" in done.stderr


def test_an_exception_is_said_with_its_reason_and_counts_for_all_below_it(run: Import) -> None:
    files = dict.fromkeys(("shop/gui/__init__.py", "shop/gui/window.py"), "import absent")
    done = run({"shop/__init__.py": "", **files}, shop__gui="needs a screen")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Not imported: shop.gui (needs a screen)\n")


def test_an_exception_for_what_is_not_there_is_refused(run: Import) -> None:
    done = run({"shop/__init__.py": "", "shop/guide.py": ""}, shop__gui="needs a screen")
    assert done.returncode == 1
    assert done.stderr.startswith("The project neither has nor imports shop.gui. ")


def test_a_module_that_waits_is_named(run: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(import_modules.__file__).read_text(encoding="utf-8")
    assert "MOST_SECONDS = 60\n" in source
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: source.replace("= 60", "= 1"))
    done = run({"shop/__init__.py": "", "shop/serve.py": "import time\ntime.sleep(30)"})
    assert done.returncode == 1
    assert "shop.serve cannot be imported" in done.stderr
    assert "not done after 1 seconds" in done.stderr


def test_a_module_may_need_that_another_one_was_imported_before(run: Import) -> None:
    """As the models of Django need wsgi.py, which sets Django up."""
    files = {
        "shop/__init__.py": "",
        "shop/models.py": "import sys\nassert 'shop.wsgi' in sys.modules",
        "shop/wsgi.py": "",
    }
    done = run(files)
    assert done.returncode == 0, done.stderr


def test_what_a_module_started_is_not_waited_for(run: Import) -> None:
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"
    assert run({"shop/__init__.py": text}).returncode == 0


def test_a_condition_that_is_nested_too_deep_is_none() -> None:
    test: ast.expr = ast.Name("a")
    for _ in range(5_000):
        test = ast.UnaryOp(ast.USub(), test)
    assert not import_modules.is_prepared(ast.If(test, [], []))
