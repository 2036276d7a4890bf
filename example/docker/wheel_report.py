"""Say which wheels have to be compiled, and after that which were made, from where, and how fast.

    python docker/wheel_report.py plan wheels.json [--only-binary]
    python docker/wheel_report.py done wheels.json WHEELHOUSE

The first exits with status 1 if something has to be compiled and must not. The second removes from
the wheelhouse of the plan's platform what the lock does not name any more.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "wheels.json"


def table(manifest: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line for each wheel: where it came from, seconds and megabytes."""
    width = max((len(name) for name in manifest), default=0)
    lines = []
    for name, entry in sorted(manifest.items()):
        took = f"{entry['seconds']:7.1f} s" if entry["new"] else "    there"
        size = entry["size"] / 1_000_000
        lines.append(f"{name:{width}}  {entry['origin']:5}  {took}  {size:7.2f} MB")
    return "\n".join(lines)


def summary(manifest: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many wheels were built, taken from the index, and there."""
    new = [entry["origin"] for entry in manifest.values() if entry["new"]]
    return (
        f"{len(manifest)} wheels: {new.count('built')} built, {new.count('index')} taken from the "
        f"index, {len(manifest) - len(new)} there."
    )


def prune(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Delete the wheels in a folder that its manifest does not name; return their names."""
    gone = [path for path in folder.glob("*.whl") if path.name not in manifest]
    for path in gone:
        path.unlink()
    return sorted(path.name for path in gone)


def main() -> None:
    """Report on the plan in a file."""
    step, plan_file, *rest = sys.argv[1:]
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    if step == "plan":
        if plan["announcement"]:
            print(plan["announcement"])
            if rest == ["--only-binary"]:
                sys.exit("Lock versions that have wheels, or leave --only-binary out.")
        return
    folder = Path(rest[0], plan["tag"])
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in prune(folder, manifest):
        print(f"{name} is not locked any more and deleted.")
    print(table(manifest))
    print(f"{folder}: {summary(manifest)}")


if __name__ == "__main__":
    main()
