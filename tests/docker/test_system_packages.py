"""System packages in the images: what is declared is there, where it belongs, and nothing else."""

import json
import re
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.docker import Client
from tests.docker.declarations import RUNTIMES, SLOWLY, build_runtimes, declare, installed
from tests.docker.projects import (
    HARDENED,
    Made,
    Make,
    Twin,
    cache_mounts,
    executed,
    export,
    program,
    service_image,
    wait_until,
)

DATABASE_IMAGE = "postgres:17"
PASSWORD = "not a secret"
# What is needed to build and to run them, their own dependencies among it.
BUILT_AND_RUN = {
    "compiled": ({"libpq-dev"}, {"libpq5", "libldap2"}),
    "compiled_slowly": ({"libxml2-dev"}, {"libxml2"}),
}
RECORDS = "import json, os; print(json.dumps(os.listdir('/var/lib/dpkg/status.d')))"


@pytest.fixture(scope="module")
def database(compiled: Made) -> Iterator[str]:
    """Run PostgreSQL, called database, in a network of its own; return that network's name."""
    network = f"seedpod-test-{compiled.name}"
    image = service_image(DATABASE_IMAGE, Client(compiled.variables))
    compiled.docker("network", "create", network)
    run = ("run", "--detach", "--network", network, "--network-alias=database")
    container = compiled.docker(*run, f"--env=POSTGRES_PASSWORD={PASSWORD}", image)
    try:
        ready = ("docker", "exec", container, "pg_isready", "--quiet", "--host=localhost")
        wait_until(lambda: compiled.run(*ready).returncode == 0)
        yield network
    finally:
        compiled.docker("rm", "--force", "--volumes", container)
        compiled.docker("network", "rm", network)


def unique() -> str:
    """Return a word that no earlier run of these tests has left in the engine's cache."""
    return f"run-{uuid.uuid4().hex}"


def test_psycopg_asks_a_real_database(compiled: Made, runtime: str, database: str) -> None:
    run = ("run", "--rm", "--network", database, *HARDENED, "--entrypoint=python3")
    ask = ("-c", program("ask_database"), PASSWORD)
    answer = compiled.docker(*run, f"{compiled.name}:{runtime}", *ask)
    assert answer == "c ('Grüezi', 42) PostgreSQL"


@pytest.mark.proofs
def test_lxml_parses_and_transforms_an_encoding_that_needs_a_module(
    compiled_slowly: Made, runtime: str
) -> None:
    assert (
        compiled_slowly.python(program("transform_xml"), runtime)
        == r"'\u6c49\u5b57' '\u6c49\u5b57'"
    )


@pytest.mark.proofs
def test_pillow_writes_and_reads_a_photograph(compiled_slowly: Made, runtime: str) -> None:
    assert compiled_slowly.python(program("draw_photograph"), runtime) == "ffd8 True True"


def test_the_driver_of_mariadb_is_imported(compiled: Made, runtime: str) -> None:
    version = compiled.python("import MySQLdb; print(MySQLdb.get_client_info())", runtime)
    assert re.match(r"\d+\.\d+\.\d+", version)


@pytest.mark.parametrize("fixture", ["compiled", SLOWLY])
def test_production_has_what_is_declared_to_run_and_nothing_that_is_for_building(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Expected is what apt's own simulation adds to the base image, for each table."""
    compiled: Made = request.getfixturevalue(fixture)
    export(compiled, "system-lock", tmp_path)
    resolved = json.loads((tmp_path / "resolved.json").read_text(encoding="utf-8"))["package"]
    wanted = {x["name"]: x["version"] for x in resolved if "dependencies" in x["sets"]}
    base = installed(compiled, compiled.variables["PYTHON_IMAGE"])
    for_building = {x["name"] for x in resolved} - wanted.keys()
    built, run = BUILT_AND_RUN[fixture]
    assert {"gcc", "libc6-dev", *built} <= for_building
    assert run <= wanted.keys()

    assert installed(compiled, f"{compiled.name}:full") == {**base, **wanted}
    records = set(json.loads(compiled.python(RECORDS, "minimal")))
    assert wanted.keys() <= records <= base.keys() | wanted.keys()


def test_a_package_that_is_for_building_as_well_stays_in_production(
    declared: Made, runtime: str
) -> None:
    load = "import ctypes; ctypes.CDLL('libjpeg.so.62'); print('there')"
    assert declared.python(load, runtime) == "there"


def test_a_package_that_is_loaded_by_name_is_whole(declared: Made, runtime: str) -> None:
    assert declared.python(program("detect_type"), runtime) == "PDF document, version 1.7"


@pytest.mark.proofs
def test_a_group_is_in_the_development_image_alone(declared: Made) -> None:
    declared.session("docker_dev")
    development = installed(declared, f"{declared.name}:development")
    production = installed(declared, f"{declared.name}:full")
    assert {"strace", "libmagic1t64"} <= development.keys()
    assert not {"strace", "make"} & production.keys()


@pytest.mark.proofs
def test_without_a_section_nothing_is_installed_that_has_the_name_of_the_project(
    make: Make,
) -> None:
    """An image once had the package that is called like the project."""
    project = make(project_name="strace")
    project.session("docker_prod", "--build-arg=RUNTIME=full")
    project.session("docker_dev")
    base = installed(project, project.variables["PYTHON_IMAGE"])
    assert "strace" not in base
    assert installed(project, f"{project.name}:production") == base
    assert installed(project, f"{project.name}:development") == base


@pytest.mark.proofs
def test_installing_again_downloads_nothing(declared: Made, twin: Twin) -> None:
    """What the cache mounts keep is found again: they are where the tools look.

    Other commands repeat the steps here, because --no-cache empties the cache mounts as well.
    """
    project = twin(declared)
    with cache_mounts():
        for _ in range(2):
            for command in (
                "python3 /docker/install_system",
                "python3 -B /docker/install_system",
                "online python3 /docker/install",
            ):
                project.edit("Dockerfile", command, f"ATTEMPT={unique()} {command}")
            output = project.session("docker_prod", "--build-arg=RUNTIME=full")
    assert executed(output) >= {"build-system", "runtime", "dependencies"}
    assert re.findall(r"Need to get (\d+ \w*B)\b", output) == ["0 B", "0 B"]
    assert re.search(r"Installed \d\d packages", output)
    assert not re.search(r"Prepared \d\d packages", output)  # downloaded or compiled


def test_no_layer_of_production_has_a_list_an_archive_or_a_log(
    declared: Made, tmp_path: Path
) -> None:
    image = f"{declared.name}:full"
    inspect = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")
    base = json.loads(declared.docker(*inspect, declared.variables["PYTHON_IMAGE"]))
    archive = tmp_path / "image.tar"
    declared.docker("save", "--output", str(archive), image)
    paths: set[str] = set()
    with tarfile.open(archive) as saved:
        manifest = saved.extractfile("manifest.json")
        assert manifest is not None
        layers = json.load(manifest)[0]["Layers"][len(base) :]
        for name in layers:
            with tarfile.open(fileobj=saved.extractfile(name)) as layer:
                # An empty one takes the place of what the base image has.
                paths |= {entry.name for entry in layer if entry.isfile() and entry.size}
    added = {path for path in paths if "/.wh." not in path}
    assert any(path.endswith("/libmagic.so.1.0.0") for path in added)
    refuse = (
        r"(docker|metadata|root|run|tmp|var/(cache/(apt|packages|ldconfig)|lib/apt/lists|log))/"
    )
    assert [path for path in sorted(added) if re.match(refuse, path) or path.endswith("-old")] == []


@pytest.mark.proofs
def test_a_declaration_of_nothing_changes_no_layer(make: Make) -> None:
    project = make(project_name="empty")
    rendered = layers(project)
    project.edit("pyproject.toml", "[tool.sys]\n", "")
    assert layers(project) == rendered
    declare(project, "\n[tool.sys.debian13.dependencies]\n")
    assert layers(project) == rendered


def layers(project: Made) -> dict[str, list[str]]:
    """Return the layers of both production images and of the development image."""
    build_runtimes(project)
    project.session("docker_dev")
    found = {stage: project.layers(stage) for stage in (*RUNTIMES, "development")}
    # The last one has pyproject.toml itself.
    found["development"].pop()
    return found


def test_an_edit_of_a_comment_installs_nothing_again(declared: Made, twin: Twin) -> None:
    project = twin(declared)
    project.session("docker_dev")
    project.edit("pyproject.toml", "libmagic1t64 =", f"# {unique()}\nlibmagic1t64 =")
    # Who builds second finds the first one's result.
    assert executed(project.session("docker_dev")) == {"metadata"}
    assert executed(project.session("docker_prod")) == set()


def test_another_package_to_run_compiles_and_installs_no_wheel_again(
    declared: Made, twin: Twin
) -> None:
    project = twin(declared)
    build_runtimes(project)
    before = {runtime: project.layers(runtime) for runtime in RUNTIMES}
    project.edit("pyproject.toml", "libmagic1t64 =", 'libyaml-0-2 = "*"\nlibmagic1t64 =')
    for runtime in RUNTIMES:
        options = (f"--build-arg=RUNTIME={runtime}", f"--tag={project.name}:more")
        output = project.session("docker_prod", *options)
        assert not {"build-system", "dependencies", "application"} & executed(output)
        *system, environment, application = project.layers("more")
        assert [environment, application] == before[runtime][-2:]
        assert system[-1] != before[runtime][-3]
