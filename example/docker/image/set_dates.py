"""Give files one date, so that the same commit makes the same layers, whenever it is built.

    python3 docker/image/set_dates.py FOLDER             all that is in a folder
    python3 docker/image/set_dates.py --changed BEFORE   what differs here from the folder BEFORE

It is no commit's date, because a later commit should have the same layers of packages. That is in
an image's configuration, by docker/host/pins.py.
"""

import calendar
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# In seconds: programs that pack files refuse dates before 1980.
EPOCH = calendar.timegm((1980, 1, 1, 0, 0, 0))
# In bytes: what may be in a folder that is made anew.
MOST = 1_000_000
# Where something is mounted (proc_pid_mountinfo(5)): that may be on the same device.
MOUNTS = {Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()}
# Where Python looks for distributions.
PACKAGES = ("dist-packages", "site-packages")


def set_date(path: Path) -> None:
    """Give a file, a link itself, or a folder the date."""
    os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def set_dates(root: Path) -> None:
    """Give it to a folder and all that is in it."""
    for path in (root, *root.rglob("*")):
        set_date(path)


def renew(before: Path, root: Path = Path("/")) -> None:
    """Make folders anew out of which something is gone that is below ``before``.

    What hides a file of a layer below has the time of its removal, which nothing can change, but a
    new folder hides all of an old one, and no time is written for that. (Docker's store overlay2:
    https://github.com/opencontainers/image-spec/blob/main/layer.md#opaque-whiteout; that of
    containerd writes SOURCE_DATE_EPOCH.) Not if more than a megabyte would have to be copied.
    """
    gone = {x.relative_to(before) for x, _ in walk(before)}
    gone = {x for x in gone if not os.path.lexists(root / x)}
    for name in sorted({x.parent for x in gone} - gone):
        folder, new = root / name, root / f"{name}.new"
        if folder in MOUNTS:
            # What is mounted there hides what is below, /dev for one.
            continue
        if sum(status.st_size for _, status in walk(folder)) <= MOST and not has_mounts(folder):
            subprocess.run(["cp", "-a", folder, new], check=True)
            shutil.rmtree(folder)
            new.rename(folder)
            continue
        for path in (root / x for x in sorted(gone) if x.parent == name):
            # An empty one hides as much. Of a distribution, it would be one without a name.
            if not (before / path.relative_to(root)).is_dir() or name.name in PACKAGES:
                continue
            # An empty folder among Python's modules could be imported; a file could not.
            if name.name.startswith("python3"):
                path.touch()
            else:
                path.mkdir()


def has_mounts(folder: Path) -> bool:
    """Tell whether anything in a folder is mounted there, as engines do in /etc."""
    return any(folder in path.parents for path in MOUNTS)


def set_dates_of_changes(before: Path, root: Path = Path("/")) -> None:
    """Give the date to what differs in its own from what is below ``before``."""
    for path, status in [*walk(root)]:
        old = before / path.relative_to(root)
        if not os.path.lexists(old) or old.lstat().st_mtime_ns != status.st_mtime_ns:
            set_date(path)


def walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield all that is in a folder, with its status; mounts are passed over."""
    waiting = [root]
    while waiting:
        for path in waiting.pop().iterdir():
            if path not in MOUNTS:
                status = path.lstat()
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)


def main() -> None:
    """Do what the arguments name."""
    match sys.argv[1:]:
        case ["--changed", before]:
            renew(Path(before))
            set_dates_of_changes(Path(before))
        case [folder]:
            set_dates(Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
