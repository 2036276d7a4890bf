"""Projects made from the template as it stands in this working tree, and their Nox sessions."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import yaml
from copier.errors import DirtyLocalWarning

from support import SupportError
from support.paths import REPOSITORY

BUILD_FOLDER = REPOSITORY / "build"
LOCK = "poetry.lock"


@dataclass(frozen=True)
class Project:
    """A rendered project, with the environment in which its commands run."""

    folder: Path
    variables: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the project's name, which its images have too."""
        pyproject = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))
        # Poetry 1 had it in its own table.
        return str(pyproject.get("project", pyproject["tool"].get("poetry"))["name"])

    def nox(self, session: str, *arguments: str) -> None:
        """Run a session of the project; SupportError if it fails."""
        command = [sys.executable, "-m", "nox", "--session", session, "--", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), check=False)
        if done.returncode:
            raise SupportError(
                f"The session {session} failed in {self.folder}. Its last lines above say why."
            )

    def docker(self, *arguments: str) -> str:
        """Return what a docker command prints; SupportError if it fails."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SupportError(
                f"docker {arguments[0]} failed. Fix what it reported: {done.stderr.strip()}"
            )
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        """Return the variables of a child process; nested Nox must not inherit the outer one's."""
        inherited = {key: value for key, value in os.environ.items() if key != "NOXSESSION"}
        return {**inherited, **self.variables}


def parse_answers(arguments: list[str]) -> dict[str, str]:
    """Return answers given as ``question=value``; SupportError for anything else."""
    answers = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    unknown = set(answers) - set(questions())
    if unknown or len(answers) != len(arguments):
        raise SupportError(
            f"Answers look like kind=cli runtime=full. The questions are {', '.join(questions())}."
        )
    return answers


def questions() -> list[str]:
    """Return the names of the template's questions."""
    asked = ((name, question) for name, question in _settings().items() if name[0] != "_")
    return [name for name, question in asked if question.get("when") is not False]


def choices(question: str) -> list[str]:
    """Return the answers that the template offers to a question of choices with words for each."""
    return list(_settings()[question]["choices"].values())


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(
        (REPOSITORY / "copier.yml").read_text(encoding="utf-8")
    )
    return settings


def render(answers: Mapping[str, str], folder: Path | None = None) -> Path:
    """Render the template with ``answers`` and return the project's folder.

    An earlier rendering is replaced; its lock file stays as long as it fits. Raises SupportError
    for an answer that the template refuses.
    """
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(answers.values()).lower()).strip("-")
    folder = folder or BUILD_FOLDER / (name or "myapp")
    old_lock = (folder / LOCK).read_bytes() if (folder / LOCK).exists() else None
    shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DirtyLocalWarning)
        try:
            # HEAD with what is not committed yet; without it copier takes the latest release.
            copier.run_copy(
                str(REPOSITORY),
                folder,
                data=dict(answers),
                vcs_ref="HEAD",
                defaults=True,
                quiet=True,
                unsafe=False,
            )
        except ValueError as error:
            raise SupportError(f"The template refuses the answers. {error}") from error
    if old_lock is not None:
        (folder / LOCK).write_bytes(old_lock)
        with tempfile.TemporaryDirectory() as facts:
            check = [sys.executable, "docker/image/split_facts.py", ".", facts]
            if subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode:
                (folder / LOCK).unlink()
    return folder
