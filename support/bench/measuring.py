"""Measures one round of a scope, one figure after the other, each of which is kept at once."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from support import SupportError, engine, images, sizes
from support.bench import applications
from support.bench.cases import CASES, Case
from support.bench.contestants import Contestant, contestants, remove_images
from support.bench.plan import Scope
from support.bench.state import FOLDER, Results, State, versions
from support.bench.ways import APPLICATIONS, POETRY_WAYS, WAYS
from support.transfer import Registry, registry

# BuildKit keeps a fifth of a disk free (minFreeSpace in Docker's documentation of its builder).
FREE_SHARE = 0.22
# Bases that are made anew, edits and pushes take their time beside the builds.
BESIDE_BUILDS = 1.5


def measure(state: State, scope: Scope, number: int, limit: float) -> None:
    """Fill in the figures of a round; what does not fit into ``limit`` seconds is left out.

    The first round has the number 0, and the sizes and first answers too. An engine or a base image
    that cannot be had here is named among what is left out.
    """
    results = state.results["scopes"].get(scope.name, {"title": scope.title, "ways": {}})
    if number in results.get("rounds", []) and not failed(results, number):
        return
    place = f"{scope.title}, round {number + 1}"
    latest = min(limit, 60 * scope.until) - expected(scope, results, number) if number else limit
    if state.out_of_time(latest, place):
        return
    state.results["scopes"][scope.name] = results
    try:
        _measure(state, scope, results, number, limit)
    except SupportError as error:
        state.leave_out(place, state.last_line(error))


def failed(results: Results, number: int) -> list[tuple[str, str]]:
    """Return the ways and cases of a round whose build failed."""
    return [
        (way, case)
        for way, found in results["ways"].items()
        for case, times in found["builds"].items()
        if str(number) in times and times[str(number)] is None
    ]


def expected(scope: Scope, results: Results, number: int) -> float:
    """Return how many seconds a round will take, by the slowest builds of the earlier ones."""
    builds = [
        results["ways"].get(way, {}).get("builds", {}).get(case, {}).values()
        for way in scope.ways_of(number)
        for case in scope.cases_of(number)
    ]
    return BESIDE_BUILDS * sum(
        max((each or 0.0 for each in times), default=0.0) for times in builds
    )


def _measure(state: State, scope: Scope, results: Results, number: int, limit: float) -> None:
    state.say(f"{scope.name}: base image")
    with state.uncounted():
        client = engine.ensure(scope.engine)
        settings = applications.variables(scope.layout, client)
    root = client.run("info", "--format", "{{.DockerRootDir}}").stdout.strip()
    if Path(root).is_dir():
        usage = shutil.disk_usage(root)
        if usage.free < FREE_SHARE * usage.total:
            state.remark(
                "The disk has little room: from four fifths on, BuildKit removes what was built, "
                "and builds take longer"
            )
    if os.environ.get("PIP_INDEX_URL") and set(scope.ways) & set(POETRY_WAYS):
        state.remark(
            "PIP_INDEX_URL was set: `poetry install` knows nothing of it and downloads from PyPI "
            "itself, all else from that index"
        )
    if not state.results["versions"]:
        state.results["versions"] = versions(client, settings["PYTHON_IMAGE"])
    results |= {"base": settings["PYTHON_IMAGE"], "engine": client.server_version()}
    with images.packages(settings["PYTHON_IMAGE"], client):
        made = _prepared(state, scope, results, settings)
        taking_part = [each for each in made if each.way.name in scope.ways_of(number)]
        run = _Run(state, scope, results, taking_part)
        finished = run.round(number, limit)
        if not number:
            run.images()
        if finished:
            results["rounds"] = sorted({*results.get("rounds", []), number})
            state.settle(f"{scope.title}, round {number + 1}")
        remove_images(made[0])
        state.save()


def _prepared(
    state: State, scope: Scope, results: Results, settings: dict[str, str]
) -> list[Contestant]:
    """Make and lock the projects of a scope, unless an earlier run has done it."""
    name = f"{state.mode}-{scope.name}"
    folder = FOLDER / "projects" / name
    ways = [WAYS[name] for name in scope.ways]
    there = all((folder / way.name).is_dir() for way in ways)
    if not (results.get("prepared") and there):
        state.say(f"{scope.name}: projects and locks")
        applications.make(APPLICATIONS[scope.application], ways, folder, settings)
        results["packages"] = len(applications.locked(folder)["requirements.txt"])
        results["locked_otherwise"] = applications.locked_otherwise(folder)
        results["prepared"] = True
        state.save()
    return contestants(name, ways, folder, settings)


@dataclass(frozen=True)
class _Run:
    """What a round's figures are measured with."""

    state: State
    scope: Scope
    results: Results
    made: list[Contestant]
    # Names of ways: those that failed, and those whose image the registry of this run has.
    failed: set[str] = field(default_factory=set)
    pushed: set[str] = field(default_factory=set)
    # The ids of the images that each way has made so far.
    ids: dict[str, set[str]] = field(default_factory=dict)

    def round(self, number: int, limit: float) -> bool:
        """Time all builds of a round; tell whether there was time for all of them."""
        with self.server(number) as server:
            for name in self.scope.cases_of(number):
                if not self.case(CASES[name], number, server, limit):
                    return False
        return True

    @contextmanager
    def server(self, number: int) -> Iterator[Registry | None]:
        """Run a registry where one is needed: pushes are the same in every round."""
        needed = (self.scope.pushes and not number) or any(
            CASES[name].from_registry for name in self.scope.cases
        )
        with registry() if needed else nullcontext() as server:
            yield server

    def turn(self, case: Case, number: int) -> list[Contestant]:
        """Return the contestants in an order that differs from case to case, and note it."""
        order = random.Random(f"{case.name}{number}").sample(self.made, len(self.made))
        noted = self.results.setdefault("order", {}).setdefault(case.name, {})
        noted[str(number)] = [each.way.name for each in order]
        return order

    def case(self, case: Case, number: int, server: Registry | None, limit: float) -> bool:
        """Time one case for every contestant; tell whether there was time for all of them.

        After a build that failed, the later ones of that way's round would start from something
        else than those of the other ways: they have no figure either.
        """
        self.state.say(f"{self.scope.name}, round {number + 1}: {case.title}")
        turn = self.turn(case, number)
        for contestant in turn:
            name = contestant.way.name
            times = self.way(contestant)["builds"].setdefault(case.name, {})
            if times.get(str(number)) is not None or not case.fits(
                contestant.way, contestant.project.folder
            ):
                continue
            if self.state.out_of_time(limit, f"{self.scope.title}, round {number + 1}"):
                return False
            times[str(number)] = None
            if name not in self.failed:
                times[str(number)] = self.attempt(contestant, case, number, server)
            self.state.save()
        for contestant in turn:
            case.undo(contestant.way, contestant.project.folder, self.state.next())
        return True

    def attempt(
        self, contestant: Contestant, case: Case, number: int, server: Registry | None
    ) -> float | None:
        """Return the seconds of a build, None if it fails."""
        begun = [contestant.way.name, case.name, number]
        again = self.results.get("begun") == begun
        self.results["begun"] = begun
        self.state.save()
        place = f"{self.scope.title}, {case.title}, {contestant.way.title}, round {number + 1}"
        seconds = None
        try:
            if again or not (case.new_base or contestant.has_base()):
                self.forget(contestant, case)
            seconds = self.build(contestant, case, server)
            self.state.settle(place)
        except SupportError as error:
            self.failed.add(contestant.way.name)
            self.state.note_failure(place, error)
        self.results["begun"] = None
        return seconds

    def way(self, contestant: Contestant) -> Results:
        """Return the figures of a contestant."""
        way: Results = self.results["ways"].setdefault(
            contestant.way.name, {"builds": {}, "sent": {}}
        )
        return way

    def forget(self, contestant: Contestant, case: Case) -> None:
        """Build once more without the edit, on a new base.

        A run was ended in this build, and may have left its result in the build cache; or what it
        has made was removed since.
        """
        case.undo(contestant.way, contestant.project.folder, self.state.next())
        if not case.new_base:
            contestant.renew_base(self.state.next())
            contestant.build(self.way(contestant)["caches"])

    def build(self, contestant: Contestant, case: Case, server: Registry | None) -> float:
        """Return the seconds of one build; count what a push of it sends if that is wanted.

        Raises SupportError if the image is one of before, though it has to be another one.
        """
        way, name = self.way(contestant), contestant.way.name
        counts = server if case.name in self.scope.pushes else None
        more: list[str] = []
        if case.new_caches:
            way["caches"] = f"bench-{self.state.next()}"
        if case.from_registry and server:
            reference = f"type=registry,ref={server.address}/layers:{name}"
            contestant.build(way["caches"], f"--cache-to={reference},mode=max")
            # The engine is the embedded one: nobody else's layers are in it.
            contestant.forget_layers()
            more = [f"--cache-from={reference}"]
        if case.new_base:
            contestant.renew_base(self.state.next())
        elif counts and name not in self.pushed:
            # The image of the case before may have been of another edit, which is taken back.
            contestant.build(way["caches"])
            counts.push(contestant.project, contestant.image)
        before = self.ids.setdefault(name, set())
        before.add(contestant.there(contestant.image))
        case.edit(contestant.way, contestant.project.folder, self.state.next())
        seconds = contestant.build(way["caches"], *more)
        if case.new_image and contestant.there(contestant.image) in before:
            raise SupportError(
                "The image is the same as before. Correct the edit of support/bench."
            )
        before.add(contestant.there(contestant.image))
        if counts:
            way["sent"][case.name] = counts.push(contestant.project, contestant.image)
            self.pushed.add(name)
        return round(seconds, 3)

    def images(self) -> None:
        """Measure the size of each contestant's image, and how soon it answers."""
        self.state.say(f"{self.scope.name}: sizes")
        there = [
            each
            for each in self.made
            if each.way.name not in self.failed and each.there(each.image)
        ]
        for contestant in there:
            way = self.way(contestant)
            if "size" not in way:
                [size] = sizes.measure(contestant.project, contestant.image)
                way |= {"size": size.size, "packed": size.compressed}
                self.state.save()
        for number in range(self.scope.answers):
            self.state.say(f"{self.scope.name}: first answers, {number + 1}")
            for contestant in there:
                self.answer(contestant, number)

    def answer(self, contestant: Contestant, number: int) -> None:
        """Note how soon an image answers, and once what it then uses, unless that is known."""
        way = self.way(contestant)
        if len(way.setdefault("answers", [])) > number:
            return
        place = f"{self.scope.title}, {contestant.way.title}, running"
        try:
            seconds, memory = contestant.first_answer(idle="memory" not in way)
        except SupportError as error:
            self.state.note_failure(place, error)
            return
        self.state.settle(place)
        way["answers"].append(round(seconds, 3))
        if memory is not None:
            way["memory"] = [memory]
        self.state.save()
