"""Alpine, where much has no wheel: what compiling takes, and what of that production keeps."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.images import Layout
from tests.docker.projects import Made, Make, program

SECTION = "tool.sys.alpine3-23"
COMPILERS = {"binutils", "g++", "gcc", "libffi-dev", "libpq-dev", "musl-dev"}
INSTALLED = "print(*(x[2:].strip() for x in open('/lib/apk/db/installed') if x[:2] == 'P:'))"

pytestmark = pytest.mark.usefixtures("alpine_packages")


@dataclass(frozen=True)
class Compiled:
    """A project with modules in C and C++, and what was said about its first declaration."""

    project: Made
    refusal: str


@pytest.fixture(scope="module")
def compiled(make: Make) -> Compiled:
    """Return a project that declared only what building needs, until the check fixed that."""
    project = make(Layout.ALPINE, kind="cli")
    project.edit(
        "pyproject.toml",
        '    "click>=8.1",\n',
        '    "cffi>=2",\n    "click>=8.1",\n    "greenlet>=3",\n    "psycopg2>=2.9",\n',
    )
    packages = "".join(f'"{name}" = "*"\n' for name in sorted(COMPILERS))
    project.edit(
        "pyproject.toml",
        "[tool.sys]\n",
        f"[{SECTION}.dev-dependencies]\n{packages}\n"
        '[tool.seedpod.wheels]\nno-binary = ["cffi", "greenlet"]\n',
    )
    project.session("lock")
    refusal = project.refused("sys_check")
    project.session("sys_check", "--fix")
    for runtime in ("minimal", "full"):
        project.session("docker_prod", f"--build-arg=RUNTIME={runtime}")
        project.docker("tag", f"{project.name}:production", f"{project.name}:{runtime}")
    return Compiled(project, refusal)


@pytest.mark.proofs
def test_a_new_project_is_within_its_budgets(built: Make) -> None:
    assert "OVER" not in built(Layout.ALPINE).session("docker_size")


def test_each_library_that_is_not_declared_is_named_with_the_line_to_add(
    compiled: Compiled,
) -> None:
    """There is no such line for libffi: the base image has it, for Python's own ctypes."""
    found = re.findall(
        rf"^(\S+), needed by (\w+) \(.+ is in the package (\S+), which "
        rf"\[{SECTION}\.dependencies\] does not have\. Add: (.+)$",
        compiled.refusal,
        flags=re.M,
    )
    assert found == [
        ("libgcc_s.so.1", "greenlet", "libgcc", 'libgcc = "*"'),
        ("libpq.so.5", "psycopg2", "libpq", 'libpq = "*"'),
        ("libstdc++.so.6", "greenlet", "libstdc++", '"libstdc++" = "*"'),
    ]
    fixed = (compiled.project.folder / "pyproject.toml").read_text().splitlines()
    assert all(line in fixed for *_, line in found)


@pytest.mark.parametrize("runtime", ["minimal", "full"])
def test_what_was_compiled_runs_without_what_it_was_compiled_with(
    compiled: Compiled, runtime: str
) -> None:
    run = compiled.project.python
    assert re.fullmatch(r"3 \d\d", run(program("use_compiled_modules"), runtime, "--user=54321"))
    installed = set(run(INSTALLED, runtime).split())
    assert {"libffi", "libgcc", "libpq", "libstdc++", "musl"} <= installed
    assert not installed & COMPILERS
    programs = ("as", "cc", "g++", "gcc", "ld", "pg_config")
    found = f"import shutil\nprint([x for x in {programs} if shutil.which(x)])"
    assert run(found, runtime) == "[]"


def test_what_will_be_compiled_is_announced_and_can_be_refused(compiled: Compiled) -> None:
    project = compiled.project
    output = project.refused("docker_wheels", "--only-binary")
    assert re.search(
        r"^1 of \d+ packages have no musllinux wheel for cp313: psycopg2\. "
        r"2 of \d+ are compiled because of no-binary: cffi, greenlet\. Expect compiling\.$",
        output,
        flags=re.M,
    )
    assert "Lock versions that have wheels, or leave --only-binary out." in output
    # Neither the compilers' stage nor the one that runs them.
    assert not re.search(r"\[(?:build-system|wheels) ", output)
    assert not (project.folder / ".wheels").exists()


@pytest.fixture(scope="module")
def pinned(make: Make) -> Callable[[str], Made]:
    """Return a project that declares libffi-dev in some version, in place of the one before."""
    project = make(Layout.ALPINE, kind="cli")
    pyproject = project.folder / "pyproject.toml"
    text = pyproject.read_text()

    def declare(version: str) -> Made:
        section = f'[{SECTION}.dev-dependencies]\nlibffi-dev = "{version}"\n'
        pyproject.write_text(text.replace("[tool.sys]\n", section))
        (project.folder / "sys.lock").unlink(missing_ok=True)
        return project

    return declare


@pytest.fixture(scope="module")
def served(pinned: Callable[[str], Made]) -> list[str]:
    """Return the versions of libffi-dev that are available, the oldest first."""
    project = pinned("*")
    run = ("run", "--rm", project.variables["PYTHON_IMAGE"])
    policy = project.docker(*run, "apk", "policy", "--no-cache", "libffi-dev")
    versions = re.findall(r"^  (\S+):$", policy, flags=re.M)
    assert versions
    return versions


def locked(project: Made) -> dict[str, str]:
    """Return the versions in sys.lock by the names of the packages."""
    lock = tomllib.loads((project.folder / "sys.lock").read_text(encoding="utf-8"))
    return {x["name"]: x["version"] for image in lock["image"] for x in image["package"]}


def test_an_exact_version_is_served_though_there_is_a_newer_one(
    pinned: Callable[[str], Made], served: list[str]
) -> None:
    project = pinned(served[0])
    image = f"{project.name}:build-system"
    base = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    project.docker("build", "--quiet", "--target=build-system", "--tag", image, base, ".")
    installed = project.docker("run", "--rm", image, "apk", "info", "-v").split()
    # What it depends on, and what the base image has in a newer version, comes along.
    assert {f"libffi-{served[0]}", f"libffi-dev-{served[0]}"} <= set(installed)
    project.session("sys_lock")
    assert locked(project)["libffi-dev"] == served[0]


@pytest.mark.proofs
def test_a_fuzzy_version_is_the_newest_that_fits(
    pinned: Callable[[str], Made], served: list[str]
) -> None:
    project = pinned("~" + ".".join(served[0].split(".")[:2]))
    project.session("sys_lock")
    assert locked(project)["libffi-dev"] == served[-1]
    project.session("sys_lock", "--check")


def test_a_version_that_is_gone_is_named_with_those_that_there_are(
    pinned: Callable[[str], Made], served: list[str]
) -> None:
    for version in (f"{served[0]}99", "~0.1"):
        assert (
            f"System packages: [{SECTION}] in pyproject.toml asks for libffi-dev {version}, and "
            f"the archive has {', '.join(reversed(served))}. Change the version."
        ) in pinned(version).refused("docker_prod")


def test_a_locked_version_that_is_gone_is_named_with_the_remedy(
    pinned: Callable[[str], Made], served: list[str]
) -> None:
    project = pinned("*")
    project.session("sys_lock")
    project.edit(
        "sys.lock",
        f'name = "libffi-dev"\nsets = ["dev-dependencies"]\nversion = "{served[-1]}"',
        f'name = "libffi-dev"\nsets = ["dev-dependencies"]\nversion = "{served[-1]}99"',
    )
    assert (
        f"System packages: sys.lock asks for libffi-dev {served[-1]}99, and the archive has "
        f"{', '.join(reversed(served))}. Run nox -s sys_lock."
    ) in project.refused("docker_prod")
