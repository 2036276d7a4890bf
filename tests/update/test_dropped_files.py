"""A release drops a file: what its owner wrote in it is not lost, and an untouched one goes."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import git
from tests.update.history import FIRST, PRESENT, History, Isolate, conflicts, release

DROPPED = ".yamllint.yaml"
FUTURE = "9999.0.1"
EDIT, NEW = "# Mine\n", "# New\n"


@pytest.fixture(scope="session")
def future(
    history: History, isolated: Isolate, tmp_path_factory: pytest.TempPathFactory
) -> History:
    """Return the template with one more release, which drops a file and changes the example."""
    folder = tmp_path_factory.mktemp("future")
    template = Path(shutil.copytree(history.template, folder / "template"))
    (template / "template" / DROPPED).unlink()
    example = next((template / "template" / "src" / "{{ package_name }}").glob("*app.py*"))
    append(example, NEW)
    for name in ("catalogue.toml.jinja", "Dockerfile", "README.md.jinja"):
        append(template / "catalogue" / name, NEW)
    append(template / "template/docker/image/versions.py", NEW)
    with pytest.MonkeyPatch.context() as patch:
        isolated(patch)
        release(template, FUTURE)
    return History(template, folder, isolated)


def append(path: Path, text: str = EDIT) -> None:
    """Add text to the end of a file."""
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_copier_deletes_an_edited_file_that_a_release_dropped_and_the_program_restores_it(
    future: History, tmp_path: Path
) -> None:
    project = future.project(tmp_path, PRESENT)
    append(project / DROPPED)
    future.commit(project)
    content = (project / DROPPED).read_bytes()
    future.update(project, FUTURE)
    # If Copier keeps it one day, this program has less to do.
    assert not (project / DROPPED).exists()
    assert f"kept, because you edited it; the template no longer has it: {DROPPED}" in (
        future.finish(project)
    )
    assert (project / DROPPED).read_bytes() == content
    assert DROPPED not in git(project, "status", "--short")


@pytest.mark.proofs
def test_an_update_that_is_committed_is_finished_from_the_commit_before_it(
    future: History, tmp_path: Path
) -> None:
    """Renovate commits it at once."""
    project = future.project(tmp_path, PRESENT)
    append(project / DROPPED)
    future.commit(project)
    future.update(project, FUTURE)
    future.commit(project)
    future.finish(project, "HEAD~1")
    assert (project / DROPPED).read_text(encoding="utf-8").endswith(EDIT)
    assert (project / "src/myapp/app.py").read_text(encoding="utf-8").endswith(NEW)


def test_a_catalogue_keeps_its_table_and_gets_the_rest(future: History, tmp_path: Path) -> None:
    """What it shares with projects is updated, too; an untouched page is as the release has it."""
    project = future.project(tmp_path, PRESENT, kind="catalogue")
    append(project / "catalogue.toml")
    future.commit(project)
    future.update(project, FUTURE)
    assert "updated: README.md\n" in future.finish(project)
    assert conflicts(project) == []
    ends = {
        name: (project / name).read_text(encoding="utf-8").splitlines()[-1]
        for name in ("catalogue.toml", "Dockerfile", "README.md", "docker/image/versions.py")
    }
    assert ends.pop("catalogue.toml") == EDIT.strip()
    assert {*ends.values()} == {NEW.strip()}


def test_an_untouched_file_that_a_release_dropped_goes(future: History, tmp_path: Path) -> None:
    project = future.project(tmp_path, PRESENT)
    future.update(project, FUTURE)
    said = future.finish(project)
    assert f"deleted, the template no longer has it: {DROPPED}\n" in said
    assert not (project / DROPPED).exists()
    assert "updated: src/myapp/app.py\n" in said
    assert (project / "src/myapp/app.py").read_text(encoding="utf-8").endswith(NEW)


def test_an_edited_file_that_copier_yml_excludes_is_kept_by_copier_itself(
    history: History, tmp_path: Path
) -> None:
    project = history.project(tmp_path, FIRST)
    append(project / ".hadolint.yaml")
    history.commit(project)
    history.update(project)
    assert (project / ".hadolint.yaml").read_text(encoding="utf-8").endswith(EDIT)


def test_nothing_that_is_excluded_is_in_the_template(history: History) -> None:
    configuration = yaml.safe_load((history.template / "copier.yml").read_text(encoding="utf-8"))
    excluded = [path[1:] for path in configuration["_exclude"] if path.startswith("/")]
    assert [name for name in excluded if (history.original(PRESENT) / name).exists()] == []
    # _exclude holds on a copy, too: what the template has again would reach nobody.
    assert [name for name in excluded if (history.template / "template" / name).exists()] == []


def test_an_example_that_was_edited_anywhere_stays_as_it_is_everywhere(
    future: History, tmp_path: Path
) -> None:
    project = future.project(tmp_path, PRESENT)
    append(project / "tests/test_app.py")
    future.commit(project)
    future.update(project, FUTURE, services="[postgres]")
    future.finish(project)
    assert git(project, "status", "--short", "src", "tests") == ""


@pytest.mark.proofs
def test_a_project_in_a_folder_of_a_repository_is_finished_too(
    future: History, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    project = future.project(repository, PRESENT)
    shutil.rmtree(project / ".git")
    append(project / DROPPED)
    with pytest.MonkeyPatch.context() as patch:
        future.isolate(patch)
        git(repository, "init", "--quiet")
    future.commit(repository)
    future.update(project, FUTURE)
    future.finish(project)
    assert (project / DROPPED).read_text(encoding="utf-8").endswith(EDIT)
    assert (project / "src/myapp/app.py").read_text(encoding="utf-8").endswith(NEW)
