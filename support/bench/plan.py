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

MINUTES, QUICK_MINUTES = 60, 3
FEW_CASES = (COLD, NOTHING, SOURCE, DEPENDENCY)
MOST_CASES = (COLD, NOTHING, SOURCE, TOOL, VERSION, DEPENDENCY, BASE)
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
    pushes: bool = False  # whether what a push sends is counted
    answers: int = 0  # how often each image is run
    until: int = MINUTES  # of the run, after which no further round begins


SCOPES = (
    Scope(
        "web",
        "the default web application, Debian",
        "web",
        tuple(WAYS),
        (*MOST_CASES[:-1], SYSTEM, BASE),
        rounds=3,
        pushes=True,
        answers=5,
        until=26,
    ),
    Scope("cli", "a command", "cli", FEW_WAYS, FEW_CASES, rounds=2, until=36),
    Scope("data", "numpy and pandas", "data", FEW_WAYS, FEW_CASES, rounds=2, until=36),
    Scope("locked", "150 locked packages", "locked-150", FEW_WAYS, FEW_CASES, rounds=2, until=36),
    Scope("compiled", "compiled packages", "compiled", FEW_WAYS, FEW_CASES, rounds=2, until=36),
    Scope(
        "alpine",
        "the default web application, Alpine",
        "web",
        ("seedpod", "seedpod-full", *UV_WAYS),
        MOST_CASES,
        rounds=3,
        layout=Layout.ALPINE,
        pushes=True,
        answers=3,
        until=40,
    ),
    Scope(
        "other-engine",
        "the default web application, Debian, Docker 26.1",
        "web",
        ("seedpod", *UV_WAYS),
        MOST_CASES,
        rounds=2,
        engine=OTHER_ENGINE,
    ),
    Scope(
        "registry",
        "the default web application, Debian, layers of a registry",
        "web",
        FEW_WAYS,
        (COLD, REGISTRY),
        rounds=2,
        engine=REGISTRY_ENGINE,
    ),
)
QUICK = (
    Scope(
        "web",
        "the default web application, Debian",
        "web",
        ("seedpod", "uv-given", "uv-installed", "poetry-multi-stage"),
        (COLD, NOTHING, SOURCE, TOOL, VERSION, DEPENDENCY),
        rounds=1,
        pushes=True,
        answers=1,
    ),
)
# Images of Seedpod of which only the size is measured: the kind of project, the base's layout.
SIZES = (
    ("cli", Layout.LOCAL),
    ("web", Layout.DEBIAN),
    ("cli", Layout.DEBIAN),
)
# How often a session that has nothing to do is timed.
SESSION_ROUNDS = 5
