"""Times, sizes and bytes of images, measured side by side with a uv-based Dockerfile.

Each round builds once on a base image of its own, which finds nothing in the build cache, and once
after each kind of edit, every contestant in turn, so that a slow moment of the machine meets them
all. Package caches are warm throughout. Times are seconds of wall time, sizes are bytes.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from support import SupportError, sizes
from support.bench.contestants import (
    EDITS,
    FULL,
    MINIMAL,
    RUFF,
    SOURCE,
    UV,
    UV_BUILD,
    Contestant,
    Figures,
    edit_source,
    locked_otherwise,
    prepared,
)
from support.images import Layout
from support.paths import REPOSITORY
from support.transfer import Registry, bytes_to_push, registry

ROUNDS, IMPORT_ROUNDS, IMPORTS_IN_CONTAINER = 5, 7, 3
REPORT = REPOSITORY / "build/bench.json"
# Run in a container: the seconds that a new interpreter takes in all, and for the import alone.
IMPORT = """
import json, subprocess, sys, time
child = '''
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
'''
times = []
for _ in range({repeat}):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", child], stdout=subprocess.PIPE, check=True)
    times.append([time.perf_counter() - start, float(done.stdout)])
print(json.dumps(times))
"""
# Run in a container: the bytes of all files in the virtual environment.
ENVIRONMENT = """
import os, sys
print(sum(os.lstat(f"{path}/{x}").st_size for path, _, files in os.walk(sys.prefix) for x in files))
"""


@dataclass(frozen=True)
class Goal:
    """A figure, in the unit that its text names, and what it may be at most."""

    text: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Tell whether the figure is as good as it shall be."""
        return self.value <= self.limit


def run(rounds: str = str(ROUNDS)) -> None:
    """Measure on both interpreter layouts, print the tables and write build/bench.json."""
    if not rounds.isdecimal() or int(rounds) < 1:
        raise SupportError("Usage: nox -s bench, or for other than five rounds: nox -s bench -- 9")
    console, report = Console(highlight=False), {}
    for layout in Layout:
        with prepared(layout) as contestants:
            measure(contestants, int(rounds))
            report[layout.value] = show(console, layout, contestants)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1))
    console.print(f"written to {REPORT}", soft_wrap=True)


def measure(contestants: Sequence[Contestant], rounds: int) -> None:
    """Fill in the figures of all contestants."""
    # Begins with the time of day: no earlier run has left an edit with this number in the cache.
    numbers = count(int(time.time()))
    time_builds(contestants, rounds, numbers)
    for contestant in contestants:
        measure_sizes(contestant)
    time_imports(contestants)
    with registry() as server:
        for contestant in contestants:
            measure_push(contestant, server, next(numbers))


def turns(contestants: Sequence[Contestant], rounds: int) -> Iterator[list[Contestant]]:
    """Yield the contestants in the order of each round, which begins with another one each time."""
    for number in range(rounds):
        first = number % len(contestants)
        yield [*contestants[first:], *contestants[:first]]


def time_builds(contestants: Sequence[Contestant], rounds: int, numbers: Iterator[int]) -> None:
    """Time a build after each kind of edit, with warm package caches."""
    for contestant in contestants:
        contestant.renew_base(next(numbers))
        contestant.build()
    for turn in turns(contestants, rounds):
        for contestant in turn:
            contestant.renew_base(next(numbers))
        for edit, apply in EDITS.items():
            for contestant in turn:
                apply(contestant.project.folder, next(numbers))
                contestant.figures.builds.setdefault(edit, []).append(contestant.build())


def time_imports(contestants: Sequence[Contestant]) -> None:
    """Time the import of the application by new interpreters, a few in each new container."""
    for contestant in chain.from_iterable(turns(contestants, IMPORT_ROUNDS)):
        module = f"{contestant.project.name.replace('-', '_')}.app"
        program = IMPORT.format(module=module, repeat=IMPORTS_IN_CONTAINER)
        for whole, alone in json.loads(contestant.python(program)):
            contestant.figures.starts.append(whole)
            contestant.figures.imports.append(alone)


def measure_sizes(contestant: Contestant) -> None:
    """Measure the image and what it holds beyond its base."""
    project, figures = contestant.project, contestant.figures
    base, image = sizes.measure(project, contestant.base_image, contestant.image)
    figures.size, figures.over_base = image.size, image.size - base.size
    figures.environment = int(contestant.python(ENVIRONMENT))
    figures.compressed = bytes_to_push(project, None, contestant.image)


def measure_push(contestant: Contestant, server: Registry, number: int) -> None:
    """Count what a push after a source edit sends, and compute it."""
    project, image = contestant.project, contestant.image
    before = f"{project.name}:before-edit"
    project.docker("tag", image, before)
    server.push(project, image)
    edit_source(project.folder, number)
    contestant.build()
    contestant.figures.pushed = server.push(project, image)
    contestant.figures.pushed_as_computed = bytes_to_push(project, before, image)


def judge(figures: dict[str, Figures]) -> list[Goal]:
    """Hold the figures of Seedpod's runtimes against what is promised."""
    minimal, full = figures[MINIMAL], figures[FULL]
    goals = []
    for name in (MINIMAL, FULL):
        own = figures[name]
        for edit, limit in ((SOURCE, 0.7), (RUFF, 0.25)):
            for other in (UV, UV_BUILD):
                ratio = median(own.builds[edit]) / median(figures[other].builds[edit])
                goals.append(Goal(f"{name}: {edit}, times {other}", ratio, limit))
        goals.append(Goal(f"{name}: pushed after a source edit, kB", own.pushed / 1e3, 20))
        error = abs(own.pushed_as_computed / own.pushed - 1) * 100
        goals.append(Goal(f"{name}: error of the computed push, %", error, 10))
    rest = full.over_base - full.environment
    slower = median(minimal.starts) / median(full.starts)
    return [
        *goals,
        Goal("minimal: size, MB", minimal.size / 1e6, 58),
        Goal("full: size less base and environment, MB", rest / 1e6, 2),
        Goal("minimal: start + import, times full", slower, 1),
    ]


def show(console: Console, layout: Layout, contestants: Sequence[Contestant]) -> dict[str, Any]:
    """Print the tables of one layout and return what they show, ready for JSON."""
    base = contestants[0].project.variables["PYTHON_IMAGE"]
    figures = {x.name: x.figures for x in contestants}
    table = Table("median", *figures, title=f"{layout.value} layout: {base}")
    for row, *cells in rows(list(figures.values())):
        table.add_row(escape(row), *cells)
    goals = judge(figures)
    verdicts = Table("goal", "measured", "at most", "verdict")
    for goal in goals:
        verdict = "met" if goal.met else "[bold red]NOT MET"
        verdicts.add_row(escape(goal.text), f"{goal.value:.2f}", f"{goal.limit:g}", verdict)
    console.print(table, verdicts)
    unlike = locked_otherwise(contestants)
    console.print(f"locked otherwise by one of them: {', '.join(unlike) or 'nothing'}")
    return {
        "base": base,
        "locked_otherwise": unlike,
        "figures": {name: asdict(x) for name, x in figures.items()},
        "goals": [{**asdict(goal), "met": goal.met} for goal in goals],
    }


def rows(figures: Sequence[Figures]) -> Iterator[list[str]]:
    """Yield the rows of the table of figures: a title and a cell for each contestant."""
    for edit in EDITS:
        yield [f"{edit}, s", *(f"{median(x.builds[edit]):.2f}" for x in figures)]
    yield ["start + import, s", *(f"{median(x.starts):.2f}" for x in figures)]
    yield ["import alone, s", *(f"{median(x.imports):.2f}" for x in figures)]
    for name in ("size", "over_base", "environment", "compressed"):
        title = name.replace("_", " ")
        yield [f"{title}, MB", *(f"{getattr(x, name) / 1e6:.1f}" for x in figures)]
    yield ["pushed, kB", *(f"{x.pushed / 1e3:.1f}" for x in figures)]
    yield ["as computed, kB", *(f"{x.pushed_as_computed / 1e3:.1f}" for x in figures)]
