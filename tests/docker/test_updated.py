"""A project as old as the template itself is updated to the present, builds, and passes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.docker import Client
from support.images import Layout
from tests.docker.kills import TIMES, kill, moments
from tests.docker.projects import Made, base_image
from tests.update.history import (
    FIRST,
    FLAT,
    PRESENT,
    History,
    Isolate,
    conflicts,
    flat,
    gather,
    release,
    releases,
)

LATER = "9999.1.0"
NOBODY = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
CHANGELOG = f"# Changelog\n\n## {LATER}\n\nWhat owners do: nothing.\n\n## {PRESENT}\n\nOld.\n"


# Of the flat layout: what an owner may have edited, and the text that comes to its end.
EDITED = {
    "docker/explain.py": "# Mine\n",
    "docker/stdlib-exclude.txt": "sqlite3/*\n",
}


@pytest.fixture
def make_old(
    working_tree: Path, isolated: Isolate, client: Client, prefix: str, tmp_path: Path
) -> Callable[[str], Made]:
    """Return a function that makes a project of a version; the template has a later release."""

    def make_old(version: str) -> Made:
        template = gather(working_tree, tmp_path / "template", isolated, flat())
        history = History(template, tmp_path, isolated)
        folder = history.project(tmp_path, version, project_name=f"{prefix}renewed")
        project = Made(
            folder, {**client.variables, "PYTHON_IMAGE": base_image(Layout.DEBIAN, client)}
        )
        project.session("lock")
        history.commit(folder)
        (template / "CHANGELOG.md").write_text(CHANGELOG)
        ignored = template / "template/.gitignore.jinja"
        ignored.write_text(f"*.later\n{ignored.read_text()}")
        with pytest.MonkeyPatch.context() as patch:
            isolated(patch)
            release(template, LATER)
        return project

    return make_old


def commit(project: Made) -> None:
    done = project.run("git", *NOBODY, "commit", "--all", "--quiet", "--message", "An edit")
    assert done.returncode == 0, done.stdout


def test_a_later_template_is_announced_taken_over_and_tested(
    make_old: Callable[[str], Made],
) -> None:
    """By the old noxfile, which is in memory while its programs move to other folders."""
    project = make_old(FLAT)
    for name, text in EDITED.items():
        path = project.folder / name
        path.write_text(path.read_text() + text)
    commit(project)
    check = project.run("nox", "--session", "template_check")
    assert check.returncode == 2, check.stdout
    output = project.session("template_update")
    assert f"## {LATER}" in output
    assert "kept, because you edited it; the template no longer has it: docker/explain.py" in output
    assert "2 passed" in output
    assert (project.folder / ".gitignore").read_text().startswith("*.later\n")
    for name, text in EDITED.items():
        assert (project.folder / name).read_text().endswith(text)
    programs = {path.name for path in (project.folder / "docker").glob("*.py")}
    assert programs == {"explain.py", "template_update.py", "updates.py"}
    assert "with nothing uncommitted" in project.refused("template_update")
    commit(project)
    assert project.run("nox", "--session", "template_check").returncode == 0


@pytest.mark.proofs
def test_an_update_that_meets_an_edit_ends_with_file_and_line(
    make_old: Callable[[str], Made],
) -> None:
    project = make_old(PRESENT)
    ignored = project.folder / ".gitignore"
    ignored.write_text(f"*.mine\n{ignored.read_text()}")
    commit(project)
    output = project.refused("template_update")
    assert "Your edits and the template's meet. Decide in:\n  .gitignore:1\n" in output
    assert {"*.mine", "*.later"} <= set(ignored.read_text().splitlines())


@pytest.mark.proofs
def test_a_project_of_the_first_template_builds_and_passes_when_it_is_updated(
    working_tree: Path, isolated: Isolate, client: Client, prefix: str, tmp_path: Path
) -> None:
    template = gather(working_tree, tmp_path / "template", isolated, releases())
    history = History(template, tmp_path, isolated)
    folder = history.project(tmp_path, FIRST, project_name=f"{prefix}updated")
    project = Made(folder, client.replace(PYTHON_IMAGE=base_image(Layout.DEBIAN, client)).variables)
    project.session("lock")
    history.commit(folder)
    history.update(folder)
    assert conflicts(folder) == []
    # The example is the old one, as in a project whose owner made something else of it.
    project.session("lock")
    assert "2 passed" in project.session("docker_test")
    project.session("docker_prod")
    # With the example of the present.
    history.finish(folder)
    project.session("lock")
    assert "2 passed" in project.session("docker_test")
    project.session("docker_prod")
    tags = project.docker("images", "--quiet", project.name).split()
    project.docker("rmi", "--force", *set(tags))


@pytest.mark.proofs
def test_a_killed_update_is_put_aside_and_done_again(make_old: Callable[[str], Made]) -> None:
    """Git has the project as it was; what an update left half-done is stashed, as it advises."""
    project = make_old(PRESENT)
    head = project.run("git", "rev-parse", "HEAD").stdout
    killed = 0
    for moment, alone in moments(TIMES, 20):
        killed += kill(project, moment, "template_update", alone=alone)
        assert project.run("git", "rev-parse", "HEAD").stdout == head
        stash = project.run("git", *NOBODY, "stash", "--include-untracked", "--quiet")
        assert stash.returncode == 0, stash.stdout
        assert project.run("git", "status", "--porcelain").stdout == ""
    assert killed > TIMES / 2
    project.session("template_update")
