"""docker/image/poetry_lock.py gives what `poetry export` gives, or refuses with a clear sentence.

Each folder in locks/ holds a pyproject.toml and the poetry.lock that Poetry wrote for it. `source`
was locked against another index, and its addresses and content hash were exchanged afterwards.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from itertools import product
from pathlib import Path

import poetry_lock
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from poetry_lock import MAIN, LockError, Selection

from tests.unit.locked import joined

LOCKS = Path(__file__).parent / "locks"

# (folder in locks/, groups, extras)
SELECTIONS: list[tuple[str, list[str], list[str]]] = [
    ("platforms", ["main"], []),
    ("extras", ["main"], []),
    ("extras", ["main"], ["cli"]),
    ("extras", ["main"], ["data-base", "socks"]),
    ("poetry-extras", ["main"], ["server"]),
    ("poetry-extras", ["main", "dev", "docs"], ["full"]),
    ("groups", ["main"], ["colour"]),
    ("groups", ["test"], []),
    ("groups", ["main", "dev"], []),
    ("groups", ["main", "docs", "test", "type-check"], []),
    ("groups", ["notebook"], []),
    ("large", ["main"], []),
    ("large", ["main", "dev", "docs"], []),
    ("versions", ["main"], []),
    ("source", ["main"], []),
    ("source", ["main", "dev"], []),
]

# 3.11.2, because locks tell Pythons before 3.11.3 apart; 3.13.0, because one project excludes it.
PYTHONS = ["3.11.2", "3.11.9", "3.12.4", "3.13.0", "3.13.4", "3.14.1"]
SYSTEMS = [("linux", "Linux", "posix"), ("win32", "Windows", "nt"), ("darwin", "Darwin", "posix")]
MACHINES = ["x86_64", "aarch64"]
IMPLEMENTATIONS = [("cpython", "CPython"), ("pypy", "PyPy")]
ENVIRONMENTS: list[dict[str, str]] = [
    {
        "implementation_name": implementation,
        "implementation_version": python,
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": implementation_label,
        "platform_release": "6.1",
        "platform_system": system,
        "platform_version": "1",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": platform,
    }
    for python, (platform, system, os_name), machine, (
        implementation,
        implementation_label,
    ) in product(PYTHONS, SYSTEMS, MACHINES, IMPLEMENTATIONS)
]


@functools.cache
def truth(marker: str) -> tuple[bool, ...]:
    """Return whether a marker holds in each of ENVIRONMENTS."""
    parsed = Marker(marker)
    return tuple(parsed.evaluate(environment) for environment in ENVIRONMENTS)


def parse(text: str) -> tuple[list[str], dict[tuple[str, str], tuple[set[str], tuple[bool, ...]]]]:
    """Return the options of a requirements file, and hashes and truth of each name and version."""
    options, packages = [], {}
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("--"):
            options.append(line)
        elif line:
            head, *hashes = re.split(r"\s+--hash=", line.strip())
            requirement = Requirement(head)
            assert not requirement.extras
            key = (requirement.name, str(requirement.specifier))
            assert key not in packages
            marker = str(requirement.marker or "python_version > '3'")
            packages[key] = (set(hashes), truth(marker))
    return sorted(options), packages


# Poetry is imported once for all: that takes longer than what it exports.
EXPORT = """
import json, os, sys
from poetry.console.application import Application
for folder, arguments in json.load(sys.stdin):
    os.chdir(folder)
    sys.argv = ["poetry", "export", "--no-interaction", *arguments]
    application = Application()
    application.auto_exits(False)
    if application.run():
        sys.exit(f"poetry {arguments} failed")
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what Poetry itself exports, with a clean configuration and no way to the network."""
    folder = tmp_path_factory.mktemp("exports")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POETRY_")}
    environment |= {
        "POETRY_CACHE_DIR": str(folder / "cache"),
        "POETRY_CONFIG_DIR": str(folder / "config"),
        "POETRY_KEYRING_ENABLED": "false",
        "POETRY_VIRTUALENVS_CREATE": "false",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    tasks, outputs = [], {}
    for number, selection in enumerate(SELECTIONS):
        project, groups, extras = selection
        output = outputs[str(selection)] = folder / f"{number}.txt"
        options = [f"--output={output}", f"--only={','.join(groups)}"]
        tasks.append((str(LOCKS / project), [*options, *(f"--extras={x}" for x in extras)]))
    result = subprocess.run(
        [sys.executable, "-c", EXPORT],
        input=json.dumps(tasks),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {key: output.read_text(encoding="utf-8") for key, output in outputs.items()}


def run(project: Path, groups: Collection[str] = (MAIN,), extras: Collection[str] = ()) -> str:
    """Return the requirements file of a project's groups and extras."""
    selection = poetry_lock.select(poetry_lock.load(project), groups, extras)
    return poetry_lock.requirements_file(selection.options, selection.packages)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project in locks/groups that a test may change."""
    return shutil.copytree(LOCKS / "groups", tmp_path / "project")


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text in a file, which has to be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# --- What is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_same_as_poetry_export(
    selection: tuple[str, list[str], list[str]], exports: dict[str, str]
) -> None:
    """Packages, versions, hashes, options and the markers' truth are those of `poetry export`."""
    name, groups, extras = selection
    assert parse(run(LOCKS / name, groups, extras)) == parse(exports[str(selection)])


def test_the_locks_hold_what_they_are_there_for() -> None:
    """The comparison covers a lock of 150 packages and one with several versions of a package."""
    names = [package.name for package in poetry_lock.load(LOCKS / "large").packages]
    assert len(names) > 150
    names = [package.name for package in poetry_lock.load(LOCKS / "versions").packages]
    assert names.count("attrs") == names.count("numpy") == 2
    locks = "".join(path.read_text(encoding="utf-8") for path in LOCKS.glob("*/poetry.lock"))
    assert set(re.findall(r'^url = "(.*)"', locks, re.MULTILINE)) == {
        "https://index.example/simple",
        "http://plain.index.example/simple",
    }


def test_the_same_choice_gives_the_same_file() -> None:
    """Order, repetition and spelling of names leave no trace; lines are sorted."""
    first = run(LOCKS / "groups", ["main", "type-check"], ["colour"])
    names = ["Type_Check", "main", "type.check"]
    assert run(LOCKS / "groups", names, ["COLOUR"]) == first
    requirement_lines = re.findall(r"^\S+==.*", first, re.MULTILINE)
    assert requirement_lines == sorted(requirement_lines)


def test_main_is_the_default_group() -> None:
    """Without groups, the main packages are written and no others."""
    default = run(LOCKS / "groups")
    assert default == run(LOCKS / "groups", ["main"])
    assert "\npytest==" not in default


def test_credentials_are_never_written(project: Path) -> None:
    """User and password in the address of an index stay in the lock."""
    shutil.copytree(LOCKS / "source", project, dirs_exist_ok=True)
    edit(project / "poetry.lock", "//index.example", "//user:secret@index.example:8443")
    out = run(project)
    assert out.startswith("--extra-index-url https://index.example:8443/simple\n")
    assert "secret" not in out


@pytest.mark.parametrize(
    ("text", "extras", "expected"),
    [
        ("", (), True),
        ("<empty>", (), False),
        ('extra == "a"', (), False),
        ('extra == "A_b"', ("a-b",), True),
        ('extra != "a"', (), True),
        ('extra == "a" and os_name == "nt"', ("a",), 'os_name == "nt"'),
        ('extra == "a" or os_name == "nt"', ("a",), True),
        ('extra == "a" or os_name == "nt"', (), 'os_name == "nt"'),
        ('os_name == "nt" or os_name == "nt" and extra != "a"', (), 'os_name == "nt"'),
        (
            'os_name == "nt" and (extra == "b" or python_version ~= "3.11" or "a" in os_name)',
            (),
            'os_name == "nt" and (python_version ~= "3.11" or "a" in os_name)',
        ),
        ("os_name not in 'nt or java'", (), "os_name not in 'nt or java'"),
    ],
)
def test_extras_are_decided_within_markers(
    text: str, extras: tuple[str, ...], expected: str | bool
) -> None:
    """A comparison with `extra` becomes true or false, and what that decides falls away."""
    assert poetry_lock.parse_marker(text, extras) == expected


@pytest.mark.parametrize("text", ["os_name ==", "extra in 'a b'", "os_name", "1 +", "a == 'b')"])
def test_what_is_no_marker_is_not_guessed_at(text: str) -> None:
    """A text that PEP 508 does not allow, or that compares `extra` otherwise, is an error."""
    with pytest.raises(ValueError, match=re.escape(text)):
        poetry_lock.parse_marker(text, ())


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ("*", True),
        (">=3.11,<4.0", 'python_version >= "3.11" and python_version < "4.0"'),
        ("^3.11", 'python_version >= "3.11" and python_version < "4"'),
        ("~3.11", 'python_version >= "3.11" and python_version < "3.12"'),
        ("~3.11.2", 'python_full_version >= "3.11.2" and python_version < "3.12"'),
        ("~=3.11", 'python_full_version ~= "3.11"'),
        ("3.12.*", 'python_full_version == "3.12.*"'),
        ("<=3.13", 'python_full_version <= "3.13"'),
        (
            "~2.7 || >= 3.11 !=3.12.0",
            'python_version >= "2.7" and python_version < "2.8"'
            ' or python_version >= "3.11" and python_full_version != "3.12.0"',
        ),
    ],
)
def test_python_versions_become_a_marker(versions: str, expected: str | bool) -> None:
    """PEP 440 specifiers and Poetry's own constraints are both understood."""
    assert poetry_lock.python_marker(versions) == expected
    if isinstance(expected, str):
        Marker(expected)


def test_default_groups_are_those_not_optional() -> None:
    """Groups of both kinds count, under normalised names; main and optional ones do not."""
    groups = poetry_lock.default_groups(poetry_lock.load(LOCKS / "groups"))
    assert groups == ["dev", "notebook", "test", "type-check"]
    assert poetry_lock.default_groups(poetry_lock.load(LOCKS / "poetry-extras")) == ["dev"]


# --- Whether the lock fits ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">=3.11,<3.15", ">=3.11,<3.16"),
        ('    "click",\n', '    "click >= 8",\n'),
        ('colour = ["colorama"]', 'colour = ["colorama", "click"]'),
        ('"mypy", ', '"mypy < 3", '),
        ('sphinx = "*"', 'sphinx = ">8"'),
        ("optional = true", "optional = false"),
    ],
)
def test_a_change_in_dependencies_needs_a_new_lock(project: Path, old: str, new: str) -> None:
    """What Poetry takes into its content hash may not differ from what was locked."""
    edit(project / "pyproject.toml", old, new)
    lock = project / "poetry.lock"
    assert refuse(project) == (
        f"{lock} does not fit the dependencies that pyproject.toml declares. Run `nox -s lock`."
    )


def test_any_other_change_needs_no_new_lock(project: Path) -> None:
    """A tool's settings and the project's version are not part of the content hash."""
    edit(project / "pyproject.toml", 'version = "1.0.0"', 'version = "2.0.0"')
    edit(project / "pyproject.toml", "[tool.poetry]", "[tool.ruff]\nline-length = 9\n[tool.poetry]")
    assert run(project) == run(LOCKS / "groups")


# The hash that Poetry 2.2.1 itself wrote for the project in locks/groups.
HASH_OF_POETRY_2_2 = "83feece16b1d0cbdf45f3dd5967881e133f59f890fa1073e605513db3fe9ba1e"


@pytest.mark.parametrize(
    ("poetry", "accepted"), [("2.2.1", True), ("2.3.0", False), ("2.10.0", False)]
)
def test_a_lock_of_an_older_poetry_is_accepted(project: Path, poetry: str, accepted: bool) -> None:
    """Before 2.3.0 the content hash left `[dependency-groups]` out, and only then it may."""
    lock = project / "poetry.lock"
    edit(lock, "Poetry 2.5.1", f"Poetry {poetry}")
    text = lock.read_text(encoding="utf-8")
    text = re.sub(r'content-hash = ".*"', f'content-hash = "{HASH_OF_POETRY_2_2}"', text)
    lock.write_text(text, encoding="utf-8")
    assert run(project) if accepted else refuse(project)


# --- What is refused ---------------------------------------------------------------------------


def refuse(project: Path, **choice: Collection[str]) -> str:
    """Check the form of the refusal of a project and return it."""
    with pytest.raises(LockError) as error:
        run(project, **choice)
    message = str(error.value)
    assert re.fullmatch(r"\S.*[^.]\. [A-Z].*[^.]\.", message), message
    return message


def test_a_missing_pyproject_is_refused(project: Path) -> None:
    """The message names the file and where to be."""
    (project / "pyproject.toml").unlink()
    err = refuse(project)
    assert err.startswith(f"{project / 'pyproject.toml'} does not exist. ")
    assert "project's folder" in err


def test_a_missing_lock_is_refused(project: Path) -> None:
    """The message names the file and the command that writes it."""
    (project / "poetry.lock").unlink()
    err = refuse(project)
    assert err.startswith(f"{project / 'poetry.lock'} does not exist. Run `nox -s lock`")


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.lock"])
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b"\xff"])
def test_an_unreadable_file_is_refused(project: Path, name: str, content: bytes) -> None:
    """A conflict left by a merge, or bytes that are no UTF-8, are named with their file."""
    (project / name).write_bytes(content)
    err = refuse(project)
    assert err.startswith(f"{project / name} is not valid TOML: ")
    assert "then" in err
    assert "`nox -s lock`" in err


@pytest.mark.parametrize("version", ["1.1", "2.0", "2.2", "3.0"])
def test_another_lock_format_is_refused(project: Path, version: str) -> None:
    """An older format has no markers for each group, and what a later one means is not known."""
    edit(project / "poetry.lock", 'lock-version = "2.1"', f'lock-version = "{version}"')
    err = refuse(project)
    assert f"has lock format {version}, and only 2.1 is supported. Run `nox -s lock`." in err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[metadata]", "[metadatum]"),
        ("[[package]]", "[[package]]\n[[package]]"),
        ('lock-version = "2.1"\n', ""),
        ('python-versions = ">=3.11,<3.15"\n', ""),
    ],
)
def test_a_damaged_lock_is_refused(project: Path, old: str, new: str) -> None:
    """A lock in which something is missing ends in a message, not in a traceback."""
    edit(project / "poetry.lock", old, new)
    assert "is not a lock that Poetry wrote" in refuse(project)


def test_a_package_without_hashes_is_refused(project: Path) -> None:
    """An entry without a hash that pip accepts cannot be installed safely."""
    lock = project / "poetry.lock"
    text = lock.read_text(encoding="utf-8").replace('hash = "sha256:', 'hash = "md5:')
    lock.write_text(text, encoding="utf-8")
    assert f"{lock} has no hashes for certifi==" in refuse(project)


def relocate(project: Path, kind: str, *lines: str, hashes: bool = True) -> None:
    """Take iniconfig, in a copy of the project in locks/source, from a source of some kind."""
    shutil.copytree(LOCKS / "source", project, dirs_exist_ok=True)
    lock = project / "poetry.lock"
    old = 'type = "legacy"\nurl = "https://index.example/simple"\nreference = "internal"\n'
    edit(lock, old, "".join(f"{line}\n" for line in (f'type = "{kind}"', *lines)))
    if not hashes:
        text = lock.read_text(encoding="utf-8")
        before, name, rest = text.partition('name = "iniconfig"')
        rest = re.sub(r"files = \[.*?\n\]", "files = []", rest, count=1, flags=re.DOTALL)
        lock.write_text(f"{before}{name}{rest}", encoding="utf-8")


def selected(project: Path) -> Selection:
    """Return what the main packages of a project are."""
    return poetry_lock.select(poetry_lock.load(project))


def test_an_index_is_known_by_its_name_without_its_login(project: Path) -> None:
    shutil.copytree(LOCKS / "source", project, dirs_exist_ok=True)
    edit(project / "poetry.lock", "//index.example", "//user:secret@index.example:8443")
    assert selected(project).sources == {"internal": "https://index.example:8443/simple"}
    assert selected(LOCKS / "groups").sources == {}


COMMIT = "0a1b" * 10


@pytest.mark.parametrize(
    ("lines", "requirement"),
    [
        (['url = "https://code.example/x.git"'], "git+https://code.example/x.git@{}"),
        (['url = "http://code.example:81/x"'], "git+http://code.example:81/x@{}"),
        (
            ['url = "https://code.example/x.git"', 'subdirectory = "libs/one"'],
            "git+https://code.example/x.git@{}#subdirectory=libs/one",
        ),
    ],
)
def test_a_commit_needs_no_hash_and_is_installed_by_itself(
    project: Path, lines: list[str], requirement: str
) -> None:
    commit = f'resolved_reference = "{COMMIT}"'
    relocate(project, "git", *lines, 'reference = "main"', commit, hashes=False)
    selection = selected(project)
    [found] = selection.commits
    assert found.requirement.startswith(f"iniconfig @ {requirement.format(COMMIT)}")
    assert not [package for package in selection.packages if package.name == "iniconfig"]
    assert (selection.options, selection.sources) == ([], {})


@pytest.mark.parametrize(
    "address", ["ssh://git@code.example/x.git", "git@code.example:x.git", "git://code.example/x"]
)
def test_a_commit_for_which_a_key_would_be_needed_is_refused(project: Path, address: str) -> None:
    """Choosing another group avoids it."""
    relocate(project, "git", f'url = "{address}"', f'resolved_reference = "{COMMIT}"', hashes=False)
    told = f"{project / 'poetry.lock'} takes iniconfig from {address}, for which no build has a key"
    assert refuse(project) == f"{told}. Write its address with https, then run `nox -s lock`."
    assert run(project, ["dev"])


def test_a_commit_that_is_not_known_is_refused(project: Path) -> None:
    relocate(project, "git", 'url = "https://code.example/x.git"', hashes=False)
    said = f"{project / 'poetry.lock'} does not say 'resolved_reference' of iniconfig. "
    assert refuse(project).startswith(said)


@pytest.mark.parametrize("path", ["../../libs/our lib", "libs/ü"])
def test_a_folder_needs_no_hash_and_is_known_by_its_path(project: Path, path: str) -> None:
    relocate(project, "directory", f'url = "{path}"', hashes=False)
    selection = selected(project)
    [found] = selection.folders
    assert (found.name, found.path) == ("iniconfig", path)
    assert found.requirement.startswith("iniconfig==")
    assert not [package for package in selection.packages if package.name == "iniconfig"]


def test_a_file_is_known_by_its_path_and_its_hash(project: Path) -> None:
    relocate(project, "file", 'url = "vendor/iniconfig.whl"')
    [found] = [package for package in selected(project).packages if package.path]
    assert found.path == "vendor/iniconfig.whl"
    assert found.hashes
    assert found.requirement.startswith("iniconfig==")


@pytest.mark.parametrize("kind", ["file", "url"])
def test_a_file_without_a_hash_is_refused(project: Path, kind: str) -> None:
    relocate(project, kind, 'url = "vendor/iniconfig.whl"', hashes=False)
    assert f"{project / 'poetry.lock'} has no hashes for iniconfig==" in refuse(project)


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize("path", ["/srv/lib", "C:/lib", "file:///srv/lib"])
def test_a_path_of_one_machine_is_refused(project: Path, kind: str, path: str) -> None:
    relocate(project, kind, f'url = "{path}"')
    said = f"iniconfig is at {path}, which only one machine has. Write {{ path = "
    assert refuse(project).startswith(said)
    assert run(project, ["dev"])


def test_an_unknown_kind_of_source_is_refused(project: Path) -> None:
    relocate(project, "torrent", 'url = "https://files.example/x"')
    said = f"{project / 'poetry.lock'} takes iniconfig from a torrent source. Depend on a release"
    assert refuse(project).startswith(said)


URL = "https://files.example/iniconfig-2.0.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        (f'url = "{URL}"', URL),
        (f'url = "{URL}#sha256=00"', URL),
        (f'url = "{URL}"\nsubdirectory = "libs/one"', f"{URL}#subdirectory=libs/one"),
    ],
)
def test_a_package_at_an_address_is_taken_from_there_with_its_hash(
    project: Path, source: str, requirement: str
) -> None:
    relocate(project, "url", source)
    lines = joined(run(project))
    [line] = [line for line in lines if line.startswith("iniconfig")]
    assert line.startswith(f"iniconfig @ {requirement}")
    assert " --hash=sha256:" in line
    assert not any(line.startswith("--") for line in lines)


@pytest.mark.parametrize("kind", ["git", "url"])
def test_a_password_in_an_address_is_refused(project: Path, kind: str) -> None:
    commit = f'resolved_reference = "{COMMIT}"'
    relocate(project, kind, 'url = "https://user:secret@files.example/x"', commit)
    err = refuse(project)
    assert "has a password in the address of iniconfig. Serve it " in err
    assert "secret@" not in err


def test_a_marker_that_cannot_be_read_is_refused(project: Path) -> None:
    """The message quotes the marker."""
    lock = project / "poetry.lock"
    edit(lock, 'main = "extra == \\"colour\\""', 'main = "extra in \\"colour\\""')
    err = refuse(project, extras=["colour"])
    assert f'{lock} has a marker that cannot be read: extra in "colour". ' in err


@pytest.mark.parametrize("option", ["group", "extra"])
def test_an_unknown_group_or_extra_is_refused(option: str) -> None:
    """The message names it together with those there are."""
    err = refuse(LOCKS / "groups", **{f"{option}s": ["No_Such"]})
    known = {"group": "dev, docs, main, notebook, test, type-check", "extra": "colour"}[option]
    assert err.startswith(f"pyproject.toml has no {option} no-such, only {known}. ")
    assert "[tool.seedpod]" in err
    assert "`nox -s lock`" in err


NAMED = 'name = "click"'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAMED, f"{NAMED}\nx = {'9' * 5_000}"),
        (NAMED, f"{NAMED}\nx = {'[' * 5_000}"),
        (NAMED, "name = ['click']"),
        (NAMED, f"{NAMED}\nsource = {{ type = 'git', url = 1 }}"),
        (NAMED, f"{NAMED}\nsource = 'x'"),
        ('python-versions = ">=3.11,<3.15"', "python-versions = 3"),
        ('python-versions = ">=3.11,<3.15"', "python-versions = 'three'"),
    ],
    ids=["digits", "depth", "name", "address", "source", "versions", "no versions"],
)
def test_a_lock_that_poetry_did_not_write_is_refused(tmp_path: Path, old: str, new: str) -> None:
    project = Path(shutil.copytree(LOCKS / "groups", tmp_path / "project"))
    text = (project / "poetry.lock").read_text(encoding="utf-8")
    head, found, tail = text.rpartition(old) if "versions" in old else text.partition(old)
    assert found
    (project / "poetry.lock").write_text(f"{head}{new}{tail}", encoding="utf-8")
    with pytest.raises(LockError, match="Restore it from Git"):
        poetry_lock.load(project)


def test_a_path_that_no_file_has_is_refused(tmp_path: Path) -> None:
    package = poetry_lock.Package("a", "1", {}, [], [], {"url": "a\0b"})
    with pytest.raises(LockError, match="has a null byte"):
        poetry_lock._path(package)


@pytest.mark.parametrize("text", ["-" * 50_000 + "a", "(" * 5_000, "not " * 50_000])
def test_a_marker_that_is_nested_too_deep_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text[:3])):
        poetry_lock.parse_marker(text, [])


@pytest.mark.timeout(10)
def test_many_spaces_take_no_longer() -> None:
    assert poetry_lock.python_marker(f">=3.11{' ' * 200_000}") == 'python_version >= "3.11"'
