"""Give files one date, so that the same commit makes the same layers, whenever it is built.

    python3 docker/image/set_dates.py FOLDER             all that is in a folder
    python3 docker/image/set_dates.py --changed BEFORE   what this root file system has, unlike BEFORE

It is no commit's date, because a later commit should have the same layers of packages. What an
image's configuration says of its date is SOURCE_DATE_EPOCH, by docker/host/engine.py.
"""

import calendar
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# In seconds: programs that pack files refuse dates before 1980.
EPOCH = calendar.timegm((1980, 1, 1, 0, 0, 0))


def set_date(path: Path) -> None:
    """Give a file, a link itself, or a folder the date."""
    os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def set_dates(root: Path) -> None:
    """Give it to a folder and all that is in it."""
    for path in (root, *root.rglob("*")):
        set_date(path)


def changed(before: Path, root: Path = Path("/")) -> Iterator[Path]:
    """Yield what differs in date from what is below ``before``; mounts are passed over."""
    device = root.stat().st_dev
    waiting = [root]
    while waiting:
        for path in waiting.pop().iterdir():
            now, old = path.lstat(), before / path.relative_to(root)
            if now.st_dev != device:
                continue
            if not os.path.lexists(old) or old.lstat().st_mtime_ns != now.st_mtime_ns:
                yield path
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)


def main() -> None:
    """Do what the arguments name."""
    match sys.argv[1:]:
        case ["--changed", before]:
            for path in list(changed(Path(before))):
                set_date(path)
        case [folder]:
            set_dates(Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
