"""Families of tests: what needs a download that nobody serves today is left out, and said so.

Nothing but an UnavailableError, which downloads alone raise, leaves a family out; an error in a
recipe of ours is an error. SEEDPOD_REQUIRE names families that must not be left out.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support import UnavailableError

FAMILIES = (
    *("alpine", "clock", "debian", "i386", "kustomize", "local", "registry", "services"),
    # Stand-ins for other Pythons than the default one.
    *("python3.11", "python3.12", "python3.14"),
)
SETTING = "SEEDPOD_REQUIRE"
# What a report says of a test that was left out; the last lines of a run are made of it.
LEFT_OUT = "not tested today: "


def required() -> set[str]:
    """Return the families that must not be left out; pytest.UsageError for an unknown one."""
    names = {name.strip() for name in os.environ.get(SETTING, "").split(",")} - {""}
    if unknown := sorted(names - set(FAMILIES)):
        raise pytest.UsageError(
            f"{SETTING} names {', '.join(unknown)}. The families are {', '.join(FAMILIES)}."
        )
    return names


@contextmanager
def needed_by(family: str) -> Iterator[None]:
    """Leave out the test, or fail it where its family is required, if a download is not served."""
    try:
        yield
    except UnavailableError as error:
        if family in required():
            pytest.fail(f"{SETTING} names {family}, which cannot be tested today: {error}")
        pytest.skip(f"{LEFT_OUT}{family}: {error}")


def summary(reasons: list[str]) -> list[str]:
    """Return a line for each family that was left out, from the reasons of all tests that were."""
    found: dict[str, str] = {}
    for reason in reasons:
        family, _, why = reason.partition(LEFT_OUT)[2].partition(": ")
        if family:
            found.setdefault(family, why)
    return [f"not tested: {family} ({why})" for family, why in sorted(found.items())]
