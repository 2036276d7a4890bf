"""Downloads with a second way: what is served today, in the order in which it is wanted."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from support import UnavailableError

T = TypeVar("T")


def first(what: str, ways: Iterable[tuple[str, Callable[[], T]]]) -> tuple[str, T]:
    """Return the name of the first of ``ways`` that serves ``what``, and what it returns.

    A way is its name and a function. Raises UnavailableError with every name and its reason when
    none serves it. Whatever else a way raises is an error of its own and ends the search.
    """
    reasons = []
    for name, way in ways:
        try:
            return name, way()
        except UnavailableError as error:
            reasons.append(f"{name} ({error})")
    raise UnavailableError(
        f"Nobody serves {what} today; tried: {'; '.join(reasons)}. "
        "Try again later, or set up a mirror that has it."
    )
