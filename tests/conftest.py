"""Copies of the template as it stands in this working tree, made as a user makes them."""

import collections
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import copier
import jinja2
import pytest
import yaml

from support import images
from support.paths import cache
from tests import families

REPOSITORY = Path(__file__).resolve().parent.parent
VERSION = "1.2.3"

RUN_LOCK = pytest.StashKey[IO[str]]()
LONGEST = (
    "docker/test_system_packages",
    "docker/test_catalogue",
    "docker/test_wheelhouse",
    # While these wait for their base images.
    "update/test_update",
    "render/test_combinations",
    "docker/test_alpine",
    # It finds compiled what test_system_packages has made.
    "docker/test_system_check",
    "docker/test_pipelines",
    "docker/test_tested_is_shipped",
    "docker/test_dependencies",
    "docker/test_own_package",
    "docker/test_complete_runtime",
    "docker/test_services",
    "docker/test_seams",
    "docker/test_compose",
    "docker/test_pairs",
    "docker/test_production",
    "docker/test_host_sessions",
    "docker/test_interpreter",
    "docker/test_closed_network",
    "docker/test_system_lock",
    "docker/test_updated",
    "docker/test_refusals",
    "render/test_answers",
    "unit/test_wait_for",
)

Copy = Callable[..., Path]


def git(folder: Path, *arguments: str) -> str:
    """Run git in ``folder`` and return what it prints."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout


def pytest_configure(config: pytest.Config) -> None:
    """Number the runs that go on at the same time; the processes of one share its number.

    What nohup or a shell's background has told this process to ignore, its children would, too.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, None)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler or signal.SIG_DFL)
    if "SEEDPOD_TEST_RUN" not in os.environ:
        config.stash[RUN_LOCK], os.environ["SEEDPOD_TEST_RUN"] = _free_run()


def pytest_sessionstart() -> None:
    """Refuse a family that is none before anything runs."""
    families.required()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with the time by file, what was not tested, and why, what is built nowhere, and inputs.

    These are the damaged files of tests/unit/test_fuzz.py and test_fuzz_archives.py.
    """
    stats = terminalreporter.stats
    for name, seconds in _seconds_by_file(stats):
        terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
    if any("tests/docker/" in report.nodeid for report in stats.get("passed", [])):
        terminalreporter.write_line(f"built nowhere: {', '.join(images.unbuilt())}")
    tried = [
        (report.nodeid.rpartition("[")[2].rstrip("]"), count)
        for report in stats.get("passed", [])
        for name, count in report.user_properties
        if name == "inputs"
    ]
    if tried:
        told = ", ".join(f"{count} for {name}" for name, count in sorted(tried))
        terminalreporter.write_line(f"{sum(x for _, x in tried)} damaged inputs: {told}")
    skipped = stats.get("skipped", [])
    for line in families.summary([str(report.longrepr[2]) for report in skipped]):
        terminalreporter.write_line(line, yellow=True)


def _seconds_by_file(stats: dict[str, list[Any]]) -> list[tuple[str, float]]:
    """Return the files whose tests took a second or more, fixtures included, slowest first."""
    seconds: collections.defaultdict[str, float] = collections.defaultdict(float)
    reports = {id(report): report for kept in stats.values() for report in kept}
    for report in reports.values():
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    slowest = sorted(seconds.items(), key=lambda item: item[1], reverse=True)
    return [(name, spent) for name, spent in slowest if spent >= 1]


def _free_run() -> tuple[IO[str], str]:
    """Return the lowest number that no run has, and the lock that keeps it until it is closed."""
    cache().mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        lock = cache(f"tests-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return lock, str(number)
    raise AssertionError("there is always another number")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest."""

    def place(item: pytest.Item) -> int:
        name = f"{item.path.parent.name}/{item.path.stem}"
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a function that hides the user's own settings of git and copier from a process."""
    home = tmp_path_factory.mktemp("home")
    (home / "gitconfig").write_text("[user]\nname = Nobody\nemail = nobody@example.com\n")

    (home / "settings.yml").write_text("{}\n")

    def isolate(patch: pytest.MonkeyPatch) -> None:
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("COPIER_SETTINGS_PATH", str(home / "settings.yml"))
        for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
            patch.delenv(name, raising=False)

    return isolate


@pytest.fixture(scope="session")
def working_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the template as it stands, changes that are not committed included."""
    folder = tmp_path_factory.mktemp("working-tree")
    listing = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listing.split("\0"):
        is_template = name.startswith(("catalogue/", "copier.yml", "template/"))
        if is_template and (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def template(
    working_tree: Path,
    isolated: Callable[[pytest.MonkeyPatch], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a repository that holds the working tree in a tagged commit."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copytree(working_tree, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        isolated(patch)
        git(folder, "init", "--quiet")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "The working tree")
        git(folder, "tag", VERSION)
    return folder


@pytest.fixture(scope="session")
def questions(working_tree: Path) -> dict[str, dict[str, Any]]:
    """Return the questions of copier.yml by their names."""
    configuration = yaml.safe_load((working_tree / "copier.yml").read_text(encoding="utf-8"))
    return {name: value for name, value in configuration.items() if not name.startswith("_")}


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Keep what Jinja has compiled: each copy has the same templates, and half its time is that."""
    compile_template = jinja2.Environment.compile
    known: dict[tuple[Any, ...], Any] = {}

    def compile_once(self: jinja2.Environment, source: Any, *arguments: Any) -> Any:
        # Copier learns from its parser which names stand for several files, and which do not.
        if isinstance(source, str):
            self.preprocess(source)
        key = (source, *arguments, self.trim_blocks, self.lstrip_blocks, self.undefined)
        if key not in known:
            known[key] = compile_template(self, source, *arguments)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compile_once)
        yield


@pytest.fixture(scope="session")
def copy(
    template: Path,
    questions: dict[str, dict[str, Any]],
    isolated: Callable[[pytest.MonkeyPatch], None],
) -> Copy:
    """Return a function that makes a project in a folder from answers, trusting nothing."""

    def copy(folder: Path, *, source: Path = template, quiet: bool = True, **answers: str) -> Path:
        # Copier itself accepts any name: a typo would test the defaults.
        assert answers.keys() <= questions.keys()
        with pytest.MonkeyPatch.context() as patch:
            isolated(patch)
            copier.run_copy(
                str(source), folder, data=answers, defaults=True, quiet=quiet, unsafe=False
            )
        return folder

    return copy


@pytest.fixture(scope="session")
def draft(copy: Copy, working_tree: Path) -> Copy:
    """Return what ``copy`` does, without a repository: several times as fast, and no version.

    Git is out of sight, because Copier would ask it about each file of a folder that is none.
    """

    def draft(folder: Path, **answers: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", os.devnull)
            return copy(folder, source=working_tree, **answers)

    return draft
