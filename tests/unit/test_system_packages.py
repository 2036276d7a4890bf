"""docker/host/system_packages.py says in words what a report found, and fixes it."""

import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import system_packages

Check = Callable[..., str]
Exports = Callable[..., list[str]]

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
    assert system_packages.describe(found, TITLE) == (
        f"{found['library']}, needed by psycopg-c (_psycopg.so), libfoo1 (libfoo.so.1), is in the "
        f"package {found['package']}, which [tool.sys.debian13.dependencies] does not have. "
        f"Add: {line}"
    )
    [(key, version)] = tomllib.loads(line).items()
    assert (key, version) == (found["package"], "*")


def test_a_library_of_no_package_is_named_with_the_line_that_ignores_it() -> None:
    words = system_packages.describe(NOWHERE, TITLE)
    assert words.startswith("libtbb.so.12, needed by psycopg-c (_psycopg.so), ")
    assert "is in no package of this release. " in words
    assert 'in [tool.sys.debian13]: ignored-libraries = ["libtbb.so.12"].' in words


@pytest.mark.parametrize("package", ["libxml2", "libxslt1.1"])
def test_what_is_unused_is_named_with_the_line_that_keeps_it(package: str) -> None:
    words = system_packages.describe(finding("unused", package), TITLE)
    assert words.startswith(
        f"No library needs {package} in [tool.sys.debian13.dependencies]. Remove it, or write "
    )
    [line] = re.findall(r"write (.*) if the", words)
    assert tomllib.loads(line) == {package: {"version": "*", "dlopen": True}}


def test_what_is_for_building_is_named_with_its_place() -> None:
    assert system_packages.describe(BUILD_ONLY, 'tool.sys."alpine3.23"') == (
        'libpq-dev in [tool.sys."alpine3.23".dependencies] is for building. '
        'Move it to [tool.sys."alpine3.23".dev-dependencies].'
    )


@pytest.fixture
def check(
    exports: Exports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Return a function that runs the program on findings and returns what it prints."""

    def check(
        findings: list[dict[str, Any]],
        *kinds: str,
        status: int = 0,
        hints: Sequence[dict[str, Any]] = (),
        uncompiled: Sequence[str] = (),
    ) -> str:
        content = {"title": TITLE, "declared": 3, "libraries": [{}, {}]}
        content |= {"findings": findings, "hints": hints, "uncompiled": uncompiled}
        built = exports({"system-report": ("report.json", content)})
        monkeypatch.setattr(sys, "argv", ["system_packages.py", "check", *kinds])
        code: Any = 0
        try:
            system_packages.main()
        except SystemExit as error:
            code = error.code
        assert code == status
        assert built == ["system-report"]
        return capsys.readouterr().out

    return check


def test_a_right_declaration_passes_with_the_numbers(check: Check) -> None:
    assert check([]) == "Libraries beyond the base image: 2, from 3 declared packages.\n"
    assert check([], "missing") == check([])


def test_what_is_loaded_by_name_is_a_hint_and_no_failure(check: Check) -> None:
    """A check of certain kinds, as docker_test has it, says nothing of it."""
    hints = [
        {"library": "libpq", "package": "libpq5", "user": "psycopg (_pq_ctypes.py, line 27)"},
        {"library": "libx", "package": None, "user": "other (x.py, line 1)"},
    ]
    first, second, _ = check([], hints=hints).splitlines()
    assert first == (
        "psycopg (_pq_ctypes.py, line 27) loads libpq by name, which production does not have. If "
        f"the application uses that, add to [{TITLE}.dependencies]: "
        'libpq5 = { version = "*", dlopen = true }'
    )
    assert "the package that has it = {" in second
    assert check([], "missing", hints=hints) == check([])


def test_a_package_without_its_compiled_modules_is_named_and_no_failure(check: Check) -> None:
    assert check([], uncompiled=["pyyaml 6.0.3"]).splitlines()[0] == (
        "pyyaml 6.0.3 has no compiled modules in production, and all of its wheels on the index "
        "have them: a compiler, a header or a library was missing when it was made. Add what it "
        f"needs to [{TITLE}.dev-dependencies], or name a BUILDER_IMAGE that has it."
    )
    assert check([], "missing", uncompiled=["pyyaml 6.0.3"]) == check([])


@pytest.mark.parametrize("found", [MISSING, NOWHERE, UNUSED, BUILD_ONLY])
def test_without_kinds_every_finding_fails(check: Check, found: dict[str, Any]) -> None:
    words = system_packages.describe(found, TITLE)
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
    """Return the fixed text; what is no finding has to be as it was."""
    fixed = system_packages.fix(text, key, findings)
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
def test_fixing_twice_is_fixing_once(found: dict[str, Any]) -> None:
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
    text = text.replace("sys.debian13", f"sys.{system_packages.toml_key(key)}")
    text = text.replace("\ndebian13.", f"\n{system_packages.toml_key(key)}.")
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


def test_the_file_is_written_as_it_was_read(tmp_path: Path) -> None:
    """Ends of lines, letters beyond ASCII and permissions stay; nothing is left beside it."""
    path = tmp_path / "pyproject.toml"
    path.write_bytes(PYPROJECT.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    system_packages.fix_file({"key": "debian13", "findings": [UNUSED]}, path)
    assert path.read_bytes() == PYPROJECT.replace("\n", "\r\n").encode()
    assert path.stat().st_mode & 0o777 == 0o640
    system_packages.fix_file({"key": "debian13", "findings": [MISSING]}, path)
    assert section(path.read_text(encoding="utf-8"))["dependencies"]["libpq5"] == "*"
    assert [file.name for file in tmp_path.iterdir()] == ["pyproject.toml"]


def test_what_a_build_reports_is_fixed_in_this_folder(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT, encoding="utf-8")
    report = {"key": "debian13", "findings": [MISSING]}
    built = exports({"system-report": ("report.json", report)})
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "fix"])
    system_packages.main()
    assert built == ["system-report"]
    assert path.read_text(encoding="utf-8") == fix(PYPROJECT, MISSING)


@pytest.mark.parametrize("arguments", [[], ["fix", "it"], ["lock", "--chekc"], ["mend"]], ids=str)
def test_the_program_says_how_it_is_used(
    exports: Exports, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    built = exports({})
    monkeypatch.setattr(sys, "argv", ["system_packages.py", *arguments])
    with pytest.raises(SystemExit, match=r"python docker/host/system_packages\.py check \[KIND"):
        system_packages.main()
    assert built == []


def test_a_write_that_fails_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT, encoding="utf-8")
    # Where the new file would be there is a folder, so that it cannot be written.
    monkeypatch.setattr("secrets.token_hex", lambda _: "new")
    (tmp_path / ".pyproject.toml-new").mkdir()
    with pytest.raises(OSError, match="directory"):
        system_packages.fix_file({"key": "debian13", "findings": [MISSING]}, path)
    assert path.read_text(encoding="utf-8") == PYPROJECT
