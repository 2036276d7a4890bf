"""docker/host/platforms.py, and what sessions do for each platform, without an engine."""

import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine
import pins
import platforms
import push
import pytest
import select_system
import sizes
import system_packages
import wheels
from session import SessionError

Commands = list[list[str]]
SEVERAL = ["linux/amd64", "linux/386", "linux/arm/v7"]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[object], None]]:
    """Return a function that declares platforms; the engine is one for amd64."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOCKER_DEFAULT_PLATFORM", raising=False)
    monkeypatch.delenv("BUILD_OPTIONS", raising=False)
    for cached in (platforms._own, platforms._tell):
        cached.cache_clear()
    monkeypatch.setattr("platforms.docker", lambda *_: "linux/amd64\n")

    def write(value: object) -> None:
        # JSON's lists of texts are TOML's.
        text = f"[tool.seedpod]\nplatforms = {json.dumps(value)}\n" if value is not None else ""
        Path("pyproject.toml").write_text(f'[project]\nname = "left-pad"\n{text}')

    write(SEVERAL)
    yield write
    platforms._own.cache_clear()


@pytest.fixture
def commands(declare: object, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return the list of the commands that would have been run; the lock is fine."""
    made: Commands = []

    def run(command: list[str], *_: object, **__: object) -> str:
        made.append([*command])
        return f"digest: sha256:{len(made):064x}\n"

    monkeypatch.setattr("client.run", run)
    monkeypatch.setattr("client.output", run)
    facts = {"not-imported.json": "{}", "test-runs.json": "[]"}
    monkeypatch.setattr(engine, "ensure_lock", lambda: facts)
    monkeypatch.setattr("compose.run", lambda *commands, name: made.extend(map(list, commands)))
    return made


def built(commands: Commands) -> list[tuple[str, str]]:
    """Return the platform and the tag of each build."""
    return [
        (
            "".join(x.removeprefix("--platform=") for x in command if x.startswith("--platform=")),
            command[command.index("--tag") + 1] if "--tag" in command else "",
        )
        for command in commands
        if command[:2] == ["docker", "build"]
    ]


@pytest.mark.parametrize(
    ("listed", "engines", "order"),
    [
        (None, "linux/amd64", [""]),
        ([], "linux/amd64", [""]),
        (["linux/arm64"], "linux/amd64", ["linux/arm64"]),
        (SEVERAL, "linux/amd64", ["linux/386", "linux/arm/v7", "linux/amd64"]),
        (SEVERAL, "linux/arm", ["linux/amd64", "linux/386", "linux/arm/v7"]),
        # A Mac that makes images for servers: the first one counts.
        (SEVERAL, "linux/arm64", ["linux/386", "linux/arm/v7", "linux/amd64"]),
    ],
)
def test_the_engines_own_comes_last(
    declare: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    listed: object,
    engines: str,
    order: list[str],
) -> None:
    declare(listed)
    monkeypatch.setattr("platforms.docker", lambda *_: f"{engines}\n")
    assert platforms.wanted() == order
    assert platforms.tag("production", order[-1]) == "production"


def test_another_one_has_a_tag_of_its_own(declare: object) -> None:
    assert platforms.tag("production", "linux/arm/v7") == "production-arm-v7"
    assert platforms.tag("base", "linux/386") == "base-386"


def test_one_machine_may_build_for_itself_alone(
    declare: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By Docker's own variable, of the environment or of .env."""
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
    assert platforms.wanted() == ["linux/amd64"]
    assert platforms.wanted() == ["linux/amd64"]
    assert capsys.readouterr().err == (
        "Only for linux/amd64, as DOCKER_DEFAULT_PLATFORM says. "
        "Left out: linux/386, linux/arm/v7.\n"
    )
    # Without platforms, Docker itself reads it.
    declare(None)
    assert platforms.wanted() == [""]
    declare(SEVERAL)
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "amd64")
    with pytest.raises(SessionError, match=r"^DOCKER_DEFAULT_PLATFORM is 'amd64'\. Write a"):
        platforms.wanted()


def test_an_engine_that_does_not_answer_leaves_the_order(
    declare: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that only take files need a builder alone."""

    def fail(*_: str) -> str:
        raise SessionError("docker version failed.")

    monkeypatch.setattr("platforms.docker", fail)
    assert platforms.wanted() == ["linux/386", "linux/arm/v7", "linux/amd64"]


@pytest.mark.parametrize(
    ("listed", "locked"),
    [
        (None, [""]),
        (["linux/amd64"], ["linux/amd64"]),
        (["linux/386", "linux/amd64"], ["linux/386", "linux/amd64"]),
        # Its developers have another processor than its servers.
        (["linux/arm64"], ["", "linux/arm64"]),
    ],
)
def test_what_is_locked_serves_development_on_this_machine_too(
    declare: Callable[[object], None], listed: object, locked: list[str]
) -> None:
    declare(listed)
    assert platforms.locked() == locked


def test_a_platform_in_the_options_of_every_build_is_refused(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_OPTIONS", "--platform linux/arm64")
    with pytest.raises(SessionError, match=r"^BUILD_OPTIONS names a platform, and \[tool\.s"):
        engine.build_for_all("production")
    engine.build("development")


@pytest.mark.parametrize(
    "value", ["linux/amd64", ["amd64"], ["linux/amd64", "linux/amd64"], [1], ["linux/arm/7"], True]
)
def test_what_is_no_list_of_platforms_is_refused(
    declare: Callable[[object], None], value: object
) -> None:
    declare(value)
    expected = rf"^platforms in \[tool\.seedpod\] is {re.escape(repr(value))}\. Write a list of dif"
    with pytest.raises(SessionError, match=expected):
        platforms.wanted()


def test_production_is_built_for_each_and_the_engines_own_is_called_production(
    commands: Commands,
) -> None:
    engine.build_for_all("production", "--no-cache")
    assert built(commands) == [
        ("linux/386", "left-pad:production-386"),
        ("linux/arm/v7", "left-pad:production-arm-v7"),
        ("linux/amd64", "left-pad:production"),
    ]
    assert all("--no-cache" in command for command in commands)


@pytest.mark.parametrize("option", ["--platform=linux/386", "--platform"])
def test_a_platform_in_the_options_is_the_only_one(commands: Commands, option: str) -> None:
    engine.build_for_all("production", option)
    assert [tag for _, tag in built(commands)] == ["left-pad:production"]


def test_only_production_is_for_other_machines(commands: Commands) -> None:
    engine.build_for_all("development")
    assert built(commands) == [("", "left-pad:development")]


def test_layers_are_kept_for_each_platform_apart(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build replaces what is kept under its name."""
    monkeypatch.setenv("BUILD_OPTIONS", "--cache-to=x:{stage}")
    engine.build_for_all("production")
    engine.build("test")
    kept = [word for command in commands for word in command if word.startswith("--cache-to")]
    names = ("production-386", "production-arm-v7", "production-amd64", "test")
    assert kept == [f"--cache-to=x:{name}" for name in names]


def test_what_runs_is_the_engines_own(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "with_command", lambda _, *arguments: arguments)
    engine.run("production")
    assert built(commands) == [("linux/amd64", "left-pad:production")]


def test_each_is_tested_that_runs_here_and_the_others_are_named(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDIDATE_TAG", "")
    runs = iter([True, False, True])
    monkeypatch.setattr("platforms.runs_here", lambda *_: next(runs))
    engine.test("-q")
    assert built(commands) == [
        ("linux/386", "left-pad:candidate-386"),
        ("linux/386", "left-pad:test"),
        ("linux/arm/v7", "left-pad:candidate-arm-v7"),
        ("linux/amd64", "left-pad:candidate"),
        ("linux/amd64", "left-pad:test"),
    ]
    assert sum(command[-2:] == ["pytest", "-q"] for command in commands) == 2
    out, err = capsys.readouterr()
    assert out == "linux/arm/v7 is not tested: its programs do not run here.\n"
    assert err.splitlines()[-1] == "Testing linux/amd64"


@pytest.mark.parametrize("driver", ["docker", "docker-container"])
def test_what_is_pushed_becomes_one_index(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    monkeypatch.setattr(push, "builds_in_engine", lambda: driver == "docker")
    digests = iter("abc")

    def output(command: list[str]) -> str:
        commands.append(command)
        return "an index"

    monkeypatch.setattr("client.output", output)

    def push_built(image: push.Image) -> str:
        commands.append([image.target])
        return next(digests)

    ways = {"docker": "push_from_engine", "docker-container": "push_from_builder"}
    monkeypatch.setattr(push, ways[driver], push_built)
    engine.push_production("host/shop:1")
    *made, create, inspect = commands
    loaded, pushed = made[:3], made[3:]
    # All are there before the first one is sent.
    assert all("--load" in command for command in loaded)
    assert pushed == [["host/shop:1-386"], ["host/shop:1-arm-v7"], ["host/shop:1-amd64"]]
    tools = ["docker", "buildx", "imagetools"]
    images = ["host/shop@a", "host/shop@b", "host/shop@c"]
    assert create == [*tools, "create", "--tag=host/shop:1", *images]
    assert inspect == [*tools, "inspect", "--raw", "host/shop:1"]
    digest = hashlib.sha256(b"an index").hexdigest()
    assert Path("build/digest.txt").read_text() == f"host/shop@sha256:{digest}\n"


def test_one_platform_is_pushed_under_its_tag_alone(
    commands: Commands,
    declare: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is left out is named: nobody is to find that in the registry."""
    monkeypatch.setattr(push, "builds_in_engine", lambda: True)
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/386")
    engine.push_production("host/shop:1")
    assert "--platform=linux/386" in commands[0]
    assert commands[-1] == ["docker", "push", "host/shop:1"]
    assert "Left out: linux/amd64, linux/arm/v7.\n" in capsys.readouterr().err


def exports(monkeypatch: pytest.MonkeyPatch, content: Callable[[str], dict[str, Any]]) -> list[str]:
    """Let stages export what is said for each platform; return the list of the platforms."""
    asked: list[str] = []

    def exported(stage: str, file: str, *_: str, platform: str) -> dict[str, Any]:
        asked.append(platform)
        return content(platform)

    monkeypatch.setattr("engine.exported", exported)
    monkeypatch.setattr("settings.apply", lambda: None)
    return asked


def test_packages_are_locked_for_each_when_all_are_known(
    declare: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def resolved(platform: str) -> dict[str, Any]:
        package = {"name": f"for-{platforms.suffix(platform)}", "version": "1", "sets": []}
        entry = {"release": "debian12", "architecture": platform, "declaration": "sha256:1"}
        return {"lock-version": 1, **entry, "package": [package]}

    asked = exports(monkeypatch, resolved)
    monkeypatch.setattr(pins, "named_base_image", lambda: "python:3.11")
    monkeypatch.setattr(system_packages, "digest", lambda _: "sha256:2")
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "lock"])
    system_packages.main()
    assert asked == ["linux/386", "linux/arm/v7", "linux/amd64"]
    images = tomllib.loads(Path("sys.lock").read_text())["image"]
    found = {image["architecture"]: image["package"][0]["name"] for image in images}
    assert found["linux/386"] == "for-386"
    assert len(found) == 3

    # One that is out of date fails, and the others are compared, too.
    text = Path("sys.lock").read_text()
    Path("sys.lock").write_text(text.replace("for-386", "other"))
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "lock", "--check"])
    with pytest.raises(SystemExit, match=r"^Run nox -s sys_lock\.$"):
        system_packages.main()
    assert "sys.lock is out of date: for-386 is 1, locked is none." in capsys.readouterr().out
    assert len(asked) == 6


def test_the_report_of_each_is_judged(
    declare: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"kind": "missing", "package": "libx", "library": "libx.so.1", "users": ["app"]}

    def report(platform: str) -> dict[str, Any]:
        findings = [missing] if platform == "linux/386" else []
        facts = {"title": "tool.sys.debian12", "declared": 0, "libraries": []}
        return {**facts, "findings": findings, "hints": [], "uncompiled": []}

    exports(monkeypatch, report)
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "check"])
    with pytest.raises(SystemExit, match=r"^1$"):
        system_packages.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("linux/")] == [
        "linux/386:",
        "linux/arm/v7:",
        "linux/amd64:",
    ]
    assert lines[1].startswith("libx.so.1, needed by app, is in the package libx")


def test_what_one_platform_needs_is_not_unused(
    declare: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wheel for one processor has a library inside, and for another it is compiled."""
    declare(["linux/amd64", "linux/386"])

    def unused(package: str) -> dict[str, object]:
        return {"kind": "unused", "package": package, "library": None, "users": []}

    def report(platform: str) -> dict[str, Any]:
        findings = [unused("libnowhere"), *([unused("libjpeg")] if platform.endswith("4") else [])]
        facts = {"title": "tool.sys.debian12", "declared": 2, "libraries": []}
        return {**facts, "findings": findings, "hints": [], "uncompiled": []}

    exports(monkeypatch, report)
    monkeypatch.setattr(sys, "argv", ["system_packages.py", "check"])
    with pytest.raises(SystemExit):
        system_packages.main()
    out = capsys.readouterr().out
    assert "libjpeg" not in out
    assert out.count("No library needs libnowhere") == 2


def test_wheels_are_made_for_each(declare: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(platform: str) -> dict[str, Any]:
        return {"refused": "", "announcement": "", "tag": f"cp311-{platforms.suffix(platform)}"}

    def export(_: str, folder: str, *, platform: str) -> None:
        path = Path(folder, f"cp311-{platforms.suffix(platform)}", "manifest.json")
        path.parent.mkdir(parents=True)
        path.write_text("{}")

    exports(monkeypatch, plan)
    monkeypatch.setattr("engine.export", export)
    monkeypatch.setattr(sys, "argv", ["wheels.py"])
    wheels.main()
    assert sorted(path.name for path in Path(".wheels").iterdir()) == [
        "cp311-386",
        "cp311-amd64",
        "cp311-arm-v7",
    ]


def test_base_and_production_are_measured_for_each(
    declare: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        "engine.build", lambda stage, *, tag, platform: made.append((stage, tag, platform))
    )
    monkeypatch.setattr(sizes, "budgets_of_stages", lambda: {"test": 1, "production": 1})
    images = sizes.build_stages()
    assert list(images) == [
        *("base linux/386", "production linux/386"),
        *("base linux/arm/v7", "production linux/arm/v7"),
        *("base", "test", "production"),
    ]
    assert images["production linux/386"] == "left-pad:production-386"
    assert ("production", "production-386", "linux/386") in made
    assert ("test", "test", "linux/amd64") in made


def test_wheels_of_two_processors_that_one_kernel_runs_are_kept_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both say that the machine is an x86_64."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    keys = set()
    for triplet in ("x86_64-linux-gnu", "i386-linux-gnu", None):
        monkeypatch.setattr("sysconfig.get_config_var", lambda _, triplet=triplet: triplet)
        keys.add(select_system.compile_key("debian12", {}, ()))
    assert len(keys) == 3


def test_a_program_that_is_for_another_processor_does_not_run(
    program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program("docker", {"run": "x86_64 32\n"})
    assert platforms.runs_here("x", "linux/386")
    for other in ("linux/amd64", "linux/arm64", "linux/arm/v7"):
        with pytest.raises(
            SessionError, match=rf"^The image for {other} has programs for x86_64 w"
        ):
            platforms.runs_here("x", other)
    # One that Seedpod does not know, and an image without a Python.
    assert platforms.runs_here("x", "linux/loong64")
    program("docker", {"run": ""})
    assert platforms.runs_here("x", "linux/amd64")
    script = tmp_path / "docker"
    script.write_text("#!/bin/sh\necho 'exec /usr/bin/python3: exec format error' >&2\nexit 255\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    assert not platforms.runs_here("x", "linux/arm64")
