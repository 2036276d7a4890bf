"""docker/host/project_file.py reads pyproject.toml, or says in a sentence why it cannot."""

import sys
from pathlib import Path

import project_file
import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a project's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> None:
    """Write the file."""
    Path("pyproject.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("table", ["project", "tool.poetry"])
def test_the_name_is_in_either_table(table: str) -> None:
    write(f'[{table}]\nname = "shöp"\n')
    assert project_file.name(project_file.read()) == "shöp"


BROKEN = {
    "a byte order mark": (b'\xef\xbb\xbf[project]\nname = "a"\n', "begins with a byte order mark"),
    "no TOML": (b"[project\n", "cannot be read ("),
    "no UTF-8": (b'[project]\nname = "\xff"\n', "cannot be read ("),
    "empty": (b"", "has no name of the project"),
    "no name": (b'[project]\nversion = "1"\n', "has no name of the project"),
    "a number": (b"project = 3\n", "has no name of the project"),
    "another number": (b"tool = 3\n", "has no name of the project"),
    "a name that is none": (b"[project]\nname = 3\n", "has no name of the project"),
}


@pytest.mark.parametrize(("content", "told"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_project_is_named_in_two_sentences(content: bytes, told: str) -> None:
    Path("pyproject.toml").write_bytes(content)
    with pytest.raises(SystemExit) as error:
        project_file.read()
    message = str(error.value)
    assert message.startswith(f"pyproject.toml {told}")
    assert "\n" not in message
    assert message.endswith(".")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SystemExit, match=r"^pyproject\.toml cannot be read \(.+\)\. Correct it\.$"):
        project_file.read()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (">=3.13", "3.13"),
        ("<4.0,>=3.13", "3.13"),
        (">= 3.11, !=3.12.1", "3.11"),
        ("^3.12", "3.12"),
        ("~=3.12.4", "3.12"),
        ("==3.14.*", "3.14"),
        ("<4", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("of_poetry", [False, True])
def test_the_python_of_sessions_is_the_lowest_that_is_allowed(
    text: str, version: str | None, of_poetry: bool
) -> None:
    table = {"dependencies": {"python": text}} if of_poetry else {"requires-python": text}
    pyproject = {"tool": {"poetry": table}} if of_poetry else {"project": table}
    assert project_file.lowest_python(pyproject) == version


def test_a_project_may_have_its_python_in_the_table_of_poetry() -> None:
    tool = {"poetry": {"dependencies": {"python": "^3.11"}}}
    project = {"name": "a", "dependencies": ["b"]}
    assert project_file.lowest_python({"project": project, "tool": tool}) == "3.11"


@pytest.mark.parametrize("value", [3.13, ["3.13"], {"python": 3}])
def test_what_is_no_text_allows_any_python(value: object) -> None:
    """Poetry refuses it with its own words."""
    assert project_file.lowest_python({"project": {"requires-python": value}}) is None


@pytest.mark.parametrize(
    "line", ["version = 3.13.5", "version_info = 3.13.5", "version_info = 3.13.5.final.0"]
)
def test_an_environment_with_another_python_is_told(folder: Path, line: str) -> None:
    """As uv, virtualenv and venv write it."""
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\nversion-file = 3.1\n")
    assert project_file.reuse(folder, "3.13") is None
    assert project_file.reuse(folder, None) is None
    assert project_file.reuse(folder, "3.1") is False
    assert project_file.reuse(folder, "3.14") is False


def test_an_environment_that_is_not_there_has_every_python(folder: Path) -> None:
    assert project_file.reuse(folder / "none", "3.13") is None


def test_this_environment_is_known(folder: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert project_file.reuse(Path(sys.prefix), version) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("[tool.seedpod]\nsize = 3\n", 3),
        ("[tool.seedpod.size]\nbase = '1 MB'\n", {"base": "1 MB"}),
        ("[tool]\nseedpod = 3\n", {}),
    ],
)
def test_a_setting_is_what_is_there(text: str, value: object) -> None:
    write(f'[project]\nname = "a"\n{text}')
    assert project_file.setting("size") == value


def test_environments_are_in_the_project(folder: Path) -> None:
    assert project_file.environments() == Path(".nox")
    Path(".nox").mkdir()
    assert project_file.environments() == Path(".nox")


@pytest.mark.parametrize("obstacle", ["a file", "no right"])
def test_environments_of_a_project_that_cannot_be_written_are_in_the_users_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    """Each project has its own there, and always the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    found = []
    for name in ("one", "two", "one"):
        Path(name).mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            patch.chdir(name)
            if obstacle == "a file":
                Path(".nox").touch()
            else:
                patch.setattr("os.access", lambda *_: False)
            found.append(project_file.environments())
    assert found[0] == found[2] != found[1]
    assert {path.parent for path in found} == {Path("/cache/seedpod/nox")}


def test_what_is_nested_too_deep_is_refused_in_two_sentences() -> None:
    write(f"a = {'[' * 5_000}")
    with pytest.raises(SystemExit, match=r"cannot be read .* Correct it"):
        project_file.read()
