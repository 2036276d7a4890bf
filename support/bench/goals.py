"""What Seedpod wants to reach, as data, and the judgement of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from support.bench import figures
from support.bench.cases import COLD, DEPENDENCY, SOURCE, TITLES, TOOL, VERSION
from support.bench.figures import Results
from support.bench.ways import POETRY_WAYS, UV_WAYS, WAYS

SCOPE, OWN = "web", "seedpod"
PEERS = tuple(name for name, way in WAYS.items() if way.is_peer)
BUILD, SENT, SIZE, PACKED, ANSWER = "seconds", "sent", "size", "packed", "answers"
SECONDS, KILOBYTES, MEGABYTES = "s", "kB", "MB"
FACTORS = {SECONDS: 1, KILOBYTES: 1e3, MEGABYTES: 1e6}


@dataclass(frozen=True)
class Goal:
    """A figure of the default web image: at most a limit, or a share of the least of some ways'."""

    title: str
    figure: str
    limit: float
    case: str = ""
    against: tuple[str, ...] = ()  # none: the limit is a figure itself
    unit: str = SECONDS


@dataclass(frozen=True)
class SessionGoal:
    """The seconds of a session that has nothing to do, over those of another command."""

    title: str
    session: str
    limit: float
    over: str = ""


GOALS: tuple[Goal | SessionGoal, ...] = (
    Goal(f"{TITLES[COLD]}; uv by pip", BUILD, 1.3, COLD, ("uv-installed",)),
    Goal(f"{TITLES[COLD]}; every Poetry way", BUILD, 0.3, COLD, POETRY_WAYS),
    Goal("source edit; uv", BUILD, 0.45, SOURCE, UV_WAYS),
    Goal("source edit; uv with its own backend", BUILD, 0.7, SOURCE, ("uv-backend",)),
    Goal("[tool.*] edit; fastest peer", BUILD, 0.15, TOOL, PEERS),
    Goal("version bump; fastest peer", BUILD, 0.4, VERSION, PEERS),
    Goal("one dependency added; fastest peer", BUILD, 0.8, DEPENDENCY, PEERS),
    Goal("re-sent after a source edit", SENT, 6, SOURCE, unit=KILOBYTES),
    Goal("size of the image", SIZE, 50, unit=MEGABYTES),
    Goal("packed size of the image", PACKED, 19, unit=MEGABYTES),
    Goal("run to first answer; fastest peer", ANSWER, 0.9, against=PEERS),
    SessionGoal("docker_prod with nothing to do, over the bare build", "docker_prod", 0.4, "build"),
    SessionGoal("docker_size of unchanged images", "docker_size", 1),
)


@dataclass(frozen=True)
class Verdict:
    """A goal with its two figures, as people read them, and whether it is met.

    ``met`` is None where one of the figures was not measured: that is not met either.
    """

    title: str
    own: str
    other: str
    limit: str
    met: bool | None

    @property
    def word(self) -> str:
        """Return the verdict in words."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def judge(results: Results) -> list[Verdict]:
    """Return the verdict on every goal."""
    return [
        _judge(results, goal) if isinstance(goal, Goal) else _judge_session(results, goal)
        for goal in GOALS
    ]


def _judge(results: Results, goal: Goal) -> Verdict:
    own = _figure(results, goal, OWN)
    factor = FACTORS[goal.unit]
    if not goal.against:
        limit = f"{goal.limit:g} {goal.unit}"
        if own is None:
            return Verdict(goal.title, "", "", limit, None)
        met = own <= goal.limit * factor
        return Verdict(goal.title, show(own, goal.unit), "", limit, met)
    others = {name: _figure(results, goal, name) for name in goal.against}
    other = figures.least(others.items())
    limit = f"{goal.limit:g} times"
    missing = [WAYS[name].title for name, figure in {OWN: own, **others}.items() if figure is None]
    if own is None or other is None or missing:
        words = f"without {', '.join(missing)}"
        return Verdict(goal.title, show(own, goal.unit), words, limit, None)
    name, figure = other
    return Verdict(
        goal.title,
        f"{show(own, goal.unit)}: {own / figure:.2f} times",
        f"{show(figure, goal.unit)} ({WAYS[name].title})",
        limit,
        own <= goal.limit * figure,
    )


def _judge_session(results: Results, goal: SessionGoal) -> Verdict:
    own = figures.session(results, goal.session)
    over = figures.session(results, goal.over) if goal.over else 0.0
    limit = f"{goal.limit:g} s" + (" more" if goal.over else "")
    if own is None or over is None:
        return Verdict(goal.title, "", "", limit, None)
    other = f"{over:.2f} s" if goal.over else ""
    return Verdict(goal.title, f"{own:.2f} s", other, limit, own - over <= goal.limit)


def _figure(results: Results, goal: Goal, way: str) -> float | None:
    find = {
        BUILD: partial(figures.seconds, results, SCOPE, way, goal.case),
        SENT: partial(figures.sent, results, SCOPE, way, goal.case),
        SIZE: partial(figures.bytes_of, results, SCOPE, way, SIZE),
        PACKED: partial(figures.bytes_of, results, SCOPE, way, PACKED),
        ANSWER: partial(figures.middle, results, SCOPE, way, ANSWER),
    }
    return find[goal.figure]()


def show(figure: float | None, unit: str) -> str:
    """Return a figure with its unit, '' for none."""
    if figure is None:
        return ""
    return f"{figure:.2f} s" if unit == SECONDS else f"{figure / FACTORS[unit]:.1f} {unit}"


def missed(verdicts: Sequence[Verdict]) -> int:
    """Return how many goals are not met."""
    return sum(verdict.met is not True for verdict in verdicts)
