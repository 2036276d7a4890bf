"""docker/image/uv_records.py removes uv's own records, and the lines that list them."""

from pathlib import Path

import pytest
import uv_records

RECORD = (
    "shop/__init__.py,sha256=47DE,0\n"
    'shop-1.dist-info/METADATA,"sha256=a,b",7\n'
    "shop-1.dist-info/uv_cache.json,sha256=Xy,126\n"
    "shop-1.dist-info/uv_build.json,sha256=Xz,2\n"
    "shop-1.dist-info/RECORD,,\n"
)


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """Return the folder of an installed distribution, with all of uv's records."""
    folder = tmp_path / "lib/python3.13/site-packages/shop-1.dist-info"
    folder.mkdir(parents=True)
    (tmp_path / ".lock").touch()
    for name in ("METADATA", "uv_cache.json", "uv_build.json"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=ascii)
def test_files_and_their_lines_go_and_nothing_else(
    tmp_path: Path, distribution: Path, ending: str
) -> None:
    (distribution / "RECORD").write_bytes(RECORD.replace("\n", ending).encode())
    uv_records.remove(tmp_path)
    assert {path.name for path in distribution.iterdir()} == {"METADATA", "RECORD"}
    kept = "".join(line for line in RECORD.splitlines(keepends=True) if "/uv_" not in line)
    assert (distribution / "RECORD").read_bytes() == kept.replace("\n", ending).encode()
    assert not (tmp_path / ".lock").exists()


def test_without_any_nothing_is_written(tmp_path: Path, distribution: Path) -> None:
    for path in distribution.glob("uv_*"):
        path.unlink()
    (tmp_path / ".lock").unlink()
    record = distribution / "RECORD"
    record.write_text("")
    before = record.stat().st_mtime_ns
    uv_records.remove(tmp_path)
    uv_records.remove(tmp_path / "nowhere")
    assert record.stat().st_mtime_ns == before
