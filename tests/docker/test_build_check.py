"""What "docker build --check" says of every Dockerfile that answers can give."""

import hashlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import copier
import pytest

from support import docker
from support.images import Layout
from tests.docker.conftest import base_image
from tests.render.conftest import Answers, choices


@pytest.fixture
def checker(client: dict[str, str]) -> dict[str, str]:
    """Reach an engine with a client that can check."""
    if "--check" not in docker.run(client, "build", "--help").stdout:
        pytest.skip("the client's buildx has no --check, which came with 0.15")
    return client


@pytest.fixture
def dockerfiles(
    working_tree: Path,
    isolated: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> list[Path]:
    """Return folders with the distinct Dockerfiles, and nothing else, that answers give."""
    isolated(monkeypatch)
    numbers = itertools.count()
    found: dict[str, Path] = {}

    def render(answers: Answers) -> str:
        folder = tmp_path / str(next(numbers)) / "myapp"
        nothing_else = ["*", "!Dockerfile", "!Dockerfile.jinja"]
        copier.run_copy(
            *(str(working_tree), folder),
            data=answers,
            defaults=True,
            exclude=nothing_else,
            quiet=True,
        )
        digest = hashlib.sha256((folder / "Dockerfile").read_bytes()).hexdigest()
        found.setdefault(digest, folder)
        return digest

    usual = render({})
    changes = {
        name: answers
        for name, answers in choices().items()
        if any(render({name: answer}) != usual for answer in answers)
    }
    for row in itertools.product(*changes.values()):
        render(dict(zip(changes, row, strict=True)))
    return list(found.values())


def test_no_dockerfile_has_a_warning(checker: dict[str, str], dockerfiles: list[Path]) -> None:
    image = f"--build-arg=PYTHON_IMAGE={base_image(Layout.DEBIAN, checker)}"

    def check(folder: Path) -> str:
        done = docker.run(checker, "build", "--check", image, str(folder))
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert len(dockerfiles) > 8
    with ThreadPoolExecutor() as pool:
        assert not list(filter(None, pool.map(check, dockerfiles)))
