"""Every combination of answers, rendered by several processes; what a file holds is read once.

It runs in processes of their own, whose modules are changed so that a copy takes a fifth of the
time: what Jinja has compiled is kept, because each combination has the same templates, and Git is
out of sight, because Copier would ask it about each file of a folder that is no repository.
"""

import ast
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from tests.render.conftest import ComposeLoader

ANSWERS_FILE = ".copier-answers.yml"
# Theirs are the only braces that a project may keep.
PIPELINE = ".github/workflows/ci.yml"
PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": lambda text: yaml.load(text, ComposeLoader),
}


@dataclass(frozen=True)
class Combination:
    """A row of answers, the project that it gave, and the digest of each file in it."""

    answers: dict[str, str]
    folder: Path
    digests: dict[str, str]


def render_all(rows: list[dict[str, str]], template: Path, folder: Path) -> Iterator[Combination]:
    """Render a project from each row of answers, on all processors of this machine."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=prepare) as pool:
        folders = [folder / str(number) / "myapp" for number in range(len(rows))]
        yield from pool.map(render, rows, [template] * len(rows), folders, chunksize=8)


def prepare() -> None:
    """Change the modules of this process, which does nothing but render."""
    os.environ["PATH"] = os.devnull
    compile_template = jinja2.Environment.compile
    known: dict[tuple[Any, ...], Any] = {}

    def compile_once(self: jinja2.Environment, source: Any, *arguments: Any) -> Any:
        key = (source, *arguments)
        if key not in known:
            known[key] = compile_template(self, source, *arguments)
        return known[key]

    jinja2.Environment.compile = compile_once  # type: ignore[assignment, method-assign]


def render(answers: dict[str, str], template: Path, folder: Path) -> Combination:
    """Render a project and read what is new in it; whatever is wrong raises."""
    import copier  # noqa: PLC0415 - where Git is out of sight

    copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True, unsafe=False)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    stored = yaml.safe_load((folder / ANSWERS_FILE).read_text(encoding="utf-8"))
    for name, answer in answers.items():
        assert stored[name] == (yaml.safe_load(answer) if answer.startswith("[") else answer)
    return Combination(answers, folder, {name: examine(folder, name) for name in names})


def examine(folder: Path, name: str, known: set[str] = set()) -> str:  # noqa: B006 - it remembers
    """Return the digest of a file; what was not seen before is parsed, and holds no template."""
    assert not re.search(r'[{}%"]|\.jinja$', name), name
    content = (folder / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest not in known:
        text = content.decode()
        PARSERS.get(Path(name).suffix, str)(text)
        if not name.startswith("docker/") and name != PIPELINE:
            assert not re.search(r"\{\{|\{%|\{#|%\}", text), name
        known.add(digest)
    return digest


def remove(combination: Combination) -> None:
    """Delete a project that is not needed any more."""
    shutil.rmtree(combination.folder.parent)
