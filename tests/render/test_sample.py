"""The sample application, as far as it runs without its packages."""

import subprocess
import sys
from pathlib import Path

from support.project import render

# Stands for the server, which cannot be installed here. While it is imported a signal comes in what
# Python calls by itself, where no exception gets out: as importlib has for every module.
UVICORN = """
import signal, time, weakref

class Lock:
    pass

lock = Lock()
reference = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGTERM))
del lock
time.sleep(60)
"""


def test_a_server_ends_at_a_signal_whatever_an_import_is_doing(tmp_path: Path) -> None:
    render({"project_name": "shop"}, tmp_path)
    (tmp_path / "src/uvicorn.py").write_text(UVICORN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "shop"],
        cwd=tmp_path / "src",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
