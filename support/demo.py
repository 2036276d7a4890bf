"""The main job from nothing: scaffold, lock, build, check sizes, run read-only, get an answer."""

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table

from support import SupportError, engine, images, waiting
from support.paths import REPOSITORY
from support.project import Project, render
from support.transfer import bytes_to_push

START_SECONDS = 30
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PICTURE = REPOSITORY / "docs/pictures/demo.svg"
PICTURE_COLUMNS = 64


def run(*options: str) -> None:
    """Do it all and print the answer, the sizes and the times; SupportError if a step fails.

    With ``picture`` it also draws what it prints: README opens with that.
    """
    if options not in ((), ("picture",)):
        raise SupportError("Usage: nox -s demo, or nox -s demo -- picture.")
    times: dict[str, float] = {}
    with _timed(times, "start the engine"):
        engine.ensure()
    with _timed(times, "scaffold the project"):
        folder = render({})
    with _timed(times, "get the base image"):
        project = Project(folder, images.variables_for(folder))
    with _timed(times, "lock"):
        project.nox("lock")
    with _timed(times, "build the production image"):
        project.nox("docker_prod")
    with _timed(times, "check the sizes"):
        project.nox("docker_size")
    with _timed(times, "run it and ask for /"):
        answer = ask(project, "/")
    with _timed(times, "build again after an edit"):
        pushed = _edit_and_rebuild(project)
    report = _report(project, answer, pushed, times)
    console = Console(highlight=False, markup=False)
    console.print(*report, f"project     {project.folder}", sep="\n", soft_wrap=True)
    if options:
        draw(report)


@contextmanager
def _timed(times: dict[str, float], step: str) -> Iterator[None]:
    """Note how many seconds a step takes."""
    start = time.monotonic()
    yield
    times[step] = time.monotonic() - start


def ask(project: Project, path: str) -> str:
    """Run the image hardened on a free port and return what it answers to a request for ``path``.

    Raises SupportError when it does not start or does not answer.
    """
    image = f"{project.name}:production"
    container = project.docker("run", "--detach", *HARDENED, "--publish", "127.0.0.1::8000", image)
    try:
        address = project.docker("port", container, "8000")
        return waiting.fetch(f"http://{address}{path}", START_SECONDS)
    finally:
        project.docker("rm", "--force", container)


def _edit_and_rebuild(project: Project) -> int:
    """Change the application, build it again, and return the bytes that a push would send."""
    image, before = f"{project.name}:production", f"{project.name}:before-edit"
    project.docker("tag", image, before)
    source = next((project.folder / "src").glob("*/app.py"))
    source.write_text(source.read_text() + f"# edited at {time.time()}\n")
    project.nox("docker_prod")
    try:
        return bytes_to_push(project, before, image)
    finally:
        project.docker("rmi", before)


def _report(
    project: Project, answer: str, pushed: int, times: dict[str, float]
) -> list[Table | str]:
    sizes = json.loads((project.folder / "build/sizes.json").read_text())["production"]
    # Without lines from top to bottom: in a picture they have gaps.
    table = Table("step", "seconds", show_footer=True, box=box.SIMPLE)
    table.columns[0].footer, table.columns[1].footer = "all", f"{sum(times.values()):.1f}"
    table.columns[1].justify = "right"
    for step, seconds in times.items():
        table.add_row(step, f"{seconds:.1f}")
    return [
        table,
        f"image       {sizes['size'] / 1e6:.1f} MB ({sizes['compressed'] / 1e6:.1f} MB compressed)",
        f"re-pushed   {pushed / 1e3:.1f} kB after an edit",
        f"answer      {answer}",
    ]


def draw(report: list[Table | str]) -> None:
    """Draw what the demo prints as a terminal, into the picture of README."""
    console = Console(
        file=io.StringIO(), highlight=False, markup=False, record=True, width=PICTURE_COLUMNS
    )
    console.print("$ nox -s demo", *report, "", sep="\n")
    drawn = console.export_svg(title="Seedpod", unique_id="demo")
    # A page that shows it loads nothing from elsewhere: the reader's own font will do.
    drawn = re.sub(r"@font-face {.*?}\s*", "", drawn, flags=re.DOTALL)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE), encoding="utf-8")
