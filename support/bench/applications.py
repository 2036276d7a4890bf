"""Projects of each application for each way, in folders of their own, with the same versions.

Poetry locks; the versions that it chose are constraints for uv, and "poetry export" writes the
requirements of pip. All of it is made twice: as the project is, and with one dependency more.
"""

import os
import re
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from support import SupportError, images
from support.bench.ways import PEERS, Application, Way
from support.docker import Client
from support.images import Layout
from support.paths import REPOSITORY, content_key
from support.project import Project, render

PYTHON = "3.13"
NAME = "benchapp"
PREFIX = "seedpod-bench"
KEPT_LOCKS = REPOSITORY / "build/bench/locks"
NETWORK = REPOSITORY / "template/docker/bin"
CERTIFICATE_SETTINGS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
UV_BACKEND = '[build-system]\nrequires = ["uv_build>=0.9,<1"]\nbuild-backend = "uv_build"\n'
# A package that requires no others.
ADDED = '    "itsdangerous>=2.2",\n'
ADDED_SYSTEM = "libyaml-0-2"
COMPILERS = {"debian": ("gcc", "libc6-dev"), "alpine": ("gcc", "musl-dev")}
LOCKS = ("poetry.lock", "requirements.txt", "uv.lock")
PLAIN, MORE = "plain", "added"


def pin(name: str) -> str:
    """Return the version of a tool that the template pins."""
    for file in ("tools.txt", "poetry.txt"):
        text = (REPOSITORY / "template/docker" / file).read_text(encoding="utf-8")
        found = re.search(rf"^{name}==([\w.]+)", text, flags=re.MULTILINE)
        if found:
            return found[1]
    raise SupportError(f"The template pins no {name}. Correct support/bench.")


def options(project: Project) -> list[str]:
    """Return options for every build: the index and its certificates as secrets."""
    certificate = next(filter(None, map(os.environ.get, CERTIFICATE_SETTINGS)), None)
    return [
        "--secret=id=pip.env,env=PIP_ENV",
        *([f"--secret=id=ca.pem,src={certificate}"] if certificate else []),
    ]


def index_settings() -> str:
    """Return the settings of the index as the secret has them."""
    return "\n".join(
        f"{name}={os.environ[name]}" for name in INDEX_SETTINGS if os.environ.get(name)
    )


def variables(layout: Layout, client: Client) -> dict[str, str]:
    """Return the variables that reach an engine and name a base image with ``layout``.

    That is the official image if it is available, else a stand-in.
    """
    base = "alpine3.23" if layout is Layout.ALPINE else "slim-trixie"
    official = f"python:{PYTHON}-{base}"
    if layout is Layout.DEBIAN or not images.available(official, client):
        official = images.stand_in(PYTHON, layout, client)
    return {**client.variables, "PYTHON_IMAGE": official, "PIP_ENV": index_settings()}


def make(
    application: Application,
    ways: Sequence[Way],
    folder: Path,
    variables: dict[str, str],
    variants: Sequence[str] = (MORE, PLAIN),
) -> None:
    """Make and lock the project of each way in a folder of that name; replaces what is there.

    ``variants`` are the locks that there will be; PLAIN alone where no dependency is added.
    """
    shutil.rmtree(folder, ignore_errors=True)
    base = "alpine" if "-alpine" in variables["PYTHON_IMAGE"] else "debian"
    for variant in variants:
        master = folder / "locks" / variant / NAME
        _render(application, base, "minimal", master)
        if variant is MORE:
            add_dependency(master / "pyproject.toml")
        elif MORE in variants:
            # Poetry keeps the versions that a lock has.
            shutil.copy(_constraints(folder), master)
        _lock(Project(master, variables), folder)
    for way in ways:
        _make_one(application, way, base, folder)


def _make_one(application: Application, way: Way, base: str, folder: Path) -> None:
    own = folder / way.name
    _render(application, base, way.runtime, own)
    if way.is_peer:
        shutil.rmtree(own / "docker")
        shutil.copy(PEERS / "dockerignore", own / ".dockerignore")
        text = (PEERS / f"{way.dockerfile}.Dockerfile").read_text(encoding="utf-8")
        if application.compiled:
            text = text.replace("#: build packages", install(base, COMPILERS[base]))
            no_binary = ", ".join(f'"{name}"' for name in application.compiled)
            (own / "poetry.toml").write_text(f"[installer]\nno-binary = [{no_binary}]\n")
        (own / "Dockerfile").write_text(text, encoding="utf-8")
    if way.own_backend:
        substitute(own / "pyproject.toml", r"^\[build-system\]\n(.+\n)+", UV_BACKEND)
    if way.lock == "uv.lock":
        _constrain(own / "pyproject.toml", _constraints(folder), application.compiled)
    set_lock(way, own, PLAIN)


def _render(application: Application, base: str, runtime: str, folder: Path) -> None:
    answers = {"project_name": NAME, "kind": application.kind, "python_version": PYTHON}
    render({**answers, "runtime": runtime, "base": base}, folder)
    pyproject = folder / "pyproject.toml"
    lines = "".join(f'    "{dependency}",\n' for dependency in application.dependencies)
    substitute(pyproject, r"^dependencies = \[\n", f"dependencies = [\n{lines}")
    # Later Pythons may need other versions, which Poetry locks beside.
    requires = f'requires-python = "=={PYTHON}.*"'
    substitute(pyproject, r"^requires-python = .*$", requires)
    if application.compiled:
        no_binary = ", ".join(f'"{name}"' for name in application.compiled)
        packages = "".join(f'{name} = "*"\n' for name in COMPILERS[base])
        section = release(pyproject)
        with pyproject.open("a") as file:
            file.write(f"\n[tool.seedpod.wheels]\nno-binary = [{no_binary}]\n")
            file.write(f"\n[tool.sys.{section}.dev-dependencies]\n{packages}")


def release(pyproject: Path) -> str:
    """Return the name of the base's release in [tool.sys], as the template's own comment has it."""
    found = re.search(
        r"^# \[tool\.sys\.([\w-]+)\.", pyproject.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, "the template shows how system packages are declared"
    return found[1]


def install(base: str, packages: Sequence[str]) -> str:
    """Return the line of a Dockerfile that installs system packages, as images' makers write it."""
    names = " ".join(packages)
    if base == "alpine":
        return f"RUN apk add --no-cache {names}"
    return (
        f"RUN apt-get update && apt-get install --yes --no-install-recommends {names} "
        "&& rm -rf /var/lib/apt/lists/*"
    )


def _constraints(folder: Path) -> Path:
    """Return the lock whose versions uv has to choose, whether there is one dependency more or not.

    In uv.lock the constraints are written down, so that they cannot depend on that. Without a lock
    of one dependency more it is the plain one.
    """
    more = folder / "locks" / MORE / NAME / "poetry.lock"
    return more if more.exists() else folder / "locks" / PLAIN / NAME / "poetry.lock"


def _lock(project: Project, folder: Path) -> None:
    """Write the three locks of a project into its folder.

    They are kept, so that later runs have the same versions and ask no index for them.
    """
    pyproject = project.folder / "pyproject.toml"
    before = [each.read_bytes() for each in project.folder.glob("poetry.lock")]
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    key = content_key(pyproject.read_bytes(), image, *tools(), *before)
    kept = KEPT_LOCKS / key
    if not kept.exists():
        project.docker("build", "--target=lock", "--output=.", image, *options(project), ".")
        # What the template's own stages read is not in the way of uv and Poetry.
        (project.folder / ".dockerignore").unlink()
        _constrain(pyproject, _constraints(folder), ())
        project.docker(
            *("build", f"--file={PEERS / 'given.Dockerfile'}", "--target=locks", "--output=."),
            *(image, *tools(), *options(project), "."),
        )
        with tempfile.TemporaryDirectory(dir=project.folder) as made:
            for name in LOCKS:
                shutil.copy(project.folder / name, made)
            KEPT_LOCKS.mkdir(parents=True, exist_ok=True)
            new = kept.with_suffix(".new")
            shutil.copytree(made, new, dirs_exist_ok=True)
            new.rename(kept)
    for name in LOCKS:
        shutil.copy(kept / name, project.folder / name)


def tools() -> list[str]:
    """Return options for builds of peers: versions of their tools, and the network's settings."""
    return [
        f"--build-arg=POETRY={pin('poetry')}",
        f"--build-arg=UV={pin('uv')}",
        f"--build-context=network={NETWORK}",
    ]


def _constrain(pyproject: Path, lock: Path, compiled: Sequence[str]) -> None:
    """Let uv choose the versions that are in a lock of Poetry."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    # One that Poetry locks in several versions is for several systems.
    names = Counter(each["name"] for each in packages)
    pins = "".join(
        f'    "{each["name"]}=={each["version"]}",\n'
        for each in packages
        if names[each["name"]] == 1
    )
    no_binary = ", ".join(f'"{name}"' for name in compiled)
    with pyproject.open("a", encoding="utf-8") as file:
        file.write(f"\n[tool.uv]\nconstraint-dependencies = [\n{pins}]\n")
        if compiled:
            file.write(f"no-binary-package = [{no_binary}]\n")


def set_lock(way: Way, folder: Path, variant: str) -> None:
    """Give a project the lock of a way that is for ``variant``, with the project's own version."""
    shutil.copy(folder.parent / "locks" / variant / NAME / way.lock, folder / way.lock)
    if way.lock == "uv.lock":
        version = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        set_locked_version(folder, version)


def set_locked_version(folder: Path, version: str) -> None:
    """Write a project's version into uv.lock, which holds it."""
    new = f'name = "{NAME}"\nversion = "{version}"'
    substitute(folder / "uv.lock", rf'^name = "{NAME}"\nversion = ".*"$', new)


def add_dependency(pyproject: Path) -> None:
    """Declare one dependency more."""
    substitute(pyproject, r"^dependencies = \[\n", f"dependencies = [\n{ADDED}")


def substitute(path: Path, expression: str, new: str) -> None:
    """Replace the one place in a file that fits an expression; SupportError if there is none."""
    text, places = re.subn(
        expression, lambda _: new, path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    if places != 1:
        raise SupportError(
            f"{path} has {places} places like {expression!r}. Correct support/bench."
        )
    path.write_text(text, encoding="utf-8")


def locked(folder: Path) -> dict[str, dict[str, str]]:
    """Return the versions of each package that the locks of the plain project have, by lock."""
    found: dict[str, dict[str, str]] = {}
    for name in LOCKS:
        text = (folder / "locks" / PLAIN / NAME / name).read_text(encoding="utf-8")
        if name == "requirements.txt":
            found[name] = dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, flags=re.MULTILINE))
        else:
            packages = tomllib.loads(text)["package"]
            found[name] = {each["name"]: each["version"] for each in packages}
    return found


def locked_otherwise(folder: Path) -> list[str]:
    """Return the packages of pip's requirements that another lock has in another version."""
    locks = locked(folder)
    return sorted(
        name
        for name, version in locks["requirements.txt"].items()
        if any(lock.get(name) != version for lock in locks.values())
    )
