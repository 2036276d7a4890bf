"""Make a wheel of every locked package, in .wheels; say what is compiled, and how long that took.

    python docker/host/wheels.py [--only-binary]

With --only-binary it ends with status 1 if something has to be compiled. What the lock does not
name any more is removed from the wheelhouse of each platform that is made.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import engine
import platforms
import settings
from session import ended_by_errors

WHEELHOUSE = ".wheels"
ONLY_BINARY = "--only-binary"


def table(manifest: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line for each wheel: where it came from, seconds and megabytes."""
    width = max((len(name) for name in manifest), default=0)
    lines = []
    for name, entry in sorted(manifest.items()):
        took = f"{entry['seconds']:7.1f} s" if entry["new"] else "     kept"
        size = entry["size"] / 1_000_000
        lines.append(f"{name:{width}}  {entry['origin']:5}  {took}  {size:7.2f} MB")
    return "\n".join(lines)


def summary(manifest: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many wheels were built, taken from the index, and kept."""
    new = [entry["origin"] for entry in manifest.values() if entry["new"]]
    return (
        f"{len(manifest)} wheels: {new.count('built')} built, {new.count('index')} taken from the "
        f"index, {len(manifest) - len(new)} kept."
    )


def prune(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Delete the wheels in a folder that its manifest does not name; return their names."""
    gone = [path for path in folder.glob("*.whl") if path.name not in manifest]
    for path in gone:
        path.unlink()
    return sorted(path.name for path in gone)


def announce(plan: Mapping[str, Any], *, only_binary: bool) -> None:
    """Print what will be compiled; ends the program if nothing may be, or if not all can be had."""
    if plan["refused"]:
        sys.exit(plan["refused"])
    if plan["announcement"]:
        print(plan["announcement"], flush=True)
        if only_binary:
            sys.exit(f"Lock versions that have wheels, or leave {ONLY_BINARY} out.")


def report(folder: Path) -> None:
    """Print what is in a platform's folder; wheels that its manifest does not name are removed."""
    # Not read_json: by a damaged manifest, taken for an empty one, every wheel would be removed.
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in prune(folder, manifest):
        print(f"{name} is not locked any more and deleted.")
    print(table(manifest))
    print(f"{folder}: {summary(manifest)}")


def main() -> None:
    """Fill the wheelhouse."""
    if sys.argv[1:] not in ([], [ONLY_BINARY]):
        sys.exit("Usage: nox -s docker_wheels [-- --only-binary]")
    settings.apply()
    with ended_by_errors():
        for platform in platforms.wanted():
            plan = engine.exported("wheel-plan", "wheel-plan.json", platform=platform)
            announce(plan, only_binary=ONLY_BINARY in sys.argv)
            engine.export("wheelhouse", WHEELHOUSE, platform=platform)
            report(Path(WHEELHOUSE, plan["tag"]))


if __name__ == "__main__":
    main()
