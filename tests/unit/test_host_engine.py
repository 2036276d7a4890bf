"""docker/host/engine.py makes the commands that build and run a project's stages."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import engine
import pytest
from session import SessionError

PYPROJECT = '[project]\nname = "left-pad"\n'
# What tests read, as the program that splits facts writes it.
FACTS = {"data.json": "[]", "not-imported.json": "{}", "test-runs.json": "[]"}


def write_facts(folder: str) -> None:
    """Write them into a folder."""
    for name, text in FACTS.items():
        Path(folder, name).write_text(text)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in the folder of a project, on a machine without settings."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "poetry.lock").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OWN_PACKAGE", "")
    for name in ("LOCAL_CONTEXT", "PROJECT_FOLDER"):
        # Set first, so that it is removed in the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("BUILD_OPTIONS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_settings_reach_a_build_as_arguments_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/ca.pem")
    monkeypatch.setenv("BUILD_OPTIONS", "--cache-to=x-{stage} '--label=a b'")
    command = engine.build_command("test", "--load")
    assert command[:3] == ["docker", "build", "--target=test"]
    assert command[-2:] == ["--load", "."]
    assert {"--secret=id=ca.pem,src=/ca.pem", "--secret=id=pip.env,env=PIP_ENV"} < {*command}
    assert {"--cache-to=x-test", "--label=a b", "--build-arg=PYTHON_IMAGE"} < {*command}


@pytest.mark.parametrize("stage", ["development", "production"])
def test_who_asks_for_it_sees_the_whole_log(
    stage: str, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set first, so that it is removed in the end.
    monkeypatch.setenv("BUILDKIT_PROGRESS", "")
    engine.build_for_all(stage, "--verbose", "--no-cache")
    assert os.environ["BUILDKIT_PROGRESS"] == "plain"
    [command] = commands
    assert "--no-cache" in command
    assert "--verbose" not in command


def test_options_that_are_no_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_OPTIONS", "--label='a b")
    with pytest.raises(
        SessionError, match=r"^BUILD_OPTIONS has no words \(.+\)\. Close its quotes\.$"
    ):
        engine.build_command("test")


def test_a_build_has_no_other_context_unless_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("--build-context" in word for word in engine.build_command("test"))
    monkeypatch.setenv("LOCAL_CONTEXT", "/a folder")
    command = engine.build_command("test")
    assert "--build-context=local=/a folder" in command
    assert "--build-arg=PROJECT_FOLDER" in command


def test_without_certificates_there_is_no_secret_of_them() -> None:
    assert not any("ca.pem" in word for word in engine.build_command("test"))


Commands = list[list[str]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return the list that commands are added to in place of being run; the lock is fine."""
    made: Commands = []
    monkeypatch.setattr("client.run", lambda command, *_: made.append([*command]))

    def compose(*commands: Sequence[str], name: str = "") -> None:
        made.extend(["compose", name, *command] for command in commands)

    monkeypatch.setattr("compose.run", compose)
    monkeypatch.setattr(engine, "ensure_lock", lambda: FACTS)
    monkeypatch.setattr(engine, "check", lambda: None)
    monkeypatch.setattr(engine, "label_options", lambda: ["--label=title=left-pad"])
    monkeypatch.setattr(engine, "write_image_settings", lambda: None)
    engine.collect_paths.cache_clear()
    return made


def test_an_image_is_loaded_and_tagged_with_project_and_stage(commands: Commands) -> None:
    engine.build("production", "--no-cache")
    [command] = commands
    built = ["--load", "--tag", "left-pad:production", "--label=title=left-pad"]
    # A label that is given counts: the last one does.
    assert command[-6:] == [*built, "--no-cache", "."]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "lock"),
        (["--regenerate"], "lock --regenerate"),
        (["fastapi", "click"], "update --lock fastapi click"),
    ],
)
def test_the_lock_is_written_anew_or_for_some_packages(
    commands: Commands, arguments: list[str], expected: str
) -> None:
    engine.write_lock(*arguments)
    [command] = commands
    assert f"--build-arg=LOCK_COMMAND={expected}" in command
    # With arguments there may be news, whatever the cache says.
    assert any("ASKED" in word for word in command) == bool(arguments)


@pytest.mark.parametrize(
    ("content", "status", "told"), [('{"remedy": "Add it."}', 0, "Add it."), ("", 1, "")]
)
def test_what_a_compilation_lacks_is_looked_up_in_a_stage_of_its_own(
    monkeypatch: pytest.MonkeyPatch, content: str, status: int, told: str
) -> None:
    """The session has failed before: that this fails, too, says nothing."""
    made: list[list[str]] = []

    def build(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        made.append(command)
        [folder] = (word for word in command if word.startswith("--output="))
        if content:
            Path(folder.removeprefix("--output="), "found.json").write_text(content)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr("subprocess.run", build)
    assert engine.look_up("header", "libpq-fe.h") == told
    [command] = made
    assert {"--target=found-package", "--build-arg=WANTED=header libpq-fe.h"} <= {*command}
    # What failed or was not there a moment ago may be there now.
    assert any("ASKED" in word for word in command)


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("arguments", [[], ["click"]])
@pytest.mark.parametrize(
    ("announcement", "refused"), [("", ""), ("Expect compiling.", ""), ("", "It has no sources.")]
)
def test_what_is_locked_is_held_against_what_the_index_has(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    announcement: str,
    refused: str,
) -> None:
    asked: list[tuple[str, ...]] = []

    def exported(*arguments: str, platform: str) -> dict[str, str]:
        assert not platform
        asked.append(arguments)
        return {"announcement": announcement, "refused": refused}

    monkeypatch.setattr(engine, "exported", exported)
    with pytest.raises(SystemExit, match=refused) if refused else nullcontext():
        engine.lock(*arguments)
    assert capsys.readouterr().out == (f"{announcement}\n" if announcement else "")
    [(stage, file, *options)] = asked
    assert (stage, file) == ("proposal", "proposal.json")
    # The index may have a later version by now.
    assert any("ASKED" in option for option in options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ["up"]),
        (("--detach",), ["up", "--detach"]),
        (("down", "--volumes"), ["down", "--volumes"]),
    ],
)
def test_up_is_any_command_of_compose(
    commands: Commands, arguments: tuple[str, ...], expected: list[str]
) -> None:
    engine.up(*arguments)
    assert commands == [["compose", "", *expected]]


@pytest.mark.parametrize("running", [True, False])
def test_a_command_goes_to_the_container_that_runs_else_to_one_of_its_own(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    answer = f"a warning\n{'0a' * 32}\n" if running else "a warning\n"
    monkeypatch.setattr("client.output", lambda _: answer)
    engine.develop("sh")
    start = ["exec"] if running else ["run", "--rm"]
    assert commands == [["compose", "", *start, "left-pad", "sh"]]


def test_a_run_has_services_of_its_own(commands: Commands) -> None:
    engine.run("production", "python3", "-m", "x")
    build, run = commands
    assert "left-pad:production" in build
    assert run[1].startswith("left-pad-production-")
    assert run[2:5] == ["run", "--rm", "--service-ports"]
    assert run[5:] == ["left-pad-production", "python3", "-m", "x"]


@pytest.mark.parametrize(
    ("arguments", "entry", "expected"),
    [
        (["--port", "1"], None, ["serve", "shop:app", "--port", "1"]),
        (["--help"], [], ["serve", "shop:app", "--help"]),
        (["--help"], ["left-pad"], ["--help"]),
        (["alembic", "--help"], None, ["alembic", "--help"]),
        ([], None, []),
    ],
)
def test_options_are_for_what_the_image_runs_and_words_for_another_program(
    commands: Commands,
    program: Callable[..., Path],
    arguments: list[str],
    entry: list[str] | None,
    expected: list[str],
) -> None:
    config = {"Entrypoint": entry, "Cmd": ["serve", "shop:app"]}
    program("docker", {"image": json.dumps([{"Config": config}])})
    engine.run("production", *arguments)
    assert commands[-1][5:] == ["left-pad-production", *expected]


def test_options_for_an_image_without_a_command_are_passed_on(
    commands: Commands, program: Callable[..., Path]
) -> None:
    """As of a Dockerfile of the owner's own, whose engine leaves out what is not there."""
    program("docker", {"image": json.dumps([{"Config": {"Cmd": None}}])})
    engine.run("production", "--help")
    assert commands[-1][5:] == ["left-pad-production", "--help"]


def test_production_is_tested_before_it_has_its_tag_and_shares_services_with_the_tests(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDIDATE_TAG", "")
    engine.test("-q")
    production, test, imports, suite = commands
    assert "left-pad:candidate" in production
    assert "left-pad:production" not in production
    assert os.environ["CANDIDATE_TAG"] == "candidate"
    assert "left-pad:test" in test
    assert imports[1] == suite[1]
    assert imports[2:6] == ["run", "--rm", "--entrypoint=python3", "left-pad-production"]
    assert imports[-2:] == ["left-pad", "{}"]
    assert suite[2:] == ["run", "--rm", "left-pad-test", "pytest", "-q"]


def test_production_runs_with_arguments_before_the_tests_do(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, program: Callable[..., Path]
) -> None:
    """Options are those of its command, as in a shell."""
    program("docker", {"image": json.dumps([{"Config": {"Cmd": ["left-pad"]}}])})
    runs = [["--version"], ["sh", "-c", "exit 0"]]
    monkeypatch.setitem(FACTS, "test-runs.json", json.dumps(runs))
    engine.test()
    production = ["run", "--rm", "left-pad-production"]
    assert [x[2:] for x in commands[-3:]] == [
        [*production, "left-pad", "--version"],
        [*production, "sh", "-c", "exit 0"],
        ["run", "--rm", "left-pad-test", "pytest"],
    ]


def without_package(project: Path) -> None:
    """Make a project that has no package of its own."""
    path = project / "pyproject.toml"
    path.write_text(f"{path.read_text()}\n[tool.poetry]\npackage-mode = false\n")


def test_a_program_from_the_index_is_run_and_has_no_tests(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    without_package(project)
    monkeypatch.setitem(FACTS, "test-runs.json", '[["version"]]')
    engine.test()
    assert [x[2:] for x in commands[-1:]] == [["run", "--rm", "left-pad-production", "version"]]
    assert not any("left-pad:test" in command for command in commands)
    with pytest.raises(SessionError, match=r"^There are no tests to take options\. Run "):
        engine.test("-q")


def test_a_project_with_nothing_to_run_says_so(commands: Commands, project: Path) -> None:
    without_package(project)
    with pytest.raises(
        SessionError, match=r'^docker_test has nothing to run\. Add runs = \[\["--ver'
    ):
        engine.test()


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["build"], ["run"], ["facts"], ["--help"]])
def test_a_wrong_command_gets_the_list_of_commands(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"engine\.py push REPOSITORY:TAG"):
        engine.main(arguments)


@pytest.mark.parametrize("target", [(), ("shop",), ("shop@sha256:0",), ("a:1", "b:2")])
def test_a_push_needs_a_repository_and_a_tag(target: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="Usage: nox -s docker_push"):
        engine.push_production(*target)


def test_a_project_without_a_lock_is_locked_first(
    commands: Commands, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "poetry.lock").unlink()
    with pytest.raises(SystemExit):
        # Nothing was locked here, which the program that reads it says.
        engine.facts(str(project / "facts"))
    assert "locking first" in capsys.readouterr().err
    assert any("--target=lock" in word for word in commands[0])


def test_the_lock_is_checked_once_for_all_stages_of_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[str] = []

    def facts(folder: str) -> None:
        write_facts(folder)
        Path(folder, "own-package.txt").write_text("other")
        checked.append(folder)

    monkeypatch.setattr(engine, "facts", facts)
    engine.ensure_lock.cache_clear()
    try:
        assert engine.ensure_lock() == engine.ensure_lock() == FACTS
        assert os.environ["OWN_PACKAGE"] == "other"
    finally:
        engine.ensure_lock.cache_clear()
    assert len(checked) == 1


@pytest.mark.parametrize("command", ["check", "facts FOLDER"])
def test_what_cannot_be_installed_for_development_stops_who_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """Production is not asked about it."""

    def facts(folder: str) -> None:
        Path(folder).mkdir(exist_ok=True)
        write_facts(folder)
        Path(folder, "own-package.txt").write_text("other")
        Path(folder, "development.json").write_text('{"refused": "It has no hash. Depend."}')

    monkeypatch.setattr(engine, "facts", facts)
    with pytest.raises(SystemExit, match=r"^It has no hash\. Depend\.$"):
        engine.main(command.replace("FOLDER", str(tmp_path / "facts")).split())
    engine.ensure_lock.cache_clear()
    assert engine.ensure_lock() == FACTS
    engine.ensure_lock.cache_clear()


PATHS = '[tool.poetry.dependencies]\nshared = { path = "../../libs/ü our lib" }\n'
AtEnd = list[Callable[[], object]]


@pytest.fixture
def at_end(monkeypatch: pytest.MonkeyPatch) -> AtEnd:
    """Return the list that is added to what shall be done when the program ends."""
    done: AtEnd = []
    monkeypatch.setattr(
        "atexit.register", lambda call, *args, **more: done.append(lambda: call(*args, **more))
    )
    engine.collect_paths.cache_clear()
    return done


@pytest.fixture
def service(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a project that needs a library which is outside of it."""
    service = project / "services/left pad"
    service.mkdir(parents=True)
    (service / "pyproject.toml").write_text(f"{PYPROJECT}{PATHS}", encoding="utf-8")
    library = project / "libs/ü our lib"
    library.mkdir(parents=True)
    (library / "module.py").touch()
    monkeypatch.chdir(service)
    return service


@pytest.mark.usefixtures("service")
def test_what_is_outside_of_the_project_reaches_builds_until_the_program_ends(
    at_end: AtEnd,
) -> None:
    engine.collect_paths()
    folder = Path(os.environ["LOCAL_CONTEXT"])
    assert (folder / "libs/ü our lib/module.py").exists()
    assert os.environ["PROJECT_FOLDER"] == "services/left pad"
    assert f"--build-context=local={folder}" in engine.build_command("test")
    for call in at_end:
        call()
    assert not folder.exists()


@pytest.mark.usefixtures("service")
def test_what_is_outside_is_copied_once_for_all_stages(at_end: AtEnd) -> None:
    engine.collect_paths()
    first = os.environ["LOCAL_CONTEXT"]
    engine.collect_paths()
    assert os.environ["LOCAL_CONTEXT"] == first
    assert len(at_end) == 1
    at_end[0]()


@pytest.mark.usefixtures("at_end")
def test_without_any_outside_builds_have_no_other_context() -> None:
    engine.collect_paths()
    assert not {"LOCAL_CONTEXT", "PROJECT_FOLDER"} & os.environ.keys()


@pytest.mark.usefixtures("at_end")
def test_a_path_that_does_not_exist_ends_the_program(
    service: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (service.parent.parent / "libs").rename(service / "libs")
    with pytest.raises(SystemExit) as error:
        engine.collect_paths()
    assert error.value.code == 1
    assert capfd.readouterr().err.startswith("Package: The path dependency ../../libs/ü our lib ")


@pytest.mark.usefixtures("at_end", "service")
def test_poetry_locks_with_what_is_outside(commands: Commands) -> None:
    engine.write_lock()
    [command] = commands
    assert f"--build-context=local={os.environ['LOCAL_CONTEXT']}" in command


@pytest.mark.parametrize("own", ["simple", "other", "paths"])
def test_paths_are_collected_where_the_lock_has_some(
    monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    collected: list[str] = []

    def facts(folder: str) -> None:
        write_facts(folder)
        Path(folder, "own-package.txt").write_text(own)

    monkeypatch.setattr(engine, "facts", facts)
    monkeypatch.setattr(engine, "collect_paths", lambda: collected.append(own))
    engine.ensure_lock.cache_clear()
    try:
        engine.ensure_lock()
    finally:
        engine.ensure_lock.cache_clear()
    assert os.environ["OWN_PACKAGE"] == own
    assert collected == (["paths"] if own == "paths" else [])


DOCKERFILE = "FROM base\n# [tool.seedpod.image]: here.\n{}# End of [tool.seedpod.image].\n"


@pytest.fixture
def declared(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the Dockerfile of a project that declares a label, and has no such line yet."""

    def facts(folder: str) -> None:
        texts = {
            "development.json": '{"refused": ""}',
            "image.json": '{"labels": {"a": "b"}}',
            **FACTS,
            "own-package.txt": "other",
        }
        for name, text in texts.items():
            Path(folder, name).write_text(text)

    monkeypatch.setattr(engine, "facts", facts)
    path = project / "Dockerfile"
    path.write_text(DOCKERFILE.format(""))
    return path


@pytest.mark.parametrize("arguments", [["check"], ["build", "test"], ["up"], ["run", "production"]])
def test_a_dockerfile_that_lacks_what_is_declared_stops_whoever_would_use_it(
    declared: Path, program: Callable[..., Path], arguments: list[str]
) -> None:
    calls = program("docker")
    engine.ensure_lock.cache_clear()
    with pytest.raises(
        SystemExit, match=r"^Dockerfile does not have what pyproject\.toml says\. Run "
    ):
        engine.main(arguments)
    assert declared.read_text() == DOCKERFILE.format("")
    assert calls.read_text() == ""


def test_what_is_declared_is_written_and_is_then_there(
    declared: Path,
    program: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program("docker")
    monkeypatch.setattr(engine, "propose_versions", lambda: None)
    engine.collect_paths.cache_clear()
    engine.main(["lock"])
    assert 'LABEL a="b"\nHEALTHCHECK NONE\nENTRYPOINT ["left-pad"]\n' in declared.read_text()
    engine.main(["check"])
    engine.ensure_lock.cache_clear()
    assert engine.ensure_lock() == FACTS
    engine.ensure_lock.cache_clear()
