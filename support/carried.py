"""The stages of one build, carried by save and load from engine to engine and measured on each.

The first engine builds the default project and saves it; every other one loads what was saved.
Sizes have to be the same to the byte, and so has what budgets let pass.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from support import SupportError, images, sizes
from support.project import Project, render

REPOSITORY_NAME = "seedpod-carried"
LAST = "production"
MEGABYTE = 1_000_000


def run(name: str) -> None:
    """Build into the folder ``name``, or load and compare where that was done before.

    Prints the bytes of each stage. Raises SupportError where they differ from the first engine's,
    and where a budget below the size lets production pass.
    """
    archive, figures = Path(name, "images.tar"), Path(name, "sizes.json")
    folder = render({})
    project = Project(folder, images.variables_for(folder))
    if figures.exists():
        expected: dict[str, int] = json.loads(figures.read_text())
        project.docker("load", "--quiet", f"--input={archive.resolve()}")
        found = _measure(project, list(expected))
    else:
        expected = found = _build(project, archive)
        # Written last: without it nothing was saved.
        figures.write_text(json.dumps(expected))
    _print(expected, found)
    _refuse_a_budget_that_lets_pass(project, found)
    project.docker("rmi", *map(_name, found))
    if found != expected:
        raise SupportError(
            "The same images have other sizes on this engine. Compare the table above with what "
            "docker save gives on both."
        )


def _build(project: Project, archive: Path) -> dict[str, int]:
    """Build all stages, save them and return their sizes in bytes."""
    project.nox("docker_size")
    stages = list(json.loads((project.folder / "build/sizes.json").read_text()))
    for stage in stages:
        project.docker("tag", f"{project.name}:{stage}", _name(stage))
    archive.parent.mkdir(parents=True, exist_ok=True)
    project.docker("save", f"--output={archive.resolve()}", *map(_name, stages))
    return _measure(project, stages)


def _name(stage: str) -> str:
    return f"{REPOSITORY_NAME}:{stage}"


def _measure(project: Project, stages: list[str]) -> dict[str, int]:
    """Return the size of each stage in bytes; nothing that was measured before is known."""
    with tempfile.TemporaryDirectory() as cache:
        fresh = Project(project.folder, {**project.variables, "XDG_CACHE_HOME": cache})
        measured = sizes.measure(fresh, *map(_name, stages))
    return {stage: found.size for stage, found in zip(stages, measured, strict=True)}


def _refuse_a_budget_that_lets_pass(project: Project, found: dict[str, int]) -> None:
    """Raise SupportError unless a budget of the size is kept, and one 1 MB smaller is not."""
    for budget, status in ((found[LAST], 0), (found[LAST] - MEGABYTE, 1)):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "pyproject.toml").write_text(
                f'[tool.seedpod.size]\n{LAST} = "{budget / MEGABYTE:.6f} MB"\n'
            )
            program = [sys.executable, str(project.folder / "docker/host/sizes.py")]
            stages = [f"{stage}={_name(stage)}" for stage in ("base", LAST)]
            done = subprocess.run(
                [*program, *stages],
                cwd=folder,
                env=project.environment(),
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if done.returncode != status or ("Over budget" in done.stdout) != bool(status):
            raise SupportError(
                f"A budget of {budget} bytes for {found[LAST]} ends with {done.returncode}. "
                f"Fix what the program says: {done.stdout}"
            )
    print(f"A budget of {budget} bytes for {found[LAST]} is refused.")


def _print(expected: dict[str, int], found: dict[str, int]) -> None:
    table = Table("stage", "bytes", "on the first engine")
    for stage, size in expected.items():
        table.add_row(stage, str(found[stage]), str(size))
    Console(highlight=False).print(table)
