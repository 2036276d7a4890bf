"""support/: small rules that need no engine."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import SupportError, demo, engine, images, project, testing, waiting
from support.docker import Client
from support.images import bases, services
from support.paths import cache, content_key


def test_a_key_is_the_same_for_the_same_parts() -> None:
    assert content_key("a", b"b") == content_key(b"a", "b")
    assert len(content_key()) == 12
    assert int(content_key("a"), 16) >= 0


@pytest.mark.parametrize(
    "other", [(), ("a",), ("ab",), ("b", "a"), ("a", "b", ""), ("", "a", "b"), ("a", "B")]
)
def test_a_key_tells_parts_apart(other: tuple[str, ...]) -> None:
    assert content_key("a", "b") != content_key(*other)


def test_the_cache_is_where_the_user_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache("engine", "lock") == tmp_path / "seedpod/engine/lock"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_the_base_image_is_read_from_the_dockerfile(
    draft: Callable[..., Path], tmp_path: Path, version: str
) -> None:
    folder = draft(tmp_path / "myapp", python_version=version)
    reference = images.default_reference(folder / "Dockerfile")
    assert reference == f"python:{version}-slim-trixie"


def test_answers_are_given_as_question_and_value() -> None:
    arguments = ["kind=cli", "runtime=full", "description=a = b", "author="]
    assert project.parse_answers(arguments) == {
        "kind": "cli",
        "runtime": "full",
        "description": "a = b",
        "author": "",
    }
    assert project.parse_answers([]) == {}


@pytest.mark.parametrize("arguments", [["cli"], ["kind", "=cli"], ["kind=cli", "full"], ["--help"]])
def test_anything_else_is_refused_with_an_example(arguments: list[str]) -> None:
    with pytest.raises(SupportError, match="kind=cli runtime=full"):
        project.parse_answers(arguments)


def test_an_answer_to_no_question_is_refused() -> None:
    """Copier ignores it, and a misspelt answer would build the default."""
    with pytest.raises(SupportError, match=r"questions are .*kind, "):
        project.parse_answers(["knid=cli"])


@pytest.fixture
def checkout(
    template: Path,
    isolated: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Return support's render() on a clone of the tagged template that has been edited since."""
    isolated(monkeypatch)
    folder = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(template), str(folder)], check=True)
    edited = folder / "template/.gitignore.jinja"
    edited.write_text(edited.read_text() + "edited\n")
    (folder / "template/untracked").touch()
    monkeypatch.setattr(project, "REPOSITORY", folder)
    monkeypatch.setattr(project, "BUILD_FOLDER", tmp_path / "build")
    return project.render


def test_the_template_is_rendered_as_it_stands(checkout: Callable[..., Path]) -> None:
    """Neither the last release nor the last commit: what is in the working tree now."""
    folder = checkout({})
    assert folder.name == "myapp"
    assert (folder / ".gitignore").read_text().endswith("edited\n")
    assert (folder / "untracked").exists()


def test_an_answer_that_the_template_refuses_is_a_sentence(checkout: Callable[..., Path]) -> None:
    with pytest.raises(SupportError, match=r"refuses the answers.*lower-case"):
        checkout({"project_name": "Not This"})


@pytest.mark.parametrize(
    "answers",
    [
        {"kind": "cli", "runtime": "full"},
        {"python_version": "3.11"},
        {"project_name": "left-pad"},
        {"description": "and/or ../.. what"},
        {"license": "Apache-2.0"},
    ],
    ids=lambda answers: next(iter(answers)),
)
def test_a_project_goes_by_the_name_in_its_pyproject(
    checkout: Callable[..., Path], tmp_path: Path, answers: dict[str, str]
) -> None:
    """Its images have that name; its folder lies in the build folder, whatever the answers are."""
    folder = checkout(answers)
    name = project.Project(folder, {}).name
    assert f'name = "{name}"\n' in (folder / "pyproject.toml").read_text()
    assert folder.parent == tmp_path / "build"


def test_a_lock_that_fits_outlives_a_rendering(
    checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkout({})
    (folder / "poetry.lock").write_text("a lock")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    checkout({})
    assert (folder / "poetry.lock").read_text() == "a lock"


def test_a_lock_that_does_not_fit_is_dropped(checkout: Callable[..., Path]) -> None:
    folder = checkout({})
    (folder / "poetry.lock").write_text("a lock of another project")
    checkout({})
    assert not (folder / "poetry.lock").exists()


@pytest.mark.parametrize("reference", ["registry.example/base:latest", "python:3.12-slim-trixie"])
def test_an_image_without_a_stand_in_is_refused(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setattr(images, "available", lambda *_: False)
    with pytest.raises(SupportError, match="PYTHON_IMAGE") as error:
        images.base_image(reference, Client())
    assert reference in str(error.value)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stand-ins for services without an engine that builds them."""
    monkeypatch.setattr(bases, "_assembled", lambda name, *_: name)
    monkeypatch.setattr(services, "stand_in", lambda *arguments: " on ".join(arguments[:2]))


@pytest.mark.usefixtures("stand_ins")
def test_a_service_that_a_registry_serves_has_no_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "available", lambda *_: True)
    for reference in ("postgres:17.6", "registry.example/base:latest"):
        assert images.service_image(reference, Client()) == reference


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("reference", "service"),
    [
        ("postgres:17", "postgres"),
        ("postgres:17.6", "postgres"),
        ("postgres:17.6-trixie", "postgres"),
        ("postgres:17-alpine3.23", "postgres"),
        ("redis:8", "redis"),
        ("redis:8.2.1-bookworm", "redis"),
    ],
)
def test_an_official_service_has_a_stand_in_of_its_major_version(
    monkeypatch: pytest.MonkeyPatch, reference: str, service: str
) -> None:
    monkeypatch.setattr(images, "available", lambda *_: False)
    assert images.service_image(reference, Client()) == f"{service} on seedpod/debian:trixie"


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    "reference",
    [
        "postgres",
        "postgres:latest",
        "postgres:16.10",
        "postgres:170",
        "postgres:17@sha256:0",
        "registry.example/postgres:17",
        "mariadb:17",
        "redis:7.4",
    ],
)
def test_any_other_service_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setattr(images, "available", lambda *_: False)
    error = f"^No registry serves {reference}, .* postgres:17 and redis:8 alone\\. Load it"
    with pytest.raises(SupportError, match=error):
        images.service_image(reference, Client())


@pytest.mark.parametrize("service", services.VERSIONS)
def test_a_service_is_built_when_its_recipe_or_its_base_has_changed(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    labels = {"base": "one"}
    built: list[str] = []

    def build(client: Client, what: str, *arguments: str) -> str:
        name = arguments[arguments.index("--tag") + 1]
        recipe = next(part for part in arguments if part.startswith("RECIPE="))
        labels[name] = recipe.removeprefix("RECIPE=")
        built.append(name)
        return name

    monkeypatch.setattr(Client, "recipe_key", lambda _, name: labels.get(name))
    monkeypatch.setattr(Client, "run_or_raise", build)
    names = {services.stand_in(service, "base", Client()) for _ in range(2)}
    assert names == {*built} == {f"seedpod/{service}:{services.VERSIONS[service]}-trixie"}
    assert len(built) == 1
    labels["base"] = "another"
    services.stand_in(service, "base", Client())
    assert len(built) == 2


def test_a_failure_of_docker_is_told_by_its_last_line(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\necho "$@"\nprintf "one\ntwo\n" >&2\nexit "$STATUS"\n')
    program.chmod(0o755)
    client = Client({"PATH": f"{tmp_path}:{os.environ['PATH']}", "STATUS": "0"})
    assert client.run_or_raise("It fails.", "image", "ls") == "image ls"
    with pytest.raises(SupportError, match=r"^It fails\. Fix what the engine reported: two$"):
        client.replace(STATUS="1").run_or_raise("It fails.", "image", "ls")
    assert client.replace(STATUS="1").recipe_key("name") is None


def test_a_failure_of_a_step_is_told_by_its_error_wherever_that_stands(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    said = "0.1 E: Unable to locate package helo\n0.2 Get:3 http://archive/ Translation-en\n"
    program.write_text(f"#!/bin/sh\nprintf '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    client = Client({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    with pytest.raises(SupportError, match=r"reported: E: Unable to locate package helo$"):
        client.build("It fails.", ".")


def test_a_pull_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\n[ "$1" = pull ] && exec sleep 60\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(images, "PULL_SECONDS", 0.1)
    client = Client({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert not images.available("postgres:17", client)


def test_waiting_ends_with_the_condition_or_with_the_time() -> None:
    answers = iter([False, False, True])
    assert waiting.until(lambda: next(answers), 60)
    assert not waiting.until(lambda: False, 0.01)


def test_an_address_that_does_not_answer_is_named() -> None:
    with pytest.raises(SupportError, match=r"127\.0\.0\.1:1/ does not answer .* Read the log"):
        waiting.fetch("http://127.0.0.1:1/", 0)


@pytest.mark.parametrize("major", [28, 26])
def test_the_whole_lane_runs_every_folder(monkeypatch: pytest.MonkeyPatch, major: int) -> None:
    runs: list[tuple[str, ...]] = []

    def run(*arguments: str) -> int:
        runs.append(arguments)
        return 0

    monkeypatch.setattr(testing, "_pytest", run)
    monkeypatch.setattr(engine, "ensure", Client)
    monkeypatch.setattr(engine, "server_major", lambda: major)
    with pytest.raises(SystemExit) as end:
        testing.merge_lane()
    assert end.value.code == 0
    chosen = [part for run in runs for part in run if part.startswith("tests/")]
    assert tuple(chosen) == testing.FOLDERS


def test_the_proof_of_coverage_measures_what_the_tests_cover() -> None:
    """An option that takes a value would take a folder for it."""
    arguments = testing.PROOFS["coverage"]
    assert arguments[arguments.index("--cov") + 1].startswith("--")


def test_the_picture_of_the_demo_has_what_it_prints_and_loads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PICTURE", tmp_path / "demo.svg")
    demo.draw(["image       54.3 MB", 'answer      {"status": "[ok]"}'])
    drawn = ElementTree.parse(tmp_path / "demo.svg")
    texts = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    shown = [text.replace("\xa0", " ") for text in texts if text.strip()]
    assert shown[1:] == ["$ nox -s demo", "image       54.3 MB", 'answer      {"status": "[ok]"}']
    assert "url(http" not in re.sub("[\"']", "", (tmp_path / "demo.svg").read_text())
