"""Images that the engine tests share: each combination is rendered, locked and built once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import engine, images, transfer
from support.docker import Client
from support.images import Layout
from support.paths import alone
from support.project import render
from tests.docker.declarations import (
    COMPILED,
    COMPILED_SETTINGS,
    COMPILED_SLOWLY,
    COMPILED_SLOWLY_SETTINGS,
    DECLARED_SETTINGS,
    RUNTIMES,
    WHEELS,
    build_runtimes,
    declare,
)
from tests.docker.projects import (
    HARDENED,
    LAYOUTS,
    PYTHON_VERSION,
    Made,
    Make,
    Names,
    Twin,
    base_image,
    free_port,
    service_image,
    service_images,
)
from tests.families import needed_by

BROWSER = Path(__file__).parent / "browser"


@pytest.fixture(scope="session")
def client() -> Client:
    """Reach an engine, the embedded one where none answers."""
    return engine.ensure()


@pytest.fixture(scope="session", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    """Go through the places where a base image keeps its interpreter."""
    chosen: Layout = request.param
    return chosen


@pytest.fixture(scope="session")
def alpine_packages(client: Client) -> Iterator[None]:
    """Let builds on Alpine install packages, for the whole run."""
    with images.packages(base_image(Layout.ALPINE, client), client):
        yield


@pytest.fixture(scope="session")
def prefix() -> str:
    """Return what keeps the images of this run apart from those of another at the same time.

    Alone it is empty: with the same names in every run, the engine's cache has more to offer.
    """
    number = os.environ["SEEDPOD_TEST_RUN"]
    return f"run{number}-" if number != "0" else ""


@pytest.fixture(scope="session")
def names() -> Names:
    """Return the names of projects."""
    return Names()


@pytest.fixture(autouse=True, scope="module")
def named_by_file(request: pytest.FixtureRequest, names: Names) -> None:
    """Name projects by the file of tests that makes them."""
    path: Path = request.path
    names.scope = path.stem.removeprefix("test_").replace("_", "-")


@pytest.fixture(scope="session")
def locks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder with the lock files that all processes of this run share."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder if worker_id == "master" else folder.parent
    (shared / "locks").mkdir(exist_ok=True)
    return shared / "locks"


@pytest.fixture(scope="session")
def make(
    client: Client,
    prefix: str,
    names: Names,
    locks: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Make]:
    """Make projects: the answers, and the layout of the base image; lock files are shared."""
    root = tmp_path_factory.mktemp("projects")
    made: list[Made] = []

    def make_project(
        layout: Layout = Layout.DEBIAN, image_version: str = PYTHON_VERSION, **answers: str
    ) -> Made:
        if "project_name" in answers:
            answers["project_name"] = f"{prefix}{answers['project_name']}"
        kind = answers.get("kind", "web")
        given = ("services", "distribution", "plugins")
        asked = [kind, answers.get("python_version", PYTHON_VERSION)]
        asked += [answers.get(name, "") for name in given]
        lock = locks / f"{re.sub(r'[^a-z0-9.]+', '-', '-'.join(asked))}.lock"
        folder = root / f"{prefix}{kind}-{answers.get('runtime', 'minimal')}-{names.next()}"
        base = "alpine" if layout is Layout.ALPINE else "debian"
        render({"python_version": PYTHON_VERSION, "base": base, **answers}, folder)
        variables = {
            **client.variables,
            "PYTHON_IMAGE": base_image(layout, client, image_version),
        }
        for service, reference in service_images(folder).items():
            variables[f"{service}_IMAGE"] = service_image(reference, client)
        project = Made(folder, variables)
        made.append(project)
        with alone(f"tests-{lock.stem}"):
            if not lock.exists():
                project.session("lock")
                shutil.copy(folder / "poetry.lock", lock)
        shutil.copy(lock, folder / "poetry.lock")
        return project

    yield make_project
    for project in made:
        tags = project.docker("images", "--quiet", project.name).split()
        if tags:
            project.docker("rmi", "--force", *set(tags))


@pytest.fixture(scope="session")
def built(make: Make, names: Names, worker_id: str) -> Make:
    """Return finished projects, whose production image is built; tests must not change them."""
    finished: dict[tuple[Layout, str, str], Made] = {}

    def get(layout: Layout = Layout.DEBIAN, kind: str = "web", runtime: str = "minimal") -> Made:
        key = (layout, kind, runtime)
        if key not in finished:
            # Another process may have one of the same kind, which it removes in the end.
            scope, names.scope = names.scope, f"built-{layout.value}-{worker_id}"
            finished[key] = make(layout, kind=kind, runtime=runtime)
            names.scope = scope
            finished[key].session("docker_prod")
        return finished[key]

    return get


@pytest.fixture(scope="module")
def registry() -> Iterator[transfer.Registry]:
    """Run Debian's registry, empty, on the loopback interface."""
    with ExitStack() as stack:
        with needed_by("registry"):
            running = stack.enter_context(transfer.registry())
        yield running


@pytest.fixture(scope="session")
def browser(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the image of a browser, with programs that use it as a person does."""
    context = Path(shutil.copytree(BROWSER, tmp_path_factory.mktemp("browser") / "context"))
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:")
    fits = ("--python-version=3.13", *(f"--platform=manylinux{x}_x86_64" for x in ("1", "_2_28")))
    command = [*download, *fits, f"--dest={context / 'wheels'}", "playwright"]
    subprocess.run(command, check=True)
    base = f"--build-arg=BASE={base_image(Layout.DEBIAN, client)}"
    build = ("build", base, "--tag=seedpod/browser", str(context))
    client.run_or_raise("The browser cannot be built.", *build)
    return "seedpod/browser"


@pytest.fixture
def fresh(make: Make) -> Made:
    """Return a project of this test's own, locked and not built."""
    return make()


@pytest.fixture
def port() -> str:
    """Return a port that was free a moment ago."""
    return free_port()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start containers that are removed at the end; return the address of their port 8000."""
    started: list[tuple[Made, str]] = []

    def start(project: Made, *options: str) -> str:
        publish = ("--publish", "127.0.0.1::8000")
        image = f"{project.name}:production"
        container = project.docker("run", "--detach", *HARDENED, *publish, *options, image)
        started.append((project, container))
        return f"http://{project.docker('port', container, '8000')}"

    yield start
    for project, container in started:
        project.docker("rm", "--force", container)


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sessions of a project apart from the session that runs these tests."""
    for name in (
        *("COMPOSE_FILE", "DEBUG_PORT", "DEBUG_WAIT", "HOST_GID", "HOST_UID", "NOXSESSION"),
        *("PIP_ENV", "PORT", "SHARED_NETWORK", "SOURCE_DATE_EPOCH"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Go through the runtimes, whose names tag the images of ``compiled`` and ``declared``."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def compiled(make: Make, worker_id: str) -> Made:
    """Return a project that compiles packages, built in both runtimes; tests leave it as it is."""
    # With one name in every run, the engine's cache has the lock file, too; a process removes its
    # own in the end.
    project = make(Layout.LOCAL, project_name=f"compiled-{worker_id}")
    return _compiled(project, (*WHEELS, *COMPILED), COMPILED_SETTINGS)


@pytest.fixture(scope="session")
def compiled_slowly(make: Make, worker_id: str) -> Made:
    """Return one like it, of packages that take long."""
    project = make(Layout.LOCAL, project_name=f"compiled-slowly-{worker_id}")
    return _compiled(project, COMPILED_SLOWLY, COMPILED_SLOWLY_SETTINGS)


def _compiled(project: Made, packages: Iterable[str], settings: str) -> Made:
    lines = "".join(f'    "{name}",\n' for name in packages)
    project.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{lines}")
    declare(project, settings)
    # How fast the code is that comes out matters to no test, and optimizing lxml takes minutes.
    stage = "FROM tools AS build-system\n"
    project.edit("Dockerfile", stage, f"{stage}ENV CFLAGS=-O0\n")
    project.session("lock")
    build_runtimes(project)
    return project


@pytest.fixture(scope="session")
def declared(make: Make, worker_id: str) -> Made:
    """Return a project with small system packages, built; tests leave it as it is."""
    project = make(project_name=f"declared-{worker_id}")
    declare(project, DECLARED_SETTINGS)
    build_runtimes(project)
    return project


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    """Return a function that copies a project, so that a test may change it."""

    def copy(project: Made) -> Made:
        folder = tmp_path / "twin"
        shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".nox"))
        return Made(folder, project.variables)

    return copy
