"""What an installation of packages has made: files that no package's list names, too.

A package's scripts make caches, settings and links when it is installed (postinst, triggers,
update-alternatives(1)). The root file systems before and after show them.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from set_dates import EPOCH

APART = {
    # Mounts of a build.
    *("/base", "/docker", "/metadata", "/minimal", "/opt/venv", "/production"),
    # What other steps of the same stages make.
    *("/opt/test", "/test"),
    # What engines fill.
    *("/dev", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/run", "/sys", "/tmp"),
    # What package managers keep for themselves, and useradd(8).
    *("/etc/apk", "/lib/apk", "/var/lib/apt", "/var/lib/dpkg", "/var/log"),
    *(f"/var/cache/{name}" for name in ("apk", "apt", "debconf", "ldconfig", "packages")),
    *(f"/etc/{name}" for name in ("group-", "gshadow", "gshadow-", "passwd-", "shadow", "shadow-")),
    "/root",
}


def made(before: Path, root: Path = Path("/")) -> Iterator[Path]:
    """Yield the files and links below ``root`` that differ from those below ``before``."""
    waiting = [root]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            inside = path.relative_to(root)
            if str(Path("/", inside)) in APART:
                continue
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif (path.is_file() or path.is_symlink()) and differ(path, before / inside):
                yield path


def differ(path: Path, old: Path) -> bool:
    """Tell whether a file or link is not what it was."""
    try:
        now, then = path.lstat(), old.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    if stat.S_ISLNK(now.st_mode) and stat.S_ISLNK(then.st_mode):
        return path.readlink() != old.readlink()
    # The Dockerfile takes the rights of an owner away from all programs.
    modes = [x.st_mode & ~(stat.S_ISUID | stat.S_ISGID) for x in (now, then)]
    if modes[0] != modes[1] or now.st_size != then.st_size:
        return True
    # A base image, too, may have been made with one date for all that is changed.
    if now.st_mtime == then.st_mtime == EPOCH:
        return path.read_bytes() != old.read_bytes()
    return now.st_mtime_ns != then.st_mtime_ns
