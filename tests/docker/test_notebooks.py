"""JupyterLab in the image: with a token, on this machine alone, run by a person and by tests."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.images import Layout
from tests.docker.projects import HARDENED, Made, Make, free_port, wait_until

TOKEN = "secret-of-this-test"
# The prototype's 443.4 MB, as docker_size counts, and three percent.
MOST_MEGABYTES = 440
# It takes minutes, and 165 MB from the index.
pytestmark = pytest.mark.proofs


@pytest.fixture(scope="module")
def tested(make: Make) -> Made:
    """Return a project whose notebooks have run in the image; tests leave it as it is."""
    project = make(kind="notebook")
    assert "2 passed" in project.session("docker_test")
    project.session("docker_prod")
    return project


def ask(address: str, *, token: str = TOKEN, **body: Any) -> Any:
    """Return what the server says; HTTPError if it refuses. With a body, it is put there."""
    request = urllib.request.Request(
        address,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"token {token}"} if token else {},
        method="PUT" if body else "GET",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def is_served(address: str) -> bool:
    """Tell whether a server is there."""
    try:
        return bool(ask(f"{address}/api"))
    except OSError:
        return False


@contextmanager
def served(project: Made, *session: str) -> Iterator[str]:
    """Serve by a session of the project, which ends with it; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "nox", "--session", *session],
        cwd=project.folder,
        env={**project.environment(), "JUPYTER_TOKEN": TOKEN, "PORT": port},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_served(address), 300)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def test_it_is_within_its_budget(tested: Made) -> None:
    told = tested.session("docker_size")
    [size] = re.findall(r"^production +([\d.]+) MB", told, flags=re.MULTILINE)
    assert float(size) < MOST_MEGABYTES


@pytest.mark.parametrize("session", [("docker_run",), ("up",)], ids=" ".join)
def test_its_owner_alone_writes_into_the_folder_with_notebooks(
    tested: Made, session: tuple[str, ...]
) -> None:
    folder = "notebooks/" if session == ("up",) else ""
    with served(tested, *session) as address:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(f"{address}/api/contents", token="")
        listed = ask(f"{address}/api/contents/{folder}")["content"]
        assert "iris.ipynb" in [entry["name"] for entry in listed]
        made = f"{session[0]}.txt"
        body = {"type": "file", "format": "text", "content": "ü"}
        ask(f"{address}/api/contents/{folder}{made}", **body)
    path = tested.folder / "notebooks" / made
    assert path.read_text(encoding="utf-8") == "ü"
    assert path.stat().st_uid == tested.folder.stat().st_uid
    path.unlink()
    assert not tested.docker("ps", "--all", "--quiet", f"--filter=name={tested.name}")


def test_another_command_runs_a_notebook_read_only_as_anybody(tested: Made, tmp_path: Path) -> None:
    """Without the server: its plot is in the file."""
    folder = Path(shutil.copytree(tested.folder / "notebooks", tmp_path / "note books"))
    for path in (tmp_path, folder, *folder.iterdir()):
        path.chmod(0o777)
    options = ("--rm", "--network=none", "--tmpfs=/tmp", "--user=12345", f"--volume={folder}:/work")
    command = ("jupyter", "execute", "--inplace", "iris.ipynb")
    tested.docker("run", *options, *HARDENED, f"{tested.name}:production", *command)
    cells = json.loads((folder / "iris.ipynb").read_text(encoding="utf-8"))["cells"]
    assert "image/png" in cells[-1]["outputs"][0]["data"]


def test_a_person_opens_it_runs_all_cells_and_sees_the_plot(
    tested: Made, browser: str, tmp_path: Path
) -> None:
    """In Chromium, with production read-only as another user; docs/pictures has the picture."""
    folder = Path(shutil.copytree(tested.folder / "notebooks", tmp_path / "work"))
    for path in (tmp_path, folder, *folder.iterdir()):
        path.chmod(0o777)
    options = (f"--env=JUPYTER_TOKEN={TOKEN}", "--tmpfs=/tmp", f"--volume={folder}:/work")
    run = ("run", "--detach", "--user=12345", *options, *HARDENED)
    server = tested.docker(*run, f"{tested.name}:production")
    try:

        def is_healthy() -> bool:
            state = tested.docker("inspect", "--format={{.State.Health.Status}}", server)
            return state == "healthy"

        wait_until(is_healthy, 60)
        address = f"http://127.0.0.1:8888/lab/tree/iris.ipynb?token={TOKEN}"
        see = ("run", "--rm", f"--network=container:{server}", f"--volume={tmp_path}:/pictures")
        tested.docker(*see, browser, address, "/pictures/notebook.png")
        assert (tmp_path / "notebook.png").stat().st_size > 50_000
        tested.docker("stop", "--time=30", server)
        assert tested.docker("inspect", "--format={{.State.ExitCode}}", server) == "0"
    finally:
        tested.docker("rm", "--force", server)


@pytest.mark.usefixtures("alpine_packages")
def test_on_alpine_what_has_no_wheel_is_compiled_once(make: Make) -> None:
    """scikit-learn alone; afterwards nothing is compiled any more, and all of it works."""
    project = make(Layout.ALPINE, kind="notebook")
    project.edit(
        "pyproject.toml",
        "[tool.sys]\n",
        '[tool.sys.alpine3-23.dev-dependencies]\n"g++" = "*"\nmusl-dev = "*"\n',
    )
    told = project.session("docker_wheels")
    assert "scikit-learn" in told
    [wheel] = (project.folder / ".wheels").rglob("scikit_learn-*.whl")
    assert wheel.stat().st_size > 1_000_000
    # What it needs of Alpine is named by the check, which can declare it.
    assert "libgomp.so.1, needed by scikit-learn" in project.refused("docker_test")
    project.session("sys_check", "--fix")
    assert "2 passed" in project.session("docker_test")
    print(project.session("docker_size"))
