"""docker/image/prove_imports.py imports what is in an environment, and names what cannot be."""

import os
import shutil
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import prove_imports
import pytest

ENDED = "the interpreter ended"


class Environment:
    """A virtual environment, with packages that are written into it."""

    def __init__(self, root: Path) -> None:
        """Create it."""
        venv.EnvBuilder(symlinks=True).create(root)
        self.python = root / "bin/python3"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = root / "lib" / version / "site-packages"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def failures(self, files: Mapping[str, str], user: int | None = None) -> dict[str, str]:
        """Write modules, import them all, and return those that fail."""
        self.write(files)
        names = [name.removesuffix(".py").replace("/", ".") for name in files]
        modules = [name.removesuffix(".__init__") for name in names]
        return prove_imports.failures(self.python, modules, user)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Return an empty environment."""
    return Environment(tmp_path / "venv")


def test_what_can_be_imported_is_no_failure(environment: Environment) -> None:
    files = {"shop/__init__.py": "", "shop/till.py": "import json, shop", "single.py": ""}
    assert environment.failures(files) == {}


def test_nothing_to_import_is_no_failure(environment: Environment) -> None:
    assert environment.failures({}) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import absent", "ModuleNotFoundError: No module named 'absent'"),
        ("from shop import nothing", "ImportError: cannot import name 'nothing' from 'shop' ("),
        ("import ctypes\nctypes.CDLL('libnone.so.1')", "OSError: libnone.so.1: cannot open shared"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: "),
        ("assert 0", "AssertionError:"),
        ("raise ValueError('a\\n\\n  b\\u2028c\\x0cd')", "ValueError: a b c d"),
        ("raise ValueError('ü 日本')", "ValueError: ü 日本"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("raise BaseException('a')", "BaseException: a"),
    ],
)
def test_what_cannot_be_imported_is_named_with_the_reason(
    environment: Environment, text: str, reason: str
) -> None:
    """In one line, and what comes before and after it is not."""
    files = {"shop/__init__.py": "", "shop/a.py": "", "shop/b.py": text, "shop/c.py": ""}
    found = environment.failures(files)
    assert list(found) == ["shop.b"]
    assert found["shop.b"].startswith(reason)
    assert "\n" not in found["shop.b"]


def test_a_module_that_is_not_there_is_named(environment: Environment) -> None:
    environment.write({"shop/__init__.py": ""})
    found = prove_imports.failures(environment.python, ["shop", "shop.a", "absent"])
    assert found == {
        "absent": "ModuleNotFoundError: No module named 'absent'",
        "shop.a": "ModuleNotFoundError: No module named 'shop.a'",
    }


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos._exit(0)",
        "import os\nos._exit(1)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
        "import os\nos.abort()",
        "import ctypes\nctypes.string_at(0)",
        "import os\nos.closerange(3, 256)",
        "import os\nos.execvp('true', ['true'])",
    ],
)
def test_a_module_that_ends_the_interpreter_fails_alone(
    environment: Environment, text: str
) -> None:
    """Those after it are tried all the same, also when another one ends it again."""
    order = ["a", "b_ends", "c", "d_ends", "e_ends", "f_wrong", "g"]
    texts = {name: text if "ends" in name else "" for name in order} | {"f_wrong": "1 / 0"}
    files = {f"shop/{name}.py": texts[name] for name in order}
    assert environment.failures({"shop/__init__.py": "", **files}) == {
        "shop.b_ends": ENDED,
        "shop.d_ends": ENDED,
        "shop.e_ends": ENDED,
        "shop.f_wrong": "ZeroDivisionError: division by zero",
    }


def test_all_of_a_package_that_ends_the_interpreter_fail(environment: Environment) -> None:
    files = {"shop/__init__.py": "import os\nos._exit(0)", "shop/a.py": "", "shop/b.py": ""}
    found = environment.failures({**files, "other.py": ""})
    assert found == dict.fromkeys(["shop", "shop.a", "shop.b"], ENDED)


@pytest.mark.parametrize(
    "text",
    [
        "print('done')\nprint('failed shop.c x')\nprint('begun shop.c', flush=True)",
        "import sys\nprint('x' * 99_999)\nsys.stdout.close()\nsys.stderr.close()",
        "import os\nfor number in range(3): os.close(number)",
        "import sys\nsys.stdout = sys.stderr = sys.stdin = None",
        "import os\nos.write(1, b'done\\n')\nos.write(2, b'done\\n')",
        "print(input() if 0 else open(0).read())",
        "import logging, warnings\nwarnings.warn('x')\nlogging.warning('x')",
        "import warnings\nwarnings.simplefilter('error')\nwarnings.filterwarnings('error')",
        "import os, sys\nos.chdir('/')\nsys.argv.clear()\nos.environ.clear()",
        "import os\nos.umask(0o777)",
        "import sys\nsys.argv[1:] = ['x']\nsys.path_hooks[:]",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
        "import subprocess\nsubprocess.Popen(['sleep', '1'])",
        "import atexit, os\natexit.register(os._exit, 7)",
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)",
    ],
)
def test_what_a_module_prints_closes_or_starts_is_no_failure(
    environment: Environment, text: str
) -> None:
    files = {"shop/__init__.py": "", "shop/b.py": text, "shop/c.py": "", "shop/d.py": "1 / 0"}
    assert list(environment.failures(files)) == ["shop.d"]


def test_a_module_can_read_nothing_and_is_alone(environment: Environment) -> None:
    """It begins as a program does: no arguments, no input, and a folder of its own."""
    text = """
import os, sys
assert sys.argv == [sys.argv[0]], sys.argv
assert sys.stdin.read() == ''
assert os.environ['HOME'] == os.environ['TMPDIR'] == os.getcwd()
open('here', 'w').close()
"""
    home = Path.cwd()
    assert environment.failures({"shop.py": text}) == {}
    assert not (home / "here").exists()


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS"])
def test_the_settings_of_another_python_do_not_count(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "absent.py").write_text("")
    monkeypatch.setenv(name, str(tmp_path))
    found = environment.failures({"a.py": "", "b.py": "import absent"})
    assert found == {"b": "ModuleNotFoundError: No module named 'absent'"}


def test_nothing_is_written_next_to_the_modules(environment: Environment) -> None:
    environment.write({"shop/__init__.py": "", "shop/a.py": "", "shop/b.py": "1 / 0"})
    programs = Path(prove_imports.__file__).parent
    before = listing(environment.packages), listing(programs)
    prove_imports.failures(environment.python, ["shop", "shop.a", "shop.b"])
    assert (listing(environment.packages), listing(programs)) == before


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_what_was_written_for_the_modules_is_gone(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what they wrote themselves."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    text = "import tempfile\ntempfile.mkdtemp()\nopen('x', 'w').close()"
    assert environment.failures({"shop.py": text}) == {}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["errors", "elf", "trim_environment", "versions"])
def test_a_module_called_like_one_of_the_programs_is_the_one_of_the_environment(
    environment: Environment, name: str
) -> None:
    assert (Path(prove_imports.__file__).parent / f"{name}.py").exists()
    assert prove_imports.failures(environment.python, [name]) == {
        name: f"ModuleNotFoundError: No module named '{name}'"
    }
    files = {f"{name}.py": "OWN = 1", "shop.py": f"from {name} import OWN"}
    assert environment.failures(files) == {}


def test_another_package_does_not_help(environment: Environment) -> None:
    """Each has a process of its own, as in a program that imports only that."""
    files = {
        "a/__init__.py": "import sys\nsys.here = 1",
        "b/__init__.py": "import sys\nassert not hasattr(sys, 'here')",
        "c.py": "import sys\nsys.here",
    }
    found = environment.failures(files)
    assert list(found) == ["c"]


def test_a_package_is_told_from_one_whose_name_goes_on(environment: Environment) -> None:
    files = {
        f"{name}.py": "import sys\nassert not hasattr(sys, 'here')\nsys.here = 1"
        for name in ("a", "a_b", "a1", "aB")
    }
    assert environment.failures({**files, "b/__init__.py": "", "b/c.py": "1 / 0"}).keys() == {"b.c"}


def test_a_module_that_waits_is_named_and_those_after_it_are_tried(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a second instead of a minute is enough, in a copy of the programs."""
    for name in ("prove_imports.py", "import_modules.py"):
        text = Path(prove_imports.__file__).with_name(name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("MOST_SECONDS = 60\n", "MOST_SECONDS = 1\n"))
    assert "MOST_SECONDS = 1\n" in (tmp_path / "import_modules.py").read_text()
    monkeypatch.setattr(prove_imports, "__file__", str(tmp_path / "prove_imports.py"))
    files = {"shop/a.py": "import time\ntime.sleep(60)", "shop/b.py": "", "shop/c.py": "1 / 0"}
    assert environment.failures(files) == {
        "shop.a": "TimeoutError: not done after 1 seconds",
        "shop.c": "ZeroDivisionError: division by zero",
    }


def test_a_module_that_no_alarm_ends_fails_alone(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove_imports, "MOST_SECONDS", 4)
    text = (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "time.sleep(60)"
    )
    files = {"shop/a.py": "", "shop/b.py": text, "shop/c.py": "", "shop/d.py": "1 / 0"}
    found = environment.failures(files)
    assert list(found) == ["shop.b", "shop.d"]
    assert found["shop.b"] == ENDED


def test_a_library_with_the_name_of_a_module_is_no_failure(environment: Environment) -> None:
    """What ctypes loads has no function that Python could call."""
    import _ctypes  # noqa: PLC0415

    if not getattr(_ctypes, "__file__", None):
        pytest.skip("this Python has no extension modules in files")
    suffix = Path(_ctypes.__file__).name.partition(".")[2]
    environment.write({"shop/__init__.py": ""})
    shutil.copy(_ctypes.__file__, environment.packages / "shop" / f"library.{suffix}")
    assert prove_imports.failures(environment.python, ["shop", "shop.library"]) == {}


def test_an_interpreter_that_cannot_start_imports_nothing(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    found = prove_imports.failures(python, ["a", "a.b", "c"])
    assert found == dict.fromkeys(["a", "a.b", "c"], ENDED)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may read; those of pytest are the owner's alone."""
    if os.getuid():
        pytest.skip("only root can run programs as another user")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def test_another_user_can_write_only_what_is_deleted(open_folder: Path) -> None:
    """As who imports all of an image's packages, so that none can change another one."""
    python = open_folder / "python3"
    # Any program is an interpreter that reports; Python itself may be where nobody may read.
    python.write_text(
        "#!/bin/sh\nfor x; do name=$x; done\n"
        f"id -u > '{open_folder}/user'\n"
        f'touch \'{open_folder}/new\' 2> /dev/null && echo "failed $name wrote" >> "$REPORT"\n'
        'touch "$HOME/new" || echo "failed $name no home" >> "$REPORT"\n'
        'echo done >> "$REPORT"\n'
    )
    python.chmod(0o755)
    (open_folder / "user").touch()
    (open_folder / "user").chmod(0o666)
    assert prove_imports.failures(python, ["shop"], 65534) == {}
    assert (open_folder / "user").read_text() == "65534\n"
    assert not (open_folder / "new").exists()


def test_an_interpreter_that_a_user_may_not_run_imports_nothing(open_folder: Path) -> None:
    python = open_folder / "python3"
    python.write_text("#!/bin/sh\necho done >> $REPORT\n")
    python.chmod(0o700)
    assert prove_imports.failures(python, ["shop"], 65534) == {"shop": ENDED}
