"""Write sys.lock from what docker/system_resolve.py found, or tell whether it is up to date.

    python docker/system_lock.py resolved.json [--check]

Docker tells the base image's digest. What sys.lock has for other releases and other
processors stays. With --check nothing is written, and the exit status is 1 if the packages or what
is declared have changed; another digest or date alone does not matter.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import system

HEADER = '# The exact system packages of the image; written by "nox -s sys_lock".'


def base_image() -> str:
    """Return the base image in use: PYTHON_IMAGE, else the one that the Dockerfile names."""
    line = re.search(r"^ARG PYTHON_IMAGE=(\S+)", Path("Dockerfile").read_text(), flags=re.M)
    return os.environ.get("PYTHON_IMAGE") or (line[1] if line else "")


def digest(image: str) -> str:
    """Return the digest of an image, pulled if it is not there: the registry's where it has one.

    Ends the program if there is no such image.
    """
    template = "{{with .RepoDigests}}{{index . 0}}{{else}}{{.Id}}{{end}}"
    inspect = ["docker", "image", "inspect", "--format", template, image]
    done = subprocess.run(inspect, capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run(["docker", "pull", "--quiet", image], stdout=sys.stderr, check=False)
        done = subprocess.run(inspect, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The base image {image} cannot be inspected. Mend what Docker reported.")
    return done.stdout.strip().rpartition("@")[2]


def differences(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Return in words what a lock's entry for an image has to change, if anything."""
    if old is None:
        return [f"nothing is locked for {new['release']} on {new['architecture']}"]
    was, now = ({x["name"]: x for x in entry.get("package", [])} for entry in (old, new))
    changed = [
        f"{name} is {now[name]['version'] if name in now else 'not needed any more'}, "
        f"locked is {was[name]['version'] if name in was else 'none'}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    if not changed and old["declaration"] != new["declaration"]:
        return ["pyproject.toml declares other versions"]
    return changed


def text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return sys.lock with an entry for each image, sorted (https://toml.io/en/v1.0.0)."""
    lines = [HEADER, f"version = {system.LOCK_VERSION}"]
    for entry in sorted(entries, key=lambda x: (x["release"], x["architecture"])):
        plain = {key: value for key, value in entry.items() if key != "package" and value}
        lines += ["", "[[image]]", *_pairs(plain)]
        for package in sorted(entry.get("package", []), key=lambda x: str(x["name"])):
            lines += ["", "[[image.package]]", *_pairs(package)]
    return "\n".join(lines) + "\n"


def _pairs(values: Mapping[str, Any]) -> list[str]:
    # Names, versions, digests and lists of them: JSON's form of these is TOML's.
    return [f"{key} = {json.dumps(value)}" for key, value in sorted(values.items())]


def _write(path: Path, content: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(content, encoding="utf-8")
    os.replace(new, path)


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a lock; none if it is not there or cannot be read any more."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, tomllib.TOMLDecodeError):
        return []
    entries: list[dict[str, Any]] = content.get("image", [])
    return entries if content.get("version") == system.LOCK_VERSION else []


def main() -> None:
    """Write or check sys.lock in this folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("resolved", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    new = json.loads(arguments.resolved.read_text(encoding="utf-8"))
    path = Path(system.LOCK)
    entries = {(x["release"], x["architecture"]): x for x in _read(path)}
    key = (new["release"], new["architecture"])
    if not new["package"] and key not in entries:
        print(f"pyproject.toml declares no system packages for {new['release']}.")
        return
    changed = differences(entries.get(key), new)
    if arguments.check:
        for change in changed:
            print(f"{system.LOCK} is out of date: {change}.")
        sys.exit("Run nox -s sys_lock." if changed else 0)
    entries.pop(key, None)
    if new["package"]:
        image = base_image()
        entries[key] = {**new, "base-image": image, "base-digest": digest(image)}
    _write(path, text(entries.values()))
    print(f"{system.LOCK} has {len(new['package'])} packages for {' on '.join(key)}.")


if __name__ == "__main__":
    main()
