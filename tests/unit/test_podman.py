"""docker/host/podman.py: what Podman is told in place of what Docker would be."""

import os
from collections.abc import Iterator
from pathlib import Path

import engine
import podman
import pytest
import session
from session import SessionError

NETWORK = " --network=none"
DOCKERFILE = """\
ARG PYTHON_IMAGE=python:3.13-slim
ARG BUILDER_IMAGE=${PYTHON_IMAGE}
ARG RUNTIME=minimal

FROM ${PYTHON_IMAGE} AS base
FROM scratch AS facts
COPY pyproject.toml poetry.loc[k] /
FROM base AS production-full
RUN --network=none \\
    --mount=type=bind,from=facts,target=/facts \\
    cp /facts/pyproject.toml /
FROM base AS production-minimal
RUN --mount=type=bind,source=docker/tools.txt,target=/tools.txt cat /tools.txt
FROM production-${RUNTIME} AS chosen
COPY --link --chmod=755 --from=facts /pyproject.toml /
FROM base AS whole
RUN --mount=type=bind,target=/context ls /context
FROM base AS last
# What a comment says, like poetry.lock, is no source, and a folder of the image is none: /docker
RUN --mount=type=bind,from=chosen,target=/chosen ls /chosen /docker docker
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a project's folder, with Podman as the engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    for name in ("DOCKER_HOST", "PYTHON_IMAGE", "RUNTIME", "BUILD_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "docker").mkdir()
    (tmp_path / "src/pkg").mkdir(parents=True)
    files = ("Dockerfile", "docker/tools.txt", "poetry.lock", "pyproject.toml", "src/pkg/a.py")
    for name in files:
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("*\n!docker/\n!src/\n!pyproject.toml\n")
    yield tmp_path
    podman.compose.cache_clear()
    podman._has_step_network.cache_clear()


def keys(dockerfile: str = DOCKERFILE, *words: str) -> dict[str, str]:
    """Return what each stage has as its argument, by its name."""
    found = {}
    text = podman.translated(dockerfile, podman.arguments(words), step_network=True)
    for stage in text.split("\nFROM ")[1:]:
        first, second = [*stage.splitlines(), ""][:2]
        if second.startswith("ARG INPUTS="):
            found[first.split()[-1]] = second
    return found


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("pyproject.toml", {"production-full", "whole", "last"}),
        ("poetry.lock", {"production-full", "last"}),
        ("docker/tools.txt", {"production-minimal", "whole", "last"}),
        ("docker/other.txt", {"whole"}),
        ("build/sizes.txt", set()),
        ("src/pkg/a.py", {"whole"}),
        ("src/pkg/new.py", {"whole"}),
        ("README.md", set()),
        ("src/pkg/__pycache__/a.pyc", set()),
    ],
)
def test_a_step_is_repeated_if_what_it_mounts_has_changed(file: str, changed: set[str]) -> None:
    """A stage that is copied from, or chosen by an argument, counts with all that it reads."""
    before = keys()
    assert before.keys() == {"production-full", "production-minimal", "whole", "last"}
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("another")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_step_is_repeated_for_other_arguments() -> None:
    """An argument counts for the stages that name it, and for those that read these."""
    before = keys()
    chosen = keys(DOCKERFILE, "--build-arg=RUNTIME=full")
    assert {name for name in before if before[name] != chosen[name]} == {"last"}
    text = (
        f"{DOCKERFILE}FROM base AS own\nARG MODEL\nRUN --mount=type=bind,from=facts,target=/f x\n"
    )
    for words in (["--build-arg=MODEL=big"], ["--build-arg", "MODEL=big"]):
        before, after = keys(text), keys(text, *words)
        assert {name for name in before if before[name] != after[name]} == {"own"}


@pytest.mark.parametrize("source", [".", "./", "*", "./*", "src/${A}", "./src", "/src", "sr[c]"])
@pytest.mark.parametrize("ignore", ["*\n!src/**/*.py\n", "*\r\n! src\r\n", "build\n", None])
def test_a_step_is_repeated_for_what_another_stage_copies(
    project: Path, source: str, ignore: str | None
) -> None:
    """Whatever form the source and .dockerignore have, and however the instructions are written."""
    (project / ".dockerignore").unlink()
    if ignore is not None:
        (project / ".dockerignore").write_text(ignore, newline="")
    text = (
        "FROM scratch AS base\n"
        f"from --platform=linux/amd64 base as own\ncopy --chmod=755 \\\n  {source} /x/\n"
        "FROM own AS middle\nFROM base AS last\nRUN --mount=from=middle,target=/m ls\n"
    )
    before = keys(text)
    (project / "src/pkg/a.py").write_text("another")
    assert keys(text)["last"] != before["last"]


def test_an_argument_counts_that_is_declared_beside_others() -> None:
    text = f"{DOCKERFILE}FROM base AS own\nARG ONE TWO=2\nRUN --mount=from=facts,target=/f x\n"
    assert keys(text) != keys(text, "--build-arg=TWO=3")


@pytest.mark.parametrize("line", ["FROM", "FROM --platform=linux/amd64", "COPY", "RUN", "ARG"])
def test_what_is_no_dockerfile_is_left_to_podman(line: str) -> None:
    text = f"FROM base AS own\n{line}\n{line} \nFROM own\n"
    assert podman.translated(text, {}, step_network=True) == text


@pytest.mark.parametrize("step_network", [True, False])
def test_only_what_podman_does_not_know_is_left_out(*, step_network: bool) -> None:
    text = podman.translated(DOCKERFILE, {}, step_network=step_network)
    lines = [x for x in text.splitlines(keepends=True) if not x.startswith("ARG INPUTS=")]
    expected = DOCKERFILE.replace(" --link", "")
    if not step_network:
        expected = expected.replace(" --network=none", "")
    assert "".join(lines) == expected


@pytest.mark.parametrize(
    ("version", "network"),
    [("4.3.1", ""), ("4.5.0", " --network=none"), ("5.4.2", " --network=none")],
)
def test_a_build_has_the_command_of_podman(
    monkeypatch: pytest.MonkeyPatch, version: str, network: str
) -> None:
    monkeypatch.setattr(podman, "docker", lambda *_: f"podman version {version}\n")
    command = engine.build_command("last", "--no-cache")
    assert command[:3] == ["podman", "build", "--format=docker"]
    text = Path(command[3].removeprefix("--file=")).read_text(encoding="utf-8")
    assert f"\nRUN{network} \\\n" in text
    assert "--target=last" in command
    assert command[-2:] == ["--no-cache", "."]
    # What Docker takes from the Dockerfile by itself.
    assert {"--build-arg=RUNTIME=minimal", "--build-arg=PYTHON_IMAGE=python:3.13-slim"} < {*command}
    assert not any("BUILDER_IMAGE=" in word for word in command)


def test_what_is_given_counts_before_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the machine that no argument names is not given."""
    monkeypatch.setattr(podman, "docker", lambda *_: "podman version 5.4.2\n")
    monkeypatch.setenv("PYTHON_IMAGE", "another")
    monkeypatch.setenv("RUNTIME", "node")
    words = engine.build_command("last", "--no-cache")
    assert "--build-arg=RUNTIME=minimal" in words
    assert not any("python:3.13-slim" in word for word in words)
    assert "--build-arg=RUNTIME=minimal" not in podman.build(["--build-arg", "RUNTIME=full"])


def test_a_dockerfile_may_have_line_ends_of_windows(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "docker", lambda *_: "podman version 5.4.2\n")
    (project / "Dockerfile").write_text(DOCKERFILE, newline="\r\n")
    command = podman.build([])
    assert "--build-arg=RUNTIME=minimal" in command
    text = Path(command[3].removeprefix("--file=")).read_bytes().decode()
    assert "ARG INPUTS=" in text
    assert "\r" not in text


def test_a_podman_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "docker", lambda *_: "podman version 4.2.0\n")
    with pytest.raises(SessionError, match=r"^This is podman version 4\.2\.0\. Install "):
        podman.build([])


@pytest.mark.parametrize(
    ("value", "client"), [("", "docker"), ("docker", "docker"), ("podman", "podman")]
)
def test_a_variable_chooses_the_engine(
    monkeypatch: pytest.MonkeyPatch, value: str, client: str
) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", value)
    assert session.docker_client() == client


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", "nerdctl")
    with pytest.raises(
        SessionError, match=r"^CONTAINER_ENGINE is 'nerdctl'\. Write docker or podman\.$"
    ):
        session.docker_client()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (lambda: engine.build_for_all("production", "--reproducible"), "docker_prod -- --repro"),
        (lambda: engine.push_production("registry.example/app:1"), "docker_push does not"),
        (lambda: engine.prepare("watch"), "up -- watch does not"),
    ],
)
def test_what_podman_cannot_do_is_refused(
    monkeypatch: pytest.MonkeyPatch, command: object, told: str
) -> None:
    monkeypatch.setattr(engine, "ensure_lock", dict)
    assert callable(command)
    with pytest.raises(SessionError, match=f"^{told}.* with Podman. Run it with Docker: "):
        command()


def test_compose_does_not_build_with_podman(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(engine, "ensure_lock", dict)
    monkeypatch.setattr(engine, "build", made.append)
    monkeypatch.setenv("PULL_POLICY", "build")
    engine.prepare("down")
    assert (made, os.environ["PULL_POLICY"]) == ([], "build")
    for command in ("up", "run"):
        engine.prepare(command)
        assert os.environ["PULL_POLICY"] == "missing"
    assert made == ["development"] * 2


def install_compose(folder: Path, version: str) -> Path:
    program = folder / "docker-compose"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program


def test_compose_finds_the_socket_of_podman(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "")
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("PATH", str(project))
    monkeypatch.setattr(podman, "PLUGINS", ())
    with pytest.raises(SessionError, match=r"^The program docker-compose is not installed\. In"):
        podman.compose()
    program = install_compose(project, "1.29.2")
    with pytest.raises(SessionError, match=r"is compose 1\.29\.2\. Install compose, version 2\.20"):
        podman.compose()
    install_compose(project, "2.40.3")
    socket = project / "podman.sock"
    monkeypatch.setattr(podman, "docker", lambda *_: f"{socket}\n")
    with pytest.raises(SessionError, match=r"^Podman does not listen at .+ enable --now podman"):
        podman.compose()
    socket.touch()
    assert podman.compose() == str(program)
    assert os.environ["DOCKER_HOST"] == f"unix://{socket}"


def test_an_address_that_is_set_has_to_be_of_podman(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker has other images: what was built would not be what runs."""

    def refuse(*_: str) -> str:
        raise SessionError("podman --remote failed.")

    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    monkeypatch.setenv("PATH", str(project))
    program = install_compose(project, "2.40.3")
    monkeypatch.setattr(podman, "docker", refuse)
    with pytest.raises(SessionError, match=r"^DOCKER_HOST is unix:///elsewhere\.sock, where no P"):
        podman.compose()
    monkeypatch.setattr(podman, "docker", lambda *_: "")
    assert podman.compose() == str(program)
    assert os.environ["DOCKER_HOST"] == "unix:///elsewhere.sock"
