"""What "docker build --check" says of every Dockerfile that answers can give."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.docker import Client
from support.images import Layout
from tests.docker.projects import base_image
from tests.render.combinations import Renderer, every_row


@pytest.fixture
def checker(client: Client) -> Client:
    """Reach an engine with a client that can check."""
    if "--check" not in client.run("build", "--help").stdout:
        pytest.skip("the client's buildx has no --check, which came with 0.15")
    return client


@pytest.fixture
def dockerfiles(working_tree: Path, tmp_path: Path) -> list[Path]:
    """Return projects that together have every distinct Dockerfile that answers give.

    Of those that only the defaults of arguments set apart, it is one.
    """
    renderer = Renderer(working_tree)
    distinct = {renderer.files(row)["Dockerfile"]: row for row in every_row()}
    folders = {}
    for digest, row in distinct.items():
        folder = tmp_path / digest / "myapp"
        renderer.write(row, folder)
        text = (folder / "Dockerfile").read_text(encoding="utf-8")
        folders[re.sub(r"(?m)^ARG (?:PYTHON_IMAGE|RUNTIME)=.*", "", text)] = folder
    return list(folders.values())


def test_no_dockerfile_has_a_warning(checker: Client, dockerfiles: list[Path]) -> None:
    image = f"--build-arg=PYTHON_IMAGE={base_image(Layout.DEBIAN, checker)}"

    def check(folder: Path) -> str:
        done = checker.run("build", "--check", image, str(folder))
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert len(dockerfiles) > 3
    with ThreadPoolExecutor() as pool:
        assert not list(filter(None, pool.map(check, dockerfiles)))
