"""Measures one scope, one figure after the other, each of which is kept at once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from support import SupportError, engine, images, sizes
from support.bench import applications
from support.bench.cases import CASES, Case
from support.bench.contestants import Contestant, contestants, remove_images
from support.bench.plan import Scope
from support.bench.state import FOLDER, Results, State, versions
from support.bench.ways import APPLICATIONS, WAYS
from support.transfer import Registry, registry

# BuildKit keeps a fifth of a disk free (minFreeSpace in Docker's documentation of its builder).
FREE_SHARE = 0.22


def measure(state: State, scope: Scope, limit: float) -> None:
    """Fill in the figures of a scope; what does not fit into ``limit`` seconds is left out.

    An engine or a base image that cannot be had here is named among what is left out.
    """
    results = state.results["scopes"].setdefault(scope.name, {"title": scope.title, "ways": {}})
    if results.get("finished"):
        return
    # What was begun is gone on with, whenever that is.
    if not results["ways"] and state.out_of_time(limit, scope.title):
        return
    try:
        _measure(state, scope, results, limit)
    except SupportError as error:
        state.leave_out(f"{scope.title} ({state.last_line(error)})")
        return
    results["finished"] = True
    state.save()


def _measure(state: State, scope: Scope, results: Results, limit: float) -> None:
    client = engine.ensure(scope.engine)
    state.say(f"{scope.name}: base image")
    root = client.run("info", "--format", "{{.DockerRootDir}}").stdout.strip()
    if Path(root).is_dir():
        usage = shutil.disk_usage(root)
        if usage.free < FREE_SHARE * usage.total:
            state.remark(
                "The disk has little room: from four fifths on, BuildKit removes what was built, "
                "and builds take longer"
            )
    settings = applications.variables(scope.layout, client)
    state.results["versions"] = state.results["versions"] or versions(client)
    results |= {"base": settings["PYTHON_IMAGE"], "engine": client.server_version()}
    with images.packages(settings["PYTHON_IMAGE"], client):
        made = _prepared(state, scope, results, settings)
        run = _Run(state, scope, results, made)
        run.rounds(limit)
        run.images()
        remove_images(made[0])


def _prepared(
    state: State, scope: Scope, results: Results, settings: dict[str, str]
) -> list[Contestant]:
    """Make and lock the projects of a scope, unless an earlier run has done it."""
    folder = FOLDER / "projects" / scope.name
    ways = [WAYS[name] for name in scope.ways]
    if not results.get("prepared") or not folder.exists():
        state.say(f"{scope.name}: projects and locks")
        applications.make(APPLICATIONS[scope.application], ways, folder, settings)
        results["packages"] = len(applications.locked(folder)["requirements.txt"])
        results["locked_otherwise"] = applications.locked_otherwise(folder)
        results["prepared"] = True
        state.save()
    return contestants(scope.name, ways, folder, settings)


@dataclass(frozen=True)
class _Run:
    """What a scope's figures are measured with."""

    state: State
    scope: Scope
    results: Results
    made: list[Contestant]

    def rounds(self, limit: float) -> None:
        """Time all builds of every round for which there is time; the first is always made."""
        slowest = 0.0
        for number in range(self.scope.rounds):
            if number in self.results.setdefault("rounds", []):
                continue
            start = self.state.seconds()
            if number and start + slowest > min(limit, 60 * self.scope.until):
                rest = "round" if number + 1 == self.scope.rounds else "rounds"
                self.state.leave_out(
                    f"{self.scope.title}: {rest} from {number + 1} on, for want of time"
                )
                break
            with self.server(number) as server:
                for name in self.scope.cases:
                    self.case(CASES[name], number, server)
            self.results["rounds"].append(number)
            slowest = max(slowest, self.state.seconds() - start)

    @contextmanager
    def server(self, number: int) -> Iterator[Registry | None]:
        """Run a registry where one is needed: pushes are the same in every round."""
        needed = (self.scope.pushes and not number) or any(
            CASES[name].from_registry for name in self.scope.cases
        )
        with registry() if needed else nullcontext() as server:
            yield server

    def case(self, case: Case, number: int, server: Registry | None) -> None:
        """Time one case for every contestant, each round beginning with another one."""
        self.state.say(f"{self.scope.name}, round {number + 1}: {case.title}")
        first = number % len(self.made)
        turn = [*self.made[first:], *self.made[:first]]
        for contestant in turn:
            way = self.way(contestant)
            times = way["builds"].setdefault(case.name, {})
            if str(number) in times or not case.fits(contestant.way, contestant.project.folder):
                continue
            begun = [contestant.way.name, case.name, number]
            again = self.results.get("begun") == begun
            self.results["begun"] = begun
            self.state.save()
            seconds = None
            try:
                if again:
                    self.forget(contestant, case)
                seconds = self.build(contestant, case, server)
            except SupportError as error:
                place = f"{self.scope.title}, {case.title}, {contestant.way.title}"
                self.state.note_failure(place, error)
            times[str(number)] = seconds
            self.results["begun"] = None
            self.state.save()
        for contestant in turn:
            case.undo(contestant.way, contestant.project.folder, self.state.next())

    def way(self, contestant: Contestant) -> Results:
        """Return the figures of a contestant."""
        way: Results = self.results["ways"].setdefault(
            contestant.way.name, {"builds": {}, "sent": {}}
        )
        return way

    def forget(self, contestant: Contestant, case: Case) -> None:
        """Build once more without the edit, on a new base.

        A run was ended in this build, and may have left its result in the build cache.
        """
        case.undo(contestant.way, contestant.project.folder, self.state.next())
        if not case.new_base:
            contestant.renew_base(self.state.next())
            contestant.build(self.way(contestant)["caches"])

    def build(self, contestant: Contestant, case: Case, server: Registry | None) -> float:
        """Return the seconds of one build; count what a push of it sends if that is wanted."""
        way, folder = self.way(contestant), contestant.project.folder
        counts = server if self.scope.pushes else None
        more: list[str] = []
        if case.from_registry and server:
            reference = f"type=registry,ref={server.address}/layers:{contestant.way.name}"
            contestant.build(way["caches"], f"--cache-to={reference},mode=max")
            # The engine is the embedded one: nobody else's layers are in it.
            contestant.project.docker("builder", "prune", "--all", "--force")
            more = [f"--cache-from={reference}"]
        if case.new_caches:
            way["caches"] = f"bench-{self.state.next()}"
        if case.new_base:
            contestant.renew_base(self.state.next())
        elif counts:
            # The registry of a run that goes on is empty.
            counts.push(contestant.project, contestant.image)
        case.edit(contestant.way, folder, self.state.next())
        seconds = contestant.build(way["caches"], *more)
        if counts:
            way["sent"][case.name] = counts.push(contestant.project, contestant.image)
        return round(seconds, 3)

    def images(self) -> None:
        """Measure the size of each contestant's image, and how soon it answers."""
        self.state.say(f"{self.scope.name}: sizes")
        there = [x for x in self.made if x.project.docker("image", "ls", "--quiet", x.image)]
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
        """Note how soon an image answers, and what it then uses, unless that is known."""
        way = self.way(contestant)
        if len(way.setdefault("answers", [])) > number:
            return
        try:
            seconds, memory = contestant.first_answer()
        except SupportError as error:
            self.state.note_failure(f"{self.scope.title}, {contestant.way.title}, running", error)
            return
        way["answers"].append(round(seconds, 3))
        way.setdefault("memory", []).append(memory)
        self.state.save()
