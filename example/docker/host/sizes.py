"""Measure the stages of the image and compare them with their budgets in pyproject.toml.

    python docker/host/sizes.py [base=IMAGE STAGE=IMAGE … | OPTION …]

Without arguments it builds base and every stage that has a budget. It prints a table of the stages,
then the largest layers and distributions of the last one, and what grew since the last measurement
within budget, which is kept in build/sizes.json. The same text goes to build/sizes.txt. The exit
status is 1 if a stage is over its budget. Of further platforms, base and production are measured,
whose budget is production's. What the size of a stage is stands in layers.py. One MB is 1,000,000
bytes, as docker prints it. Options are those of a program on request, which looks into production.
"""

import io
import json
import re
import runpy
import sys
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import engine
import interrupts
import on_request
import platforms
import project_file
import settings
from figures import is_size, parse_size, print_table, show_size
from layers import MOST_IMAGES, Image, Layer, SizeError, keep, measure, recall
from session import docker, ended_by_errors, read_json, write_text

BASE = "base"
REPORT = Path("build/sizes.json")
TEXT = Path("build/sizes.txt")
LONGEST_LIST = 8
# In the user's cache folder.
KEPT = "distributions.json"
# Runs inside the image: the size of each distribution, with the bytecode next to its modules.
DISTRIBUTIONS = """
import importlib.metadata, json, os
from importlib.util import cache_from_source
sizes = {}
for distribution in importlib.metadata.distributions():
    files = {str(file.locate()) for file in distribution.files or ()}
    files |= {cache_from_source(file) for file in files if file.endswith(".py")}
    name = distribution.metadata["Name"]
    sizes[name] = sum(os.path.getsize(file) for file in files if os.path.exists(file))
print(json.dumps(sizes))
"""


@dataclass
class Stage:
    """What was measured of one stage; sizes in bytes."""

    size: int
    compressed: int
    budget: int | None = None
    layers: list[Layer] = field(default_factory=list)
    distributions: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Tell whether the stage is larger than it may be."""
        return self.budget is not None and self.size > self.budget


def shorten(instruction: str) -> str:
    """Return an instruction in one line, without the shell that runs it."""
    text = re.sub(r"^(RUN )?(/bin/sh -c |\|\d+ .*?/bin/sh -c )(#\(nop\) +)?", "", instruction)
    # JSON may have half of a character.
    text = text.encode(errors="backslashreplace").decode()
    text = " ".join(text.replace("# buildkit", "").split())
    return text if len(text) <= 70 else f"{text[:69]}…"


def distributions(name: str, image: Image) -> dict[str, int]:
    """Return the bytes of each distribution that is installed in the image with this name."""
    sizes: Any = recall(KEPT).get(image.key)
    if not _are_sizes(sizes):
        run = ("run", "--rm", "--network", "none", "--entrypoint", "python3", name)
        sizes = json.loads(docker(*run, "-c", DISTRIBUTIONS))
        keep(KEPT, {image.key: sizes}, MOST_IMAGES)
    found: dict[str, int] = sizes
    return found


def _are_sizes(entry: Any) -> bool:
    return isinstance(entry, dict) and all(map(is_size, entry.values()))


def earlier(report: dict[str, Any]) -> dict[str, Stage]:
    """Return the stages of an earlier report, without those that were not measured in this way.

    Earlier versions took what the engine says for the size of a stage, and had no digests.
    """
    stages = {}
    for name, entry in report.items():
        try:
            stage = Stage(**{**entry, "layers": [Layer(**layer) for layer in entry["layers"]]})
        except (TypeError, LookupError):
            continue
        sizes = [layer.size for layer in stage.layers]
        if (
            all(map(is_size, (stage.size, *sizes)))
            and stage.size == sum(sizes)
            and _are_sizes(stage.distributions)
        ):
            stages[name] = stage
    return stages


def print_stages(stages: dict[str, Stage], before: dict[str, Stage]) -> None:
    """Print what was measured of each stage."""
    rows = [["stage", "size", "over base", "compressed", "budget", "change", "verdict"]]
    for name, stage in stages.items():
        old = before.get(name)
        rows.append(
            [
                name,
                show_size(stage.size),
                show_size(stage.size - stages[" ".join([BASE, *name.split()[1:]])].size),
                show_size(stage.compressed),
                show_size(stage.budget) if stage.budget is not None else "-",
                show_size(stage.size - old.size) if old else "-",
                "OVER" if stage.over else "ok" if stage.budget is not None else "-",
            ]
        )
    print_table(rows)


def print_largest(title: str, sizes: Iterable[tuple[str, int]]) -> None:
    """Print the largest of ``sizes`` that are not empty."""
    largest = sorted(((size, name) for name, size in sizes if size), reverse=True)[:LONGEST_LIST]
    if largest:
        print(f"\n{title}")
        print_table([[f"  {name}", show_size(size)] for size, name in largest])


def print_trimmed(report: dict[str, Any]) -> None:
    """Print what each rule of [tool.seedpod.trim] has saved, in the order in which they count."""
    rows = [
        [f"  {rule}", show_size(found["saved"]), f"{found['files']} files"]
        for rule, found in report.get("rules", {}).items()
    ]
    if rows:
        print(
            f"\ntrimmed, and all {report['imported']} modules that could be imported still can be"
        )
        print_table(rows)


def growth(stage: Stage, before: Stage | None) -> list[tuple[str, int]]:
    """Return by how many bytes which distribution grew since the measurement ``before``."""
    if before is None:
        return []
    old = before.distributions
    changes = ((name, size - old.get(name, 0)) for name, size in stage.distributions.items())
    return [(name, change) for name, change in changes if change > 0]


def budgets_of_stages() -> dict[str, int]:
    """Return the budget in bytes of each stage that has one; raises SizeError."""
    table = project_file.setting("size")
    if not isinstance(table, dict):
        raise SizeError(
            f"size in [tool.seedpod] is {table!r}. "
            'Write a table, [tool.seedpod.size], with stages like production = "58 MB".'
        )
    place = "[tool.seedpod.size] in pyproject.toml"
    return {stage: parse_size(text, place) for stage, text in table.items()}


def build_stages() -> dict[str, str]:
    """Build the stages to measure, and return the names of their images; raises SizeError.

    With a stage of another platform stands that, behind a space; they come first.
    """
    stages = (BASE, *(budgets_of_stages() or (engine.PRODUCTION,)))
    known = engine.stages()
    for stage in stages:
        if known and stage not in known:
            raise SizeError(
                f"[tool.seedpod.size] names {stage!r}, which is no stage of the Dockerfile. "
                "Name one, like production, or remove it."
            )
    images = {}
    *others, main = platforms.wanted()
    for platform in (*others, main):
        for stage in (BASE, engine.PRODUCTION) if platform in others else stages:
            tag = platforms.tag(stage, platform)
            engine.build(stage, tag=tag, platform=platform)
            label = f"{stage} {platform}" if platform in others else stage
            images[label] = f"{engine.name()}:{tag}"
    return images


def run(images: dict[str, str], trimmed: dict[str, Any]) -> bool:
    """Measure and report ``images`` by stage; return whether all are within budget.

    In: what docker/image/trim_environment.py reported of them, empty if nothing was trimmed.
    """
    budgets = budgets_of_stages()
    report = read_json(REPORT)
    before = earlier(report)
    last = list(images)[-1]
    stages = {}
    for (name, image), found in zip(images.items(), measure(*images.values()), strict=True):
        title, _, platform = name.partition(" ")
        stage = Stage(found.size, found.compressed, budgets.get(title), found.layers)
        shown = name == last or stage.budget is not None
        if shown and (not platform or platforms.runs_here(image, platform)):
            stage.distributions = distributions(image, found)
        stages[name] = stage
    print_stages(stages, before)
    print_trimmed(trimmed)
    if report.keys() - before.keys():
        print(f"\n{REPORT} is of an earlier version, which measured otherwise: no change is shown.")
    for name, stage in stages.items():
        if name == last or stage.over:
            layers = [(shorten(layer.instruction), layer.size) for layer in stage.layers]
            print_largest(f"largest layers of {name}", layers)
            print_largest(f"largest distributions in {name}", stage.distributions.items())
            print_largest(f"grown in {name}", growth(stage, before.get(name)))
    over = [name for name, stage in stages.items() if stage.over]
    if over:
        print(f"\nOver budget: {', '.join(over)}. Shrink it, or raise [tool.seedpod.size].")
        return False
    write_text(REPORT, json.dumps({name: asdict(x) for name, x in stages.items()}, indent=1))
    return True


def look_into_production() -> None:
    """Run the program on request that takes the options."""
    interrupts.install()
    with ended_by_errors(), tempfile.TemporaryDirectory() as folder:
        programs = Path(folder, on_request.PROGRAMS)
        on_request.fetch(programs)
        sys.path.insert(1, str(programs))
        runpy.run_path(str(programs / "explain_size.py"), run_name="__main__")


def main() -> None:
    """Take STAGE=IMAGE arguments, the base first, or options, or none."""
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        look_into_production()
        return
    images = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if images and (BASE not in images or not all(images.values())):
        sys.exit("Usage: nox -s docker_size [-- OPTIONS], which --help lists")
    report, trimmed = io.StringIO(), {}
    with ended_by_errors():
        if not images:
            settings.apply()
            images = build_stages()
            if project_file.setting("trim"):
                main = platforms.wanted()[-1]
                trimmed = engine.exported("trim-report", "trim.json", platform=main)
        try:
            with redirect_stdout(report):
                within = run(images, trimmed)
        finally:
            print(report.getvalue(), end="")
        # For pipelines, whose log has the builds before it.
        write_text(TEXT, report.getvalue())
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
