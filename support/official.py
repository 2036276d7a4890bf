"""The default project on the official images, every base in every runtime, in one table.

It is for machines where a registry answers: everything else here runs on stand-ins.
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import product

from rich.console import Console
from rich.table import Table

from support import SupportError, demo, engine, images
from support.project import BUILD_FOLDER, Project, choices, render

PATH = "/healthz"
PASSED = "passed"
WIDTH = 160


def run() -> None:
    """Build, measure, test and run each image and print the table.

    Raises SupportError where no registry serves an official image, and at the end when one of them
    is not served or anything failed.
    """
    client = engine.ensure()
    asked = {name: choices(name) for name in ("base", "runtime")}
    projects: list[Project] = []
    for row in product(*asked.values()):
        answers = dict(zip(asked, row, strict=True))
        folder = render(answers, BUILD_FOLDER / "official" / f"official-{'-'.join(row)}")
        reference = images.default_reference(folder / "Dockerfile")
        projects.append(Project(folder, client.replace(PYTHON_IMAGE=reference).variables))
    references = {project.variables["PYTHON_IMAGE"] for project in projects}
    served = {name for name in sorted(references) if images.available(name, client)}
    if not served:
        raise SupportError(
            f"No registry serves {' or '.join(sorted(references))}. "
            "Run this where one answers; nox -s demo shows the same on a stand-in."
        )
    rows = [
        _examined(project) if project.variables["PYTHON_IMAGE"] in served else {}
        for project in projects
    ]
    _print(projects, rows)
    if not all(row and set(_verdicts(row)) == {PASSED} for row in rows):
        raise SupportError("Not everything passed. What was printed above the table says why.")


STEPS: dict[str, Callable[[Project], object]] = {
    "within budgets": lambda project: project.nox("docker_size"),
    "its tests": lambda project: project.nox("docker_test"),
    "its checks": lambda project: project.nox("docker_check"),
    "run hardened": lambda project: demo.ask(project, PATH),
}


def _examined(project: Project) -> dict[str, str]:
    """Return what is shown of a project: the verdict of each step, its size and the seconds."""
    start, row = time.monotonic(), {}
    project.nox("lock")
    for step, take in STEPS.items():
        try:
            take(project)
        except SupportError as error:
            print(error)
            row[step] = "failed"
        else:
            row[step] = PASSED
    report = project.folder / "build/sizes.json"
    if report.exists():
        sizes = json.loads(report.read_text(encoding="utf-8"))
        row["MB"] = f"{sizes['production']['size'] / 1e6:.1f}"
        row["compressed"] = f"{sizes['production']['compressed'] / 1e6:.1f}"
    return {**row, "seconds": f"{time.monotonic() - start:.0f}"}


def _verdicts(row: dict[str, str]) -> list[str]:
    return [row[step] for step in STEPS]


def _print(projects: list[Project], rows: list[dict[str, str]]) -> None:
    columns = [*STEPS, "MB", "compressed", "seconds"]
    table = Table("project", "official image", *columns)
    for project, row in zip(projects, rows, strict=True):
        cells = [row.get(column, "") for column in columns] if row else ["not served"]
        table.add_row(project.name, project.variables["PYTHON_IMAGE"], *cells)
    # Without a terminal, where a line may have any length, it would be 80 columns wide.
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(table)
