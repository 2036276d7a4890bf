"""Mounts that engines leave behind when they are killed."""

import subprocess
from pathlib import Path


def unmount(folder: Path) -> None:
    """Remove what is mounted in a folder, the last first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", place], check=True)
