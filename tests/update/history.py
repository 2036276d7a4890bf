"""The template in all its versions, and projects that are made from one and updated to another."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import copier
import pytest

from tests.conftest import REPOSITORY, git

FIRST = "0.0.1"
PRESENT = "9999.0.0"
# The last commit at which all programs were in one folder, docker/.
FLAT = "0.1.999"
# What is rendered on a copy alone: owners rewrite it.
OWNED = ("README.md", "src/", "tests/")

Isolate = Callable[[pytest.MonkeyPatch], None]


def releases() -> dict[str, str]:
    """Return the commits from which there are projects, by version, the oldest first.

    They are the repository's version tags. While there are none, 0.1.0 is the last commit before
    the changelog had anything to say about what follows it. The first commit with a template,
    which nobody released, is as far from the present as an update can start. A clone without the
    whole history has neither.
    """
    log = ("log", "--reverse", "--format=%H")
    names = {FIRST: git(REPOSITORY, *log, "--", "copier.yml", "template").split()[0]}
    tags = git(REPOSITORY, "tag", "--sort=version:refname").split()
    versions = [tag for tag in tags if re.fullmatch(r"v?\d+(\.\d+)+", tag)]
    names.update({version: version for version in versions})
    if not versions:
        later = git(REPOSITORY, *log, "-S## Unreleased", "--", "CHANGELOG.md").split()
        names["0.1.0"] = f"{later[0]}^" if later else "HEAD"
    return {
        version: git(REPOSITORY, "rev-parse", f"{name}^{{commit}}").strip()
        for version, name in names.items()
    }


def flat() -> dict[str, str]:
    """Return the commit of the version FLAT."""
    log = ("log", "--reverse", "--format=%H", "--", "template/docker/host")
    later = git(REPOSITORY, *log).split()
    return {FLAT: git(REPOSITORY, "rev-parse", f"{later[0]}^" if later else "HEAD").strip()}


def gather(working_tree: Path, folder: Path, isolate: Isolate, versions: Mapping[str, str]) -> Path:
    """Make a repository of the template with a tag for each version and one for the present.

    The present is the working tree, with what is not committed yet: Copier would store a commit
    that exists nowhere if it met changes that are not committed. It clones the template for every
    copy, so this repository holds nothing else.
    """
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch)
        folder.mkdir()
        git(folder, "init", "--quiet")
        for version, commit in versions.items():
            empty(folder)
            archive = folder / "archive.tar"
            output = f"--output={archive}"
            # Earlier versions have no catalogue.
            there = git(REPOSITORY, "ls-tree", "--name-only", commit).split()
            parts = [name for name in ("catalogue", "copier.yml", "template") if name in there]
            git(REPOSITORY, "archive", output, commit, *parts)
            with tarfile.open(archive) as tar:
                tar.extraction_filter = getattr(tarfile, "data_filter", None)
                tar.extractall(folder)
            archive.unlink()
            release(folder, version)
        empty(folder)
        shutil.copytree(working_tree, folder, dirs_exist_ok=True)
        release(folder, PRESENT)
    return folder


def empty(template: Path) -> None:
    """Delete what a template's repository holds, but not its history."""
    (template / "copier.yml").unlink(missing_ok=True)
    for name in ("catalogue", "template"):
        shutil.rmtree(template / name, ignore_errors=True)


def release(template: Path, version: str) -> None:
    """Commit what a template's repository holds, and tag it."""
    git(template, "add", "--all")
    git(template, "commit", "--quiet", "--allow-empty", "--message", version)
    git(template, "tag", version)


@dataclass(frozen=True)
class History:
    """A template's repository, and a folder for projects, each of which is made once."""

    template: Path
    folder: Path
    isolate: Isolate
    made: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def original(self, version: str, **answers: str) -> Path:
        """Return a project as a version makes it, committed; no test changes it."""
        key = (version, *map(str, answers.items()))
        if key not in self.made:
            # The folder's name is the default of the project's name.
            project = self.folder / str(len(self.made)) / "myapp"
            with pytest.MonkeyPatch.context() as patch:
                self.isolate(patch)
                copier.run_copy(
                    str(self.template),
                    project,
                    data=answers,
                    vcs_ref=version,
                    defaults=True,
                    quiet=True,
                    unsafe=False,
                )
                git(project, "init", "--quiet")
            self.commit(project)
            self.made[key] = project
        return self.made[key]

    def project(self, folder: Path, version: str, **answers: str) -> Path:
        """Make a project of a version that a test may change; return its folder."""
        return Path(shutil.copytree(self.original(version, **answers), folder / "myapp"))

    def commit(self, project: Path) -> None:
        """Commit everything in a project: Copier updates no other."""
        with pytest.MonkeyPatch.context() as patch:
            self.isolate(patch)
            git(project, "add", "--all")
            git(project, "commit", "--quiet", "--message", "What the project has")

    def update(self, project: Path, version: str = PRESENT, **answers: str) -> None:
        """Run "copier update" without --trust, with answers that are to change."""
        with pytest.MonkeyPatch.context() as patch:
            self.isolate(patch)
            copier.run_update(
                project,
                data=answers,
                vcs_ref=version,
                defaults=True,
                overwrite=True,
                quiet=True,
                unsafe=False,
            )

    def finish(self, project: Path, *commit: str) -> str:
        """Run the program that finishes an update; return what it says."""
        with pytest.MonkeyPatch.context() as patch:
            self.isolate(patch)
            patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
            return subprocess.run(
                [sys.executable, "docker/host/template.py", "finish", *commit],
                cwd=project,
                capture_output=True,
                text=True,
                check=True,
            ).stdout


def files(project: Path) -> dict[str, tuple[bytes, bool]]:
    """Return the content of each file of a project, and whether it can be executed."""
    paths = (path for path in project.rglob("*") if path.is_file())
    names = {path.relative_to(project).as_posix(): path for path in paths}
    return {
        name: (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for name, path in names.items()
        if not name.startswith(".git/")
    }


def differing(one: Path, other: Path) -> set[str]:
    """Return the names of the files that two projects do not have alike."""
    return {name for name, _ in files(one).items() ^ files(other).items()}


def owned(names: set[str]) -> set[str]:
    """Return those names that are an owner's after the first copy."""
    return {name for name in names if name.startswith(OWNED)}


def conflicts(project: Path) -> list[str]:
    """Return the places of conflict markers, and the files that Git or Copier call unmerged."""
    # With a conflict its exit status is not 0.
    check = subprocess.run(
        ["git", "-C", str(project), "diff", "--check"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    unmerged = git(project, "diff", "--name-only", "--diff-filter=U").splitlines()
    rejected = [name for name in files(project) if name.endswith(".rej")]
    return [line for line in check if "conflict marker" in line] + unmerged + rejected
