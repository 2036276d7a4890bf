"""Where things are kept: the repository, and the user's cache folder."""

import fcntl
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

REPOSITORY = Path(__file__).resolve().parent.parent


def cache(*parts: str) -> Path:
    """Return a path under Seedpod's folder in the user's cache (``XDG_CACHE_HOME`` is honoured)."""
    return Path(platformdirs.user_cache_dir("seedpod", appauthor=False)).joinpath(*parts)


def content_key(*parts: str | bytes) -> str:
    """Return twelve hexadecimal digits that change whenever one of ``parts`` does."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


def files_key(paths: Iterable[Path]) -> str:
    """Return a key, as ``content_key`` does, of the names and contents of files in Seedpod."""
    files = sorted(path for path in paths if path.is_file())
    named = ((str(path.relative_to(REPOSITORY)), path.read_bytes()) for path in files)
    return content_key(*(part for pair in named for part in pair))


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep other processes of this user from doing what ``name`` says at the same time."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{re.sub('[^a-z0-9.]+', '-', name)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
