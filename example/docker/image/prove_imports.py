"""Import every module of an environment, and tell which of them cannot be imported.

    PYTHON docker/image/prove_imports.py MODULE …

As a program it imports these in its own process, and writes the names of those that fail in lines,
each begun before it is imported, because some end the interpreter.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import import_modules

BEGUN, FAILED = "begun ", "failed "
MOST_SECONDS = 600


def failures(python: Path, modules: Iterable[str], user: int | None = None) -> dict[str, str]:
    """Return the modules that cannot be imported by an interpreter, with the reasons.

    In: the number of a user to do it as, who can write nothing that is kept. The modules of each
    package have a process of their own: what one leaves behind in it could help or hinder another
    one's.
    """
    ordered = sorted(modules)
    packages = [list(group) for _, group in groupby(ordered, lambda x: x.partition(".")[0])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found: dict[str, str] = {}
        for failed in pool.map(lambda package: _of_package(python, package, user), packages):
            found |= failed
    return found


def _of_package(python: Path, modules: list[str], user: int | None) -> dict[str, str]:
    failed: dict[str, str] = {}
    waiting = modules
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
            "HOME": folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": folder,
        }
        while waiting:
            command = [str(python), "-W", "ignore", __file__, *waiting]
            lines = _lines(command, folder, environment, user)
            begun = [line.removeprefix(BEGUN) for line in lines if line.startswith(BEGUN)]
            for line in lines:
                if line.startswith(FAILED):
                    name, _, reason = line.removeprefix(FAILED).partition(" ")
                    failed[name] = reason
            # The interpreter has ended in the last one that it began, or before the first.
            if "done" in lines:
                break
            last = begun[-1] if begun else waiting[0]
            failed[last] = "the interpreter ended"
            waiting = waiting[waiting.index(last) + 1 :]
    return failed


def _lines(
    command: list[str], folder: str, environment: Mapping[str, str], user: int | None
) -> list[str]:
    """Return what a program has written to its own file, whatever modules print."""
    report = Path(folder, "report")
    report.write_text("")
    report.chmod(0o666)
    with suppress(subprocess.TimeoutExpired, PermissionError):
        subprocess.run(
            command,
            cwd=folder,
            env={**environment, "REPORT": str(report)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=False,
            timeout=MOST_SECONDS,
        )
    return report.read_text(encoding="utf-8").splitlines()


def main() -> None:
    """Import the modules that the arguments name."""
    signal.signal(signal.SIGALRM, import_modules.late)
    # The folder of this program, whose libraries are not to be found.
    del sys.path[0]
    with open(os.environ["REPORT"], "a", encoding="utf-8", buffering=1) as report:
        modules, sys.argv = sys.argv[1:], sys.argv[:1]
        for name in modules:
            print(f"{BEGUN}{name}", file=report)
            for error in import_modules.attempt({name: Path()}, ()).values():
                told = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"{FAILED}{name} {told}", file=report)
        print("done", file=report)
    # What a module has started in the background is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
