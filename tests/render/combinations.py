"""Every combination of answers, rendered in this process: each distinct file once.

What a file holds depends on the few answers that its template names, so a text is made once for
each of their values. Copier's own settings of Jinja are those of copier.yml; that the result is
what Copier makes is a test (test_combinations.py), which copies projects and compares them.
"""

import ast
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
import pathspec
import yaml
from jinja2 import meta
from jinja2.sandbox import SandboxedEnvironment

from tests.render.questions import KINDS, Answers, ComposeLoader, choices

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
SUFFIX = ".jinja"


@dataclass
class Source:
    """A file of the template, the answers that it depends on, and what it gave for them."""

    path: str
    content: bytes
    variables: tuple[str, ...]
    made: dict[str, tuple[str, str] | None] = field(default_factory=dict)


def every_row() -> list[Answers]:
    """Return every combination of answers to the questions with choices that are asked."""
    return [
        dict(zip(offered, values, strict=True))
        for offered in map(choices, KINDS)
        for values in product(*offered.values())
    ]


class Renderer:
    """The template in a folder, as Copier renders it.

    What is new is parsed when it is first made, and an error there raises.
    """

    def __init__(self, template: Path) -> None:
        """Read copier.yml and every file of the template."""
        settings = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
        options = {**settings["_envops"], "undefined": jinja2.StrictUndefined}
        self._environment = SandboxedEnvironment(
            # What Copier adds by itself, and what is left at the end of a file.
            extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
            keep_trailing_newline=True,
            **options,
        )
        self._exclude: list[str] = settings["_exclude"]
        self._compiled: dict[str, jinja2.Template] = {}
        self._contents: dict[str, bytes] = {}
        self._questions = {name: value for name, value in settings.items() if name[0] != "_"}
        # A catalogue is rendered from another one.
        root = template / "template"
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        self._sources = [self._source(path, root) for path in paths]

    def files(self, answers: Answers, folder_name: str = "myapp") -> dict[str, str]:
        """Return the digest of each file that these answers give, but for Copier's own record."""
        context = self._context(answers, folder_name)
        # As Copier reads them.
        patterns = tuple(self._fill(pattern, context) for pattern in self._exclude)
        excluded = _spec(patterns)
        made = (self._render(source, context) for source in self._sources)
        return {
            item[0]: item[1]
            for item in made
            if item and item[0] != ANSWERS_FILE and not excluded.match_file(item[0])
        }

    def write(self, answers: Answers, folder: Path) -> None:
        """Make a project in a folder, but for Copier's own record."""
        for name, digest in self.files(answers, folder.name).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._contents[digest])

    def _source(self, path: Path, root: Path) -> Source:
        name, content = path.relative_to(root).as_posix(), path.read_bytes()
        text = content.decode() if name.endswith(SUFFIX) else ""
        trees = (self._environment.parse(part) for part in (name, text))
        variables = set[str]().union(*map(meta.find_undeclared_variables, trees))
        return Source(name, content, tuple(sorted(variables)))

    def _context(self, answers: Answers, folder_name: str) -> dict[str, Any]:
        """Return what templates see: the answers, and the defaults of all other questions."""
        context: dict[str, Any] = {
            "_copier_answers": {},
            "_copier_conf": {"answers_file": ANSWERS_FILE},
            "_copier_operation": "copy",
            "_folder_name": folder_name,
        }
        for name, question in self._questions.items():
            value = answers.get(name, question.get("default"))
            if name not in answers and isinstance(value, str):
                value = self._fill(value, context)
            several = question.get("multiselect") and isinstance(value, str)
            context[name] = yaml.safe_load(value) if several else value
        return context

    def _render(self, source: Source, context: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return a file's name and digest; None if there is no such file with these answers."""
        key = repr([context[name] for name in source.variables])
        if key not in source.made:
            source.made[key] = self._make(source, context)
        return source.made[key]

    def _make(self, source: Source, context: Mapping[str, Any]) -> tuple[str, str] | None:
        # No tag in a name has a slash in it.
        names = source.path.removesuffix(SUFFIX).split("/")
        parts = [self._fill(name, context) for name in names]
        if not all(parts):
            return None
        content = source.content
        if source.path.endswith(SUFFIX):
            content = self._fill(content.decode(), context).encode()
        name = "/".join(parts)
        examine(name, content)
        digest = hashlib.sha256(content).hexdigest()
        self._contents[digest] = content
        return name, digest

    def _fill(self, text: str, context: Mapping[str, Any]) -> str:
        if text not in self._compiled:
            self._compiled[text] = self._environment.from_string(text)
        return self._compiled[text].render(context)


@functools.cache
def _spec(patterns: tuple[str, ...]) -> pathspec.PathSpec[Any]:
    return pathspec.PathSpec.from_lines("gitignore", filter(None, patterns))


def examine(name: str, content: bytes) -> None:
    """Parse a file, whose name and text have to be free of what a template leaves behind."""
    assert not re.search(rf'[{{}}%"]|\{SUFFIX}$', name), name
    text = content.decode()
    PARSERS.get(Path(name).suffix, str)(text)
    if not name.startswith("docker/") and name != PIPELINE:
        assert not re.search(r"\{\{|\{%|\{#|%\}", text), name
