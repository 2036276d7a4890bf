"""A project as old as the template itself is updated to the present, builds, and passes."""

from pathlib import Path

import pytest

from support.images import Layout
from tests.docker.conftest import Made, base_image
from tests.update.history import FIRST, PRESENT, History, Isolate, conflicts, gather, release

LATER = "9999.1.0"
CHANGELOG = f"# Changelog\n\n## {LATER}\n\nWhat owners do: nothing.\n\n## {PRESENT}\n\nOld.\n"


@pytest.fixture
def project(
    working_tree: Path, isolated: Isolate, client: dict[str, str], prefix: str, tmp_path: Path
) -> Made:
    """Return a project of the present template, which has a later release with one more line."""
    template = gather(working_tree, tmp_path / "template", isolated)
    history = History(template, tmp_path, isolated)
    folder = history.project(tmp_path, PRESENT, project_name=f"{prefix}renewed")
    project = Made(folder, {**client, "PYTHON_IMAGE": base_image(Layout.DEBIAN, client)})
    project.session("lock")
    history.commit(folder)
    (template / "CHANGELOG.md").write_text(CHANGELOG)
    ignored = template / "template/.gitignore"
    ignored.write_text(f"*.later\n{ignored.read_text()}")
    with pytest.MonkeyPatch.context() as patch:
        isolated(patch)
        release(template, LATER)
    return project


def commit(project: Made) -> None:
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    done = project.run("git", *user, "commit", "--all", "--quiet", "--message", "An edit")
    assert done.returncode == 0, done.stdout


def test_a_later_template_is_announced_taken_over_and_tested(project: Made) -> None:
    check = project.run("nox", "--session", "template_check")
    assert check.returncode == 2, check.stdout
    output = project.session("template_update")
    assert f"## {LATER}" in output
    assert "Old." not in output
    assert "2 passed" in output
    assert (project.folder / ".gitignore").read_text().startswith("*.later\n")
    assert "without uncommitted changes" in project.refused("template_update")
    commit(project)
    assert project.run("nox", "--session", "template_check").returncode == 0


def test_an_update_that_meets_an_edit_ends_with_file_and_line(project: Made) -> None:
    ignored = project.folder / ".gitignore"
    ignored.write_text(f"*.mine\n{ignored.read_text()}")
    commit(project)
    output = project.refused("template_update")
    assert "Your edits and the template's meet. Decide in:\n  .gitignore:1\n" in output
    assert {"*.mine", "*.later"} <= set(ignored.read_text().splitlines())


@pytest.mark.proofs
def test_a_project_of_the_first_template_builds_and_passes_when_it_is_updated(
    working_tree: Path, isolated: Isolate, client: dict[str, str], prefix: str, tmp_path: Path
) -> None:
    history = History(gather(working_tree, tmp_path / "template", isolated), tmp_path, isolated)
    folder = history.project(tmp_path, FIRST, project_name=f"{prefix}updated")
    project = Made(folder, {**client, "PYTHON_IMAGE": base_image(Layout.DEBIAN, client)})
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
