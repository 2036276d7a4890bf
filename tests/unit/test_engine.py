"""support/engine.py: which engine is taken, and what is said about those that are not."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import SupportError, UnavailableError, __main__, engine, waiting
from support.docker import Client
from support.engine import Variant

GLIBC = "version GLIBC_2.38 not found"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep an embedded engine of this machine out of the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "_run_folder", lambda: tmp_path / "run")


AWKWARD = [
    "plain",
    "two words",
    "a'b",
    'a"b',
    "$HOME",
    "`id`",
    "back\\slash",
    "a\nb",
    "",
    "*",
    "ü;&|",
]


@pytest.mark.parametrize("value", AWKWARD, ids=ascii)
def test_what_a_shell_evaluates_is_the_value(value: str) -> None:
    lines = engine.export_lines(Client({"ONE": value, "TWO": "2"}))
    script = f'{lines}\nprintf "%s|%s" "$ONE" "$TWO"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{value}|2"


def test_every_line_is_an_export() -> None:
    lines = engine.export_lines(Client({"A": "1", "B": "2 3"})).splitlines()
    assert [shlex.split(line) for line in lines] == [["export", "A=1"], ["export", "B=2 3"]]


def test_an_engine_that_answers_already_needs_no_export() -> None:
    assert engine.export_lines(Client()) == ""


@pytest.mark.parametrize(
    ("version", "refused"),
    [("20.10.24", True), ("22.06.0", True), ("23.0.0", False), ("dev", False)],
)
def test_an_engine_that_is_too_old_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str, refused: bool
) -> None:
    monkeypatch.setattr(Client, "server_version", lambda _: version)
    if refused:
        with pytest.raises(SupportError, match=f"{version}.*23 or later"):
            engine.ensure()
    else:
        assert engine.ensure() == Client()


def test_an_address_at_which_nothing_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "server_version", lambda _: "")
    monkeypatch.setenv("DOCKER_HOST", "tcp://nowhere.example:1")
    with pytest.raises(SupportError, match=r"DOCKER_HOST=tcp://nowhere\.example:1"):
        engine.ensure()


def test_a_process_that_has_ended_is_not_taken_for_an_engine() -> None:
    """An engine that was stopped stays in the process table until its parent looks at it."""
    with subprocess.Popen(["sleep", "60"]) as child:
        assert waiting.until(lambda: child.pid in set(engine._processes("sleep")), 10)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in set(engine._processes("sleep"))


def test_each_variant_has_data_of_its_own() -> None:
    """An image store written by one engine is not opened by another, which may be older."""
    folders = {variant.data.name for variant in engine.VARIANTS}
    assert len(folders) == len(engine.VARIANTS) == 4
    assert Variant("trixie", "overlay2").data.name == "data"


def test_the_default_is_a_variant_and_has_another_release_to_fall_back_on() -> None:
    choices = engine._choices()
    assert set(choices) < set(engine.VARIANTS)
    assert choices[0] == engine.DEFAULT
    assert {choice.release for choice in choices} == set(engine.RELEASES)
    assert {choice.store for choice in choices} == {engine.DEFAULT.store}


Fail = Callable[..., None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fail:
    """Return a function after which the programs of some releases are not available."""

    def fail(*releases: str) -> None:
        def programs(release: str) -> Path:
            if release in releases:
                raise SupportError(f"{release} answers 404.")
            return tmp_path / release

        monkeypatch.setattr(engine, "_programs", programs)
        monkeypatch.setattr(engine, "_start", lambda *_: None)

    return fail


def test_the_default_is_started_without_a_word(
    fail: Fail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail()
    assert engine._start_one(engine._choices()) == tmp_path / engine.DEFAULT.release
    assert capsys.readouterr() == ("", "")


def test_another_release_is_taken_with_a_message(
    fail: Fail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = engine._choices()
    fail(first.release)
    assert engine._start_one([first, second]) == tmp_path / second.release
    assert capsys.readouterr() == (
        "",
        f"{first} is not available: {first.release} answers 404.\n{second} is used instead.\n",
    )


def test_an_engine_that_does_not_start_is_fallen_back_from_too(
    fail: Fail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail()
    first, second = engine._choices()

    def start(_: Path, variant: Variant) -> None:
        if variant == first:
            raise SupportError("It ended at once.")

    monkeypatch.setattr(engine, "_start", start)
    assert engine._start_one([first, second]) == tmp_path / second.release


def test_every_attempt_is_named_when_none_fits(fail: Fail) -> None:
    fail(*engine.RELEASES)
    with pytest.raises(SupportError) as error:
        engine._start_one(engine._choices())
    for choice in engine._choices():
        assert f"{choice} is not available: {choice.release} answers 404." in str(error.value)


@pytest.mark.parametrize(
    ("problems", "kind"),
    [
        ((UnavailableError, UnavailableError), UnavailableError),
        ((UnavailableError, SupportError), SupportError),
    ],
    ids=["nothing served", "one does not fit"],
)
def test_only_what_nobody_serves_is_not_an_error_of_ours(
    problems: tuple[type[SupportError], ...], kind: type[SupportError]
) -> None:
    raised = iter(problems)

    def attempt(_: Variant) -> Path:
        raise next(raised)("It is not there.")

    with pytest.raises(SupportError) as error:
        engine._first(engine._choices(), attempt)
    assert type(error.value) is kind


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return the programs of a release, each of which succeeds."""
    tree = tmp_path / "tree"
    for name in ("usr/bin/dockerd", "usr/bin/containerd", "usr/bin/runc", "usr/bin/docker-init"):
        program(tree / name, "exit 0")
    program(tree / "usr/sbin/iptables", "exit 0")
    program(tree / "client/bin/docker", "exit 0")
    return tree


def program(path: Path, script: str) -> None:
    """Write a shell program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_programs_that_run_are_accepted(tree: Path) -> None:
    engine._refuse_unfit(tree, "sid")


@pytest.mark.parametrize(
    ("name", "command", "script"),
    [
        ("usr/bin/dockerd", "dockerd --version", f'echo "{GLIBC}" >&2; exit 1'),
        ("usr/bin/containerd", "containerd --version", f'echo "{GLIBC}"; exit 1'),
        ("usr/bin/runc", "runc --version", f'echo "{GLIBC}" >&2; exit 1'),
        ("client/bin/docker", "docker compose version", "[ $1 != compose ]"),
        ("client/bin/docker", "docker buildx version", "[ $1 != buildx ]"),
    ],
)
def test_a_program_that_does_not_run_here_is_named(
    tree: Path, name: str, command: str, script: str
) -> None:
    program(tree / name, script)
    with pytest.raises(SupportError, match=f"^{command} of Debian sid fails on this machine"):
        engine._refuse_unfit(tree, "sid")


def test_a_program_that_is_missing_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tree / "usr/bin/docker-init").unlink()
    with pytest.raises(SupportError, match=r"^docker-init --version .*No such file"):
        engine._refuse_unfit(tree, "sid")


Start = Callable[[Path], int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes that look like an embedded engine with data in a folder."""
    started: list[subprocess.Popen[bytes]] = []

    def start(data: Path) -> int:
        # A shell that waits for a line, which never comes.
        options = ["-c", "read line", f"--host=unix://{engine._socket()}", f"--data-root={data}"]
        name = str(tmp_path / "tree/usr/sbin/dockerd")
        pipe = subprocess.PIPE
        child = subprocess.Popen([name, *options], executable="/bin/sh", stdin=pipe)
        started.append(child)
        engine._run_folder().mkdir(exist_ok=True)
        engine._pid_file().write_text(f"{child.pid}\n")
        # A process that has just been started has no command line yet.
        assert waiting.until(lambda: engine.running() is not None, 10)
        return child.pid

    yield start
    for child in started:
        with child:
            child.kill()


@pytest.mark.parametrize("variant", engine.VARIANTS, ids=str)
def test_an_engine_that_runs_is_known_by_its_data(
    start: Start, tmp_path: Path, variant: Variant
) -> None:
    process = start(variant.data)
    assert engine.running() == engine.Running(process, tmp_path / "tree", variant)
    assert engine.stop()
    assert engine.running() is None
    assert not engine.stop()


def test_an_engine_with_other_data_runs_all_the_same(start: Start, tmp_path: Path) -> None:
    process = start(tmp_path / "elsewhere")
    assert engine.running() == engine.Running(process, tmp_path / "tree", None)


def test_a_stale_pid_file_names_nobody_else() -> None:
    engine._run_folder().mkdir()
    engine._pid_file().write_text(str(os.getpid()))
    assert engine.running() is None


def test_an_engine_that_hangs_is_not_started_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(Client, "server_version", lambda _: "")
    monkeypatch.setattr(engine, "_refuse_unsupported_host", lambda: None)
    process = start(engine.DEFAULT.data)
    for wanted in (None, engine.DEFAULT):
        with pytest.raises(SupportError, match=f"process {process}.* does not answer.*-- stop"):
            engine.ensure(wanted)


def test_another_variant_stops_nothing_when_it_is_not_available(
    start: Start, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(Client, "server_version", lambda _: "")
    monkeypatch.setattr(engine, "_refuse_unsupported_host", lambda: None)
    process = start(Variant("trixie", "overlay2").data)
    fail("sid")
    with pytest.raises(SupportError, match="sid answers 404"):
        engine.ensure(Variant("sid", "containerd"))
    ours = engine.running()
    assert ours
    assert ours.process == process


def test_an_engine_of_somebody_else_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "server_version", lambda _: "29.0.1")
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example:2376")
    with pytest.raises(SupportError, match=r"not the embedded one answers .*29\.0\.1"):
        engine.ensure(engine.DEFAULT)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], None),
        (["--release", "trixie"], Variant("trixie", engine.DEFAULT.store)),
        (["--store=containerd"], Variant(engine.DEFAULT.release, "containerd")),
        (["--store", "overlay2", "--release", "sid"], Variant("sid", "overlay2")),
    ],
    ids=["none", "release", "store", "both"],
)
def test_options_choose_a_variant(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], wanted: Variant | None
) -> None:
    asked: list[Variant | None] = []

    def ensure(variant: Variant | None) -> Client:
        asked.append(variant)
        return Client()

    monkeypatch.setattr(engine, "ensure", ensure)
    __main__.control_engine(*arguments)
    assert asked == [wanted]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["start"], "stop"),
        (["--release", "bookworm"], "sid.*trixie"),
        (["--store", "zfs"], "overlay2.*containerd"),
        (["stop", "--store", "overlay2"], "stop takes no options"),
        (["--rel", "sid"], "--rel"),
    ],
    ids=["command", "release", "store", "both", "short"],
)
def test_anything_else_is_refused_with_what_there_is(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        __main__.control_engine(*arguments)
    message = capsys.readouterr().err
    assert message.startswith("usage: nox -s engine --")
    assert re.search(problem, message)
