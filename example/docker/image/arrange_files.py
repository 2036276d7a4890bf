"""Arrange the files that go into an image as they are, and the folders that any user may write.

    python3 docker/image/arrange_files.py ROOTFS data.json OUTPUT

In: a root file system with the project's own files, and what docker/image/split_facts.py wrote of
[tool.seedpod.image]. All belong to root and can be read by all, whatever the host's umask was; what
was executable still is. Folders that the image has, too, keep their rights, and those of data are
for any user, as /tmp is.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from errors import BuildError, ended_by_errors
from set_dates import set_dates

# What lets the Dockerfile copy a folder that may be missing.
SPARE = "arrange_files.py"
# Links of a root file system whose programs are in /usr: a folder would take their place.
LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "var/lock", "var/run")


class FilesError(BuildError):
    """Files that would damage an image."""

    subject = "Files"


def arrange(rootfs: Path, data: list[str], output: Path, root: Path = Path("/")) -> None:
    """Copy a root file system, and make the folders of data; raises FilesError.

    ``root`` is the image's own, whose folders keep their rights.
    """
    (rootfs / SPARE).unlink(missing_ok=True)
    for name in LINKS:
        if os.path.lexists(rootfs / name):
            raise FilesError(
                f"rootfs/{name} would replace a link of the image. "
                "Move what is there, programs to rootfs/usr/local/bin."
            )
    shutil.copytree(rootfs, output, symlinks=True)
    for name in data:
        folder = output / name.lstrip("/")
        try:
            folder.mkdir(parents=True, exist_ok=not folder.is_symlink())
        except OSError as error:
            raise FilesError(
                f"rootfs{name} is no folder, and data in [tool.seedpod.image] names it as one. "
                "Remove either."
            ) from error
    for path in [output, *output.rglob("*")]:
        existing = root / path.relative_to(output)
        if path.is_dir() and not path.is_symlink() and existing.is_dir():
            shutil.copymode(existing, path)
        elif not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    for name in data:
        # https://pubs.opengroup.org/onlinepubs/9799919799/functions/chmod.html: who made a file
        # there may delete it.
        (output / name.lstrip("/")).chmod(0o1777)
    set_dates(output)


def main() -> None:
    """Arrange what the arguments name."""
    rootfs, file, output = map(Path, sys.argv[1:])
    with ended_by_errors():
        arrange(rootfs, json.loads(file.read_text(encoding="utf-8")), output)


if __name__ == "__main__":
    main()
