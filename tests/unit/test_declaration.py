"""docker/image/declaration.py reads what is declared, and refuses all else in words."""

import json
import re
import string
from collections.abc import Mapping
from typing import Any

import declaration
import pytest
from declaration import DeclarationError, Requirement

from tests.unit.declared import DEBIAN, DECLARED, load


def refusal(text: str) -> str:
    """Return why a declaration is refused: a sentence with what is wrong, one with what to do."""
    with pytest.raises(DeclarationError) as error:
        load(text)
    message = str(error.value)
    assert re.fullmatch(r"[^\n]+\. [A-Z][^\n]+\.", message)
    return message


def test_a_section_has_what_is_declared_set_by_set() -> None:
    section = load(DECLARED)["debian13"]
    assert section.run == {"libpq5": Requirement("*"), "libxslt1.1": Requirement("~1.1")}
    assert section.build == {"gcc": Requirement("*"), "libpq-dev": Requirement(">=17")}
    assert section.groups["client"] == {"postgresql-client": Requirement("*")}
    assert section.sets().keys() == {
        "dependencies",
        "dev-dependencies",
        "groups.client",
        "groups.debugger",
    }


def test_nothing_declared_is_no_section() -> None:
    assert load("") == load("[tool.sys]") == load("[tool.poetry]") == {}


def test_a_package_may_be_a_table() -> None:
    text = '[tool.sys.debian13.dependencies]\na = { version = "~1.2", dlopen = true }\nb = {}\n'
    assert load(text)["debian13"].run == {"a": Requirement("~1.2", True), "b": Requirement("*")}


def test_a_quoted_key_with_a_dot_is_the_same_section() -> None:
    dot, dash = (
        load(f'[tool.sys.{key}.dependencies]\nlibpq = "*"')
        for key in ('"alpine3.23"', "alpine3-23")
    )
    assert dot.keys() == dash.keys() == {"alpine3-23"}
    assert dot["alpine3-23"].run == dash["alpine3-23"].run
    # The name stays as its owner wrote it: it is what a message says and what is edited.
    assert dot["alpine3-23"].title == 'tool.sys."alpine3.23"'
    assert dash["alpine3-23"].title == "tool.sys.alpine3-23"


@pytest.mark.parametrize("text", ['["libtbb.so.12", "libcuda.so.1"]', "[]"])
def test_libraries_can_be_ignored(text: str) -> None:
    section = load(f"[tool.sys.debian13]\nignored-libraries = {text}")["debian13"]
    assert list(section.ignored_libraries) == json.loads(text)


@pytest.mark.parametrize("text", ["7", '["lib x.so"]', "[7]", '{ a = "b" }', '["$(id)"]'])
def test_ignored_libraries_that_are_no_names_are_refused(text: str) -> None:
    message = refusal(f"[tool.sys.debian13]\nignored-libraries = {text}")
    assert '["libtbb.so.12"]' in message


def test_the_common_misspelling_is_named() -> None:
    message = refusal('[tools.sys.debian13.dependencies]\nlibpq5 = "*"')
    assert message == "pyproject.toml has [tools.sys], which nothing reads. Write [tool.sys]."


def test_two_sections_for_one_release_are_refused() -> None:
    message = refusal(
        '[tool.sys.alpine3-23.dependencies]\n[tool.sys."alpine3.23".dependencies]\nlibpq = "*"'
    )
    assert message == (
        '[tool.sys.alpine3-23] and [tool.sys."alpine3.23"] are for the same release. Merge the two.'
    )


@pytest.mark.parametrize("name", ["dependencies", "dev-dependencies", "groups"])
def test_a_set_without_a_release_is_refused(name: str) -> None:
    message = refusal(f'[tool.sys.{name}]\nlibpq5 = "*"')
    assert "names no release" in message
    assert f"[tool.sys.debian13.{name}]" in message


def test_a_release_with_an_unquoted_dot_is_refused() -> None:
    message = refusal('[tool.sys.alpine3.23.dependencies]\nlibpq = "*"')
    assert "[tool.sys.alpine3.23] is a table in a table" in message
    assert "Write alpine3-23 or put it in quotes" in message


@pytest.mark.parametrize("name", ["libxslt1.1", "libglib2.0-0", "python3.13"])
def test_a_package_with_an_unquoted_dot_is_refused(name: str) -> None:
    message = refusal(f'[tool.sys.debian13.dependencies]\n{name} = "*"')
    assert f'a name with a dot needs quotes: "{name}".' in message


@pytest.mark.parametrize("value", ["17", "17.5", "true", '["17"]', "2026-01-01", "nan"])
@pytest.mark.parametrize("form", ["libpq5 = {}", "libpq5 = {{ version = {} }}"])
def test_a_version_that_is_no_string_is_refused(form: str, value: str) -> None:
    message = refusal(f"[tool.sys.debian13.dependencies]\n{form.format(value)}")
    assert "The version of libpq5 in [tool.sys.debian13.dependencies] is " in message
    assert '"~1.2" (any 1.2)' in message


VERSIONS = [
    "*",
    "1.2.3-r0",
    "17.11-0+deb13u1",
    "1:1.3.dfsg+really1.3.1-1+b1",
    "1.0~rc1-1",
    "2026c-0+deb13u1",
    "6.5_p20251123-r0",
    "~17.5",
    "~1:1.3",
    ">=1.2",
    ">=1:1.3",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_has_one_of_four_forms(version: str) -> None:
    section = load(f'[tool.sys.debian13.dependencies]\nlibpq5 = "{version}"')["debian13"]
    assert section.run["libpq5"].version == version


@pytest.mark.parametrize(
    "version",
    [
        *("", " ", "^1.2", "==1.2", "=1.2", "<2", ">1.2", ">= 1.2", ">=", "~", "~=1.2", ">=1,<2"),
        *("1.2.*", "1.2 ", "1.2\n", "1.2/stable", "-1", "--simulate", ":1", "1.2;id", "$(id)"),
    ],
    ids=repr,
)
def test_a_version_of_another_form_is_refused(version: str) -> None:
    message = refusal(f"[tool.sys.debian13.dependencies]\nlibpq5 = {json.dumps(version)}")
    assert repr(version) in message


@pytest.mark.parametrize("table", ["[tool.sys.debian13]", '[tool.sys."alpine3.23"]'])
def test_an_empty_section_is_refused(table: str) -> None:
    message = refusal(table)
    assert message.startswith(f"{table} is empty. Write {table[:-1]}.dependencies]")


def test_an_empty_set_is_none() -> None:
    section = load("[tool.sys.debian13.dependencies]")["debian13"]
    assert not any(section.sets().values())


ALLOWED = "+-._"
NAMES = [
    *(f"a{sign}b" for sign in string.punctuation + string.whitespace if sign not in ALLOWED),
    *(f"{sign}a" for sign in ALLOWED),
    *("", "--simulate", "-oDebug=1", "libpq5=1", "libpq5/stable", "libpq5:i386", "$(id)", "a\x00b"),
    *("a; rm -rf /", "lïbpq5", "a\n", "\u202ea"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("table", ["dependencies", "dev-dependencies", "groups.client"])
def test_a_name_that_a_shell_or_a_program_reads_otherwise_is_refused(table: str, name: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declaration.load({"tool": {"sys": {"debian13": nested(table, {name: "*"})}}})
    assert f"[tool.sys.debian13.{table}] has {name!r}, which is no package name. " in str(
        error.value
    )
    assert "\n" not in str(error.value)


def nested(path: str, value: Mapping[str, str]) -> dict[str, Any]:
    """Return a table with a value at a dotted path."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize(
    "name", ["g++", "libstdc++6", "libxslt1.1", "0ad", "py3_x", "R", "a-b.c+d"]
)
def test_names_as_distributions_have_them_are_taken(name: str) -> None:
    sections = declaration.load({"tool": {"sys": {"debian13": {"dependencies": {name: "*"}}}}})
    assert list(sections["debian13"].run) == [name]


def test_a_key_that_means_nothing_is_refused_with_those_that_do() -> None:
    message = refusal('[tool.sys.debian13]\nlibpq5 = "*"')
    assert "[tool.sys.debian13] has no use for 'libpq5'" in message
    assert "dependencies, dev-dependencies, groups and ignored-libraries" in message
    message = refusal("[tool.sys.debian13.dependencies]\nlibpq5 = { verzion = '*' }")
    assert "libpq5 in [tool.sys.debian13.dependencies] has no use for 'verzion'" in message


@pytest.mark.parametrize("value", ['"yes"', "1"])
def test_dlopen_is_true_or_false(value: str) -> None:
    message = refusal(f"[tool.sys.debian13.dependencies]\nlibpq5 = {{ dlopen = {value} }}")
    assert "Write true or false." in message


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("[tool]\nsys = 1", "tool.sys"),
        ("[tool.sys]\ndebian13 = ['libpq5']", "tool.sys.debian13"),
        ("[tool.sys.debian13]\ndependencies = ['libpq5']", "tool.sys.debian13.dependencies"),
        ("[tool.sys.debian13]\ngroups = 'x'", "tool.sys.debian13.groups"),
        ("[tool.sys.debian13.groups]\nclient = '*'", "tool.sys.debian13.groups.client"),
    ],
)
def test_what_should_be_a_table_and_is_none_is_named(text: str, title: str) -> None:
    assert f"Write a table, [{title}]." in refusal(text)


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        ({"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}, "debian12"),
        (DEBIAN, "debian13"),
        ({"ID": "ubuntu", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}, "ubuntu24-04"),
        ({"ID": "alpine", "VERSION_ID": "3.23.6"}, "alpine3-23"),
        # Unstable says what comes next and no number.
        ({"ID": "debian", "VERSION_CODENAME": "sid"}, "debiansid"),
        ({"ID": "arch"}, "arch"),
    ],
)
def test_a_release_is_named_after_its_os_release(os_release: dict[str, str], name: str) -> None:
    assert declaration.release(os_release) == name


def digest(text: str) -> str:
    return load(text)["debian13"].digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('libpq5 = "*"\n"libxslt1.1" = "~1.1"', '"libxslt1.1" = "~1.1"\nlibpq5 = "*"'),
        ('libpq5 = "*"', '# psycopg\nlibpq5 = "*" # really'),
        ('libpq5 = "*"', "libpq5 = { dlopen = true }"),
        ('libpq5 = "*"', 'libpq5 = { version = "*" }'),
        (
            "\n[tool.sys.debian13.dep",
            '\n[tool.sys.debian12.dependencies]\na="*"\n[tool.sys.debian13.dep',
        ),
        ("\n", "\n[tool.sys.debian13]\nignored-libraries = ['libx.so']\n"),
        ("[tool.sys.debian13.groups.client]", "[tool.sys.debian13.groups.none]\n\\g<0>"),
    ],
    ids=["order", "comment", "dlopen", "table", "other release", "ignored", "empty group"],
)
def test_the_digest_is_of_names_and_versions_alone(old: str, new: str) -> None:
    changed = re.sub(re.escape(old), new, DECLARED, count=1)
    assert changed != DECLARED
    assert digest(changed) == digest(DECLARED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('libpq5 = "*"', 'libpq5 = "~17"'),
        ('libpq5 = "*"', 'libpq5 = "*"\nlibpq6 = "*"'),
        ('gcc = "*"\n', ""),
        ("groups.client", "groups.clients"),
        ('gdb = "16.3-1"', 'gdb = "16.3-2"'),
    ],
    ids=["version", "added", "removed", "group", "version in a group"],
)
def test_the_digest_changes_with_every_name_and_version(old: str, new: str) -> None:
    assert old in DECLARED
    assert digest(DECLARED.replace(old, new)) != digest(DECLARED)


def test_a_package_that_moves_to_another_set_changes_the_digest() -> None:
    table = "[tool.sys.debian13.{}]\ngcc = '*'"
    assert digest(table.format("dependencies")) != digest(table.format("dev-dependencies"))


EVERYTHING = """
[tool.sys.debian13]
ignored-libraries = ["libtbb.so.12"]
[tool.sys."alpine3.23".dependencies]
"g++" = { version = ">=1", dlopen = true }
[tool.sys.debian12.groups.none]
"""


@pytest.mark.parametrize("text", ["", DECLARED, EVERYTHING], ids=["none", "sets", "everything"])
def test_sections_come_out_of_json_as_they_went_in(text: str) -> None:
    """On the host they are checked and written, and in the image read without a check."""
    sections = load(text)
    found = declaration.from_facts(json.loads(json.dumps(declaration.facts(sections))))
    assert found == sections
    assert [section.digest() for section in found.values()] == [
        section.digest() for section in sections.values()
    ]
