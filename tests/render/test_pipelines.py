"""The pipelines of a project: there for their provider, valid, pinned, made of its sessions."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pins
import pytest
import system_packages
import yaml

from tests.conftest import Copy
from tests.render.questions import TOOLS, check, choices
from tests.render.test_versions import repository_pins

GITHUB = ".github/workflows/ci.yml"
GITLAB = ".gitlab-ci.yml"
RENOVATE = "renovate.json"
DIGEST = f"sha256:{'0a1b' * 16}"
FILES = {"github": {GITHUB, RENOVATE}, "gitlab": {GITLAB, RENOVATE}, "none": set[str]()}
PIPELINES = {"github": GITHUB, "gitlab": GITLAB}
# What a run on this machine does not do.
RELEASING, REBUILDING = {"docker_push"}, {"sys_lock"}


@pytest.fixture(scope="module")
def folder(draft: Copy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project for each provider, in a folder of the provider's name."""
    folder = tmp_path_factory.mktemp("pipelines")
    for provider in FILES:
        draft(folder / provider, project_name="myapp", ci=provider)
    return folder


@pytest.fixture(scope="module", params=["github", "gitlab"])
def pipeline(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Go through the files that hold pipelines."""
    provider: str = request.param
    return folder / provider / PIPELINES[provider]


def read(path: Path) -> dict[str, Any]:
    """Return what a pipeline says."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    # What a job of GitLab extends, and does not say itself, is its own.
    for name, job in document.items():
        if isinstance(job, dict) and "extends" in job:
            base = document[job["extends"]]
            variables = {**base["variables"], **job.get("variables", {})}
            document[name] = {**base, **job, "variables": variables}
    return {name: job for name, job in document.items() if str(name)[0] != "."}


@pytest.fixture(scope="module")
def workflow(folder: Path) -> dict[str, Any]:
    """Return the workflow for GitHub."""
    return read(folder / "github" / GITHUB)


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through the steps of all jobs."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def scripts(path: Path) -> list[str]:
    """Return the shell programs of a pipeline, one for each step or job."""
    document = read(path)
    if path.name != GITLAB:
        return [step["run"] for step in steps(document) if "run" in step]
    jobs = [job for job in document.values() if isinstance(job, dict) and "script" in job]
    return ["\n".join([*job.get("before_script", []), *job["script"]]) for job in jobs]


def test_a_provider_has_its_files_and_no_others(folder: Path) -> None:
    assert FILES.keys() == set(choices()["ci"])
    common = files(folder / "none")
    assert {name: files(folder / name) - common for name in FILES} == FILES


def files(project: Path) -> set[str]:
    """Return the paths of a project's files."""
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def test_the_workflow_arrives_as_it_is(folder: Path, working_tree: Path) -> None:
    """Its expressions look like those of the template, and its lines are those that stand there."""
    [source] = (working_tree / "template").glob("*github*/workflows/ci.yml.jinja")
    lines = source.read_text(encoding="utf-8").splitlines()
    made = (folder / "github" / GITHUB).read_text(encoding="utf-8").splitlines()
    assert any("${{" in line for line in made)
    assert {*made} <= {*lines, ""}
    assert [x for x in lines if "${{" in x] == [x for x in made if "${{" in x]


def test_actionlint_finds_nothing(folder: Path) -> None:
    """It reads the shell programs with shellcheck, too."""
    shellcheck = str(TOOLS / "shellcheck")
    check([str(TOOLS / "actionlint"), "-shellcheck", shellcheck, GITHUB], folder / "github")


def test_shellcheck_finds_nothing_for_gitlab(folder: Path, tmp_path: Path) -> None:
    for number, script in enumerate(scripts(folder / "gitlab" / GITLAB)):
        (tmp_path / f"{number}.sh").write_text(script + "\n", encoding="utf-8")
    names = sorted(path.name for path in tmp_path.iterdir())
    check([str(TOOLS / "shellcheck"), "--shell=busybox", *names], tmp_path)


def test_it_is_valid_by_the_schema_of_its_provider(pipeline: Path) -> None:
    schema = "vendor.gitlab-ci" if pipeline.name == GITLAB else "vendor.github-workflows"
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    check([*program, pipeline.name], pipeline.parent)


def test_it_runs_what_a_bare_nox_runs_and_publishes(pipeline: Path, folder: Path) -> None:
    named = re.findall(r"\bnox -s ((?:\w+ )*\w+)", "\n".join(scripts(pipeline)))
    sessions = {session for names in named for session in names.split()}
    assert sessions == default_sessions(folder / "none") | RELEASING | REBUILDING
    source = (folder / "none/noxfile.py").read_text(encoding="utf-8")
    assert sessions <= {
        node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }


def default_sessions(project: Path) -> set[str]:
    """Return the sessions that a project's bare nox runs."""
    source = (project / "noxfile.py").read_text(encoding="utf-8")
    [found] = re.findall(r"^nox\.options\.sessions = (\[.*?\])$", source, re.DOTALL | re.MULTILINE)
    return set(ast.literal_eval(found))


def test_an_action_is_pinned_by_its_commit_and_says_its_version(folder: Path) -> None:
    text = (folder / "github" / GITHUB).read_text(encoding="utf-8")
    used = re.findall(r"^ +(?:- )?uses: (.*)$", text, flags=re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
    # One action, one version.
    assert len({action.split("@")[1] for action in used}) == len(
        {"/".join(action.split("@")[0].split("/")[:2]) for action in used}
    )


def test_client_and_engine_are_of_one_full_version(folder: Path) -> None:
    job = read(folder / "gitlab" / GITLAB)["build"]
    [service] = job["services"]
    client = re.fullmatch(r"docker:(\d+\.\d+\.\d+)-cli", job["image"])
    engine = re.fullmatch(r"docker:(\d+\.\d+\.\d+)-dind", service["name"])
    assert client
    assert engine
    assert client[1] == engine[1]


def test_nox_is_pinned_once_and_as_in_this_repository(pipeline: Path) -> None:
    [version] = repository_pins()["nox"]
    text = pipeline.read_text(encoding="utf-8")
    assert re.findall(r"\bnox\S*==\S+", text) == [f"nox[uv]{version}"]


def test_checks_run_on_the_python_of_the_project(draft: Copy, tmp_path: Path) -> None:
    """Elsewhere uv installs the one that pyproject.toml requires."""
    for version in choices()["python_version"]:
        project = draft(tmp_path / version, ci="gitlab", python_version=version)
        assert read(project / GITLAB)["checks"]["image"] == f"python:{version}"


def test_only_the_job_that_publishes_may_write(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    granted = {name: job.get("permissions") for name, job in workflow["jobs"].items()}
    writing = {"contents": "read", "packages": "write"}
    proposing = {"contents": "write", "pull-requests": "write"}
    assert granted == {"checks": None, "build": None, "release": writing, "rebuild": proposing}
    release = workflow["jobs"]["release"]
    assert release["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"
    assert release["needs"] == "checks"


def test_what_is_published_went_through_the_same_steps(workflow: dict[str, Any]) -> None:
    jobs = workflow["jobs"]
    assert jobs["release"]["steps"] == jobs["build"]["steps"]
    assert jobs["release"]["env"] == jobs["build"]["env"]
    assert "github.ref_type != 'tag'" in jobs["build"]["if"]


def test_the_repository_keeps_no_token(workflow: dict[str, Any]) -> None:
    checkouts = [step for step in steps(workflow) if "/checkout@" in step.get("uses", "")]
    assert len(checkouts) == len(workflow["jobs"])
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_no_value_of_the_provider_is_pasted_into_a_program(pipeline: Path) -> None:
    """What a branch or a commit is called would be run; variables are only read."""
    assert not [script for script in scripts(pipeline) if "${{" in script]


@pytest.mark.parametrize("secret", ["TOKEN", "CI_REGISTRY_PASSWORD"])
def test_a_secret_goes_to_the_login_alone(folder: Path, secret: str) -> None:
    provider = "github" if secret == "TOKEN" else "gitlab"
    programs = "\n".join(scripts(folder / provider / PIPELINES[provider]))
    uses = {line for line in programs.splitlines() if re.search(rf"\${{?{secret}\b", line)}
    assert len(uses) == 1
    assert re.match(rf'echo "\${secret}" \|\s*docker login .*--password-stdin', uses.pop())


def test_a_later_push_ends_an_earlier_run_but_for_releases(workflow: dict[str, Any]) -> None:
    assert workflow["concurrency"] == {
        # A rebuild on schedule ends no run of the same branch.
        "group": "${{ github.workflow }}-${{ github.event_name }}-${{ github.ref }}",
        "cancel-in-progress": "${{ github.ref_type != 'tag' }}",
    }


def test_each_stage_keeps_its_layers_apart(folder: Path) -> None:
    """A build replaces what is kept under its name: one name would keep the last stage alone."""
    job = read(folder / "github" / GITHUB)["jobs"]["build"]
    options = job["env"]["BUILD_OPTIONS"].split()
    assert [option for option in options if "scope={stage}" in option] == options
    variables = read(folder / "gitlab" / GITLAB)["build"]["variables"]
    assert variables["LAYERS"].endswith("/cache:{stage}")


def test_no_registry_is_named_but_by_a_variable(folder: Path) -> None:
    """GitLab tells the address of its registry; on GitHub the owner chooses one."""
    assert read(folder / "github" / GITHUB)["env"]["REGISTRY"] == "${{ vars.REGISTRY }}"
    for name in (f"github/{GITHUB}", f"gitlab/{GITLAB}"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"\b[a-z]+\.(?:com|io|org)\b", text)


def test_both_providers_run_the_same_sessions(folder: Path) -> None:
    """So what is seen of one, run here with a real engine, holds for the other."""
    github = [step.get("run", "") for step in _steps(folder, "checks", "build")]
    gitlab = [
        line
        for job in ("checks", "build")
        for line in read(folder / "gitlab" / GITLAB)[job]["script"]
    ]
    sessions = [
        re.findall(r"nox -s ([\w ]+?)(?: --|$| \|\|)", "\n".join(lines), flags=re.M)
        for lines in (github, gitlab)
    ]
    assert sessions[0] == sessions[1]
    assert len(sessions[0]) == 7


def _steps(folder: Path, *jobs: str) -> list[dict[str, Any]]:
    workflow = read(folder / "github" / GITHUB)
    return [step for job in jobs for step in workflow["jobs"][job]["steps"]]


def test_a_token_that_may_propose_is_in_no_step_that_builds(
    workflow: dict[str, Any], folder: Path
) -> None:
    """A build runs what others have written."""
    job = workflow["jobs"]["rebuild"]
    assert "env" not in job
    for step in job["steps"]:
        assert ("GH_TOKEN" in step.get("env", {})) == ("git push" in step.get("run", ""))
        assert not ("nox -s" in step.get("run", "") and "GH_TOKEN" in step.get("env", {}))
    # GitLab has no variables for a line: no line but the check and the push has it.
    script = read(folder / "gitlab" / GITLAB)["rebuild"]["script"]
    assert [("PROJECT_TOKEN" in line) for line in script] == [True, False, True]


@pytest.mark.parametrize("state", ["none", "same", "new", "other"])
def test_only_a_lock_that_differs_is_proposed(pipeline: Path, tmp_path: Path, state: str) -> None:
    """Where a project has none, too. Git is real, and what would be pushed is written down."""
    repository, programs = tmp_path / "repository", tmp_path / "programs"
    for folder in (repository, programs):
        folder.mkdir()
    lock = repository / "sys.lock"
    (repository / "a").touch()
    if state in ("same", "other"):
        lock.write_text("old")
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    if state in ("new", "other"):
        lock.write_text("new")
    git = shutil.which("git")
    pushed = f'if [ "$1" = push ]; then echo "$@" > {tmp_path}/pushed; exit; fi'
    (programs / "git").write_text(f'#!/bin/sh\n{pushed}\nexec {git} "$@"\n')
    (programs / "gh").write_text("#!/bin/sh\n")
    for name in ("git", "gh"):
        (programs / name).chmod(0o755)
    [script] = [text for text in scripts(pipeline) if "new-base" in text]
    proposing = script[re.search(r"if \[ -\w .*git status", script).start() :]  # type: ignore[union-attr]
    environment = {
        "CI_DEFAULT_BRANCH": "main",
        "CI_PROJECT_PATH": "shop",
        "CI_SERVER_FQDN": "git.example",
        "CI_SERVER_PROTOCOL": "https",
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.defpath}",
        "PROJECT_TOKEN": "x",
    }
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", proposing], cwd=repository, env=environment, check=True
    )
    assert (tmp_path / "pushed").exists() == (state in ("new", "other"))
    shown = subprocess.run(
        ["git", "log", "-1", "--format=%s"], cwd=repository, capture_output=True, check=True
    )
    assert shown.stdout.startswith(b"Base image") == (state in ("new", "other"))


def test_a_schedule_rebuilds_and_nothing_else(workflow: dict[str, Any], folder: Path) -> None:
    jobs = workflow["jobs"]
    assert {name for name, job in jobs.items() if "schedule" in job["if"]} == {"rebuild"}
    others = [job["if"] for name, job in jobs.items() if name != "rebuild"]
    assert all("github.event_name == 'push'" in condition for condition in others)
    assert not any("workflow_dispatch" in condition for condition in others)
    gitlab = read(folder / "gitlab" / GITLAB)
    [rule] = gitlab["rebuild"]["rules"]
    assert rule["if"].startswith("$REBUILD && ")
    for job in ("checks", "build"):
        assert gitlab[job]["rules"][0] == {"if": "$REBUILD", "when": "never"}


def test_renovate_finds_the_digest_that_sys_lock_writes(folder: Path) -> None:
    entry = {"base-image": "registry.example:5000/python:3.13-slim", pins.PINNED: DIGEST}
    text = system_packages.text([{"release": "debian13", "architecture": "amd64", **entry}], 1)
    settings = json.loads((folder / "github" / RENOVATE).read_text(encoding="utf-8"))
    [manager] = settings["customManagers"]
    [pattern] = manager["matchStrings"]
    found = re.search(pattern.replace("(?<", "(?P<"), text)
    assert found
    assert found.groupdict() == {
        "currentDigest": DIGEST,
        "currentValue": "3.13-slim",
        "depName": "registry.example:5000/python",
    }
