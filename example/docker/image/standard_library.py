"""What of the standard library the minimal runtime has."""

import fnmatch
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import BuildError

# Bytes, of Linux: limits.h.
LONGEST_PATH = 4096


class ListError(BuildError):
    """A list that is no text, or not one of paths."""

    subject = "Files"


def standard_library(exclude: Iterable[str], root: Path = Path("/")) -> Iterator[Path]:
    """Yield every file of the standard library that is kept, by its path below ``root``."""
    patterns = list(exclude)
    stdlib = Path(sysconfig.get_path("stdlib"))
    folder = root / stdlib.relative_to("/")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        skip = "__pycache__" in name or name.startswith(("site-packages/", "dist-packages/"))
        if path.is_file() and not skip and not any(fnmatch.fnmatch(name, p) for p in patterns):
            yield stdlib / name


def excluded(file: Path) -> list[str]:
    """Return the patterns of a list, which may have comments; raises ListError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ListError(f"{file.name} cannot be read ({error}). Save it as UTF-8.") from error
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_PATH:
            raise ListError(
                f"Line {number} of {file.name} is longer than a path can be. Correct it."
            )
    return [line for line in lines if line and not line.startswith("#")]
