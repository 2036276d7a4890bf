"""Run the project's own step of a build, and keep what it made.

    online python3 docker/image/run_step.py step.json OUTPUT

In: what docker/image/split_facts.py wrote of [tool.seedpod.image]: step, a command, and
step-output, the folders that it fills. It runs where all of production is installed, with its
environment, as root; only these folders are kept.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from build_environment import DATE
from errors import BuildError, ended_by_errors
from set_dates import set_dates


class StepError(BuildError):
    """A step that failed, or made nothing."""

    subject = "Step"


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command; StepError if it fails."""
    text = shlex.join(command)
    try:
        # What it makes is to be the same every time.
        given = {**DATE, **os.environ, **environment}
        status = subprocess.run(command, env=given, check=False).returncode
    except OSError as error:
        raise StepError(
            f"{text} cannot be run ({error.strerror}). Correct step in [tool.seedpod.image]."
        ) from error
    if status:
        raise StepError(f"{text} ends with status {status}. Fix what it reported.")


def keep(folders: list[str], root: Path, output: Path) -> None:
    """Copy folders, readable by all; StepError for one that is not there."""
    output.mkdir(parents=True)
    # What is in another one comes with it.
    apart = [x for x in folders if not any(x.startswith(f"{other}/") for other in folders)]
    for name in dict.fromkeys(apart):
        source = root / name.lstrip("/")
        if not source.is_dir():
            raise StepError(
                f"The step has not made {name}. Correct step-output in [tool.seedpod.image]."
            )
        shutil.copytree(source, output / name.lstrip("/"), symlinks=True)
    for path in output.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    for name in apart:
        for parent in Path(name.lstrip("/")).parents:
            shutil.copymode(root / parent, output / parent)
    set_dates(output)


def main() -> None:
    """Run the step and keep its folders."""
    file, output = map(Path, sys.argv[1:])
    settings = json.loads(file.read_text(encoding="utf-8"))
    with ended_by_errors():
        run(settings.get("step", []), settings.get("environment", {}))
        keep(settings.get("step-output", []), Path("/"), output)


if __name__ == "__main__":
    main()
