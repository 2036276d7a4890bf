"""What was measured so far, in a file, so that a run which was ended goes on where it stopped."""

import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support import SupportError
from support.bench.applications import pin
from support.docker import Client
from support.paths import REPOSITORY, content_key

FORMAT = 1
FOLDER = REPOSITORY / "build/bench"
Results = dict[str, Any]


class State:
    """The results, which are written after each figure."""

    def __init__(self, path: Path, mode: str) -> None:
        """Read ``path`` if it is of the same mode and the same sources, else begin anew."""
        self.path = path
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
                "versions": {},
                "scopes": {},
                "sizes": {},
                "sessions": {},
                "failures": [],
                "left_out": [],
                "remarks": [],
                "growth": {},
            }
        self._since = time.monotonic()

    def next(self) -> int:
        """Return a number that was never used."""
        self.results["number"] += 1
        self.save()
        return int(self.results["number"])

    def seconds(self) -> float:
        """Return how long this run has taken, with what was before it was ended."""
        now = time.monotonic()
        self.results["seconds"] += now - self._since
        self._since = now
        return float(self.results["seconds"])

    def say(self, words: str) -> None:
        """Print what is done now, with the seconds that the run has taken."""
        print(f"{self.seconds():5.0f} s  {words}", flush=True)

    def out_of_time(self, limit: float, what: str) -> bool:
        """Tell whether the run has taken ``limit`` seconds; then ``what`` is left out."""
        if self.seconds() < limit:
            return False
        self.leave_out(f"{what}, for want of time")
        return True

    def leave_out(self, words: str) -> None:
        """Note what is not measured, and why."""
        self.say(f"left out: {words}")
        if words not in self.results["left_out"]:
            self.results["left_out"].append(words)
        self.save()

    def remark(self, words: str) -> None:
        """Note what a reader of the report has to know."""
        self.say(words)
        if words not in self.results["remarks"]:
            self.results["remarks"].append(words)
        self.save()

    def note_failure(self, place: str, error: SupportError) -> None:
        """Note and print what failed; the run goes on."""
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
    """Return a key of what is measured and of what measures."""
    files = sorted(
        path
        for folder in ("template", "support/bench")
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    parts = [
        part for path in files for part in (str(path.relative_to(REPOSITORY)), path.read_bytes())
    ]
    return content_key(*parts)


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
    }


def versions(client: Client) -> dict[str, str]:
    """Return the versions of what takes part."""
    buildx = client.run("buildx", "version").stdout.split()
    return {
        "Docker": client.server_version(),
        "buildx": next(
            (word for word in buildx if word[:1].isdigit()), buildx[1] if buildx else ""
        ),
        "uv": pin("uv"),
        "Poetry": pin("poetry"),
        "poetry-core": pin("poetry-core"),
    }
