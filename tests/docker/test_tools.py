"""Images of programs from the index: built, tested and run as they are used."""

import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.projects import HARDENED, Made, Make, wait_until

# A program that handles nothing ends so by SIGTERM; 137 is what the engine had to kill.
TERMINATED = 143
# What a terminal does not show (ECMA-48, 5.4).
CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Tool:
    """A program: its answers, arguments with which it waits at a terminal, what it shows then."""

    distribution: str
    waits: tuple[str, ...] = ()
    shows: str = ""
    command: str = ""
    plugins: str = ""

    def answers(self) -> dict[str, str]:
        """Return the answers that differ from the defaults."""
        given = {"command": self.command, "plugins": self.plugins}
        chosen = {name: text for name, text in given.items() if text}
        return {"distribution": self.distribution, **chosen}


LANE = Tool("ruff", ("check", "--watch", "--no-cache"), "Watch")
SHELL = Tool("ipython", (), "In [1]: ")
PROOFS = [
    SHELL,
    Tool("awscli", ("configure",), "Access Key", command="aws"),
    Tool(
        "certbot",
        ("certonly", "--config-dir=/tmp", "--work-dir=/tmp", "--logs-dir=/tmp"),
        "How would you like",
        plugins="certbot-dns-route53",
    ),
    Tool("httpie", ("--auth=somebody", "127.0.0.1"), "password", command="http"),
    Tool("mkdocs", ("serve",), "Serving on", plugins="mkdocs-material>=9 mkdocs-redirects"),
    Tool("yamllint", ("-",)),
]


@pytest.fixture(scope="module")
def tested(make: Make, worker_id: str) -> Callable[[Tool], Made]:
    """Return a function that makes the image of a program, once, and tests it."""
    known: dict[str, Made] = {}

    def get(tool: Tool) -> Made:
        if tool.distribution not in known:
            # Another process may have the same one, which it removes in the end.
            name = f"{tool.distribution}-{worker_id}"
            project = make(kind="tool", project_name=name, **tool.answers())
            project.session("docker_test")
            project.session("docker_prod")
            known[tool.distribution] = project
        return known[tool.distribution]

    return get


@pytest.fixture(
    scope="module",
    params=[LANE, *(pytest.param(tool, marks=pytest.mark.proofs) for tool in PROOFS)],
    ids=lambda tool: tool.distribution,
)
def tool(request: pytest.FixtureRequest) -> Tool:
    """Go through the programs."""
    chosen: Tool = request.param
    return chosen


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder, of any user, with something to work on."""
    folder = tmp_path / "a place"
    folder.mkdir()
    (folder / "mkdocs.yml").write_text("site_name: A site\n")
    (folder / "docs").mkdir()
    (folder / "docs/index.md").write_text("# Words\n")
    (folder / "wrong.py").write_text("import os\n")
    for path in (tmp_path, folder, folder / "docs"):
        path.chmod(0o777)
    (folder / "wrong.py").chmod(0o666)
    return folder


def image(project: Made) -> str:
    """Return the name of a project's image."""
    return f"{project.name}:production"


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str], project: Made) -> None:
        """Start a command."""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=project.environment()
        )
        os.close(slave)
        self.shown = ""

    def expect(self, text: str, seconds: float = 60) -> None:
        """Wait until a text is shown; it has to be."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.master], [], [], 0.2)[0]:
                text_and_codes = os.read(self.master, 65536).decode(errors="replace")
                self.shown += CODES.sub("", text_and_codes)

    def type(self, text: str) -> None:
        """Type a text."""
        self.shown = ""
        os.write(self.master, text.encode())


@contextmanager
def terminal(project: Made, *arguments: str) -> Iterator[Terminal]:
    """Run an image at a terminal; nothing of it is left in the end."""
    options = ("--rm", f"--name={project.name}", "--interactive", "--tty", "--tmpfs=/tmp")
    found = Terminal(["docker", "run", *options, *HARDENED, *arguments], project)
    try:
        yield found
    finally:
        project.run("docker", "rm", "--force", project.name)
        found.process.wait()
        os.close(found.master)


@pytest.mark.parametrize("user", ["0", "65532", "12345:0", "2000000:3000000"])
def test_it_runs_read_only_without_rights_as_anybody(
    tested: Callable[[Tool], Made], tool: Tool, user: str
) -> None:
    project = tested(tool)
    run = ("run", "--rm", "--network=none", "--tmpfs=/tmp", f"--user={user}", *HARDENED)
    assert project.docker(*run, image(project), "--version")


def test_it_ends_when_it_is_told_to(tested: Callable[[Tool], Made], tool: Tool, work: Path) -> None:
    """As the first process it would ignore the signal, and be killed after ten seconds."""
    project = tested(tool)
    with terminal(project, f"--volume={work}:/work", image(project), *tool.waits) as program:
        program.expect(tool.shows)

        def runs() -> bool:
            # Below the first process, and a line of titles.
            done = project.run("docker", "top", project.name)
            return done.returncode == 0 and len(done.stdout.splitlines()) > 2

        wait_until(runs)
        project.docker("stop", "--time=30", project.name)
        assert program.process.wait(60) == TERMINATED


@pytest.mark.proofs
def test_it_has_the_terminal(tested: Callable[[Tool], Made]) -> None:
    """With what a person expects there: completion, an interrupt that reaches it, an end."""
    project = tested(SHELL)
    with terminal(project, image(project)) as program:
        program.expect("In [1]: ")
        program.type("import string, time; string.ascii_low\t")
        program.expect("string.ascii_lowercase")
        program.type("\r")
        program.expect("In [2]: ")
        # Not one long sleep: a signal just before it begins does not end it.
        program.type(r"exec('print(\'be\' \'gan\')\nwhile True: time.sleep(.1)')" + "\r")
        program.expect("began")
        program.type("\x03")
        program.expect("KeyboardInterrupt")
        program.expect("In [3]: ")
        program.type("exit\r")
        assert program.process.wait(60) == 0


def test_it_is_used_like_the_program(tested: Callable[[Tool], Made], work: Path) -> None:
    """On the folder that is mounted, with the rights of who calls it, and with its status."""
    project = tested(LANE)
    mount = ("--rm", f"--volume={work}:/work", "--user=12345:54321", *HARDENED)
    done = project.run("docker", "run", *mount, image(project), "check", "--no-cache", ".")
    assert done.returncode == 1
    assert "F401" in done.stdout
    fix = ("check", "--no-cache", "--fix", ".")
    assert project.run("docker", "run", *mount, image(project), *fix).returncode == 0
    assert (work / "wrong.py").read_text() == ""


@pytest.mark.proofs
def test_jobs_of_a_pipeline_find_a_shell_if_one_is_declared(
    tested: Callable[[Tool], Made], work: Path
) -> None:
    """By its package, or on the whole base image."""
    project = tested(LANE)
    shell = ("--rm", f"--volume={work}:/work", *HARDENED, "--entrypoint=sh")
    line = ("-c", "ruff check --no-cache . || echo found")
    assert project.run("docker", "run", *shell, image(project), *line).returncode == 127
    with_dash = '[tool.sys.debian13.dependencies]\ndash = { version = "*", dlopen = true }'
    shown = []
    try:
        project.edit("pyproject.toml", "[tool.sys]", with_dash)
        project.session("docker_prod")
        project.session("sys_check")
        shown.append(project.docker("run", *shell, image(project), *line))
        project.edit("pyproject.toml", with_dash, "[tool.sys]")
        project.session("docker_prod", "--build-arg=RUNTIME=full")
        shown.append(project.docker("run", *shell, image(project), *line))
    finally:
        # Other tests have the one without a shell.
        project.session("docker_prod")
    for text in shown:
        assert "F401" in text
        assert text.endswith("found")


@pytest.mark.proofs
def test_a_command_that_is_not_there_is_named_with_those_that_are(
    tested: Callable[[Tool], Made],
) -> None:
    project = tested(LANE)
    project.edit("pyproject.toml", '"init", "ruff"', '"init", "rough"')
    project.session("lock")
    try:
        told = project.refused("docker_test")
    finally:
        project.edit("pyproject.toml", '"init", "rough"', '"init", "ruff"')
        project.session("lock")
    assert (
        "rough cannot be run (No such file or directory). Name one of these in command of "
        "[tool.seedpod.image], then run nox -s lock: ruff\n"
    ) in told


@pytest.mark.proofs
def test_it_has_nothing_that_it_does_not_need(tested: Callable[[Tool], Made]) -> None:
    """No package of its own, no pip, no shell; the hooks find nothing to say."""
    project = tested(LANE)
    program = (
        "import importlib.metadata as m, json, os;"
        "print(json.dumps([sorted(x.name for x in m.distributions()),"
        "[x for x in ('/bin/sh', '/usr/bin/env', '/app') if os.path.exists(x)]]))"
    )
    assert json.loads(project.python(program)) == [["ruff"], []]
    for arguments in (("init", "--quiet"), ("add", "--all")):
        assert project.run("git", *arguments).returncode == 0
    project.session("lint")
