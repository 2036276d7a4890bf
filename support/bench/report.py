"""Writes, shows and publishes the report."""

import json
import shutil
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from support import SupportError
from support.bench import figures, goals, page
from support.bench.cases import SOURCE, TITLES
from support.bench.figures import Results
from support.bench.ways import WAYS


def write(results: Results, folder: Path) -> None:
    """Write JSON, plots and page into ``folder``/report; an earlier report is replaced."""
    report = folder / "report"
    shutil.rmtree(report, ignore_errors=True)
    (report / "benchmarks").mkdir(parents=True)
    # What only goes on with a run is not part of what it found.
    scopes = {
        name: {key: value for key, value in scope.items() if key not in ("begun", "prepared")}
        for name, scope in results["scopes"].items()
    }
    text = json.dumps({**results, "scopes": scopes}, indent=1, sort_keys=True) + "\n"
    (report / "benchmarks/results.json").write_text(text, encoding="utf-8")
    # Matplotlib is large, and what reads a report needs none of it.
    pictures = import_module("support.bench.plots").draw(results, report / "benchmarks")
    (report / "benchmarks.md").write_text(page.page(results, pictures), encoding="utf-8")


def publish(folder: Path) -> None:
    """Bring the last report into the documentation and README.

    Raises SupportError without a report, or with one of a run that has not finished.
    """
    report = folder / "report"
    if not (report / "benchmarks.md").exists():
        raise SupportError("There is no report to publish. Run nox -s bench first.")
    measured = json.loads((report / "benchmarks/results.json").read_text(encoding="utf-8"))
    if not measured["finished"]:
        raise SupportError("The last report is of a part of a run. Run nox -s bench to its end.")
    target = page.PAGE.parent / "benchmarks"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(report / "benchmarks", target)
    shutil.copy(report / "benchmarks.md", page.PAGE)
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    section = page.readme(results, page.pictures_in(target))
    text = page.with_section(page.README.read_text(encoding="utf-8"), section)
    page.README.write_text(text, encoding="utf-8")


def show(results: Results, console: Console) -> None:
    """Print the tables of every scope, and the verdict on every goal."""
    for name, scope in results["scopes"].items():
        ways = [way for way in WAYS if way in scope["ways"]]
        table = Table(
            "median, s", *ways, title=escape(f"{scope['title']}: {scope.get('base', '')}")
        )
        for case, title in TITLES.items():
            found = [figures.seconds(results, name, way, case) for way in ways]
            if any(each is not None for each in found):
                cells = ("" if each is None else f"{each:.2f}" for each in found)
                table.add_row(escape(title.partition(":")[0]), *cells)
        for title, what, factor in (("size, MB", "size", 1e6), ("packed, MB", "packed", 1e6)):
            sizes = [figures.bytes_of(results, name, way, what) for way in ways]
            table.add_row(
                title, *("" if each is None else f"{each / factor:.1f}" for each in sizes)
            )
        sent = [figures.sent(results, name, way, SOURCE) for way in ways]
        if any(sent):
            cells = ("" if each is None else f"{each / 1e3:,.1f}" for each in sent)
            table.add_row("pushed after a source edit, kB", *cells)
        for title, what, factor in (("first answer, s", "answers", 1), ("idle, MB", "memory", 1e6)):
            middles = [figures.middle(results, name, way, what) for way in ways]
            if any(middles):
                cells = ("" if each is None else f"{each / factor:.2f}" for each in middles)
                table.add_row(title, *cells)
        console.print(table)
    verdicts = Table("goal", "Seedpod", "against", "at most", "verdict")
    for verdict in goals.judge(results):
        word = verdict.word if verdict.met else f"[bold red]{verdict.word}"
        texts = map(escape, (verdict.title, verdict.own, verdict.other, verdict.limit))
        verdicts.add_row(*texts, word)
    console.print(verdicts)
    for each in results["left_out"]:
        console.print(f"left out: {each['place']}, {each['why']}", markup=False, soft_wrap=True)
    for failure in results["failures"]:
        console.print(f"failed: {failure['place']}: {failure['error']}", markup=False)
