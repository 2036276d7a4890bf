"""Fill a wheelhouse: a wheel for every locked package, from the index or compiled here.

    /opt/tools/bin/python3 docker/image/make_wheels.py FACTS WHEELHOUSE OUTPUT

In: a folder with wheel-plan.json (docker/image/select_wheels.py) and development.json
(docker/image/split_facts.py), and the wheelhouse as it is. Out: the wheels that it lacks, and its
new manifest; what is there is not made again. Packages of build-first come first, in their order,
and are installed here for those of no-build-isolation, whose own declaration of what they need to
be built is not complete.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from packaging.version import Version

import build_environment
import index_logins
import wheelhouse
from errors import ended_by_errors
from poetry_lock import Chosen, requirements_file
from wheelhouse import MANIFEST, WheelhouseError

# The base image's; without one, that of /opt/tools.
OWN = Path(sys.executable).with_name("pip3")
PIP = (
    *(str(OWN) if OWN.exists() else "pip3", "--python", sys.executable),
    *("--no-input", "--disable-pip-version-check"),
)


def fetch(options: Iterable[str], packages: Iterable[Chosen], output: Path) -> dict[str, float]:
    """Download wheels from the index and return the seconds that each package took.

    Raises WheelhouseError if one is not available.
    """
    packages = list(packages)
    if not packages:
        return {}
    command = ["download", "--no-deps", "--only-binary=:all:", f"--dest={output}"]
    seconds: dict[str, float] = {}
    started, name = time.monotonic(), ""
    with (
        _hashed(options, packages) as listed,
        subprocess.Popen([*PIP, *command, *listed], stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        # pip fetches one after the other, and begins each with this line.
        for line in process.stdout:
            if line.startswith(("Collecting ", "Saved ")):
                seconds.setdefault(name, time.monotonic() - started)
                started, name = time.monotonic(), re.split("==|@", line.split()[1])[0]
        seconds.setdefault(name, time.monotonic() - started)
        if process.wait():
            raise WheelhouseError("pip could not download the wheels. Fix what it reported.")
    return seconds


def compile_wheel(options: Iterable[str], package: Chosen, isolated: bool, output: Path) -> float:
    """Make a wheel from a source distribution, and return the seconds that it took.

    Raises WheelhouseError if it cannot be made.
    """
    command = ["wheel", "--no-deps", f"--no-binary={package.name}", f"--wheel-dir={output}"]
    if not isolated:
        command.append("--no-build-isolation")
    started = time.monotonic()
    with _hashed(options, [package]) as listed:
        done = subprocess.run([*PIP, *command, *listed], check=False)
    if done.returncode:
        name = f"{package.name}=={package.version}"
        raise WheelhouseError(f"{name} cannot be compiled. Fix what pip reported.")
    return time.monotonic() - started


def install(wheel: Path) -> None:
    """Install a wheel here, for builds that find it without having asked for it.

    Raises WheelhouseError if it cannot be installed.
    """
    command = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    if subprocess.run([*PIP, *command], check=False).returncode:
        raise WheelhouseError(f"{wheel.name} cannot be installed. Fix what pip reported.")


def check_record(path: Path) -> None:
    """Compare the files of a wheel with the hashes that it has of them.

    Source: https://packaging.python.org/specifications/recording-installed-packages. Raises
    WheelhouseError for a file that differs, and for what is no wheel.
    """
    try:
        _check_record(path)
    # Another archive, or one that is damaged, encrypted, or packed otherwise.
    except (
        *(csv.Error, EOFError, OSError, RuntimeError),
        *(TypeError, ValueError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise WheelhouseError(
            f"{path.name} cannot be read ({error}). Delete the wheel and run nox -s docker_wheels."
        ) from error


def _check_record(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        there = set(wheel.namelist())
        # A package that bundles others, like setuptools, has records of theirs further down.
        records = [name for name in there if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
        if len(records) != 1:
            raise WheelhouseError(f"{path.name} is no wheel. Ask the makers of the package.")
        (record,) = records
        for name, recorded, _ in csv.reader(io.StringIO(wheel.read(record).decode())):
            if recorded:
                algorithm, _, expected = recorded.partition("=")
                found = hashlib.new(algorithm, wheel.read(name)).digest() if name in there else b""
                if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != expected:
                    raise WheelhouseError(
                        f"{name} in {path.name} is not what the wheel has recorded. "
                        "Delete the wheel and run nox -s docker_wheels."
                    )


@contextmanager
def _hashed(options: Iterable[str], packages: Iterable[Chosen]) -> Iterator[list[str]]:
    """Write a requirements file and yield the arguments that name it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text(requirements_file(options, packages))
        yield ["--require-hashes", f"--requirement={file}"]


def fill(
    packages: list[Chosen], options: list[str], plan: Mapping[str, Any], house: Path, output: Path
) -> dict[str, dict[str, Any]]:
    """Make the wheels that the wheelhouse lacks and return the manifest of all, by file name.

    Raises WheelhouseError for a wheel that is not available, or that is not what the lock names.
    """
    # What comes with the project need not be in a wheelhouse.
    packages = [package for package in packages if not package.path]
    there = wheelhouse.select(packages, house, set(sys_tags()), plan["no-binary"])
    old = wheelhouse.read_manifest(house)
    kept = {path.name: {**old[path.name], "new": False} for path, _ in there.values()}
    lacking = {x.name: x for x in packages if (x.name, x.version) not in there}
    source = [name for name in lacking if name in plan["compile"]]
    seconds = fetch(options, [lacking[name] for name in lacking if name not in source], output)
    unisolated = {name for name in source if name in plan["no-build-isolation"]}
    first = [name for name in plan["build-first"] if name in source or unisolated]
    for name in dict.fromkeys([*first, *sorted(source)]):
        if name in source:
            seconds[name] = compile_wheel(options, lacking[name], name not in unisolated, output)
        if name in first and unisolated:
            install(_wheel(name, [path for path, _ in there.values()], output))
    return {**kept, **_entries(lacking, seconds, source, output)}


def _wheel(name: str, there: Iterable[Path], output: Path) -> Path:
    """Return the wheel of a package, made before or now; WheelhouseError if it is not locked."""
    for path in (*there, *output.glob("*.whl")):
        if parse_wheel_filename(path.name)[0] == name:
            return path
    raise WheelhouseError(
        f"build-first names {name}, which is not locked. Add it to a group, then run nox -s lock."
    )


def _entries(
    lacking: Mapping[str, Chosen],
    seconds: Mapping[str, float],
    source: Collection[str],
    output: Path,
) -> dict[str, dict[str, Any]]:
    """Return the manifest's entries for the wheels made now, each compared with the lock."""
    entries = {}
    for path in sorted(output.glob("*.whl")):
        name, version, *_ = parse_wheel_filename(path.name)
        if name not in lacking or Version(lacking[name].version) != version:
            raise WheelhouseError(f"{path.name} is not what poetry.lock names. Run nox -s lock.")
        check_record(path)
        entries[path.name] = {
            "sha256": wheelhouse.digest(path),
            "origin": "built" if name in source else "index",
            "seconds": round(seconds.get(name, 0), 1),
            "size": path.stat().st_size,
            "new": True,
        }
    return entries


def main() -> None:
    """Fill the wheelhouse of this platform."""
    facts, house, output = map(Path, sys.argv[1:])
    plan = json.loads((facts / "wheel-plan.json").read_text())
    folder = output / plan["tag"]
    folder.mkdir(parents=True)
    with ended_by_errors():
        locked = wheelhouse.read_selection(facts / "development.json")
        if locked.refused:
            raise WheelhouseError(locked.refused)
        os.environ.update(build_environment.environment())
        os.environ.update(index_logins.variables(locked.sources, os.environ))
        manifest = fill(locked.packages, locked.options, plan, house / plan["tag"], folder)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
