"""docker/system.py reads what is declared, chooses what applies, and refuses all else in words."""

import json
import re
import string
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import system
from system import DeclarationError, Requirement, Section

Program = Callable[..., Path]
Write = Callable[[str], dict[str, str]]

DEBIAN = {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
DECLARED = """
[tool.sys.debian13.dependencies]
libpq5 = "*"
"libxslt1.1" = "~1.1"
[tool.sys.debian13.dev-dependencies]
gcc = "*"
libpq-dev = ">=17"
[tool.sys.debian13.groups.client]
postgresql-client = "*"
[tool.sys.debian13.groups.debugger]
gdb = "16.3-1"
"""


def load(text: str) -> dict[str, Section]:
    return system.load(tomllib.loads(text))


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
        system.load({"tool": {"sys": {"debian13": nested(table, {name: "*"})}}})
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
    sections = system.load({"tool": {"sys": {"debian13": {"dependencies": {name: "*"}}}}})
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
    assert system.release(os_release) == name


def test_the_section_of_the_release_is_chosen() -> None:
    sections = load(DECLARED + '[tool.sys."ubuntu24.04".dependencies]\nlibpq5 = "16"')
    assert system.choose(sections, "ubuntu24-04").run == {"libpq5": Requirement("16")}
    assert system.choose(sections, "debian13") == sections["debian13"]


def test_where_nothing_is_declared_any_release_will_do() -> None:
    section = system.choose(load("[tool.sys]"), "debian13")
    assert section.key == "debian13"
    assert not any(section.sets().values())


def test_a_release_without_a_section_is_refused_with_those_that_have_one() -> None:
    tables = ("ubuntu24-04", "debian12", "alpine3-23")
    sections = load("".join(f"[tool.sys.{name}.dependencies]\n" for name in tables))
    with pytest.raises(DeclarationError) as error:
        system.choose(sections, "debian13")
    message = str(error.value)
    assert message.startswith("The base image is debian13, and pyproject.toml declares ")
    assert "for alpine3-23, debian12, ubuntu24-04 alone. " in message
    assert "Add [tool.sys.debian13.dependencies]" in message
    assert "what [tool.sys.debian12] lists" in message


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


def entry(section: Section, **values: Any) -> dict[str, Any]:
    """Return what a lock has for a section on Debian 13."""
    image = {"release": "debian13", "architecture": "amd64", "declaration": section.digest()}
    return {**image, "package": [package("libpq5", "dependencies")], **values}


def package(name: str, *sets: str) -> dict[str, Any]:
    return {"name": name, "version": "17.5-1", "architecture": "amd64", "sets": list(sets)}


def test_a_lock_that_fits_gives_its_packages() -> None:
    section = load(DECLARED)["debian13"]
    others = [entry(section, release="debian12"), entry(section, architecture="arm64", package=[])]
    lock = {"version": 1, "image": [*others, entry(section)]}
    assert system.locked(lock, "debian13", "amd64", section) == [package("libpq5", "dependencies")]


@pytest.mark.parametrize(
    ("lock", "problem"),
    [
        ({"version": 2}, "has a format of another version"),
        ({}, "has a format of another version"),
        ({"version": 1}, "has no packages for debian13 on amd64"),
        ({"architecture": "arm64"}, "has no packages for debian13 on amd64"),
        ({"release": "debian12"}, "has no packages for debian13 on amd64"),
        ({"declaration": "sha256:0"}, "does not fit [tool.sys.debian13]"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(lock: dict[str, Any], problem: str) -> None:
    section = load(DECLARED)["debian13"]
    if lock.keys() - {"version"}:
        lock = {"version": 1, "image": [entry(section, **lock)]}
    with pytest.raises(DeclarationError) as error:
        system.locked(lock, "debian13", "amd64", section)
    assert str(error.value).startswith(f"sys.lock {problem}")
    assert ". Run nox -s sys_lock" in str(error.value)


LOCKED = [
    package("gcc", "dev-dependencies"),
    package("gdb", "groups.debugger"),
    package("libc6", "dependencies", "dev-dependencies", "groups.client"),
    package("libpq-dev", "dev-dependencies"),
    package("libpq5", "dependencies", "groups.client"),
    package("libxslt1.1", "dependencies"),
    package("postgresql-client", "groups.client"),
]


@pytest.mark.parametrize("lock", [None, LOCKED], ids=["declared", "locked"])
def test_each_stage_installs_its_own_sets(lock: list[dict[str, Any]] | None) -> None:
    """Production never has a package for building, nor one of a group."""
    found = system.selections(load(DECLARED)["debian13"], lock)
    more = {"libc6"} if lock else set[str]()
    assert found["production"].keys() == {"libpq5", "libxslt1.1"} | more
    assert found["development"].keys() == (
        {"gdb", "libpq5", "libxslt1.1", "postgresql-client"} | more
    )
    headers = {"gcc", "libpq-dev"}
    assert found["build"].keys() == headers | more


def test_a_package_that_runs_and_builds_is_in_both() -> None:
    section = load(
        "[tool.sys.debian13.dependencies]\ngcc = '*'\n"
        "[tool.sys.debian13.dev-dependencies]\ngcc = '*'"
    )["debian13"]
    found = system.selections(section, None)
    assert "gcc" in found["production"]
    assert "gcc" in found["build"]


def test_a_lock_gives_the_exact_versions() -> None:
    found = system.selections(load(DECLARED)["debian13"], LOCKED)
    assert set(found["production"].values()) == {"17.5-1"}


def test_wheels_are_kept_by_release_and_build_packages() -> None:
    name = system.cache_name("debian13", {"gcc": "*", "libpq-dev": "*"})
    assert name.startswith("debian13-")
    assert name == system.cache_name("debian13", {"libpq-dev": "*", "gcc": "*"})
    assert name != system.cache_name("debian13", {"gcc": "*", "libpq-dev": "~17"})
    assert name != system.cache_name("debian13", {"gcc": "*"})
    assert name != system.cache_name("debian12", {"gcc": "*", "libpq-dev": "*"})
    assert re.fullmatch(r"[\w.-]+", name)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that runs the program on a declaration and returns what it wrote.

    The image is Debian 13; a sys.lock is the one in the folder ``project``.
    """
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: DEBIAN)
    project, output = tmp_path / "project", tmp_path / "out"
    project.mkdir()
    declared = tmp_path / "system.json"
    monkeypatch.setattr(sys, "argv", ["system.py", str(declared), str(project), str(output)])

    def write(text: str) -> dict[str, str]:
        declared.write_text(json.dumps(tomllib.loads(text)))
        output.mkdir(exist_ok=True)
        system.main()
        files = (path for path in output.rglob("*") if path.is_file())
        return {path.relative_to(output).as_posix(): path.read_text() for path in files}

    return write


LISTS = {f"system/{stage}/packages.json" for stage in ("build", "development", "production")}


def test_there_is_a_file_for_each_stage(write: Write) -> None:
    files = write(DECLARED)
    assert files.keys() == {*LISTS, "declaration.json", "uv-cache.txt"}
    assert json.loads(files["system/production/packages.json"]) == {
        "source": "[tool.sys.debian13] in pyproject.toml",
        "packages": {"libpq5": "*", "libxslt1.1": "~1.1"},
    }


@pytest.mark.parametrize("text", ["", "[tool.sys]", "[tool.sys.debian13.dependencies]"])
def test_where_nothing_is_declared_the_lists_are_empty(write: Write, text: str) -> None:
    files = write(text)
    assert {files[name] for name in LISTS} == {"{}"}


def test_the_check_learns_what_is_loaded_by_name_and_what_to_ignore(write: Write) -> None:
    text = (
        '[tool.sys."debian13"]\nignored-libraries = ["libz.so", "liba.so"]\n'
        '[tool.sys."debian13".dependencies]\nlibpq5 = { dlopen = true }\nlibxml2 = "*"'
    )
    assert json.loads(write(text)["declaration.json"]) == {
        "release": "debian13",
        "key": "debian13",
        "title": "tool.sys.debian13",
        "ignored": ["liba.so", "libz.so"],
        "sets": {
            "dependencies": {"libpq5": True, "libxml2": False},
            "dev-dependencies": {},
        },
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('libpq5 = "*"', 'libpq5 = "*"  # for psycopg'),
        ("\n[tool", "\n[tool.ruff]\nline-length = 99\n[tool"),
        ('gcc = "*"\nlibpq-dev = ">=17"', 'libpq-dev = ">=17"\ngcc = "*"'),
    ],
    ids=["comment", "other table", "order"],
)
def test_an_edit_of_anything_else_changes_no_file(write: Write, old: str, new: str) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace(old, new, 1))
    assert changed(before, after) == set()


def test_a_runtime_package_more_leaves_what_compiles_wheels_as_it_is(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('libpq5 = "*"', 'libpq5 = "*"\nlibxml2 = "*"'))
    assert changed(before, after) == {
        "declaration.json",
        "system/development/packages.json",
        "system/production/packages.json",
    }


def test_dlopen_installs_nothing_again(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('libpq5 = "*"', "libpq5 = { dlopen = true }"))
    assert changed(before, after) == {"declaration.json"}


def test_a_build_package_more_changes_the_cache_of_wheels(write: Write) -> None:
    before = write(DECLARED)
    after = write(DECLARED.replace('gcc = "*"', 'gcc = "*"\nmake = "*"'))
    assert changed(before, after) == {
        "declaration.json",
        "system/build/packages.json",
        "uv-cache.txt",
    }


def write_lock(folder: Path, section: Section) -> None:
    """Write a lock for a section on Debian 13 and amd64, with the packages of ``LOCKED``."""
    lines = ["version = 1", "[[image]]", 'release = "debian13"', 'architecture = "amd64"']
    lines.append(f'declaration = "{section.digest()}"')
    for locked in LOCKED:
        lines += ["[[image.package]]", *(f"{k} = {json.dumps(v)}" for k, v in locked.items())]
    (folder / "sys.lock").write_text("\n".join(lines))


@pytest.fixture
def dpkg(program: Program) -> None:
    program("apt-get")
    program("dpkg", {"--print-architecture": "amd64\n"})


@pytest.mark.usefixtures("dpkg")
def test_a_lock_takes_the_place_of_declared_versions(write: Write, tmp_path: Path) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    content = json.loads(write(DECLARED)["system/production/packages.json"])
    assert content["source"] == "sys.lock"
    assert content["packages"] == dict.fromkeys(("libc6", "libpq5", "libxslt1.1"), "17.5-1")


@pytest.mark.usefixtures("dpkg")
def test_a_lock_of_another_declaration_stops_the_build(write: Write, tmp_path: Path) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    with pytest.raises(SystemExit) as error:
        write(DECLARED.replace('gcc = "*"', 'gcc = "~14"'))
    assert error.value.code == (
        "System packages: sys.lock does not fit [tool.sys.debian13]. Run nox -s sys_lock."
    )
    assert not list((tmp_path / "out").iterdir())


def test_a_lock_for_an_image_without_a_package_manager_stops_the_build(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path / "project", load(DECLARED)["debian13"])
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SystemExit, match=r"^System packages: .* neither apt nor apk\. "):
        write(DECLARED)


def test_a_lock_does_not_matter_where_nothing_is_declared(write: Write, tmp_path: Path) -> None:
    (tmp_path / "project/sys.lock").write_text("version = 99\n")
    assert {write("")[name] for name in LISTS} == {"{}"}


def test_a_lock_that_is_no_toml_stops_the_build(write: Write, tmp_path: Path) -> None:
    (tmp_path / "project/sys.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(SystemExit) as error:
        write(DECLARED)
    assert "sys.lock cannot be read" in str(error.value.code)
    assert "Run nox -s sys_lock." in str(error.value.code)


def test_a_declaration_for_other_releases_stops_the_build(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as error:
        write("[tool.sys.debian12.dependencies]")
    assert str(error.value.code).startswith("System packages: The base image is debian13, ")
    assert not list((tmp_path / "out").iterdir())
