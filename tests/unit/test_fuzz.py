"""No file of a project or of its owner's machine makes a program hang, or end in a traceback.

SEEDPOD_FUZZ=N tries N random inputs for each target; without it a few, the same every time.
"""

import json
import os
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import advisories
import check
import declaration
import image_settings
import index_logins
import labels
import layers
import merge
import path_dependencies
import pins
import platforms
import poetry_lock
import project_file
import propose_versions
import pytest
import select_sources
import select_system
import select_wheels
import settings
import sizes
import split_facts
import standard_library
import system_packages
import versions
import wheelhouse
from packaging.tags import sys_tags
from session import SessionError, git

import on_request
import template
from tests.unit import mutations
from tests.unit.managers import Archive
from tests.unit.mutations import INPUTS, as_json, as_toml, either, ends, main, spoilt

LOCKS = Path(__file__).parent / "locks"
TEMPLATE = Path(split_facts.__file__).parent.parent.parent
PYPROJECT = """
[project]
name = "shop"
version = "1.0"
description = "A shop"
requires-python = ">=3.11,<3.15"
readme = "README.md"
license = { file = "LICENSE" }
license-files = ["LICENSE"]
dependencies = ["click", "requests ; sys_platform == 'linux'", "lib @ ../lib"]
urls = { Homepage = "https://shop.example", documentation = "https://docs.example" }
[project.optional-dependencies]
colour = ["colorama"]
[dependency-groups]
test = ["pytest", "coverage[toml]"]
dev = [{ include-group = "test" }, "ruff ; sys_platform != 'win32'"]
[build-system]
requires = ["poetry-core>=2"]
build-backend = "poetry.core.masonry.api"
[tool.poetry]
packages = [{ include = "shop", from = "src", format = "wheel" }]
include = [{ path = "data", format = "wheel" }]
source = [{ name = "own", url = "https://pypi.example/simple", priority = "explicit" }]
scripts = { shop = "shop:main" }
[tool.poetry.dependencies]
lib = { path = "../lib", develop = true }
local = { path = "lib.whl" }
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
sphinx = "*"
requests = { version = "*", platform = "win32" }
[tool.setuptools]
py-modules = ["one"]
packages = { find = { where = ["src"] } }
package-dir = { "" = "src" }
[tool.hatch.build]
include = ["src/*"]
[tool.sys.debian13.dependencies]
libpq5 = "*"
libxml2 = { version = "~2.14", dlopen = true }
[tool.sys.debian13.dev-dependencies]
libpq-dev = ">=17"
[tool.sys.debian13.groups.client]
postgresql-client = "16.3-1"
[tool.sys."alpine3.23"]
dependencies = { libpq = "17.5-r0" }
ignored-libraries = ["libtbb.so.12"]
[tool.seedpod]
extras = ["cli"]
platforms = ["linux/amd64", "linux/arm64"]
[tool.seedpod.check]
setuid = { "/usr/bin/sudo" = "for support" }
[tool.seedpod.vulnerabilities]
"CVE-2024-0001" = "never called"
[tool.seedpod.size]
base = "20 MB"
production = "58.5 MB"
[tool.seedpod.test]
programs = ["sh"]
runs = [["--version"]]
not-imported = { "shop.windows" = "Windows only" }
[tool.seedpod.trim]
tests = true
exclude = ["babel/locale-data/*"]
[tool.seedpod.wheels]
no-binary = ["lxml"]
build-first = ["numpy"]
[tool.seedpod.image]
port = 9000
health = "/healthz"
command = ["shop", "serve"]
data = ["/data", "/more data"]
environment = { WORKERS = "2", TEXT = "a $b" }
labels = { "org.opencontainers.image.vendor" = "We" }
step = ["make"]
step-output = ["/srv/static"]
"""
DOCUMENT = tomllib.loads(PYPROJECT)
LOCK: dict[str, Any] = tomllib.loads((LOCKS / "extras/poetry.lock").read_text(encoding="utf-8"))
EXTRAS = tomllib.loads((LOCKS / "extras/pyproject.toml").read_text(encoding="utf-8"))
SOURCES = (
    {"type": "directory", "url": "../lib"},
    {"type": "file", "url": "lib.whl"},
    {
        "type": "git",
        "url": "https://x.example/a.git",
        "reference": "v1",
        "resolved_reference": "0a",
    },
    {"type": "legacy", "url": "https://u:p@x.example/simple", "reference": "own"},
    {"type": "url", "url": "https://x.example/a.whl", "subdirectory": "a"},
)
for _package, _source in zip(LOCK["package"], SOURCES, strict=False):
    _package["source"] = _source
    _package["markers"] = {"main": 'python_version >= "3.12" and extra == "a" or os_name == "nt"'}
LOCK["package"] = LOCK["package"][:8]
for _package in LOCK["package"]:
    _package["groups"] = ["main", "dev"]
SYSTEM_LOCK = {
    "version": 1,
    "image": [
        {
            "release": "debian13",
            "architecture": architecture,
            "declaration": "sha256:a",
            "archive-date": "2026-01-01",
            "base-image": "python:3.13-slim",
            "base-image-digest": f"sha256:{'a' * 64}",
            "package": [
                {"name": "libpq5", "version": "17.5-1", "sets": ["dependencies"]},
                {"name": "gcc", "version": "14", "sets": ["dev-dependencies"]},
            ],
        }
        for architecture in ("amd64", "arm64")
    ],
}
SERVERS = ("ftp", "ftps", "git", "http", "https", "ssh")
DEBIAN = {"ID": "debian", "VERSION_ID": "13"}
MANAGER = mock.Mock(architecture="amd64")
BUDGETS = DOCUMENT["tool"]["seedpod"]["size"]
target = mutations.Targets()


def project(pyproject: bytes, lock: bytes) -> None:
    """Write a project here, whose lock fits if it can."""
    for folder in ("src/shop", "data", "extras", "../lib"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    for file in ("LICENSE", "README.md", "lib.whl", "src/one.py"):
        Path(file).touch()
    Path("pyproject.toml").write_bytes(pyproject)
    Path("poetry.lock").write_bytes(lock)


def stages() -> None:
    """Make what the stages read, and run the programs of those that read the project, too."""
    facts, chosen = Path("../facts"), Path("../chosen")
    main(split_facts, ".", facts)
    if not facts.exists():
        return
    with (
        mock.patch("platform.freedesktop_os_release", return_value=DEBIAN),
        mock.patch("package_managers.of_this_image", return_value=MANAGER),
    ):
        main(select_system, facts / "system.json", ".", chosen)
    main(select_sources, ".", "../sources")
    main(path_dependencies, ".", "../paths", "..", "work")
    main(select_wheels, facts, "none", "../paths", "../wheels")
    pyproject = ends(project_file.read)
    if not pyproject:
        return
    name = project_file.name(pyproject)
    image = json.loads((facts / "image.json").read_text(encoding="utf-8"))
    for file in ("Dockerfile.jinja", "docker-compose.yml.jinja"):
        shutil.copy(TEMPLATE / file, file.removesuffix(".jinja"))
    ends(image_settings.write, image, name)
    ends(labels.of, pyproject, "1700000000", "python:3.13")
    selection = ends(wheelhouse.read_selection, facts / "development.json")
    if selection:
        sources = selection.sources
        ends(index_logins.variables, sources, os.environ)
        opener = mock.Mock(open=mock.Mock(side_effect=OSError))
        with mock.patch("urllib.request.build_opener", return_value=opener):
            ends(index_logins.check, sources, os.environ, dict.fromkeys(sources, "x"))
    ends(versions.choose, Archive(), {"libpq5": "*"}, "x")
    with mock.patch("propose_versions.later_version", return_value="8.2"):
        click = poetry_lock.Chosen("click", "8.1", "", [], [])
        ends(propose_versions.proposals, [click], {}, Path())


@target("git")
def pyproject_in_builds(random: Random, _: Path) -> None:
    content = either(random, {**DOCUMENT, "project": {**DOCUMENT["project"]}}, as_toml)
    lock = {**LOCK, "metadata": {**LOCK["metadata"]}}
    with suppress(ValueError, RecursionError, AttributeError, TypeError):
        found = poetry_lock.content_hash(tomllib.loads(content.decode()))
        lock["metadata"]["content-hash"] = found
    project(content, as_toml(lock))
    stages()


@target()
def pyproject_in_sessions(random: Random, _: Path) -> None:
    project(either(random, DOCUMENT, as_toml), b"")
    functions = (
        *(platforms.declared, sizes.budgets_of_stages, advisories.accepted, settings.apply),
        *(settings.for_installing, project_file.environments),
    )
    for function in functions:
        ends(function)
    ends(lambda: check.accepted(project_file.setting("check")))
    if pyproject := ends(project_file.read):
        project_file.name(pyproject)
        project_file.has_package(pyproject)
        project_file.lowest_python(pyproject)
    Path("pyvenv.cfg").write_bytes(spoilt(random, b"home = /usr\nversion = 3.13.1\n"))
    project_file.reuse(Path(), "3.13")


@target("git")
def poetry_lock_in_builds(random: Random, _: Path) -> None:
    metadata = {**LOCK["metadata"], "content-hash": poetry_lock.content_hash(EXTRAS)}
    project(as_toml(EXTRAS), either(random, {**LOCK, "metadata": metadata}, as_toml))
    stages()


@target()
def requirement_texts(random: Random, _: Path) -> None:
    """What a lock and pyproject.toml have in texts of a grammar of their own."""
    samples = (
        (poetry_lock.python_marker, ">=3.11,<3.15 || ^3.9"),
        (lambda x: poetry_lock.parse_marker(x, ["a"]), 'python_version >= "3.11" and extra == "a"'),
    )
    for function, text in samples:
        with suppress(ValueError):
            function(spoilt(random, text.encode()).decode(errors="replace"))
    wanted = "lib[a] @ ../lib ; python_version > '3'"
    text = spoilt(random, wanted.encode()).decode(errors="replace")
    ends(path_dependencies.named, {"project": {"dependencies": [text]}}, groups=True)
    ends(settings._host, text)
    ends(labels.address, spoilt(random, b"git@host:own/shop.git").decode(errors="replace"))


@target("dpkg")
def sys_lock(random: Random, folder: Path) -> None:
    declared = {"tool": {"sys": DOCUMENT["tool"]["sys"]}}
    sections = declaration.load(declared)
    lock = json.loads(json.dumps(SYSTEM_LOCK))
    for entry in lock["image"]:
        entry["declaration"] = sections["debian13"].digest()
    Path("system.json").write_text(json.dumps(declaration.facts(sections)), encoding="utf-8")
    Path("sys.lock").write_bytes(either(random, lock, as_toml))
    ends(pins.use_base_image)
    with (
        mock.patch("platform.freedesktop_os_release", return_value=DEBIAN),
        mock.patch("package_managers.of_this_image", return_value=MANAGER),
    ):
        main(select_system, "system.json", folder, "chosen")
    new = {**SYSTEM_LOCK["image"][0], "lock-version": 1}  # type: ignore[index]
    for compare in (True, False):
        ends(system_packages.lock, new, "python:3.13-slim", compare=compare)


@target()
def settings_of_the_machine(random: Random, _: Path) -> None:
    pip = b"PIP_INDEX_URL=https://u:p@pypi.example/simple\nPOETRY_REPOSITORIES_OWN_URL=https://x/\n"
    pip += b"POETRY_HTTP_BASIC_OWN_PASSWORD=secret\nAPT_MIRROR=http://mirror.example\n"
    samples = {
        "pip.env": pip,
        ".env": b"export HOST_UID=1000 # me\nPYTHON_IMAGE='python:3.13'\nSSL_CERT_FILE=/x.pem\n",
        ".netrc": b"machine pypi.example login u password p\nmacdef x\nls\n\ndefault login a\n",
    }
    documents = {
        "poetry.toml": {
            "http-basic": {"own": {"username": "u", "password": "p"}},
            "repositories": {"own": {"url": "https://x.example"}},
        },
        "pyproject.toml": {"tool": {"poetry": DOCUMENT["tool"]["poetry"]}},
    }
    chosen = random.choice([*samples, *documents, "config.json"])
    for name, content in samples.items():
        Path(name).write_bytes(spoilt(random, content) if name == chosen else content)
    for name, document in documents.items():
        content = either(random, document, as_toml) if name == chosen else as_toml(document)
        Path(name).write_bytes(content)
    shutil.copy(".netrc", Path("~/.netrc").expanduser())
    os.environ["DOCKER_CONFIG"] = "."
    docker = {"proxies": {"default": {"httpProxy": "http://x", "noProxy": "a"}}, "auths": {}}
    Path("config.json").write_bytes(either(random, docker, as_json))
    for function in (settings.apply, settings.for_installing, settings.proxies_of_docker):
        ends(function)
    ends(index_logins.git_variables, os.environ)


def fetched() -> None:
    """Fetch programs on request."""
    on_request.fetch(Path("programs"))


@target("git")
def answers_of_copier(random: Random, _: Path) -> None:
    """Of programs only Git is started, and that runs none that an address names."""
    source = b"_commit: v1.0\n_src_path: ./nothing\nkind: web\n"
    if random.randrange(3):
        places = ("--upload-pack=touch ../started", "ext::sh -c touch% ../started", "gh:x\0", "~/x")
        source = f"_commit: v1.0\n_src_path: {random.choice(places)}\n".encode()
    Path(template.ANSWERS).write_bytes(spoilt(random, source) if random.randrange(2) else source)
    # No example asks a server; what else Git allows is its own choice.
    for number, name in enumerate(SERVERS):
        os.environ[f"GIT_CONFIG_KEY_{number}"] = f"protocol.{name}.allow"
        os.environ[f"GIT_CONFIG_VALUE_{number}"] = "never"
    os.environ["GIT_CONFIG_COUNT"] = str(len(SERVERS))
    for function in (template.news, fetched, template.finished, image_settings.check):
        ends(function, *({}, "x") if function is image_settings.check else ())
    assert not Path("../started").exists()


@target()
def changelog(random: Random, _: Path) -> None:
    text = "# Changelog\n\n## Unreleased\n\nx\n\n## 1.10.0 — later\n\nten\n\n## v0.9\n".encode()
    ends(template.sections_after, spoilt(random, text).decode(errors="replace"), (0, 8))


@target("git")
def merges(random: Random, _: Path) -> None:
    old = (TEMPLATE.parent / "example/pyproject.toml").read_text(encoding="utf-8")
    new = old.replace("line-length = 100", "line-length = 99").replace('"ruff', '"new", "ruff')
    own = spoilt(random, old.replace('"ruff', '"own", "ruff').encode()).decode(errors="replace")
    ends(merge.by_key, old, own, new)
    ends(merge.appended, old, own, new)
    ends(merge.untouched, spoilt(random, own.encode()).decode(errors="replace"), old, own, new)


@target("git")
def conflicts(random: Random, _: Path) -> None:
    text = b"a\n<<<<<<< before updating\nb\n=======\nc\n>>>>>>> after updating\n"
    git("init", "--quiet")
    Path("x").write_bytes(spoilt(random, text))
    Path("y.rej").write_bytes(b"")
    ends(template.conflicts)


@target()
def marked_lines(random: Random, _: Path) -> None:
    image = {**DOCUMENT["tool"]["seedpod"]["image"]}
    manifests = next(TEMPLATE.glob("*kubernetes*"))
    samples = {
        "Dockerfile": TEMPLATE / "Dockerfile.jinja",
        "docker-compose.yml": TEMPLATE / "docker-compose.yml.jinja",
        **{f"kubernetes/{x.name.removesuffix('.jinja')}": x for x in manifests.glob("*.y*ml*")},
    }
    Path("kubernetes").mkdir()
    chosen = random.choice([*samples])
    for name, path in samples.items():
        content = path.read_bytes()
        Path(name).write_bytes(spoilt(random, content) if name == chosen else content)
    ends(image_settings.write, image, "shop")
    ends(image_settings.check, image, "shop")
    ends(pins.named_base_image)


@target()
def excluded_modules(random: Random, _: Path) -> None:
    file = Path("stdlib-exclude.txt")
    file.write_bytes(spoilt(random, (TEMPLATE / "docker/stdlib-exclude.txt").read_bytes()))
    patterns = ends(standard_library.excluded, file)
    Path("lib/json").mkdir(parents=True)
    Path("lib/json/decoder.py").touch()
    with mock.patch("sysconfig.get_path", return_value=str(Path("lib").absolute())):
        ends(standard_library.standard_library, patterns or [])


@target()
def manifests_of_wheels(random: Random, folder: Path) -> None:
    names = ("one-1.0-py3-none-any.whl", "two-2.0-cp313-cp313-linux_x86_64.whl")
    entry = {"sha256": "a", "origin": "built", "seconds": 0.5, "size": 3, "new": True}
    content = either(random, dict.fromkeys(names, entry), as_json)
    name = random.choice((wheelhouse.MANIFEST, wheelhouse.OLD_MANIFEST))
    Path(name).write_bytes(content)
    for wheel in names:
        Path(wheel).touch()
    package = poetry_lock.Chosen("one", "1.0", "", [], [*names])
    ends(wheelhouse.select, [package], folder, {*sys_tags()}, ["two"])


@target()
def names_of_wheels(random: Random, _: Path) -> None:
    name = spoilt(random, b"numpy-2.1.0-1-cp313.cp314-abi3-manylinux_2_17_x86_64.whl")
    files = [name.decode(errors="replace"), "x-1-py3-none-any.whl"]
    package = poetry_lock.Chosen("numpy", "2.1.0", "", [], files)
    tags = [*sys_tags()]
    ends(select_wheels.to_compile, [package], [], {*tags})
    ends(select_wheels.unfit, [package], tags)


@target()
def kept_sizes(random: Random, folder: Path) -> None:
    layer = {"digest": "sha256:a", "instruction": "RUN x", "size": 3, "compressed": 2}
    stage = {"size": 3, "compressed": 2, "budget": 9, "layers": [layer], "distributions": {"a": 3}}
    Path("build").mkdir()
    sizes.REPORT.write_bytes(either(random, {"base": stage, "production": stage}, as_json))
    cache = Path(os.environ["XDG_CACHE_HOME"], "seedpod")
    cache.mkdir(parents=True)
    key = layers._key("sha256:b", ["sha256:a"])
    kept = {
        layers.SIZES: {"sha256:a": [3, 2]},
        layers.INSTRUCTIONS: {key: ["RUN x"]},
        sizes.KEPT: {key: {"click": 3}},
    }
    for name, content in kept.items():
        (cache / name).write_bytes(either(random, content, as_json))
    project(as_toml({"project": {"name": "x"}, "tool": {"seedpod": {"size": BUDGETS}}}), b"")
    image = json.dumps([{"Id": "sha256:b", "RootFS": {"Layers": ["sha256:a"]}}] * 2)
    with (
        mock.patch("layers.docker", return_value=image),
        mock.patch("layers._read", return_value=({"sha256:a": [3, 2]}, [])),
        mock.patch("sizes.docker", return_value='{"click": 3}'),
    ):
        main(sizes, "base=x", "production=y")


@target()
def commits_of_programs(random: Random, _: Path) -> None:
    cache = Path(os.environ["XDG_CACHE_HOME"], "seedpod")
    cache.mkdir(parents=True)
    (cache / on_request.COMMITS).write_bytes(either(random, {"./x v1": "abc"}, as_json))
    Path(template.ANSWERS).write_text("_commit: v1\n_src_path: ./x\n")
    with mock.patch("on_request.git", side_effect=SessionError("x")):
        ends(fetched)


@pytest.mark.parametrize("name", target.known)
def test_a_damaged_file_is_refused_in_a_sentence(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """Or taken as far as it goes: nothing else is raised, nothing hangs, nothing is started."""
    record_property(INPUTS, target.run(name))
