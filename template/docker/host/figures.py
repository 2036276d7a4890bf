"""Sizes as they are written and shown, and tables of them. One MB is 1,000,000 bytes."""

import re
from typing import Any

from session import SessionError

# Bytes: more than any disk has, and less than calculations are limited to.
MOST = 1 << 62
UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def parse_size(text: Any, place: str) -> int:
    """Return a size like "58 MB" in bytes; SessionError, which names the place, if it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([kMG]B)", str(text).strip())
    if not found:
        raise SessionError(
            f'{place} has {text!r}, which is not a size. Write a number and a unit, like "58 MB".'
        )
    return int(float(found.group(1)) * UNITS[found.group(2)])


def is_size(value: Any) -> bool:
    """Tell whether a value that was kept is a number of bytes."""
    return isinstance(value, int) and abs(value) <= MOST


def show_size(size: int) -> str:
    """Return bytes as megabytes, or kilobytes below one of them."""
    return f"{size / 1e6:.1f} MB" if abs(size) >= UNITS["MB"] else f"{size / 1e3:.1f} kB"


def print_table(rows: list[list[str]]) -> None:
    """Print rows in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
