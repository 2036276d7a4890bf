"""The commands of both pipelines, run here as their providers run them, with a real registry.

The programs of the steps and jobs are taken out of the files that a project has, and run by bash in
the project's folder, with the variables that the provider sets. The registry is on the loopback
interface. Not run here, because they need the provider or images from a registry that it reaches:

- what "uses:" names. The restored sizes, which a cache of the provider brings, are copied;
- the installation of Nox (the tests run with the version that is pinned) and of Alpine's packages;
- a builder in a container, and so the export of layers to the provider's cache. BUILD_OPTIONS is
  empty, and one test shows that its words reach every build.
"""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import transfer
from tests.docker.projects import Made, Make
from tests.render import test_pipelines

VERSION = "1.2.3"
SECRET = "the-password-of-the-registry"
INSTALLATION = re.compile(
    r"(?:pipx?|apk) (?:install|add)|-m venv|export PATH|docker (?:context|buildx)"
)
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
)
Registry = transfer.Registry


@dataclass(frozen=True)
class Step:
    """A program of a pipeline, and the variables that the pipeline sets for it."""

    program: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """A project's pipeline, and a registry in place of the provider's."""

    project: Made
    registry: Registry
    home: Path

    @property
    def repository(self) -> str:
        """Return where the pipeline pushes to."""
        return f"{self.registry.address}/ada/{type(self).__name__.lower()}"

    @property
    def summary(self) -> str:
        """Return what a person sees of the sizes: the summary of the job, or its artifact."""
        raise NotImplementedError

    def steps(self, job: str, tag: str = "") -> list[Step]:
        """Return what runs in a job, for a branch or for a tag."""
        raise NotImplementedError

    def provided(self, tag: str = "") -> dict[str, str]:
        """Return the variables that the provider sets."""
        raise NotImplementedError

    def run(self, job: str = "build", tag: str = "") -> str:
        """Run a job, which has to succeed, and return its output."""
        # The login is written there.
        settings = {"BUILD_OPTIONS": "", "CI": "true", "DOCKER_CONFIG": str(self.home)}
        output = ""
        for step in self.steps(job, tag):
            variables = {**step.variables, **self.provided(tag), **settings}
            command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.program)
            done = self.project.run(*command, **variables)
            output += done.stdout
            assert done.returncode == 0, output
        return output


class GitHub(Pipeline):
    """A workflow of GitHub."""

    @property
    def summary(self) -> str:
        """Return the summary of the job."""
        return (self.home / "summary").read_text(encoding="utf-8")

    def steps(self, job: str, tag: str = "") -> list[Step]:
        """Return the programs whose conditions hold; an unknown condition is an error."""
        path = self.project.folder / ".github/workflows/ci.yml"
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = workflow["jobs"]["release" if tag and job == "build" else job]
        conditions = {None: True, "github.ref_type == 'tag'": bool(tag)}
        outer = {**workflow["env"], **found.get("env", {})}
        return [
            Step(step["run"], self.resolved({**outer, **step.get("env", {})}))
            for step in found["steps"]
            if "run" in step and not INSTALLATION.search(step["run"]) and conditions[step.get("if")]
        ]

    @staticmethod
    def resolved(variables: dict[str, str]) -> dict[str, str]:
        """Return variables as the provider fills them in; an unknown expression is an error."""
        values = {"${{ github.token }}": SECRET, "${{ vars.REGISTRY }}": ""}
        return {
            name: values[value] if "${{" in value else value for name, value in variables.items()
        }

    def provided(self, tag: str = "") -> dict[str, str]:
        """Return GitHub's own variables, and the address of the registry."""
        (self.home / "summary").touch()
        return {
            "GITHUB_ACTOR": "ada",
            "GITHUB_REF_NAME": tag or "main",
            # Owners may have capital letters, repositories of images may not.
            "GITHUB_REPOSITORY": "Ada/GitHub",
            "GITHUB_STEP_SUMMARY": str(self.home / "summary"),
            "REGISTRY": self.registry.address,
        }


class GitLab(Pipeline):
    """A pipeline of GitLab."""

    @property
    def summary(self) -> str:
        """Return the artifact."""
        return (self.project.folder / "build/sizes.txt").read_text(encoding="utf-8")

    def steps(self, job: str, tag: str = "") -> list[Step]:
        """Return the job's program, which is one; the same for branches and tags."""
        path = self.project.folder / ".gitlab-ci.yml"
        found = test_pipelines.read(path)[job]
        lines = [*found.get("before_script", []), *found["script"]]
        return [Step("\n".join(line for line in lines if not INSTALLATION.search(line)))]

    def provided(self, tag: str = "") -> dict[str, str]:
        """Return GitLab's own variables."""
        return {
            "CI_COMMIT_TAG": tag,
            "CI_REGISTRY": self.registry.address,
            "CI_REGISTRY_IMAGE": self.repository,
            "CI_REGISTRY_PASSWORD": SECRET,
            "CI_REGISTRY_USER": "ada",
        }


PROVIDERS: dict[str, Callable[[Made, Registry, Path], Pipeline]] = {
    "github": GitHub,
    "gitlab": GitLab,
}


# Both run the same sessions (tests/render/test_pipelines.py), so every change runs one of them.
BOTH = ["github", pytest.param("gitlab", marks=pytest.mark.proofs)]


@pytest.fixture(scope="module", params=BOTH)
def pipeline(
    request: pytest.FixtureRequest,
    make: Make,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Return a project with a pipeline."""
    provider: str = request.param
    # The Python that runs these tests, for what the pipeline checks outside of images.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    project = make(ci=provider, python_version=version)
    made = PROVIDERS[provider](project, registry, tmp_path_factory.mktemp(provider))
    client = Path(project.environment().get("DOCKER_CONFIG", Path.home() / ".docker"))
    (made.home / "cli-plugins").symlink_to(client / "cli-plugins")
    yield made
    tags = project.docker("images", "--quiet", made.repository).split()
    if tags:
        project.docker("rmi", "--force", *set(tags))


@pytest.fixture(scope="module")
def first(pipeline: Pipeline) -> str:
    """Run the pipeline for the first time, on the main branch, and return its output."""
    return pipeline.run()


@pytest.fixture(scope="module")
def released(pipeline: Pipeline) -> str:
    """Run the pipeline for a tag, and return its output."""
    return pipeline.run(tag=f"v{VERSION}")


@dataclass(frozen=True)
class Row:
    """What the table of sizes has of one stage."""

    change: str
    verdict: str


def rows(text: str) -> dict[str, Row]:
    """Return the last table of sizes in a text, by stage."""
    table = re.split(r"\n\n|```", text[text.rindex("stage  ") :], maxsplit=1)[0]
    header, *stages = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    change, verdict = header.index("change"), header.index("verdict")
    return {line[0]: Row(line[change], line[verdict]) for line in stages}


def megabytes(size: str) -> float:
    """Return a size of the table as a number."""
    number, unit = size.split()
    return float(number) * {"kB": 1e-3, "MB": 1}[unit]


@pytest.mark.proofs
def test_the_checks_pass_in_a_new_project(pipeline: Pipeline) -> None:
    pipeline.project.run("git", "init", "--quiet")
    pipeline.project.run("git", "add", "--all")
    output = pipeline.run("checks")
    for session in ("lint", "typecheck", "tests"):
        assert re.search(rf"Session {session}\S* was successful", output), session


def test_the_first_run_has_nothing_to_compare_with(pipeline: Pipeline, first: str) -> None:
    for session in ("docker_test", "sys_check", "docker_prod", "docker_size", "docker_check"):
        assert f"Session {session} was successful" in first
    # The table, without what was built before it.
    assert pipeline.summary.removeprefix("```text\n").startswith("stage ")
    assert {row.change for row in rows(pipeline.summary).values()} == {"-"}
    assert {row.verdict for row in rows(pipeline.summary).values()} == {"-", "ok"}


def test_a_branch_publishes_nothing(pipeline: Pipeline, first: str) -> None:
    assert "docker_push" not in first
    repositories = pipeline.registry.storage / "docker/registry/v2/repositories"
    assert not (repositories / pipeline.repository.split("/", 1)[1]).exists()


@pytest.mark.proofs
@pytest.mark.usefixtures("first")
def test_a_merge_request_shows_by_how_much_each_stage_grows(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """The sizes of the main branch come from the provider's cache, into a fresh folder."""
    folder = pipeline.project.folder
    restored = tmp_path / "sizes.json"
    shutil.move(folder / "build/sizes.json", restored)
    shutil.rmtree(folder / "build")
    (folder / "build").mkdir()
    shutil.copy(restored, folder / "build/sizes.json")
    [package] = (folder / "src").iterdir()
    (package / "added.py").write_text(f'TEXT = "{"text " * 60_000}"\n', encoding="utf-8")
    try:
        output = pipeline.run()
    finally:
        (package / "added.py").unlink()
    found = rows(pipeline.summary)
    # 0.3 MB of source and as much of bytecode; development has the mounted source, too.
    assert megabytes(found["base"].change) == 0
    assert 0.6 <= megabytes(found["production"].change) < 0.7
    assert all(row.verdict == "ok" for name, row in found.items() if name != "base")
    grown = pipeline.summary.split("grown in production\n")[1].splitlines()[0]
    assert grown.split()[0] == pipeline.project.name
    # It is in the log, too, and what the runs said has no secret.
    assert rows(output) == found
    assert SECRET not in output


@pytest.mark.proofs
def test_a_job_whose_stage_is_over_its_budget_fails_and_shows_the_sizes(
    pipeline: Pipeline,
) -> None:
    path = pipeline.project.folder / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'^production = ".*"$', 'production = "1 MB"', text, flags=re.M))
    try:
        with pytest.raises(AssertionError, match="Over budget: production"):
            pipeline.run()
    finally:
        path.write_text(text, encoding="utf-8")
    assert rows(pipeline.summary)["production"].verdict == "OVER"


def test_a_tag_publishes_the_image_by_its_digest(pipeline: Pipeline, released: str) -> None:
    project = pipeline.project
    assert SECRET not in released
    reference = (project.folder / "build/digest.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(rf"{re.escape(pipeline.repository)}@sha256:[0-9a-f]{{64}}", reference)
    # What was tested is what is in the registry, under the version and under the digest.
    image = project.docker("image", "inspect", "--format={{.Id}}", f"{project.name}:production")
    for name in (VERSION, reference.split("@")[1]):
        assert layers_in_registry(pipeline, name) == project.layers()
    # Pulled by someone who has none of it, it runs.
    tags = [f"{project.name}:production", f"{pipeline.repository}:{VERSION}"]
    project.docker("rmi", *tags)
    assert not project.docker("images", "--quiet", pipeline.repository)
    assert "Downloaded newer image" in project.docker("pull", reference)
    assert project.docker("image", "inspect", "--format={{.Id}}", reference) == image
    run = ("run", "--rm", "--network=none", "--entrypoint=python3", reference, "-c")
    [package] = (project.folder / "src").iterdir()
    assert project.docker(*run, f"import {package.name}; print('it runs')") == "it runs"
    project.docker("tag", reference, tags[0])


def layers_in_registry(pipeline: Pipeline, name: str) -> list[str]:
    """Return the digests of the layers that the registry has under a tag or a digest.

    From containerd's image store comes an index: of the image, and of what attests to it.
    """
    found = served(pipeline, f"manifests/{name}")
    if "manifests" in found:
        [image] = [x for x in found["manifests"] if x["platform"]["os"] == "linux"]
        found = served(pipeline, f"manifests/{image['digest']}")
    layers: list[str] = served(pipeline, f"blobs/{found['config']['digest']}")["rootfs"]["diff_ids"]
    return layers


def served(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """Return a document of the registry."""
    path = pipeline.repository.removeprefix(f"{pipeline.registry.address}/")
    address = f"http://{pipeline.registry.address}/v2/{path}/{name}"
    request = urllib.request.Request(address, headers={"Accept": ", ".join(MANIFESTS)})
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("pipeline", ["github"], indirect=True)
def test_a_release_is_named_in_the_summary(pipeline: Pipeline) -> None:
    digest = (pipeline.project.folder / "build/digest.txt").read_text(encoding="utf-8").strip()
    assert f"Published as `{digest}`" in pipeline.summary


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("pipeline", ["github"], indirect=True)
def test_the_login_is_not_kept(pipeline: Pipeline) -> None:
    """A machine that runs jobs may run others; on GitLab the login ends with the container."""
    settings = json.loads((pipeline.home / "config.json").read_text(encoding="utf-8"))
    assert not settings.get("auths")


@pytest.mark.parametrize("pipeline", ["gitlab"], indirect=True)
def test_the_digest_is_kept_as_an_artifact(pipeline: Pipeline) -> None:
    text = (pipeline.project.folder / ".gitlab-ci.yml").read_text(encoding="utf-8")
    assert "build/digest.txt" in yaml.safe_load(text)["build"]["artifacts"]["paths"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["shop"],
        ["shop:"],
        ["127.0.0.1:5000/shop"],
        ["shop:1", "shop:2"],
        [f"shop@sha256:{'0' * 64}"],
    ],
    ids=" ".join,
)
def test_what_is_no_name_with_a_tag_is_refused(built: Make, arguments: list[str]) -> None:
    output = built().refused("docker_push", *arguments)
    assert "Usage: nox -s docker_push -- REPOSITORY:TAG" in output


def test_the_last_line_of_a_push_is_the_digest(built: Make, registry: Registry) -> None:
    """So that a script can read it; what Nox says goes to the other stream."""
    project, name = built(), f"{registry.address}/last-line:1"
    done = subprocess.run(
        ["nox", "-s", "docker_push", "--", name],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    project.docker("rmi", name)
    written = (project.folder / "build/digest.txt").read_text(encoding="utf-8")
    assert done.stdout.splitlines()[-1] == written.strip()


def test_a_registry_that_does_not_answer_is_named(built: Make) -> None:
    output = built().refused("docker_push", "127.0.0.1:1/shop:1")
    built().docker("rmi", "127.0.0.1:1/shop:1")
    assert "The registry 127.0.0.1:1 does not answer." in output


@pytest.mark.proofs
def test_the_options_of_a_pipeline_reach_every_build(fresh: Made) -> None:
    """Each with the name of its stage; a word may be quoted."""
    options = "--label=stage=it-is-{stage} '--label=words=two words'"
    for session, stage in (("docker_prod", "production"), ("docker_dev", "development")):
        fresh.session(session, BUILD_OPTIONS=options)
        inspect = ("image", "inspect", "--format={{json .Config.Labels}}")
        labels = json.loads(fresh.docker(*inspect, f"{fresh.name}:{stage}"))
        assert labels.items() >= {"stage": f"it-is-{stage}", "words": "two words"}.items()
    # Where a session takes files and no image, the builder's complaint shows it.
    output = fresh.refused("sys_check", BUILD_OPTIONS="--cache-to=type=none-such")
    assert "none-such" in output
