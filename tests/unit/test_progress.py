"""docker/host/progress.py shows a build in one line of a terminal, and keeps its log."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import client
import progress
import pytest
from progress import Progress

BUILD = ["docker", "build", "--target=production", "."]
# As BuildKit of Docker 28.5 writes it, with what uv and pip say in a step.
LOG = """#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 9.24kB done
#1 DONE 0.0s

#12 [dependencies 2/2] RUN online python3 /docker/install_locked.py
#12 0.412    Building lxml==5.3.0
#12 0.413    Building psycopg-c==3.2.3
"""
LATER = """#12 31.20       Built lxml==5.3.0
"""
# Runs a mock of docker with the terminal that it has, and says so.
PROGRAM = """
import sys
import client, progress
command = ["docker", "build", sys.argv[1], "."]
with progress.following("production", command) as shown:
    client.run(command, progress=shown)
print("made")
"""
MOCK = """#!/bin/sh
# A mock of the docker client: no engine is involved.
cat log >&2
exit {status}
"""


@pytest.fixture(autouse=True)
def _terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BUILDKIT_PROGRESS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def shown(log: str) -> Progress:
    """Return what shows a build, after this part of its log."""
    line = Progress("production", io.StringIO(), io.StringIO(), Path("log"))
    for text in log.splitlines(keepends=True):
        line.read(text)
    return line


def test_the_line_says_build_time_stage_and_what_is_compiled() -> None:
    line = shown(LOG)
    assert line.text() == "production 0:00  dependencies 2/2  compiling lxml, psycopg-c"
    for text in LATER.splitlines():
        line.read(text)
    assert line.text() == "production 0:00  dependencies 2/2  compiling psycopg-c"
    line.read("#12 DONE 40.1s\n")
    assert line.text() == "production 0:00"


def test_a_wheel_that_pip_makes_is_named_until_it_is_made_or_fails() -> None:
    step = "#9 [wheels 2/2] RUN online python3 /docker/make_wheels.py\n"
    line = "#9 3.1   Building wheel for lxml (pyproject.toml): "
    begun = f"#9 2.9 Building wheels for collected packages: lxml\n{step}{line}started\n"
    assert shown(begun).text().endswith("wheels 2/2  compiling lxml")
    assert shown(f"{begun}{line}still running...\n").text().endswith("2/2  compiling lxml")
    for status in ("done", "error"):
        ended = f"{line}finished with status '{status}'\n"
        assert shown(begun + ended).text().endswith("wheels 2/2")


def test_other_things_that_are_built_are_not_called_compiled() -> None:
    step = "#9 [build-system 1/1] RUN python3 /docker/install_system.py\n"
    for text in ("Building dependency tree...", "Building wheel...", "  Built target x"):
        assert shown(f"{step}#9 0.4 {text}\n").text().endswith("build-system 1/1")


def test_what_will_be_compiled_is_said_before_it_is() -> None:
    told = "1 of 41 packages have no musllinux wheel for cp313: lxml. Expect compiling."
    line = shown(f"#9 [selection 4/4] RUN python3\n#9 0.412 {told}\n")
    assert isinstance(line._screen, io.StringIO)
    assert f"\r{told}\n" in line._screen.getvalue()


def test_of_several_steps_it_names_the_one_that_compiles_else_the_last_that_moved() -> None:
    steps = "#7 [one 1/2] RUN a\n#8 [two 1/3] RUN b\n"
    assert shown(steps).text().endswith("  two 1/3")
    assert shown(f"{steps}#7 [one 1/2] RUN a\n#7 0.1 x\n").text().endswith("  one 1/2")
    assert "  one 1/2  compiling x" in shown(f"{steps}#7 0.1  Building x==1\n#8 0.1 y\n").text()
    assert shown(f"{steps}#8 CACHED\n").text().endswith("  one 1/2")
    assert shown("#20 exporting to image\n").text().endswith("  exporting to image")


def test_what_belongs_to_no_step_is_shown_and_all_is_in_the_log() -> None:
    error = 'ERROR: failed to solve: process "/bin/sh -c x" did not complete: exit code: 1\n'
    line = shown(f"{LOG}\n{error}")
    assert isinstance(line._log, io.StringIO)
    assert isinstance(line._screen, io.StringIO)
    assert line._log.getvalue() == f"{LOG}\n{error}"
    screen = line._screen.getvalue()
    assert f"\r{error}" in screen
    assert "Building" not in screen
    assert "\n\n" not in screen


def test_it_never_fills_more_than_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal is that of the messages: the output may be a file."""

    class Narrow(io.StringIO):
        def fileno(self) -> int:
            return 1000

    sizes = {1000: os.terminal_size((20, 5))}
    monkeypatch.setattr(os, "get_terminal_size", sizes.__getitem__)
    screen = Narrow()
    line = Progress("production", io.StringIO(), screen, Path("log"))
    for text in LOG.splitlines(keepends=True):
        line.read(text)
    assert max(map(len, screen.getvalue().split("\r"))) == 19


def test_a_terminal_that_is_gone_does_not_stop_the_build() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    line = Progress("production", io.StringIO(), Gone(), Path("log"))
    line.draw()
    line.clear()


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ([*BUILD, "--progress=plain"], {}),
        ([*BUILD, "--progress", "rawjson"], {}),
        ([*BUILD, "--quiet"], {}),
        (["podman", "build", "."], {}),
        (BUILD, {"BUILDKIT_PROGRESS": "plain"}),
        (BUILD, {"CI": "true"}),
        (BUILD, {"TERM": "dumb"}),
    ],
)
def test_the_plain_log_is_shown_where_it_is_asked_for(
    command: list[str], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert progress.chosen(BUILD)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not progress.chosen(command)


def run(folder: Path, status: int, option: str = "--target=production", log: str = LOG) -> str:
    """Build with a mock of docker on a terminal, and return what that has shown."""
    (folder / "docker").write_text(MOCK.format(status=status))
    (folder / "docker").chmod(0o755)
    (folder / "log").write_text(log, newline="")
    ours, theirs = pty.openpty()
    host = Path(client.__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, option],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(host)},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    # A terminal whose other side is closed cannot be read.
    try:
        while part := os.read(ours, 1 << 16):
            text += part
    except OSError:
        pass
    os.close(ours)
    assert process.wait(20) == status
    return text.decode().replace("\r\n", "\n")


def last_lines(text: str) -> list[str]:
    """Return what a terminal has in its lines, without those that are empty."""
    lines = (line.rstrip("\r").rpartition("\r")[2].strip() for line in text.split("\n"))
    return [line for line in lines if line]


def test_on_a_terminal_nothing_but_the_result_stays(tmp_path: Path) -> None:
    text = run(tmp_path, 0)
    assert "production 0:00" in text
    assert last_lines(text) == ["made"]


def test_a_failure_names_its_log(tmp_path: Path) -> None:
    text = run(tmp_path, 3)
    assert last_lines(text) == ["The whole log is in build/logs/production.txt."]
    kept = (tmp_path / "build/logs/production.txt").read_text()
    assert kept == f"docker build --target=production .\n{LOG}"


def test_the_progress_of_a_step_stays_in_its_line(tmp_path: Path) -> None:
    text = run(tmp_path, 0, log="#9 [step 1/1] RUN curl\n#9 0.1 10 %\r20 %\r100 %\n")
    assert last_lines(text) == ["made"]
    assert "20 %" not in text


def test_a_full_disk_is_no_fault_of_the_build() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    line = Progress("production", Full(), io.StringIO(), Path("log"))
    line.read("#9 [dependencies 2/2] RUN x\n")
    assert line.text().endswith("dependencies 2/2")


def test_where_the_log_cannot_be_kept_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "build").touch()
    assert "#12 0.413    Building psycopg-c==3.2.3" in last_lines(run(tmp_path, 0))


def test_the_plain_log_is_shown_on_a_terminal_too(tmp_path: Path) -> None:
    text = run(tmp_path, 0, "--progress=plain")
    assert last_lines(text)[:2] == ["docker build --progress=plain .", LOG.splitlines()[0]]
    assert not (tmp_path / "build").exists()
