"""Images that the engine tests share: each combination is rendered, locked and built once."""

import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import engine, images, waiting
from support.images import Layout
from support.paths import alone
from support.project import Project, render
from tests.families import needed_by

PYTHON_VERSION = "3.13"
OFFICIAL_IMAGES = {
    Layout.LOCAL: "python:{}-slim-trixie",
    Layout.ALPINE: "python:{}-alpine3.23",
}
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def cache_mounts() -> AbstractContextManager[None]:
    """Keep other processes from emptying the engine's cache mounts, as --no-cache does."""
    return alone("tests-cache-mounts")


@dataclass(frozen=True)
class Made(Project):
    """A project for the tests: commands that may fail, and containers that are removed."""

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; output and errors come together."""
        with cache_mounts() if "--no-cache" in command else nullcontext():
            return subprocess.run(
                command,
                cwd=self.folder,
                env={**self.environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )

    def session(self, name: str, *arguments: str, **variables: str) -> str:
        """Run a Nox session, which has to succeed, and return its output."""
        done = self.run("nox", "--session", name, "--", *arguments, **variables)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refused(self, name: str, *arguments: str, **variables: str) -> str:
        """Run a Nox session, which has to fail without a traceback, and return its output."""
        done = self.run("nox", "--session", name, "--", *arguments, **variables)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    def python(self, program: str, stage: str = "production", *options: str) -> str:
        """Run a Python program inside an image, read-only and without network."""
        run = ["run", "--rm", "--network=none", *HARDENED, *options, "--entrypoint=python3"]
        return self.docker(*run, f"{self.name}:{stage}", "-c", program)

    def layers(self, stage: str = "production") -> list[str]:
        """Return the digests of the layers of a stage."""
        inspect = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")
        return self.docker(*inspect, f"{self.name}:{stage}").strip('[]"').split('","')

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in one of the project's files; it has to be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


Make = Callable[..., Made]


@pytest.fixture(scope="session")
def client() -> dict[str, str]:
    """Reach an engine, the embedded one where none answers."""
    return engine.ensure()


@pytest.fixture(scope="session", params=list(Layout), ids=lambda layout: str(layout.value))
def layout(request: pytest.FixtureRequest) -> Layout:
    """Go through the places where a base image keeps its interpreter."""
    chosen: Layout = request.param
    return chosen


def base_image(layout: Layout, client: dict[str, str], version: str = PYTHON_VERSION) -> str:
    """Return a base image of a layout: the official one, where it is to be had."""
    family = layout.value if version == PYTHON_VERSION else f"python{version}"
    with alone(f"stand-in {layout.value}"), needed_by(family):
        official = OFFICIAL_IMAGES.get(layout)
        if official and images.available(official.format(version), client):
            return official.format(version)
        return images.stand_in(version, layout, client)


def service_image(reference: str, client: dict[str, str]) -> str:
    """Return the image of a service: the official one, where it is to be had."""
    with alone("stand-in services"), needed_by("services"):
        return images.service_image(reference, client)


def service_images(folder: Path) -> dict[str, str]:
    """Return the images that a project's compose file names by default, by service."""
    text = (folder / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"^    image: \$\{([A-Z]+)_IMAGE:-(\S+)\}$", text, flags=re.MULTILINE))


@pytest.fixture(scope="session")
def alpine_packages(client: dict[str, str]) -> Iterator[None]:
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


class Names(Counter[str]):
    """Names of projects that are the same in every run, whichever process runs which tests."""

    scope = ""

    def next(self) -> str:
        """Return another name for a project of the file of tests, or of what files share."""
        self[self.scope] += 1
        return f"{self.scope}-{self[self.scope]}"


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
    client: dict[str, str],
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
        asked = (kind, answers.get("python_version", PYTHON_VERSION), answers.get("services", ""))
        lock = locks / f"{'-'.join(asked)}.lock"
        folder = root / f"{prefix}{kind}-{answers.get('runtime', 'minimal')}-{names.next()}"
        base = "alpine" if layout is Layout.ALPINE else "debian"
        render({"python_version": PYTHON_VERSION, "base": base, **answers}, folder)
        variables = {**client, "PYTHON_IMAGE": base_image(layout, client, image_version)}
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


@pytest.fixture
def fresh(make: Make) -> Made:
    """Return a project of this test's own, locked and not built."""
    return make()


@pytest.fixture
def port() -> str:
    """Return a port that was free a moment ago."""
    return free_port()


def free_port() -> str:
    """Return a port on which nothing listens now, and which no other process here will return.

    It lies below those that Linux gives to outgoing connections (ip_local_port_range, ip(7)).
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + 1_000 * (worker + 4 * int(os.environ["SEEDPOD_TEST_RUN"]))
    for offset in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return str(first + offset)
    raise AssertionError("all ports are taken")


PORTS = iter(range(1_000))


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


def fetch(address: str, seconds: float = 30) -> str:
    """Return what an address answers, waiting until it does."""
    return waiting.fetch(address, seconds)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; it has to."""
    assert waiting.until(condition, seconds), "it did not happen in time"


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sessions of a project apart from the session that runs these tests."""
    for name in (
        *("COMPOSE_FILE", "DEBUG_PORT", "DEBUG_WAIT", "HOST_GID", "HOST_UID", "NOXSESSION"),
        *("PIP_ENV", "PORT", "SHARED_NETWORK"),
    ):
        monkeypatch.delenv(name, raising=False)


RUNTIMES = ("minimal", "full")
# What wheels bring themselves, and what is compiled here against the packages declared below.
WHEELS = (
    *("charset-normalizer", "cryptography", "greenlet", "markupsafe", "numpy", "orjson"),
    *("psycopg-binary", "pyyaml", "regex", "rpds-py", "uvloop"),
)
COMPILED = ("lxml", "mysqlclient", "pillow", "psycopg2", "psycopg[c]")
# Another list of dev-dependencies compiles everything again, which takes minutes.
COMPILED_SETTINGS = """
[tool.seedpod.wheels]
no-binary = ["lxml", "pillow"]

# What the application needs to run.
[tool.sys.debian13.dependencies]
libjpeg62-turbo = "*"
# The driver of MariaDB.
libmariadb3 = "*"
libpq5 = "*"  # and of PostgreSQL
libxml2 = "*"
"libxslt1.1" = "*"

[tool.sys.debian13.dev-dependencies]
gcc = "*"
libc6-dev = "*"
libjpeg62-turbo-dev = "*"
libmariadb-dev = "*"
libpq-dev = "~17"
libxml2-dev = "*"
libxslt1-dev = "*"
pkg-config = "*"
zlib1g-dev = ">=1.2"
"""
# libjpeg62-turbo stands in two lists, and no file of the environment tells that it needs libmagic.
DECLARED_SETTINGS = """
[tool.sys.debian13.dependencies]
libjpeg62-turbo = ">=1"
libmagic1t64 = { version = "*", dlopen = true }

[tool.sys.debian13.dev-dependencies]
libjpeg62-turbo = ">=1"
make = "*"

[tool.sys.debian13.groups.debug]
strace = "*"
"""

Twin = Callable[[Made], Made]


def declare(project: Made, settings: str) -> None:
    """Add tables to a project's pyproject.toml."""
    path = project.folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8") + settings, encoding="utf-8")


def build_runtimes(project: Made) -> None:
    """Build the production image in both runtimes, each tagged with its name."""
    for runtime in RUNTIMES:
        tag = f"--tag={project.name}:{runtime}"
        project.session("docker_prod", f"--build-arg=RUNTIME={runtime}", tag)


def export(project: Made, stage: str, folder: Path) -> None:
    """Build a stage of files and write these into a folder."""
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    project.docker("build", f"--target={stage}", f"--output={folder}", image, ".")


def installed(project: Made, image: str) -> dict[str, str]:
    """Return the versions of the Debian packages in an image, by their names."""
    query = ("--entrypoint=dpkg-query", image, "--show", "--showformat=${Package} ${Version}\n")
    return dict(line.split() for line in project.docker("run", "--rm", *query).splitlines())


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
    packages = "".join(f'    "{name}",\n' for name in (*WHEELS, *COMPILED))
    project.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{packages}")
    declare(project, COMPILED_SETTINGS)
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
