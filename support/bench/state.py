"""What was measured so far, in a file, so that a run which was ended goes on where it stopped."""

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support import SupportError
from support.bench.applications import pin
from support.docker import Client
from support.paths import REPOSITORY, files_key

FORMAT = 2
FOLDER = REPOSITORY / "build/bench"
# What decides about the figures. The other programs only show them.
SOURCES = (
    "template",
    "support/images",
    "support/bench/peers",
    "support/bench/packages.txt",
    *(
        f"support/bench/{name}.py"
        for name in (
            *("applications", "cases", "contestants", "growth", "measuring"),
            *("plan", "sessions", "ways"),
        )
    ),
    "support/sizes.py",
    "support/transfer.py",
)
VERSIONS = "import platform, pip; print(platform.python_version(), pip.__version__)"
Results = dict[str, Any]


class State:
    """The results, which are written after each figure."""

    def __init__(self, path: Path, mode: str) -> None:
        """Read ``path`` if it is of the same mode and the same sources, else begin anew."""
        self.path, self.mode = path, mode
        key = sources_key()
        self.results: Results = {}
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if (found.get("format"), found.get("mode"), found.get("key")) == (FORMAT, mode, key):
                self.results = found
        self.resumed = bool(self.results) and not self.results["finished"]
        if not self.resumed:
            self.results = {
                "format": FORMAT,
                "mode": mode,
                "key": key,
                "date": datetime.now(UTC).strftime("%Y-%m-%d"),
                "finished": False,
                "seconds": 0.0,
                # Begins with the time of day: no earlier run has left its like in the build cache.
                "number": int(time.time()),
                "machine": machine(),
                "load": round(os.getloadavg()[0], 1),
                "commit": commit(),
                "versions": {},
                "scopes": {},
                "sizes": {},
                "sessions": {},
                "failures": [],
                "left_out": [],
                "remarks": [],
                "growth": {},
                "growth_finished": [],
            }
        self._since = time.monotonic()
        self._counts = True

    def next(self) -> int:
        """Return a number that was never used."""
        self.results["number"] += 1
        self.save()
        return int(self.results["number"])

    def seconds(self) -> float:
        """Return how long this run has taken, with what was before it was ended."""
        now = time.monotonic()
        if self._counts:
            self.results["seconds"] += now - self._since
        self._since = now
        return float(self.results["seconds"])

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Stop the run's clock for what is made once on a machine, such as base images."""
        self.seconds()
        self._counts = False
        try:
            yield
        finally:
            self.seconds()
            self._counts = True

    def say(self, words: str) -> None:
        """Print what is done now, with the seconds that the run has taken."""
        print(f"{self.seconds():5.0f} s  {words}", flush=True)

    def out_of_time(self, limit: float, place: str) -> bool:
        """Tell whether the run has taken ``limit`` seconds; then ``place`` is left out."""
        if self.seconds() < limit:
            return False
        self.leave_out(place, "for want of time")
        return True

    def leave_out(self, place: str, why: str) -> None:
        """Note what is not measured, and why."""
        self.settle(place)
        self.say(f"left out: {place}, {why}")
        self.results["left_out"].append({"place": place, "why": why})
        self.save()

    def settle(self, place: str) -> None:
        """Forget that a place was left out or failed: it is measured now."""
        for notes in ("left_out", "failures"):
            self.results[notes] = [each for each in self.results[notes] if each["place"] != place]

    def remark(self, words: str) -> None:
        """Note what a reader of the report has to know."""
        self.say(words)
        if words not in self.results["remarks"]:
            self.results["remarks"].append(words)
        self.save()

    def note_failure(self, place: str, error: SupportError) -> None:
        """Note and print what failed; the run goes on."""
        self.settle(place)
        self.results["failures"].append({"place": place, "error": self.last_line(error)})
        self.say(f"failed: {place}: {error}")

    @staticmethod
    def last_line(error: SupportError) -> str:
        """Return what an error ends with, where engines and programs say what is wrong."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return lines[-1][:300]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.seconds()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        new.replace(self.path)


def sources_key() -> str:
    """Return a key of what is measured and of what measures, not of what shows it."""
    roots = [REPOSITORY / name for name in SOURCES]
    return files_key(
        path
        for root in roots
        for path in (root.rglob("*") if root.is_dir() else [root])
        if "__pycache__" not in path.parts
    )


def machine() -> dict[str, str]:
    """Return what the machine is, without its name."""
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    )
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    release = platform.freedesktop_os_release() if os.path.exists("/etc/os-release") else {}
    return {
        "processor": model or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 1e9:.0f} GB",
        "system": release.get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
    }


def commit() -> str:
    """Return Seedpod's commit, with "-dirty" where files differ from it; '' without Git."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def versions(client: Client, base: str) -> dict[str, str]:
    """Return the versions of what takes part; those of Python and pip are the base image's."""
    buildx = client.run("buildx", "version").stdout.split()
    builder = re.search(r"BuildKit version:\s*v?(\S+)", client.run("buildx", "inspect").stdout)
    python = client.run("run", "--rm", base, "python3", "-c", VERSIONS).stdout.split()
    return {
        **dict(zip(("Python", "pip"), python, strict=False)),
        "Docker": client.server_version(),
        "buildx": next(
            (word for word in buildx if word[:1].isdigit()), buildx[1] if buildx else ""
        ),
        "BuildKit": builder[1] if builder else "",
        "uv": pin("uv"),
        "Poetry": pin("poetry"),
        "poetry-core": pin("poetry-core"),
    }
