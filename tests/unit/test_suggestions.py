"""on_request/suggestions.py changes what a build reads, and no file of the project."""

import json
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import suggestions
import unimported
from session import SessionError

PROJECT = '[project]\nname = "x"\n'
DECLARED = '[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n"libxslt1.1" = "*"\n'
TEMPLATE = Path(__file__).parents[2] / "template"


@pytest.mark.parametrize(
    "text",
    [
        PROJECT,
        PROJECT.rstrip(),
        f"{PROJECT}\n[tool.seedpod.trim]\n",
        f"{PROJECT}\n[tool.seedpod.trim]",
        # Another table's is none of it.
        f"{PROJECT}\n[tool.seedpod.trim]\n[tool.x]\nsymbols = 1\n",
        f"{PROJECT}\n[tool.seedpod.trim] # what goes\ntests = true\n\n[tool.x]\nsymbols = 1\n",
        f"{PROJECT}\n[tool.seedpod.trim]\nsymbols = false # not yet\ntests = true\n",
        f"{PROJECT}\n[tool.seedpod.trim]\ntests = true\n".replace("\n", "\r\n"),
    ],
)
def test_a_rule_is_set_and_nothing_else(text: str) -> None:
    changed = suggestions.with_rule(text, "symbols")
    assert changed is not None
    before, after = tomllib.loads(text), tomllib.loads(changed)
    before.setdefault("tool", {}).setdefault("seedpod", {}).setdefault("trim", {})
    assert after["tool"]["seedpod"]["trim"].pop("symbols") is True
    before["tool"]["seedpod"]["trim"].pop("symbols", None)
    assert after == before


@pytest.mark.parametrize(
    "text",
    [
        f"{PROJECT}[tool.seedpod]\ntrim = {{ tests = true }}\n",
        f"{PROJECT}[tool]\nseedpod.trim.tests = true\n",
    ],
)
def test_what_is_written_otherwise_is_left_alone(text: str) -> None:
    assert suggestions.with_rule(text, "symbols") is None


@pytest.mark.parametrize("package", ["libpq5", "libxslt1.1"])
def test_a_package_is_removed_and_nothing_else(package: str) -> None:
    text = f"{PROJECT}{DECLARED}[tool.x]\nlibpq5 = 1\n"
    changed = suggestions.without(text, "debian13", package)
    assert changed is not None
    wanted = tomllib.loads(text)
    del wanted["tool"]["sys"]["debian13"]["dependencies"][package]
    assert tomllib.loads(changed) == wanted


def test_a_package_in_a_table_of_another_form_is_left_alone() -> None:
    text = f'{PROJECT}[tool.sys.debian13]\ndependencies = {{ libpq5 = "*" }}\n'
    assert suggestions.without(text, "debian13", "libpq5") is None


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("sqlite3/__init__.pyc", "sqlite3/*"),
        ("wsgiref/simple_server.pyc", "wsgiref/*"),
        ("wave.pyc", "wave.py"),
        ("lib-dynload/_sqlite3.cpython-313-x86_64-linux-gnu.so", "lib-dynload/_sqlite3.*"),
    ],
)
def test_a_module_is_left_out_by_its_own_pattern(path: str, pattern: str) -> None:
    assert suggestions.pattern(path) == pattern


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project's folder with what a suggestion may change."""
    folder = tmp_path / "project"
    (folder / "docker").mkdir(parents=True)
    monkeypatch.chdir(folder)
    dockerfile = (TEMPLATE / "Dockerfile.jinja").read_text(encoding="utf-8")
    for name, text in {
        "pyproject.toml": PROJECT,
        "poetry.lock": "",
        "docker/stdlib-exclude.txt": "test/*\n",
        "Dockerfile": dockerfile,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_build_reads_what_is_suggested_beside_the_context(project: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    folder = tmp_path / "folder"
    folder.mkdir()
    exclude = Path("docker/stdlib-exclude.txt")
    file, context = suggestions.prepared(folder, {exclude: "test/*\nwave.py\n"})
    text = Path(file.removeprefix("--file=")).read_text(encoding="utf-8")
    assert "COPY --from=suggested pyproject.toml poetry.loc[k] /project/\n" in text
    assert "from=suggested,source=stdlib-exclude.txt,target=" in text
    read = Path(context.removeprefix("--build-context=suggested="))
    assert {path.name: path.read_text() for path in read.iterdir()} == {
        "pyproject.toml": PROJECT,
        "poetry.lock": "",
        "stdlib-exclude.txt": "test/*\nwave.py\n",
    }
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_a_dockerfile_that_reads_elsewhere_is_refused(project: Path, tmp_path: Path) -> None:
    (project / "Dockerfile").write_text("FROM x\n", encoding="utf-8")
    with pytest.raises(SessionError, match=r"The Dockerfile has no 'COPY pyproject\.toml"):
        suggestions.prepared(tmp_path, {})


# A library of its own; the modules that Python starts with are not in it.
STDLIB = {
    "dbm/__init__.py": "from . import sqlite3\n",
    "dbm/sqlite3.py": "import sqlite3\n",
    "doctest.py": "",
    "fast.py": "import _fast\nif __name__ == '__main__':\n    import doctest\n",
    f"lib-dynload/_fast{EXTENSION_SUFFIXES[0]}": "\0helper\0a.text.\0",
    "helper.py": "",
    "shelve.py": "def f():\n    import dbm\n",
    "sqlite3/__init__.py": "",
    "text.py": "",
    "wave.py": "",
    "wsgiref/simple_server.py": "",
}


def known() -> set[str]:
    """Return the modules of that library."""
    return {name.split(".")[0].split("/")[0] for name in STDLIB} - {"lib-dynload"} | {"_fast"}


def left(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **code: str
) -> set[str]:
    """Return what of that nothing imports: in production, in tests, in packages for tests."""
    places = {"production": "site", "tests": "app", "packages": "opt/test"}
    added = {f"../{places[name]}/{name}.py": text for name, text in code.items()}
    for name, text in {**STDLIB, **added}.items():
        file = folder / "stdlib" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    # A program that measures these tests has loaded some.
    for name in [name for name in sys.modules if name.partition(".")[0] in known()]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(unimported, "STDLIB", str(folder / "stdlib"))
    monkeypatch.setattr(unimported, "TESTS", str(folder / "opt/test"))
    monkeypatch.setattr(sys, "argv", ["-c", str(folder / "app")])
    monkeypatch.setattr(sys, "path", [str(folder / x) for x in ("stdlib", "site", "opt/test")])
    unimported.main()
    return {*json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        # A name that is only like it.
        ("def dbm(wave):\n    return wave.sqlite3, 'wave'\n", set()),
        ("def f():\n    def g():\n        import shelve\n", {"shelve", "dbm", "sqlite3"}),
        ("from wsgiref.simple_server import x\n", {"wsgiref"}),
        ("import importlib\nimportlib.import_module('wave')\n", {"wave"}),
        ("WHERE = 'wsgiref.simple_server:main'\n", {"wsgiref"}),
        ("NAMES = {'wave', 'text'}\ndef f(x):\n    __import__(x)\n", {"wave", "text"}),
        ("NAMES = ('wave', 'text')\ndef f(x):\n    __import__(x)\n", {"wave", "text"}),
        ("NAMES = ('wave', 'text')\n", set()),
        ("import fast\n", {"fast", "_fast", "helper"}),
        ("not Python", set()),
    ],
)
def test_a_module_counts_as_imported_in_whatever_way_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    imported: set[str],
) -> None:
    assert known() - left(tmp_path, capsys, monkeypatch, production=code) == imported


def test_what_tests_import_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of their packages, what they or pytest's plugins import; production imports none of these."""
    code = {"packages": "import wave\n", "production": "import packages\n"}
    assert "wave" in left(tmp_path, capsys, monkeypatch, **code, tests="import text\n")
    assert "text" not in left(tmp_path, capsys, monkeypatch, **code, tests="import text\n")
    assert "wave" not in left(tmp_path, capsys, monkeypatch, **code, tests="import packages\n")
    plugin = tmp_path / "opt/test/p-1.dist-info/entry_points.txt"
    plugin.parent.mkdir()
    plugin.write_text("[x]\ny = no\n[pytest11]\nany = packages.plugin\n", encoding="utf-8")
    assert "wave" not in left(tmp_path, capsys, monkeypatch, **code)


def test_podman_tries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    with pytest.raises(SessionError, match=r"--suggest does not work with Podman\. Run it with"):
        suggestions.show()
