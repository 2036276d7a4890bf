"""Figures out of the results: medians, and ratios between ways."""

from collections.abc import Iterable
from statistics import median
from typing import Any

Results = dict[str, Any]


def seconds(results: Results, scope: str, way: str, case: str) -> float | None:
    """Return the median of the builds of a case in seconds, None if it was not measured."""
    times = rounds(results, scope, way, case)
    return median(times) if times else None


def rounds(results: Results, scope: str, way: str, case: str) -> list[float]:
    """Return the seconds of each build of a case that did not fail."""
    builds = _way(results, scope, way).get("builds", {}).get(case, {})
    return [each for each in builds.values() if each is not None]


def sent(results: Results, scope: str, way: str, case: str) -> float | None:
    """Return the bytes that a push sent after a case, None if they were not counted."""
    found = _way(results, scope, way).get("sent", {}).get(case)
    return None if found is None else float(found)


def bytes_of(results: Results, scope: str, way: str, what: str) -> float | None:
    """Return the ``size`` or the ``packed`` size of an image."""
    found = _way(results, scope, way).get(what)
    return None if found is None else float(found)


def middle(results: Results, scope: str, way: str, what: str) -> float | None:
    """Return the median of ``answers``, in seconds, or of ``memory``, in bytes."""
    found = _way(results, scope, way).get(what)
    return median(found) if found else None


def session(results: Results, name: str) -> float | None:
    """Return the median seconds of a session, None if it was not measured."""
    times = results.get("sessions", {}).get(name)
    return median(times) if times else None


def least(pairs: Iterable[tuple[str, float | None]]) -> tuple[str, float] | None:
    """Return the name and the figure of the least one that was measured, None without any."""
    found = [(figure, name) for name, figure in pairs if figure is not None]
    if not found:
        return None
    figure, name = min(found)
    return name, figure


def _way(results: Results, scope: str, way: str) -> dict[str, Any]:
    found: dict[str, Any] = results["scopes"].get(scope, {}).get("ways", {}).get(way, {})
    return found
