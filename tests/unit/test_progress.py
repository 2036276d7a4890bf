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

#12 [environment 3/4] RUN online python3 /docker/install_locked.py
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
    monkeypatch.setenv("COLUMNS", "200")


def shown(log: str) -> Progress:
    """Return what shows a build, after this part of its log."""
    line = Progress("production", io.StringIO(), io.StringIO())
    for text in log.splitlines(keepends=True):
        line.read(text)
    return line


def test_the_line_says_build_time_stage_and_what_is_compiled() -> None:
    line = shown(LOG)
    assert line.text() == "production 0:00  environment 3/4  compiling lxml, psycopg-c"
    for text in LATER.splitlines():
        line.read(text)
    assert line.text() == "production 0:00  environment 3/4  compiling psycopg-c"
    line.read("#12 DONE 40.1s\n")
    assert line.text() == "production 0:00"


def test_a_wheel_that_pip_makes_is_named_until_it_is_made_or_fails() -> None:
    step = "#9 [wheels 2/2] RUN online python3 /docker/make_wheels.py\n"
    begun = "#9 3.1   Building wheel for lxml (pyproject.toml): started\n"
    for ended in (
        "#9 9.1   Created wheel for lxml: filename=lxml-5.3.0-cp313.whl size=1 sha256=00\n",
        "#9 9.1   ERROR: Failed building wheel for lxml\n",
    ):
        assert shown(step + begun).text().endswith("wheels 2/2  compiling lxml")
        assert shown(step + begun + ended).text().endswith("wheels 2/2")


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
    assert isinstance(line.log, io.StringIO)
    assert isinstance(line._screen, io.StringIO)
    assert line.log.getvalue() == f"{LOG}\n{error}"
    screen = line._screen.getvalue()
    assert f"\r{error}" in screen
    assert "Building" not in screen
    assert "\n\n" not in screen


def test_it_never_fills_more_than_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    line = shown(LOG)
    assert isinstance(line._screen, io.StringIO)
    assert max(map(len, line._screen.getvalue().split("\r"))) == 19


def test_a_terminal_that_is_gone_does_not_stop_the_build() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    line = Progress("production", io.StringIO(), Gone())
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


def run(folder: Path, status: int, option: str = "--target=production") -> str:
    """Build with a mock of docker on a terminal, and return what that has shown."""
    (folder / "docker").write_text(MOCK.format(status=status))
    (folder / "docker").chmod(0o755)
    (folder / "log").write_text(LOG)
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


def test_where_the_log_cannot_be_kept_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "build").touch()
    assert "#12 0.413    Building psycopg-c==3.2.3" in last_lines(run(tmp_path, 0))


def test_the_plain_log_is_shown_on_a_terminal_too(tmp_path: Path) -> None:
    text = run(tmp_path, 0, "--progress=plain")
    assert last_lines(text)[:2] == ["docker build --progress=plain .", LOG.splitlines()[0]]
    assert not (tmp_path / "build").exists()
