"""Remove from what uv has installed its own records, which are of no use in an image.

They are a lock, and the date of a wheel that was installed by its path
(https://docs.astral.sh/uv/concepts/cache).
"""

from pathlib import Path

# In the folder of a distribution; RECORD lists them (packaging.python.org, recording installed
# projects).
RECORDS = ("uv_build.json", "uv_cache.json")


def remove(prefix: Path) -> None:
    """Remove them below a folder that is laid out as a virtual environment."""
    (prefix / ".lock").unlink(missing_ok=True)
    for distribution in prefix.glob("lib/python3.*/site-packages/*.dist-info"):
        own = [distribution / name for name in RECORDS if (distribution / name).exists()]
        if own:
            record = distribution / "RECORD"
            starts = tuple(f"{distribution.name}/{path.name},".encode() for path in own)
            lines = record.read_bytes().splitlines(keepends=True)
            record.write_bytes(b"".join(x for x in lines if not x.startswith(starts)))
            for path in own:
                path.unlink()
