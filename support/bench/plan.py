"""What a run measures, in this order: which ways make images of which application, and when."""

from dataclasses import dataclass

from support.bench.cases import (
    BASE,
    COLD,
    DEPENDENCY,
    NOTHING,
    REGISTRY,
    SOURCE,
    SYSTEM,
    TOOL,
    VERSION,
)
from support.bench.ways import UV_WAYS, WAYS
from support.engine import Variant
from support.images import Layout

# After these no further build begins, so that the last one ends within an hour, or three minutes.
MINUTES, QUICK_MINUTES = 57, 2.7
FEW_CASES = (COLD, NOTHING, DEPENDENCY, SOURCE)
MOST_CASES = (COLD, NOTHING, DEPENDENCY, SOURCE, TOOL, VERSION, BASE)
PUSHED = (COLD, NOTHING, DEPENDENCY, SOURCE, TOOL, VERSION, SYSTEM, BASE)
# Their changes are so large that one round tells them apart.
ONCE = (SYSTEM, BASE)
FEW_WAYS = ("seedpod", *UV_WAYS, "poetry-multi-stage")
# An engine whose image store exports layers to a registry, and one two years older.
REGISTRY_ENGINE, OTHER_ENGINE = Variant("sid", "containerd"), Variant("trixie", "overlay2")


@dataclass(frozen=True)
class Scope:
    """One application on one base and engine: the ways and cases that are compared there."""

    name: str
    title: str
    application: str
    ways: tuple[str, ...]
    cases: tuple[str, ...]
    rounds: int
    layout: Layout = Layout.LOCAL
    engine: Variant | None = None  # None for the one that answers
    pushes: tuple[str, ...] = ()  # the cases after which it is counted what a push sends
    answers: int = 0  # how often each image is run
    further: tuple[str, ...] = ()  # the ways of rounds after the first; none: all of them
    until: float = MINUTES  # of the run, by which a further round has to end

    def ways_of(self, number: int) -> tuple[str, ...]:
        """Return the ways that take part in a round; the first has the number 0."""
        return (number and self.further) or self.ways

    def cases_of(self, number: int) -> tuple[str, ...]:
        """Return the cases of a round."""
        return tuple(name for name in self.cases if not number or name not in ONCE)


SCOPES = (
    Scope(
        "web",
        "the default web application, Debian",
        "web",
        tuple(WAYS),
        (*MOST_CASES[:-1], SYSTEM, BASE),
        rounds=3,
        pushes=PUSHED,
        answers=3,
        further=("seedpod", *UV_WAYS, "uv-backend", "poetry-multi-stage"),
        until=48,
    ),
    Scope("cli", "a command", "cli", ("seedpod", "seedpod-full", *UV_WAYS), FEW_CASES, rounds=1),
    Scope("data", "numpy and pandas", "data", ("seedpod", *UV_WAYS), FEW_CASES, rounds=1),
    Scope(
        "locked",
        "150 locked packages",
        "locked-150",
        ("seedpod", *UV_WAYS),
        FEW_CASES,
        rounds=1,
    ),
    Scope("compiled", "compiled packages", "compiled", ("seedpod", *UV_WAYS), FEW_CASES, rounds=1),
    Scope(
        "alpine",
        "the default web application, Alpine",
        "web",
        ("seedpod", "seedpod-full", *UV_WAYS),
        MOST_CASES,
        rounds=2,
        layout=Layout.ALPINE,
        pushes=PUSHED,
        answers=3,
        until=45,
    ),
    Scope(
        "other-engine",
        "the default web application, Debian, Docker 26.1",
        "web",
        ("seedpod", *UV_WAYS),
        MOST_CASES,
        rounds=1,
        engine=OTHER_ENGINE,
    ),
    Scope(
        "registry",
        "the default web application, Debian, layers of a registry",
        "web",
        FEW_WAYS,
        (COLD, REGISTRY),
        rounds=1,
        engine=REGISTRY_ENGINE,
    ),
)
QUICK = (
    Scope(
        "web",
        "the default web application, Debian",
        "web",
        ("seedpod", "uv-installed", "poetry-multi-stage"),
        MOST_CASES[:-1],
        rounds=1,
        pushes=(SOURCE,),
        answers=1,
    ),
)
# Images of Seedpod of which only the size is measured: the kind of project, the base's layout.
SIZES = (
    ("web", Layout.DEBIAN),
    ("cli", Layout.DEBIAN),
)
# How often a session that has nothing to do is timed.
SESSION_ROUNDS = 5
