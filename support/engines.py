"""What depends on the engine, run on each of the tested ones in turn, in one table.

Only one engine may run in a network namespace, so they take turns; the one of ours that ran before
is brought back at the end. What each run printed is kept in build/engines/.
"""

import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from support import SupportError, engine
from support.docker import Client
from support.engine import Variant
from support.paths import REPOSITORY

TESTED = {
    f"{variant.release}-{variant.store}": variant
    for variant in (
        Variant("trixie", "overlay2"),
        Variant("sid", "overlay2"),
        Variant("sid", "containerd"),
    )
}
WIDTH = 200
PUSH = "push or no_name_with_a_tag or registry_that_does_not_answer"
LOGS = REPOSITORY / "build/engines"
# Arguments of python -m; files of tests are relative to the repository.
COLUMNS: dict[str, tuple[str, ...]] = {
    "demo": ("support", "demo"),
    "sizes": ("support", "carried", str(LOGS / "carried")),
    "compose": ("pytest", "tests/docker/test_compose.py"),
    "interrupts": ("pytest", "tests/docker/test_interrupts.py"),
    "push": ("pytest", "tests/docker/test_pipelines.py", "-k", PUSH),
    "builders": ("pytest", "tests/docker/test_builders.py"),
    "pipelines": ("pytest", "tests/docker/test_pipelines.py", "-k", f"not ({PUSH})"),
}


@dataclass(frozen=True)
class Cell:
    """What came of one run: words for the table, and whether it is what is wanted."""

    verdict: str
    good: bool
    seconds: float = 0

    def __str__(self) -> str:
        """Return the words and, of what was run, the time."""
        return f"{self.verdict}, {self.seconds:.0f} s" if self.seconds else self.verdict


def run(*names: str) -> None:
    """Run every column on the engines ``names``, by default on all, and print the table.

    Raises SupportError for a name that is none, where an engine answers that is not ours, and at
    the end when anything failed.
    """
    unknown = set(names) - set(TESTED)
    if unknown:
        raise SupportError(
            f"There is no engine {', '.join(sorted(unknown))} to test. "
            f"There are {', '.join(TESTED)}."
        )
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    rows: dict[str, dict[str, Cell]] = {}
    with _engine_brought_back():
        for name in names or TESTED:
            rows[name] = _row(name)
    _print(rows)
    if not all(cell.good for row in rows.values() for cell in row.values()):
        raise SupportError(f"Not everything passed. What was printed is in {LOGS}.")


@contextmanager
def _engine_brought_back() -> Iterator[None]:
    """Leave this machine with the engine of ours that it had, or with none."""
    engine.refuse_foreign()
    before = engine.running()
    try:
        yield
    finally:
        if before and before.variant:
            engine.ensure(before.variant)
        else:
            engine.stop()


def _row(name: str) -> dict[str, Cell]:
    """Return the cells of one engine; a single one where it cannot be started."""
    try:
        client = engine.ensure(TESTED[name])
    except SupportError as error:
        print(error, file=sys.stderr)
        return {"version": Cell("not available", good=False)}
    row = {"version": Cell(client.server_version(), good=True)}
    for column, arguments in COLUMNS.items():
        print(f"{name}: {column} …", file=sys.stderr, flush=True)
        row[column] = _cell(arguments, LOGS / f"{name}-{column}.log", client)
        print(f"{name}: {column}: {row[column]}", file=sys.stderr, flush=True)
    return row


def _cell(arguments: tuple[str, ...], log: Path, client: Client) -> Cell:
    """Return what came of a module with its arguments, whose output goes to ``log``."""
    files = [part for part in arguments if part.endswith(".py")]
    missing = [name for name in files if not (REPOSITORY / name).exists()]
    if missing:
        return Cell(f"no {missing[0]}", good=False)
    report = log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    # The proofs are a matter of their own, and would take most of the time.
    counted = ("-m", "not proofs", "--junit-xml", str(report)) if files else ()
    start = time.monotonic()
    with log.open("wb") as output:
        status = subprocess.run(
            [sys.executable, "-m", *arguments, *counted],
            cwd=REPOSITORY,
            env=client.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        ).returncode
    verdict = _counts(report) if report.exists() else ("failed" if status else "passed")
    return Cell(verdict, status == 0, time.monotonic() - start)


def _counts(report: Path) -> str:
    """Return how many tests passed, failed and were skipped, from pytest's report."""
    suites = list(ET.parse(report).iter("testsuite"))
    total, bad, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (("tests",), ("failures", "errors"), ("skipped",))
    )
    counts = {"passed": total - bad - skipped, "failed": bad, "skipped": skipped}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "no tests"


def _print(rows: Mapping[str, Mapping[str, Cell]]) -> None:
    columns = ["version", *COLUMNS]
    table = Table("engine", *columns)
    for name, row in rows.items():
        table.add_row(name, *(str(row.get(column, "")) for column in columns))
    # Without a terminal, where a line may have any length, it would be 80 columns wide.
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(table)
