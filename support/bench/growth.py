"""Cost as work grows: more locked packages, more data of the application, more variants of it."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product

from support import SupportError, engine
from support.bench import applications
from support.bench.applications import NAME, PLAIN, substitute
from support.bench.cases import edit_source
from support.bench.contestants import Contestant, contestants, remove_images
from support.bench.state import FOLDER, Results, State
from support.bench.ways import APPLICATIONS, WAYS, Application, many
from support.images import Layout
from support.transfer import Registry, registry

COMPARED = ("seedpod", "uv-installed")
# How many of packages.txt are declared; what they require makes about 10, 50, 150 and 400 of them.
DECLARED = (8, 40, 128, 355)
DATA_MEGABYTES = (1, 10, 100)
VARIANTS = 50
SHOWN_VARIANTS = (1, 2, 5, 10, 20, 30, 40, 50)
PACKAGES, DATA, MANY = "packages", "data", "variants"


def measure(state: State, limit: float) -> None:
    """Measure each part that has not finished, as long as there is time; every point is kept."""
    with ExitStack() as stack:
        server: Registry | None = None
        for name in (PACKAGES, DATA, MANY):
            if name in state.results["growth_finished"]:
                continue
            state.say(f"growth: {name}")
            try:
                if name == PACKAGES:
                    finished = _packages(state, limit)
                else:
                    server = server or stack.enter_context(registry())
                    part = _data if name == DATA else _variants
                    finished = part(state, limit, server)
            except SupportError as error:
                state.note_failure(f"growth: {name}", error)
                continue
            if finished:
                state.results["growth_finished"].append(name)
                state.settle(f"growth: {name}")
            state.save()


def _packages(state: State, limit: float) -> bool:
    cold, edit = _begin(
        state,
        PACKAGES,
        "locked packages",
        ("Locked packages, cold build", "seconds"),
        ("Locked packages, source edit", "seconds"),
    )
    for count in DECLARED:
        if state.out_of_time(limit, f"growth: {PACKAGES}"):
            return False
        with _made(state, Application(f"growth-{count}", "", "cli", many(count))) as made:
            folder = made[0].project.folder.parent
            locked = len(applications.locked(folder)["requirements.txt"])
            state.say(f"growth: {locked} packages")
            for contestant in made:
                if state.out_of_time(limit, f"growth: {PACKAGES}"):
                    return False
                caches = f"bench-{state.next()}"
                contestant.renew_base(state.next())
                _add(cold, contestant, locked, contestant.build(caches))
                edit_source(contestant.way, contestant.project.folder, state.next())
                _add(edit, contestant, locked, contestant.build(caches))
                state.save()
    return True


def _data(state: State, limit: float, server: Registry) -> bool:
    edit, sent = _begin(
        state,
        DATA,
        "MB of data",
        ("Data of the application, source edit", "seconds"),
        ("Data of the application, pushed after a source edit", "MB"),
    )
    with _made(state, APPLICATIONS["cli"]) as made:
        for size, contestant in product(DATA_MEGABYTES, made):
            if state.out_of_time(limit, f"growth: {DATA}"):
                return False
            package = contestant.project.folder / "src" / NAME
            (package / "data.bin").write_bytes(os.urandom(size * 1_000_000))
            caches = f"bench-{state.next()}"
            contestant.renew_base(state.next())
            contestant.build(caches)
            server.push(contestant.project, contestant.image)
            edit_source(contestant.way, contestant.project.folder, state.next())
            _add(edit, contestant, size, contestant.build(caches))
            bytes_sent = server.push(contestant.project, contestant.image)
            _add(sent, contestant, size, bytes_sent / 1e6)
            state.save()
    return True


def _variants(state: State, limit: float, server: Registry) -> bool:
    """Build so many variants of a project one after the other, and push each to one registry."""
    title = "Variants of one project, one after the other"
    seconds, sent = _begin(
        state,
        MANY,
        "variants",
        (f"{title}: all their builds", "seconds"),
        (f"{title}: all that a registry stores", "MB"),
    )
    with _made(state, APPLICATIONS["web"]) as made:
        caches = {each.way.name: f"bench-{state.next()}" for each in made}
        for contestant in made:
            contestant.renew_base(state.next())
        all_seconds: dict[str, float] = defaultdict(float)
        all_sent: dict[str, float] = defaultdict(float)
        for number, contestant in product(range(1, VARIANTS + 1), made):
            if state.out_of_time(limit, f"growth: {MANY}"):
                return False
            name = contestant.way.name
            _describe(contestant, number)
            edit_source(contestant.way, contestant.project.folder, state.next())
            all_seconds[name] += contestant.build(caches[name])
            all_sent[name] += server.push(contestant.project, contestant.image) / 1e6
            if number in SHOWN_VARIANTS:
                _add(seconds, contestant, number, all_seconds[name])
                _add(sent, contestant, number, all_sent[name])
                state.save()
    return True


def _describe(contestant: Contestant, number: int) -> None:
    """Make another variant of a project: it has another description and another module."""
    folder = contestant.project.folder
    description = f'description = "Variant {number}."'
    substitute(folder / "pyproject.toml", r'^description = ".*"$', description)
    (folder / "src" / NAME / "own.py").write_text(f"VARIANT = {number}\n", encoding="utf-8")


@contextmanager
def _made(state: State, application: Application) -> Iterator[list[Contestant]]:
    """Make the projects of an application; their images are removed afterwards."""
    with state.uncounted():
        settings = applications.variables(Layout.LOCAL, engine.ensure())
    ways = [WAYS[name] for name in COMPARED]
    name = f"growth-{application.name}"
    folder = FOLDER / "projects" / name
    applications.make(application, ways, folder, settings, (PLAIN,))
    made = contestants(name, ways, folder, settings)
    try:
        yield made
    finally:
        remove_images(made[0])


def _begin(state: State, part: str, unit: str, *series: tuple[str, str]) -> list[Results]:
    """Put series without points among the results; each is a name and what is measured.

    A part that an earlier run has begun begins anew: it sums up, or its registry is gone.
    """
    made: list[Results] = [
        {"name": name, "unit": unit, "of": of, "lines": {}} for name, of in series
    ]
    state.results["growth"][part] = made
    return made


def _add(series: Results, contestant: Contestant, x: float, y: float) -> None:
    series["lines"].setdefault(contestant.way.title, []).append([x, round(y, 3)])
