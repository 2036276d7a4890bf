"""Times, sizes and bytes of images, measured side by side with other ways of making them.

Each round builds every way's image once after each kind of change, one way after the other in an
order that is drawn anew, so that a slow moment of the machine meets them all. Times are seconds of
wall time, sizes are bytes. The report is made of what is in one JSON file; a run that was ended
goes on from that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console

from support import SupportError, engine, sizes
from support.bench import applications, growth, report, sessions
from support.bench.applications import PLAIN
from support.bench.contestants import contestants, remove_images
from support.bench.measuring import measure
from support.bench.plan import MINUTES, QUICK, QUICK_MINUTES, SCOPES, SIZES, Scope
from support.bench.state import FOLDER, State
from support.bench.ways import WAYS, Application
from support.project import Project

Part = Callable[[State, float], None]
FULL_RUN, QUICK_RUN, PUBLISH = "full", "quick", "publish"


def run(mode: str = FULL_RUN, *names: str) -> None:
    """Measure, or go on with it, and write the report into build/bench.

    ``quick`` measures the most important figures once. ``full`` with names measures only these
    scopes. ``publish`` brings the last report into the documentation and README. Raises
    SupportError for other arguments.
    """
    if mode == PUBLISH and not names:
        report.publish(FOLDER)
        return
    known = [*(scope.name for scope in SCOPES), *PARTS]
    if (mode != FULL_RUN and (mode != QUICK_RUN or names)) or set(names) - set(known):
        raise SupportError(
            "Usage: nox -s bench, nox -s bench -- quick, nox -s bench -- publish, or "
            f"nox -s bench -- full with some of {', '.join(known)}."
        )
    quick = mode == QUICK_RUN
    state = State(FOLDER / f"{mode}.json", mode)
    if state.resumed:
        state.say("goes on where it was ended")
    _measure_all(state, names, quick=quick)
    if not names:
        state.results["finished"] = True
    state.save()
    report.write(state.results, FOLDER)
    console = Console(highlight=False)
    report.show(state.results, console)
    console.print(f"written to {FOLDER / 'report'}", soft_wrap=True)


def _measure_all(state: State, names: Sequence[str], *, quick: bool) -> None:
    """Measure the scopes and parts of that name, without names all.

    The first round of every scope comes first, so that what is left out are further rounds.
    """
    scopes = [scope for scope in (QUICK if quick else SCOPES) if not names or scope.name in names]
    limit = 60 * (QUICK_MINUTES if quick else MINUTES)
    parts = {name: part for name, part in PARTS.items() if name in names or not (names or quick)}
    _measure_round(state, scopes, 0, limit)
    for name in ("sessions", "sizes"):
        _measure_part(state, name, parts, limit)
    for number in range(1, max((scope.rounds for scope in scopes), default=0)):
        _measure_round(state, [scope for scope in scopes if number < scope.rounds], number, limit)
    _measure_part(state, "growth", parts, limit)


def _measure_round(state: State, scopes: Sequence[Scope], number: int, limit: float) -> None:
    """Measure a round of each scope, those of other engines last."""
    for scope in scopes:
        if not scope.engine:
            measure(state, scope, number, limit)
    with _engine_brought_back(scopes):
        for scope in scopes:
            if scope.engine:
                measure(state, scope, number, limit)


def _measure_part(state: State, name: str, parts: Mapping[str, Part], limit: float) -> None:
    if name not in parts:
        return
    try:
        parts[name](state, limit)
        state.settle(name)
    except SupportError as error:
        state.note_failure(name, error)


@contextmanager
def _engine_brought_back(scopes: Sequence[Scope]) -> Iterator[None]:
    """Leave this machine with the embedded engine that it had, where other ones are measured."""
    before = engine.running()
    try:
        yield
    finally:
        if before and before.variant and any(scope.engine for scope in scopes):
            engine.ensure(before.variant)


def measure_sizes(state: State, limit: float) -> None:
    """Measure the images of Seedpod whose time is not of interest."""
    client = engine.ensure()
    for kind, layout in SIZES:
        name = f"{kind}-{layout.value}"
        if name in state.results["sizes"] or state.out_of_time(limit, f"sizes of {name}"):
            continue
        state.say(f"sizes of {name}")
        with state.uncounted():
            settings = applications.variables(layout, client)
        ways = [WAYS["seedpod"], WAYS["seedpod-full"]]
        folder = FOLDER / "projects" / f"size-{name}"
        application = Application(name, name, kind)
        applications.make(application, ways, folder, settings, (PLAIN,))
        found = {}
        made = contestants(f"size-{name}", ways, folder, settings)
        for contestant in made:
            contestant.renew_base(state.next())
            contestant.build("bench-sizes")
            [size] = sizes.measure(contestant.project, contestant.image)
            found[contestant.way.name] = {"size": size.size, "packed": size.compressed}
        [base] = sizes.measure(Project(folder, settings), settings["PYTHON_IMAGE"])
        state.results["sizes"][name] = {
            "base": settings["PYTHON_IMAGE"],
            "base_size": base.size,
            "base_packed": base.compressed,
            "ways": found,
        }
        remove_images(made[0])
        state.save()


PARTS: dict[str, Part] = {
    "sessions": sessions.measure,
    "sizes": measure_sizes,
    "growth": growth.measure,
}
