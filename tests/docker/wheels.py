"""Wheels of small packages that no index has."""

import zipfile
from pathlib import Path


def write_wheel(folder: Path, name: str, text: str) -> Path:
    """Write the wheel of a package with one module into a folder, and return it (PEP 427)."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": text,
        f"{name}-1.0.dist-info/METADATA": metadata,
        f"{name}-1.0.dist-info/WHEEL": tags,
        f"{name}-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in files.items():
            # Without the time of day: caches have the hash of an earlier run.
            wheel.writestr(zipfile.ZipInfo(member), content)
    return path
