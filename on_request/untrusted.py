"""Read parsed documents that others wrote: what has not the expected form is left out."""

from collections.abc import Mapping
from typing import Any


def tables(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the tables of a list; none if it is something else."""
    found = value.get(key)
    return [x for x in found if isinstance(x, dict)] if isinstance(found, list) else []


def text(value: Mapping[str, Any], key: str) -> str | None:
    """Return a text; None if it is something else."""
    found = value.get(key)
    return found if isinstance(found, str) else None
