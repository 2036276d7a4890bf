"""The production image: what it holds, and how it runs, for both layouts and both runtimes."""

import json
import tomllib
from collections.abc import Callable

import pytest

from support import sizes
from support.images import Layout
from tests.docker.projects import HARDENED, IMAGES, Made, Make, fetch, wait_until

FORBIDDEN_MODULES = ("pip", "poetry", "uv", "pytest", "mypy", "ensurepip", "setuptools")
FORBIDDEN_PROGRAMS = ("pip", "pip3", "poetry", "uv", "gcc", "cc", "make", "git", "curl")
MEGABYTE = 1_000_000
# Of the memory of the server, in kB, for a thousand requests.
MOST_GROWTH = 1_000
READ_STATUS = "print(open('/proc/1/status').read())"


@pytest.fixture(scope="session", params=IMAGES)
def production(request: pytest.FixtureRequest, built: Make) -> Made:
    """Return the default web project, built in each runtime on each layout."""
    layout, runtime = request.param
    return built(layout, runtime=runtime)


def size(project: Made, image: str) -> int:
    [measured] = sizes.measure(project, image)
    return measured.size


def test_it_holds_exactly_the_locked_main_set(production: Made) -> None:
    lock = tomllib.loads((production.folder / "poetry.lock").read_text(encoding="utf-8"))
    locked = {
        (package["name"], package["version"])
        for package in lock["package"]
        if "main" in package["groups"] and "win32" not in str(package.get("markers"))
    }
    installed = production.python(
        "import importlib.metadata, json\n"
        "print(json.dumps([(d.name.lower().replace('_', '-'), d.version)"
        " for d in importlib.metadata.distributions()]))"
    )
    assert {tuple(pair) for pair in json.loads(installed)} == locked | {(production.name, "0.1.0")}


def test_it_runs_hardened_under_its_own_and_any_other_user(
    production: Made, serve: Callable[..., str]
) -> None:
    for options in ([], ["--user=54321:54321"]):
        address = serve(production, *options)
        assert json.loads(fetch(f"{address}/"))["application"] == production.name
        assert json.loads(fetch(f"{address}/healthz")) == {"status": "ok"}


def test_it_needs_no_network_and_its_health_check_passes(production: Made) -> None:
    container = production.docker(
        *("run", "--detach", "--network=none", "--health-interval=1s", *HARDENED),
        f"{production.name}:production",
    )
    health = ("inspect", "--format", "{{.State.Health.Status}}", container)
    try:
        wait_until(lambda: production.docker(*health) == "healthy")
    finally:
        production.docker("rm", "--force", container)


def test_it_needs_little_memory_and_no_more_for_more_requests(
    production: Made, serve: Callable[..., str]
) -> None:
    name = f"{production.name}-memory"
    address = serve(production, f"--name={name}", "--memory=96m", "--memory-swap=96m")
    fetch(f"{address}/healthz")

    def resident(requests: int) -> int:
        """Return the memory that the server keeps after requests, in kB (proc(5), status)."""
        for _ in range(requests):
            assert production.name in fetch(f"{address}/")
        status = production.docker("exec", name, "python3", "-c", READ_STATUS)
        return int(status.partition("VmRSS:")[2].split()[0])

    before = resident(200)
    assert resident(1000) - before <= MOST_GROWTH


@pytest.mark.parametrize("options", [[], ["--init"]], ids=["as process 1", "under an init"])
def test_it_ends_with_success_when_it_is_told_to_stop(production: Made, options: list[str]) -> None:
    image = f"{production.name}:production"
    container = production.docker("run", "--detach", "--publish=127.0.0.1::8000", *options, image)
    try:
        fetch(f"http://{production.docker('port', container, '8000')}/healthz")
        production.docker("stop", "--time=10", container)
        state = production.docker("inspect", "--format", "{{.State.ExitCode}}", container)
        # The engine kills it after that time, which would be status 137.
        assert state == "0"
    finally:
        production.docker("rm", "--force", container)


def test_its_user_is_a_number_other_than_root(production: Made) -> None:
    inspect = ("image", "inspect", "--format", "{{.Config.User}}")
    user = production.docker(*inspect, f"{production.name}:production")
    assert user == "65532:65532"
    assert production.python("import os; print(os.getuid(), os.getgid())") == "65532 65532"


def test_it_holds_nothing_that_only_builds_or_tests_need(production: Made) -> None:
    found = production.python(
        "import importlib.util as u, os, shutil\n"
        f"print([m for m in {FORBIDDEN_MODULES} if u.find_spec(m)],"
        f" [p for p in {FORBIDDEN_PROGRAMS} if shutil.which(p)],"
        " [p for p in ('/app', '/build', '/docker', '/metadata', '/opt/tools', '/root/.cache')"
        " if os.path.exists(p) and os.listdir(p)],"
        " [d for d, _, _ in os.walk('/opt/venv') if d.endswith(('.git', '/tests'))])"
    )
    assert found == "[] [] [] []"


def test_every_module_of_the_application_and_its_packages_has_bytecode(production: Made) -> None:
    missing = production.python(
        "import importlib.util as u, os\n"
        "files = [os.path.join(d, f) for d, _, fs in os.walk('/opt/venv') for f in fs]\n"
        "print([f for f in files if f.endswith('.py') and not os.path.exists("
        "u.cache_from_source(f))])"
    )
    assert missing == "[]"


def test_its_bytecode_is_never_checked_against_the_source(production: Made) -> None:
    flags = production.python(
        "import os, struct\n"
        "files = [os.path.join(d, f) for d, _, fs in os.walk('/opt/venv') for f in fs]\n"
        "print({struct.unpack('<I', open(f, 'rb').read(8)[4:])[0]"
        " for f in files if f.endswith('.pyc')})"
    )
    # PEP 552: bit 0, the file is validated by hash; bit 1, the source is checked.
    assert flags == "{1}"


def test_the_minimal_image_is_at_most_58_megabytes_and_50_on_alpine(
    built: Make, layout: Layout
) -> None:
    project = built(layout, runtime="minimal")
    most = 50 if layout is Layout.ALPINE else 58
    assert size(project, f"{project.name}:production") <= most * MEGABYTE


@pytest.mark.parametrize("place", [place for place in IMAGES if "full" in str(place.id)])
def test_the_full_image_is_its_base_and_its_environment(
    built: Make, place: tuple[Layout, str]
) -> None:
    project = built(place[0], runtime="full")
    environment = int(
        project.python(
            "import os\n"
            "print(sum(os.lstat(os.path.join(d, f)).st_size"
            " for d, _, fs in os.walk('/opt/venv') for f in fs))"
        )
    )
    base = size(project, project.variables["PYTHON_IMAGE"])
    assert size(project, f"{project.name}:production") <= base + environment + 2 * MEGABYTE


@pytest.mark.parametrize("place", IMAGES)
def test_a_command_line_application_runs_hardened(built: Make, place: tuple[Layout, str]) -> None:
    layout, runtime = place
    project = built(layout, kind="cli", runtime=runtime)
    run = ("run", "--rm", "--network=none", "--user=54321", *HARDENED)
    output = project.docker(*run, f"{project.name}:production", "--name", "Ada")
    assert output == "Hello, Ada!"
