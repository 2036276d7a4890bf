"""The published example: a project as the template makes it, for readers who run nothing."""

import filecmp
import shutil
import tempfile
from pathlib import Path

from support import SupportError
from support.paths import REPOSITORY
from support.project import render

FOLDER = REPOSITORY / "example"
ANSWERS = {
    "project_name": "example",
    "services": "[postgres, redis]",
    "ci": "github",
}
# It names the commit and the folder that the template was rendered from.
LEFT_OUT = ".copier-answers.yml"


def run(*arguments: str) -> None:
    """Write the example anew; with ``--check``, raise SupportError where it has drifted."""
    if arguments not in ((), ("--check",)):
        raise SupportError("Usage: nox -s example, or nox -s example -- --check")
    with tempfile.TemporaryDirectory() as folder:
        made = render(ANSWERS, Path(folder, "example"))
        (made / LEFT_OUT).unlink()
        if arguments:
            _refuse_drift(made)
        else:
            shutil.rmtree(FOLDER, ignore_errors=True)
            shutil.copytree(made, FOLDER)


def _refuse_drift(made: Path) -> None:
    """Raise SupportError with the names of the files that differ from those in ``made``."""
    names = {*_files(made), *_files(FOLDER)}
    _, different, missing = filecmp.cmpfiles(made, FOLDER, names, shallow=False)
    if different or missing:
        listing = ", ".join(sorted([*different, *missing]))
        raise SupportError(
            f"The example is not what the template makes: {listing}. Run: nox -s example"
        )


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
