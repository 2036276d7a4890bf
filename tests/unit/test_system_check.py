"""docker/system_check.py words what the report found, and docker/system_fix.py mends it."""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import system_check
import system_fix

Check = Callable[..., str]

TITLE = "tool.sys.debian13"


def finding(kind: str, package: str | None, library: str | None = None) -> dict[str, Any]:
    users = ["psycopg-c (_psycopg.so)", "libfoo1 (libfoo.so.1)"] if library else []
    return {"kind": kind, "package": package, "library": library, "users": users}


MISSING = finding("missing", "libpq5", "libpq.so.5")
DOTTED = finding("missing", "libxslt1.1", "libxslt.so.1")
NOWHERE = finding("missing", None, "libtbb.so.12")
UNUSED = finding("unused", "libxml2")
BUILD_ONLY = finding("build-only", "libpq-dev")


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (MISSING, 'libpq5 = "*"'),
        (DOTTED, '"libxslt1.1" = "*"'),
        (finding("missing", "libstdc++6", "libstdc++.so.6"), '"libstdc++6" = "*"'),
        (finding("missing", "py3_x-y", "libx.so"), 'py3_x-y = "*"'),
    ],
)
def test_what_is_missing_is_named_with_who_needs_it_and_the_line_to_add(
    found: dict[str, Any], line: str
) -> None:
    assert system_check.describe(found, TITLE) == (
        f"{found['library']}, needed by psycopg-c (_psycopg.so), libfoo1 (libfoo.so.1), is in the "
        f"package {found['package']}, which [tool.sys.debian13.dependencies] does not have. "
        f"Add: {line}"
    )
    [(key, version)] = tomllib.loads(line).items()
    assert (key, version) == (found["package"], "*")


def test_a_library_of_no_package_is_named_with_the_line_that_ignores_it() -> None:
    words = system_check.describe(NOWHERE, TITLE)
    assert words.startswith("libtbb.so.12, needed by psycopg-c (_psycopg.so), ")
    assert "is in no package of this release. " in words
    assert 'in [tool.sys.debian13]: ignored-libraries = ["libtbb.so.12"].' in words


@pytest.mark.parametrize("package", ["libxml2", "libxslt1.1"])
def test_what_is_unused_is_named_with_the_line_that_keeps_it(package: str) -> None:
    words = system_check.describe(finding("unused", package), TITLE)
    assert words.startswith(
        f"No library needs {package} in [tool.sys.debian13.dependencies]. Remove it, or write "
    )
    [line] = re.findall(r"write (.*) if the", words)
    assert tomllib.loads(line) == {package: {"version": "*", "dlopen": True}}


def test_what_is_for_building_is_named_with_its_place() -> None:
    assert system_check.describe(BUILD_ONLY, 'tool.sys."alpine3.23"') == (
        'libpq-dev in [tool.sys."alpine3.23".dependencies] is for building. '
        'Move it to [tool.sys."alpine3.23".dev-dependencies].'
    )


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Return a function that runs the program on findings and returns what it prints."""
    report = tmp_path / "report.json"

    def check(findings: list[dict[str, Any]], *kinds: str, status: int = 0) -> str:
        content = {"title": TITLE, "declared": 3, "libraries": [{}, {}], "findings": findings}
        report.write_text(json.dumps(content))
        monkeypatch.setattr(sys, "argv", ["system_check.py", str(report), *kinds])
        code: Any = 0
        try:
            system_check.main()
        except SystemExit as error:
            code = error.code
        assert code == status
        return capsys.readouterr().out

    return check


def test_a_right_declaration_passes_with_the_numbers(check: Check) -> None:
    assert check([]) == "Libraries beyond the base image: 2, from 3 declared packages.\n"
    assert check([], "missing") == check([])


@pytest.mark.parametrize("found", [MISSING, NOWHERE, UNUSED, BUILD_ONLY])
def test_without_kinds_every_finding_fails(check: Check, found: dict[str, Any]) -> None:
    words = system_check.describe(found, TITLE)
    assert check([found], status=1) == f"{words}\n"


def test_only_the_kinds_that_are_named_fail(check: Check) -> None:
    """All are printed nevertheless."""
    assert len(check([UNUSED, BUILD_ONLY], "missing").splitlines()) == 2
    assert len(check([MISSING, UNUSED], "missing", status=1).splitlines()) == 2
    assert check([UNUSED], "build-only", "unused", status=1)


PYPROJECT = """\
# The project of Zoë.
[project]
name = "myapp"          # as on the index
dependencies = [
    "psycopg[c]",  # talks to PostgreSQL
]

[tool.poetry]
packages = [{ include = "myapp", from = "src" }]

[tool.sys.debian13.dependencies]
# The last one first.
tzdata = "*"            # time zones
libpq-dev = "~17.5"     # moved here by mistake
"libjpeg62.x" = { version = ">=2", dlopen = true }

[tool.sys.debian13.dev-dependencies]
gcc = "*"               # compiles

[tool.ruff]
line-length = 100
"""


def fix(text: str, *findings: dict[str, Any], key: str = "debian13") -> str:
    """Return the mended text; what is no finding has to be as it was."""
    fixed = system_fix.fix(text, key, findings)
    before, after = tomllib.loads(text), tomllib.loads(fixed)
    for content in (before, after):
        content.setdefault("tool", {}).pop("sys", None)
    assert after == before
    return fixed


def section(text: str, key: str = "debian13") -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(text)["tool"]["sys"][key]
    return found


def test_what_is_missing_is_added_and_nothing_else_changes() -> None:
    fixed = fix(PYPROJECT, MISSING, DOTTED)
    added = ['libpq5 = "*"', '"libxslt1.1" = "*"']
    lines = fixed.splitlines()
    assert [line for line in lines if line not in added] == PYPROJECT.splitlines()
    assert section(fixed)["dependencies"].keys() >= {"libpq5", "libxslt1.1", "tzdata"}


def test_what_is_for_building_moves_with_its_version() -> None:
    fixed = fix(PYPROJECT, BUILD_ONLY)
    assert section(fixed) == {
        "dependencies": {"tzdata": "*", "libjpeg62.x": {"version": ">=2", "dlopen": True}},
        "dev-dependencies": {"gcc": "*", "libpq-dev": "~17.5"},
    }
    moved = 'libpq-dev = "~17.5"     # moved here by mistake'
    kept = [line for line in PYPROJECT.splitlines() if line != moved]
    assert [line for line in fixed.splitlines() if not line.startswith("libpq-dev")] == kept


def test_a_version_in_the_other_table_stays() -> None:
    text = PYPROJECT.replace("gcc", 'libpq-dev = "17.6-1"\ngcc')
    assert section(fix(text, BUILD_ONLY))["dev-dependencies"]["libpq-dev"] == "17.6-1"


@pytest.mark.parametrize("found", [MISSING, BUILD_ONLY], ids=["missing", "build-only"])
def test_mending_twice_is_mending_once(found: dict[str, Any]) -> None:
    fixed = fix(PYPROJECT, found)
    assert fix(fixed, found) == fixed


@pytest.mark.parametrize("found", [UNUSED, NOWHERE], ids=["unused", "of no package"])
def test_what_its_owner_has_to_decide_stays(found: dict[str, Any]) -> None:
    assert fix(PYPROJECT, found) == PYPROJECT


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[project]\nname = "myapp"\n',
        "[tool.ruff]\nline-length = 100\n",
        "[tool.ruff]\nline-length = 100\n\n[project]\nname = 'x'\n\n[tool.mypy]\nstrict = true\n",
        "[tool.sys]\n",
        "[tool.sys.debian12.dependencies]\nlibpq5 = '*'\n\n[tool.ruff]\nline-length = 100\n",
        "[tool.sys.debian13.dev-dependencies]\ngcc = '*'\n",
        "[tool.sys.debian13]\nignored-libraries = ['libx.so']\n",
        "[tool.sys.debian13.dependencies]\n",
        "[tool.sys.debian13]\ndependencies = { tzdata = '*' }\n",
        "[tool.sys]\ndebian13.dependencies.tzdata = '*'\n",
        "[tool.sys.debian13.dev-dependencies]\ngcc = '*'\n\n[project]\nname = 'x'\n\n"
        "[tool.sys.debian13.groups.client]\npsql = '*'\n",
    ],
    ids=[
        *("empty", "no tool", "another tool", "tools apart", "no section", "another release"),
        *("no run list", "ignored libraries", "empty run list", "inline", "dotted", "parts apart"),
    ],
)
@pytest.mark.parametrize("key", ["debian13", "alpine3.23"])
def test_a_table_that_is_not_there_is_made(text: str, key: str) -> None:
    text = text.replace("sys.debian13", f"sys.{system_check.toml_key(key)}")
    text = text.replace("\ndebian13.", f"\n{system_check.toml_key(key)}.")
    fixed = fix(text, MISSING, DOTTED, key=key)
    run = section(fixed, key)["dependencies"]
    assert run["libpq5"] == run["libxslt1.1"] == "*"
    for old in re.findall(r"^.+$", text, flags=re.MULTILINE):
        assert old.removesuffix(" }") in fixed
    assert fix(fixed, MISSING, DOTTED, key=key) == fixed


def test_the_first_package_for_building_makes_its_table() -> None:
    text = '[tool.sys.debian13.dependencies]\nlibpq-dev = "~17.5"\ntzdata = "*"\n'
    assert section(fix(text, BUILD_ONLY)) == {
        "dependencies": {"tzdata": "*"},
        "dev-dependencies": {"libpq-dev": "~17.5"},
    }


def mend(path: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the program on a pyproject.toml."""
    file = path.with_name("report.json")
    file.write_text(json.dumps(report))
    monkeypatch.setattr(sys, "argv", ["system_fix.py", str(file), str(path)])
    system_fix.main()


def test_the_file_is_written_as_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ends of lines, letters beyond ASCII and permissions stay; nothing is left beside it."""
    path = tmp_path / "pyproject.toml"
    path.write_bytes(PYPROJECT.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    mend(path, {"key": "debian13", "findings": [UNUSED]}, monkeypatch)
    assert path.read_bytes() == PYPROJECT.replace("\n", "\r\n").encode()
    assert path.stat().st_mode & 0o777 == 0o640
    mend(path, {"key": "debian13", "findings": [MISSING]}, monkeypatch)
    assert section(path.read_text(encoding="utf-8"))["dependencies"]["libpq5"] == "*"
    assert {file.name for file in tmp_path.iterdir()} == {"pyproject.toml", "report.json"}


def test_a_write_that_fails_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT, encoding="utf-8")
    # Where the new file would be there is a folder, so that it cannot be written.
    (tmp_path / "pyproject.toml.new").mkdir()
    with pytest.raises(OSError, match="new"):
        mend(path, {"key": "debian13", "findings": [MISSING]}, monkeypatch)
    assert path.read_text(encoding="utf-8") == PYPROJECT
