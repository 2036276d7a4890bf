"""docker/host/compose.py leaves no lock of a "watch" that has ended."""

import os
import subprocess
import sys
from pathlib import Path

import compose
import pytest


@pytest.mark.parametrize("place", ["XDG_RUNTIME_DIR", "HOME"])
def test_a_lock_of_a_process_that_has_ended_goes_and_any_other_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """The next process with its number would lock the project."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(place, str(tmp_path))
    folder = tmp_path if place == "XDG_RUNTIME_DIR" else tmp_path / ".docker/docker-compose"
    folder.mkdir(parents=True, exist_ok=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, text in {"ended": ended.pid, "runs": os.getpid(), "damaged": "x"}.items():
        (folder / f"{name}.pid").write_text(str(text))
        compose.unlock(name)
    compose.unlock("none")
    assert sorted(path.name for path in folder.iterdir()) == ["damaged.pid", "runs.pid"]
