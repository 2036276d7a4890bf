"""Dependencies that no public index has: what Poetry locks is installed, or refused at once."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from support.docker import Client
from tests.docker.declarations import declare
from tests.docker.projects import Made, Make, gateway, program
from tests.docker.wheels import write_wheel

ADDRESS = "ssh://git@code.example/package.git"
SSH = f'\n[package.source]\ntype = "git"\nurl = "{ADDRESS}"\n'
USER, PASSWORD = "joe@example", "p@s/s:w%rd $1"
LOGIN = {
    "POETRY_HTTP_BASIC_OUR_INDEX_USERNAME": USER,
    "POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD": PASSWORD,
}
REPOSITORY_LOGIN = "Set POETRY_REPOSITORIES_NAME_URL to its address"
USES = """
import {0} as x


def test_it() -> None:
    assert x.GREETING
"""
Serve = Callable[..., str]


@pytest.fixture
def serve_files(client: Client) -> Iterator[Serve]:
    """Serve folders, with a login if one is given; return the address at which builds find one."""
    servers = []

    def serve(folder: Path, *login: str) -> str:
        command = [sys.executable, "-c", program("serve_files"), str(folder), *login]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        servers.append(server)
        assert server.stdout is not None
        return f"http://{gateway(client)}:{server.stdout.readline().strip()}"

    yield serve
    for server in servers:
        server.terminate()
        server.communicate(timeout=30)


def depend(project: Made, requirement: str, settings: str = "") -> None:
    """Add a dependency, and tables at the end of pyproject.toml."""
    project.edit(
        "pyproject.toml", "dependencies = [\n", f'dependencies = [\n    "{requirement}",\n'
    )
    file = project.folder / "pyproject.toml"
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{settings}", encoding="utf-8")


def build_plain(project: Made, *options: str, succeeds: bool = True) -> str:
    """Build production without a session, tag it "plain", and return the output."""
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    authorities = os.environ.get("SSL_CERT_FILE")
    secret = [f"--secret=id=ca.pem,src={authorities}"] if authorities else []
    tag = f"--tag={project.name}:plain"
    done = project.run("docker", "build", image, *secret, *options, tag, ".")
    assert (done.returncode == 0) is succeeds, done.stdout
    return done.stdout


def leaks(project: Made, *stages: str) -> list[str]:
    """Return the files of a project, and its images, that have the password."""
    files = {str(path): path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    for stage in stages:
        command = ["docker", "save", f"{project.name}:{stage}"]
        files[stage] = subprocess.run(
            command, env=project.environment(), stdout=subprocess.PIPE, check=True
        ).stdout
    secrets = (PASSWORD.encode(), quote(PASSWORD, safe="").encode())
    return [name for name, content in files.items() if any(x in content for x in secrets)]


def use(project: Made, module: str) -> None:
    """Test that a module of a dependency is there."""
    test = project.folder / "tests" / f"test_{module}.py"
    test.write_text(USES.format(module), encoding="utf-8")


def write_sources(folder: Path, name: str, metadata: str, text: str) -> None:
    """Write the sources of a package with one module."""
    module = folder / "src" / name / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text(text, encoding="utf-8")
    (folder / "pyproject.toml").write_text(metadata, encoding="utf-8")


def hatch(name: str) -> str:
    """Return a pyproject.toml for a package that hatchling builds."""
    return (
        f'[project]\nname = "{name}"\nversion = "0.3.0"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )


@pytest.mark.proofs
def test_a_wheel_at_an_address_is_locked_tested_and_shipped_with_its_hash(
    make: Make, serve_files: Serve, tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path, "seedpod_greeting", "GREETING = 'from an address'\n")
    project = make(kind="cli")
    depend(project, f"seedpod-greeting @ {serve_files(tmp_path)}/{wheel.name}")
    project.session("lock")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert digest in (project.folder / "poetry.lock").read_text(encoding="utf-8")
    use(project, "seedpod_greeting")
    assert "3 passed" in project.session("docker_test")
    project.session("docker_prod")
    assert project.python("import seedpod_greeting as x; print(x.GREETING)") == "from an address"


def edit_lock(project: Made, name: str, source: str) -> None:
    """Give a locked package another source."""
    lock = project.folder / "poetry.lock"
    text = lock.read_text(encoding="utf-8")
    end = text.find("\n[[package]]", text.index(f'name = "{name}"'))
    lock.write_text(f"{text[:end]}{source}{text[end:]}", encoding="utf-8")


@pytest.mark.proofs
def test_what_only_development_cannot_install_does_not_stop_production(make: Make) -> None:
    project = make(kind="cli")
    edit_lock(project, "iniconfig", SSH)
    project.session("docker_prod")
    told = f"iniconfig from {ADDRESS}, for which no build has a key. Write its address with https"
    for session in ("docker_test", "docker_dev"):
        said = [line for line in project.refused(session).splitlines() if line[:3] != "nox"]
        assert told in said[-1], session
    assert told in project.run(sys.executable, "docker/host/engine.py", "check").stdout


def test_what_production_cannot_install_is_refused_before_anything_is_built(make: Make) -> None:
    project = make(kind="cli")
    edit_lock(project, "click", SSH)
    output = project.refused("docker_prod")
    assert f"takes click from {ADDRESS}, for which no build has a key. " in output
    assert "docker build" not in output


@pytest.mark.proofs
def test_a_commit_is_locked_tested_and_shipped(
    make: Make, serve_files: Serve, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    folder = repository / "packages" / "greeting"
    write_sources(folder, "seedpod_commit", hatch("seedpod-commit"), "GREETING = 'a commit'\n")
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "All"),
        ("tag", "v1"),
        # For a server that has only files.
        ("update-server-info",),
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    project = make(kind="cli", python_version="3.11")
    address = serve_files(repository / ".git", f"{USER}:{PASSWORD}")
    login = {
        "POETRY_REPOSITORIES_OUR_GIT_URL": f"{address}/",
        "POETRY_HTTP_BASIC_OUR_GIT_USERNAME": USER,
        "POETRY_HTTP_BASIC_OUR_GIT_PASSWORD": PASSWORD,
    }
    depend(project, f"seedpod-commit @ git+{address}/@v1#subdirectory=packages/greeting")
    use(project, "seedpod_commit")
    assert REPOSITORY_LOGIN in project.refused("lock")
    project.session("lock", **login)
    assert "the program git is missing. Declare git" in project.refused("docker_prod", **login)
    declare(project, '[tool.sys.debian13.dev-dependencies]\ngit = "*"\n')
    assert REPOSITORY_LOGIN in project.refused("docker_prod")
    assert "3 passed" in project.session("docker_test", **login)
    project.session("docker_prod", **login)
    assert project.python("import seedpod_commit as x; print(x.GREETING)") == "a commit"
    assert not leaks(project, "production", "test")


@pytest.fixture
def monorepo(make: Make, tmp_path: Path) -> list[Made]:
    """Return two services beside the libraries that they share, as an owner has them."""
    libraries = tmp_path / "our libraries"
    name = "seedpod_basics"
    write_sources(libraries / "básics", name, hatch("seedpod-basics"), "GREETING = 'basics'\n")
    # As Poetry 1 had it, which is where a library may have path dependencies of its own.
    shared = (
        '[tool.poetry]\nname = "seedpod-shared"\nversion = "0.3.0"\ndescription = ""\n'
        'authors = []\npackages = [{ include = "seedpod_shared", from = "src" }]\n'
        '[tool.poetry.dependencies]\nseedpod-basics = { path = "../básics" }\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    text = "from seedpod_basics import GREETING as GREETING\n"
    write_sources(libraries / "shared", "seedpod_shared", shared, text)
    name = "seedpod_testing"
    write_sources(libraries / "testing", name, hatch("seedpod-testing"), "GREETING = 'tests'\n")
    (libraries / "shared" / ".venv").mkdir()
    services = []
    for service, runtime in (("shop", "minimal"), ("back office", "full")):
        made = make(kind="cli", runtime=runtime, python_version="3.11")
        project = replace(made, folder=tmp_path / "services" / service)
        shutil.copytree(made.folder, project.folder, ignore=shutil.ignore_patterns(".nox"))
        (project.folder / "vendor").mkdir()
        write_wheel(project.folder / "vendor", "seedpod_driver", "GREETING = 'a driver'\n")
        depend(
            project,
            "seedpod-shared",
            "[tool.poetry.dependencies]\n"
            'seedpod-shared = { path = "../../our libraries/shared", develop = true }\n'
            'seedpod-driver = { path = "vendor/seedpod_driver-1.0-py3-none-any.whl" }\n'
            "[tool.poetry.group.dev.dependencies]\n"
            'seedpod-testing = { path = "../../our libraries/testing" }\n',
        )
        depend(project, "seedpod-driver")
        project.edit("pyproject.toml", "dev = [\n", 'dev = [\n    "seedpod-testing",\n')
        for module in ("seedpod_driver", "seedpod_shared", "seedpod_testing"):
            use(project, module)
        services.append(project)
    return services


@pytest.mark.proofs
def test_services_of_a_monorepo_share_a_library(monorepo: list[Made], tmp_path: Path) -> None:
    greeting = "import seedpod_shared as x, seedpod_driver as y; print(x.GREETING, y.GREETING)"
    for project in monorepo:
        assert "Add !vendor to .dockerignore" in project.refused("lock")
        ignored = project.folder / ".dockerignore"
        ignored.write_text(f"{ignored.read_text(encoding='utf-8')}!vendor/\n", encoding="utf-8")
        project.session("lock")
        assert "5 passed" in project.session("docker_test")
        project.session("docker_prod")
        assert project.python(greeting) == "basics a driver"
    (project,) = monorepo[:1]
    # What only the tests need does not ship, and an edit of the library is a push of that alone.
    missing = "import importlib.util as x; print(x.find_spec('seedpod_testing'))"
    assert project.python(missing) == "None"
    before = project.layers()
    library = tmp_path / "our libraries" / "básics" / "src" / "seedpod_basics" / "__init__.py"
    library.write_text("GREETING = 'an edit'\n", encoding="utf-8")
    project.session("docker_prod")
    assert project.python(greeting) == "an edit a driver"
    after = project.layers()
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    assert "5 passed" in project.session("tests")
    # Without Nox, the owner says what a session finds out.
    options = ("--build-arg=OWN_PACKAGE=paths", "--build-arg=PROJECT_FOLDER=services/shop")
    assert "Build with --build-arg OWN_PACKAGE=paths" in build_plain(project, succeeds=False)
    build_plain(project, *options, f"--build-context=local={tmp_path}")
    assert project.layers("plain") == project.layers()


@pytest.mark.proofs
def test_an_index_with_a_password_is_asked_with_it_and_nothing_keeps_it(
    make: Make, serve_files: Serve, tmp_path: Path
) -> None:
    packages = tmp_path / "simple" / "seedpod-hidden"
    packages.mkdir(parents=True)
    wheel = write_wheel(packages, "seedpod_hidden", "GREETING = 'with a password'\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (packages / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
    project = make(kind="cli", python_version="3.11")
    address = f"{serve_files(tmp_path, f'{USER}:{PASSWORD}')}/simple"
    depend(
        project,
        "seedpod-hidden",
        '[tool.poetry.dependencies]\nseedpod-hidden = { source = "our-index" }\n'
        f'[[tool.poetry.source]]\nname = "our-index"\nurl = "{address}"\npriority = "explicit"\n',
    )
    use(project, "seedpod_hidden")
    lacking = "Set POETRY_HTTP_BASIC_NAME_USERNAME and POETRY_HTTP_BASIC_NAME_PASSWORD"
    assert lacking in project.refused("lock")
    project.session("lock", **LOGIN)
    remedy = " and ".join(LOGIN)
    stranger = {**LOGIN, "POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD": "wrong"}
    for variables, problem in (({}, "wants a password"), (stranger, "does not accept this user")):
        output = project.refused("docker_prod", **variables)
        assert f"our-index at {address} {problem}" in output
        assert f"(HTTP 401). Set {remedy}, in the environment" in output
    # Plain builds read the same lines.
    (project.folder / "pip.env").write_text("".join(f"{x}={LOGIN[x]}\n" for x in LOGIN))
    build_plain(project, "--secret=id=pip.env,src=pip.env")
    (project.folder / "pip.env").unlink()
    assert "3 passed" in project.session("docker_test", **LOGIN)
    project.session("docker_prod", **LOGIN)
    assert project.layers("plain") == project.layers()
    assert project.python("import seedpod_hidden as x; print(x.GREETING)") == "with a password"
    assert "3 passed" in project.session("tests", **LOGIN)
    project.session("docker_wheels", **LOGIN)
    assert list(project.folder.glob(".wheels/*/seedpod_hidden-*.whl"))
    assert not leaks(project, "production", "test", "plain")
