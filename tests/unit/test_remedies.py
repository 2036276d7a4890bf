"""What messages and pages advise exists, is accepted, and works."""

import ast
import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import check
import declaration
import engine
import explain_size
import figures
import hooks
import image_settings
import project_file
import project_settings
import pytest
import sbom
import session
from session import SessionError

from tests.render.questions import hooks_of_projects
from tests.unit.test_repository import sessions as sessions_of_seedpod

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TEMPLATE = REPOSITORY / "template"
CATALOGUE = REPOSITORY / "catalogue"
ON_REQUEST = REPOSITORY / "on_request"
PROGRAMS = [
    *(x for folder in (CATALOGUE, TEMPLATE) for x in sorted((folder / "docker").rglob("*.py"))),
    *sorted(ON_REQUEST.glob("*.py")),
]
# What is for work on Seedpod itself names the sessions of its own noxfile, too.
OWN = {"CONTRIBUTING.md", "README.md", "docs/development.md"}
# As the template makes it for a project with all sessions.
NOXFILE = REPOSITORY / "example/noxfile.py"
PAGES = [
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "README.md", "copier.yml")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *(page for folder in (CATALOGUE, TEMPLATE) for page in folder.glob("*README.md*")),
    REPOSITORY / "example/docker/README.md",
]
# https://docs.docker.com/reference/cli/docker/compose/, as far as it is advised.
COMPOSE = {"down", "logs", "run", "up", "watch"}


@functools.cache
def texts(path: Path) -> list[str]:
    """Return the texts of a file: those of a program whole, with NAME where a value comes in."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [text]
    tree = ast.parse(text)
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append(
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "NAME"
                    for part in node.values
                )
            )
        elif isinstance(node, ast.Constant) and id(node) not in parts:
            found.append(str(node.value))
    return found


def advised(pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield what messages and pages advise in a form, each with the name of its file."""
    for path in (*PROGRAMS, NOXFILE, *PAGES):
        for text in texts(path):
            for found in re.finditer(pattern, text):
                yield path.relative_to(REPOSITORY).as_posix(), found


def session_functions() -> dict[str, ast.FunctionDef]:
    """Return the functions of a project's sessions by their names."""
    tree = ast.parse((NOXFILE).read_text(encoding="utf-8"))
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


def sessions_of_a_catalogue() -> set[str]:
    """Return the names of sessions that only a catalogue has."""
    text = (TEMPLATE / "noxfile.py.jinja").read_text(encoding="utf-8")
    part = text.partition("\n{% if kind == 'catalogue' %}\n@nox")[2].partition("{% else %}")[0]
    return {*re.findall(r"^def (\w+)\(", part, flags=re.MULTILINE)}


def hosts(name: str) -> Iterator[list[str]]:
    """Yield the programs, with their own arguments, that get what follows a session's dashes."""
    for node in ast.walk(session_functions()[name]):
        if isinstance(node, ast.Call) and re.match(r"host\(.*posargs", ast.unparse(node)):
            yield [str(x.value) for x in node.args if isinstance(x, ast.Constant)]


def test_each_session_that_is_advised_exists() -> None:
    names = {(file, found[1]) for file, found in advised(r"\bnox -s (?!NAME)(\w+)")}
    assert len(names) > 40
    known = {*session_functions()} | sessions_of_a_catalogue()
    both = known | {*sessions_of_seedpod()}
    unknown = {x for x in names if x[1] not in (both if x[0] in OWN else known)}
    assert not unknown


ARGUMENTS = sorted(
    {
        (found[1], found[2].strip())
        for file, found in advised(r"\bnox -s (?!NAME)(\w+) -- ([^\n`\"'.,;|&)\]#]*)")
        if file not in OWN and found[2].strip() and "{" not in found[2]
    }
)


@pytest.mark.parametrize(("name", "words"), ARGUMENTS, ids=lambda value: value)
def test_what_is_advised_to_follow_the_dashes_is_accepted(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the program behind the session, which would else end with its usage."""
    options = re.findall(r"(?<!\S)--[a-z-]+", words)
    if name == "lint":
        assert words in {hook["id"] for hook in hooks_of_projects()}
    elif name == "sys_check":
        assert words in {
            node.value
            for node in ast.walk(session_functions()[name])
            if isinstance(node, ast.Constant)
        }
    elif name == "up":
        assert words.split(maxsplit=1)[0] in COMPOSE | {"poetry"} or options
    elif name in ("lock", "template_update"):
        tool = ["poetry", "lock"] if name == "lock" else ["copier", "update"]
        done = subprocess.run(
            [sys.executable, "-m", *tool, "--help"], capture_output=True, text=True, check=True
        )
        assert all(option in done.stdout for option in options)
    elif name == "docker_sbom":
        assert sbom.arguments(words.split())
    elif name == "docker_size":
        assert explain_size.arguments(words.split())
    elif name in ("docker_check", "docker_push", "docker_wheels", "sys_lock"):
        [[program, *own]] = hosts(name)
        monkeypatch.setenv("PATH", "")
        done = subprocess.run(
            [
                *(sys.executable, str(TEMPLATE / f"docker/host/{program}.py")),
                *(*own, *words.replace("…", "").split()),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        # A folder without a project is refused only after the arguments were read.
        assert "Usage" not in done.stderr
        assert "python docker/host" not in done.stderr
        assert done.stderr.strip()
    else:
        tools = ("docker_dev", "docker_prod", "docker_run", "docker_test")
        assert name in {*tools, "shell", "tests", "typecheck"} | sessions_of_a_catalogue()


def test_each_program_that_is_advised_exists_with_its_command() -> None:
    found = [*advised(r"\bpython3? (docker/[\w/]+\.py)(?: ([a-z]+)\b)?")]
    assert len(found) > 20
    for file, command in found:
        [path] = [x for x in (CATALOGUE / command[1], TEMPLATE / command[1]) if x.exists()]
        usage = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert not command[2] or f"{command[1]} {command[2]}" in usage, (file, command[0])


def test_the_usage_of_the_engine_has_each_of_its_commands() -> None:
    usage = engine.__doc__ or ""
    assert set(re.findall(r"engine\.py (\w+)", usage)) == engine.COMMANDS.keys()


def test_each_stage_and_argument_of_a_build_that_is_advised_exists() -> None:
    dockerfile = (TEMPLATE / "Dockerfile.jinja").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM .+ AS (\S+)", dockerfile, flags=re.MULTILINE))
    arguments = set(re.findall(r"^ARG (\w+)", dockerfile, flags=re.MULTILINE))
    named = {found[1] for _, found in advised(r"docker build[^`\n]* --target[ =]([a-z-]+)")}
    given = {found[1] for _, found in advised(r"--build-arg[ =]([A-Z_]+)\b")}
    assert named
    assert given
    assert named <= stages
    # What Docker itself knows stands in no Dockerfile.
    assert given <= arguments | {*engine.BUILD_ARGUMENTS, "NAME", "SOURCE_DATE_EPOCH"}


def test_each_table_that_is_advised_is_one_that_is_read() -> None:
    named = {found[1] for _, found in advised(r"\[tool\.seedpod\.([\w-]+)")} - {"NAME"}
    assert named == {*project_settings.TABLES} - {"extras"}


def accept(pyproject: dict[str, Any]) -> None:
    """Read [tool.sys] and [tool.seedpod], which raises an error for what is not theirs."""
    declaration.load(pyproject)
    project_settings.extras(pyproject)
    project_settings.image_settings(pyproject)
    project_settings.not_imported(pyproject)
    project_settings.test_programs(pyproject)
    project_settings.wheel_settings(pyproject)
    check.accepted(pyproject.get("tool", {}).get("seedpod", {}).get("check", {}))
    for text in pyproject.get("tool", {}).get("seedpod", {}).get("size", {}).values():
        figures.parse_size(text, "here")


BLOCKS = [
    (path.name, block)
    for path in PAGES
    for block in re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    if "{{" not in block
]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_settings_that_a_page_shows_are_accepted(page: str, block: str) -> None:
    accept(tomllib.loads(block))


@pytest.mark.parametrize("key", project_settings.FORMS)
def test_the_value_that_a_refusal_shows_is_accepted(key: str) -> None:
    _, form = project_settings.FORMS[key]
    shown = re.search(r" like (.+?)(?:, or false for none)?$", form)
    value = tomllib.loads(f"x = {shown[1] if shown else '1'}")["x"]
    settings = {key: value}
    # One is of no use without the other.
    if key in ("step", "step-output"):
        settings = {"step": ["true"], "step-output": ["/srv/static"], **settings}
    accept({"tool": {"seedpod": {"image": settings}}})
    with pytest.raises(project_settings.SettingError) as error:
        accept({"tool": {"seedpod": {"image": {key: 5.5}}}})
    assert str(error.value).endswith(f"Write {form}.")


@pytest.mark.parametrize("wrong", ["58", "many MB"])
def test_the_size_that_a_refusal_shows_is_accepted(wrong: str) -> None:
    with pytest.raises(SessionError) as error:
        figures.parse_size(wrong, "here")
    [shown] = re.findall(r'like "(.+)"\.$', str(error.value))
    assert figures.parse_size(shown, "here") == 58_000_000


def test_the_versions_that_a_refusal_shows_are_accepted() -> None:
    with pytest.raises(declaration.DeclarationError) as error:
        accept({"tool": {"sys": {"debian13": {"dependencies": {"libpq5": 17}}}}})
    remedy = str(error.value).partition(" Write ")[2]
    versions = re.findall(r'"([^"]+)"', remedy)
    assert len(versions) == 4
    for version in versions:
        accept({"tool": {"sys": {"debian13": {"dependencies": {"libpq5": version}}}}})


def test_a_folder_that_git_does_not_know_can_be_linted_after_what_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SessionError) as error:
        hooks.place()
    for command in str(error.value).partition("Run: ")[2].split(" && "):
        subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert hooks.place() == ""


def test_a_dockerfile_without_the_lines_takes_settings_after_what_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both remedies: first the lines, then what "nox -s lock" writes between them."""
    monkeypatch.chdir(tmp_path)
    path = Path("Dockerfile")
    path.write_text("FROM scratch AS production\n", encoding="utf-8")
    settings = {"labels": {"vendor": "We"}}
    with pytest.raises(SessionError) as error:
        image_settings.check(settings, "shop")
    [lines] = re.findall(r"should be: (.+)$", str(error.value))
    for line in lines.split(", and "):
        path.write_text(f"{path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    with pytest.raises(SessionError, match=r"Run nox -s lock$"):
        image_settings.check(settings, "shop")
    image_settings.write(settings, "shop")
    image_settings.check(settings, "shop")
    assert 'LABEL vendor="We"' in path.read_text(encoding="utf-8")


def test_a_project_without_a_name_is_read_after_what_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as error:
        project_file.read()
    [(line, table)] = re.findall(r"Add (.+) to (\[\w+\])\.$", str(error.value.code))
    Path("pyproject.toml").write_text(f"{table}\n{line}\n", encoding="utf-8")
    assert project_file.name(project_file.read()) == "…"


def test_a_file_is_written_after_what_was_in_its_way_is_moved(tmp_path: Path) -> None:
    path = tmp_path / "build/sizes.json"
    path.parent.touch()
    with pytest.raises(OSError, match="exists") as error:
        session.write_text(path, "{}")
    told = session.reason(error.value)
    assert "Move it away" in told
    Path(told.partition(" cannot be used")[0]).rename(tmp_path / "elsewhere")
    session.write_text(path, "{}")
    assert path.read_text(encoding="utf-8") == "{}"
