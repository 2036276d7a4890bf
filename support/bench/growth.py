"""Cost as work grows: more locked packages, more data of the application, more projects."""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression

from support import SupportError, engine
from support.bench import applications
from support.bench.applications import NAME, substitute
from support.bench.cases import edit_source
from support.bench.contestants import Contestant, contestants, remove_images
from support.bench.state import FOLDER, Results, State
from support.bench.ways import APPLICATIONS, WAYS, Application, many
from support.images import Layout
from support.transfer import registry

COMPARED = ("seedpod", "uv-installed")
# How many of packages.txt are declared; what they require makes about 10, 50, 150 and 400 of them.
DECLARED = (8, 40, 128, 355)
DATA_MEGABYTES = (1, 10, 100)
PROJECTS = 50
SHOWN_PROJECTS = (1, 2, 5, 10, 20, 30, 40, 50)
Points = dict[str, list[list[float]]]


def measure(state: State, limit: float) -> None:
    """Measure each kind of growth that was not measured yet, as long as there is time."""
    parts = {"packages": _packages, "data": _data, "projects": _projects}
    for name, part in parts.items():
        if name in state.results["growth"] or state.out_of_time(limit, f"growth: {name}"):
            continue
        state.say(f"growth: {name}")
        try:
            state.results["growth"][name] = part(state)
        except SupportError as error:
            state.note_failure(f"growth: {name}", error)
        state.save()


def _packages(state: State) -> list[Results]:
    cold: Points = {}
    edit: Points = {}
    for count in DECLARED:
        application = Application(f"growth-{count}", "", "cli", many(count))
        made = _made(state, application)
        locked = len(applications.locked(made[0].project.folder.parent)["requirements.txt"])
        state.say(f"growth: {locked} packages")
        for contestant in made:
            caches = f"bench-{state.next()}"
            contestant.renew_base(state.next())
            _add(cold, contestant, locked, contestant.build(caches))
            edit_source(contestant.way, contestant.project.folder, state.next())
            _add(edit, contestant, locked, contestant.build(caches))
        remove_images(made[0])
    return [
        _series("Locked packages, cold build", "locked packages", "seconds", cold),
        _series("Locked packages, source edit", "locked packages", "seconds", edit),
    ]


def _data(state: State) -> list[Results]:
    edit: Points = {}
    sent: Points = {}
    for size in DATA_MEGABYTES:
        made = _made(state, APPLICATIONS["cli"])
        for contestant in made:
            package = contestant.project.folder / "src" / NAME
            (package / "data.bin").write_bytes(os.urandom(size * 1_000_000))
            caches = f"bench-{state.next()}"
            contestant.renew_base(state.next())
            contestant.build(caches)
            with registry() as server:
                server.push(contestant.project, contestant.image)
                edit_source(contestant.way, contestant.project.folder, state.next())
                _add(edit, contestant, size, contestant.build(caches))
                bytes_sent = server.push(contestant.project, contestant.image)
                _add(sent, contestant, size, bytes_sent / 1e6)
        remove_images(made[0])
    return [
        _series("Data of the application, source edit", "MB of data", "seconds", edit),
        _series("Data of the application, pushed after a source edit", "MB of data", "MB", sent),
    ]


def _projects(state: State) -> list[Results]:
    """Build so many projects with the same packages, and push them to one registry."""
    seconds: Points = {}
    sent: Points = {}
    made = _made(state, APPLICATIONS["web"])
    for contestant in made:
        caches = f"bench-{state.next()}"
        contestant.renew_base(state.next())
        all_seconds = all_sent = 0.0
        with registry() as server:
            for number in range(1, PROJECTS + 1):
                _describe(contestant.project.folder, number)
                edit_source(contestant.way, contestant.project.folder, state.next())
                all_seconds += contestant.build(caches)
                all_sent += server.push(contestant.project, contestant.image) / 1e6
                if number in SHOWN_PROJECTS:
                    _add(seconds, contestant, number, all_seconds)
                    _add(sent, contestant, number, all_sent)
    remove_images(made[0])
    return [
        _series("Projects on one engine, all their builds", "projects", "seconds", seconds),
        _series("Projects on one engine, all that a registry stores", "projects", "MB", sent),
    ]


def _describe(folder: Path, number: int) -> None:
    """Make another project of one: it has another description and another module."""
    description = f'description = "Project {number}."'
    substitute(folder / "pyproject.toml", r'^description = ".*"$', description)
    (folder / "src" / NAME / "own.py").write_text(f"PROJECT = {number}\n", encoding="utf-8")


def _made(state: State, application: Application) -> list[Contestant]:
    settings = applications.variables(Layout.LOCAL, engine.ensure())
    ways = [WAYS[name] for name in COMPARED]
    folder = FOLDER / "projects" / f"growth-{application.name}"
    applications.make(application, ways, folder, settings)
    return contestants(f"growth-{application.name}", ways, folder, settings)


def _add(points: Points, contestant: Contestant, x: float, y: float) -> None:
    points.setdefault(contestant.way.title, []).append([x, round(y, 3)])


def _series(name: str, unit: str, of: str, points: Points) -> Results:
    """Return what a plot and a table show, with the slope of each line in words."""
    one = unit.removesuffix("s") if unit in ("projects", "locked packages") else unit
    slopes = (f"{slope(found):.3g} {of} with {title}" for title, found in points.items())
    words = f"Each further {one} costs {' and '.join(slopes)}."
    return {"name": name, "unit": unit, "of": of, "lines": points, "words": words}


def slope(points: Sequence[Sequence[float]]) -> float:
    """Return by how much a line through points rises for one unit, by least squares."""
    xs, ys = zip(*points, strict=True)
    return float(linear_regression(xs, ys).slope)
