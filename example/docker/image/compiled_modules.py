"""Find distributions that were compiled here without the compiled modules of their wheels.

Many packages build their extension only where a header or a library is there, and say nothing
otherwise: they work, and are slower. Only the names of the wheels on the index tell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# In a list of files, where a name with a comma has quotes.
MODULE = re.compile(rb'\.so"?,')


def without(environment: Path, locked: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield names and versions of locked packages that are installed without compiled modules.

    In: packages as docker/image/split_facts.py writes them. One with a wheel that is not for an ABI
    may do without, and so may one that has no wheels.
    """
    published = {x["name"] for x in locked if _has_modules(x["files"])}
    for folder in environment.glob("lib/python3*/site-packages/*.dist-info"):
        named, _, version = folder.name.removesuffix(".dist-info").partition("-")
        # As poetry.lock has it (PEP 503).
        name = re.sub(r"[-_.]+", "-", named).lower()
        record = folder / "RECORD"
        files = record.read_bytes() if record.exists() else b""
        if name in published and not MODULE.search(files):
            yield f"{name} {version}"


def _has_modules(files: Iterable[str]) -> bool:
    """Tell whether all wheels among a release's files are for an ABI of Python.

    https://packaging.python.org/specifications/binary-distribution-format/#file-name-convention
    """
    wheels = [file.removesuffix(".whl").split("-") for file in files if file.endswith(".whl")]
    return bool(wheels) and all(len(parts) > 4 and parts[-2] != "none" for parts in wheels)
