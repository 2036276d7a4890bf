"""What only this machine may know is in nothing that a build makes."""

import base64
import gzip
import json
import re
import secrets
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from support import builder, debian
from support.docker import Client
from tests.docker.declarations import declare
from tests.docker.indexes import HOSTS, USER, authority, logging_proxy, private_index
from tests.docker.projects import Made, Make
from tests.docker.wheels import write_wheel

# Each canary is this and what it is a secret of. Another run's are in no cache.
MARK = f"canary-{secrets.token_hex(8)}-"
# What folders of projects have, and what nobody thought of. Sessions read some of it.
CONTEXT = (
    *(".aws/credentials", ".dev.env", ".docker/config.json", ".env", ".env.local", ".envrc"),
    *(".git/config", ".git/objects/pack/x.pack", ".github/token", ".mypy_cache/x.json", ".netrc"),
    *(".nox/x", ".npmrc", ".pypirc", ".python-version", ".ssh/id_ed25519", ".venv/pyvenv.cfg"),
    *(".vscode/settings.json", "backup.sql", "build/x", "credentials.json", "dist/x.txt"),
    *("docker-compose.override.yml", "docker/host/x.py", "docker/x.pem", "id_rsa", "ca.pem"),
    *("kubernetes/secret.yaml", "notes öf ours.txt", "noxfile_local.py", "pip.env", "poetry.toml"),
    *("rootfs/__pycache__/x.pyc", "secrets/x", "src/__pycache__/x.pyc", "src/demo/x.pyc"),
)
# Packages of the system, and a step of the project's own, which sees the secrets, too.
SETTINGS = """
[tool.seedpod.image]
step = ["python3", "-c", "import os; os.mkdir('/srv/made'); open('/srv/made/x', 'w').close()"]
step-output = ["/srv/made"]
[tool.sys.debian13.dependencies]
libpq5 = "*"
"""
# Together they have the steps of all other stages.
KEPT = ("development", "leaky", "lock", "production", "test")
# Without it, the stage that looks for packages has nothing to look for.
WANTED = ("--build-arg=WANTED=program gcc",)
PLACES = ("attestation", "cache", "configuration", "layer", "log")
# Sessions have the secrets; engine.py has no command for a stage of one's choice.
BUILD = """
import sys
sys.path.insert(0, "docker/host")
import engine, settings
settings.apply()
engine.export(*sys.argv[1:])
"""


def spellings(mark: str) -> re.Pattern[bytes]:
    """Match a mark with a name; and in base64 (RFC 4648), as logins are sent, without the name."""
    encoded = []
    for before in range(3):
        text = base64.b64encode(b"x" * before + mark.encode())
        # The first and the last letters depend on what stands beside the mark.
        encoded.append(text[-(-8 * before // 6) : 8 * (before + len(mark)) // 6])
    return re.compile(rb"%b([\w.-]+)|%b" % (re.escape(mark.encode()), b"|".join(encoded)))


MARKED = spellings(MARK)


def named(content: bytes) -> Iterator[str]:
    """Yield the names of the canaries in some bytes, which may be packed."""
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    for found in MARKED.finditer(content):
        yield (found[1] or b"in base64").decode()


def kind(content: bytes) -> str:
    """Return what a blob of an image is (OCI image format, in-toto attestations)."""
    try:
        document = json.loads(content)
    except ValueError:
        return "layer"
    if "predicateType" in document:
        return "attestation"
    return "configuration" if "rootfs" in document else "manifest"


def blobs(image: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what an archive in the OCI format has, with what it is."""
    with tarfile.open(image) as archive:
        for entry in archive:
            if file := archive.extractfile(entry):
                content = file.read()
                yield kind(content), content


def places(project: Made, stage: str, *options: str) -> Iterator[tuple[str, bytes]]:
    """Build a stage; yield what a build leaves anywhere, with the place."""
    folder = project.folder / f"build/{secrets.token_hex(4)}"
    folder.mkdir()
    image, cache = folder / "image.tar", folder / "cache"
    own = [f"type=oci,dest={image}", "--provenance=mode=max", "--progress=plain", *WANTED, *options]
    if stage in KEPT:
        own.append(f"--cache-to=type=local,dest={cache},mode=max")
    done = project.run("python3", "-c", BUILD, stage, *own)
    assert done.returncode == 0, done.stdout
    yield "log", done.stdout.encode()
    yield from blobs(image)
    yield from (("cache", path.read_bytes()) for path in cache.rglob("*") if path.is_file())
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project(make: Make, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Return a project with a canary in each secret that it needs, and all over its folder."""
    folder = tmp_path_factory.mktemp("secrets")
    trusted = authority(folder)
    with trusted.certificates.open("a") as authorities:
        authorities.write(f"{MARK}certificates\n")
    made = make()
    with ExitStack() as stack:
        names = ("address", "variable", "netrc")
        indexes = []
        for name, host in zip(names, HOSTS, strict=True):
            packages = folder / name
            packages.mkdir()
            write_wheel(packages, f"seedpod_of_{name}", "")
            running = private_index(client, packages, trusted, host, f"{MARK}{name}")
            indexes.append(stack.enter_context(running))
        mirror = stack.enter_context(logging_proxy(client, debian.archives()[0], folder))
        for path in CONTEXT:
            file = made.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as opened:
                opened.write(f"# {MARK}{path.replace('/', '.').replace(' ', '.')}\n")
        (made.folder / "netrc").write_text(
            f"machine {HOSTS[2]} login {USER} password {MARK}netrc\n"
        )
        sources = [
            f'[[tool.poetry.source]]\nname = "{name}"\nurl = "{index.open_address}"\n'
            'priority = "explicit"\n'
            f'[tool.poetry.dependencies.seedpod-of-{name}]\nsource = "{name}"\n'
            for name, index in zip(names[1:], indexes[1:], strict=True)
        ]
        declare(made, "".join([SETTINGS, *sources]))
        lines = "".join(f'    "seedpod-of-{name}",\n' for name in names)
        made.edit("pyproject.toml", "dependencies = [\n", f"dependencies = [\n{lines}")
        variables = {
            "PIP_INDEX_URL": indexes[0].address,
            "POETRY_HTTP_BASIC_VARIABLE_USERNAME": USER,
            "POETRY_HTTP_BASIC_VARIABLE_PASSWORD": f"{MARK}variable",
            "NETRC": "netrc",
            "APT_MIRROR": mirror.address.replace("//", f"//{USER}:{MARK}mirror@"),
            "SSL_CERT_FILE": str(trusted.certificates),
        }
        base = made.variables["PYTHON_IMAGE"]
        ours = stack.enter_context(builder.elsewhere(Client(made.variables), base))
        hosts = " ".join(index.add_host for index in indexes)
        options = f"{ours.variables.get('BUILD_OPTIONS', '')} {hosts}"
        project = replace(made, variables={**ours.variables, **variables, "BUILD_OPTIONS": options})
        # What an earlier run has built had other secrets.
        project.docker("buildx", "prune", "--all", "--force")
        output = project.session("lock", "--regenerate")
        assert not [*named(output.encode())]
        yield project


def stages(project: Made) -> list[str]:
    text = (project.folder / "Dockerfile").read_text(encoding="utf-8")
    return re.findall(r"^FROM \S+ AS (\S+)$", text, flags=re.MULTILINE)


@pytest.mark.proofs
def test_no_secret_is_in_any_stage_its_log_its_attestation_or_its_cache(project: Made) -> None:
    lock = (project.folder / "poetry.lock").read_bytes()
    assert not [*named(lock)]
    searched = Counter[str]()
    for stage in stages(project):
        for place, content in places(project, stage):
            assert not [*named(content)], (stage, place)
            searched[place] += 1
    # A stage of files alone has neither an attestation nor a cache.
    assert min(searched[place] for place in PLACES) > 0, searched


LOGIN = base64.b64encode(f"{USER}:{MARK}login".encode()).decode()
LEAKS = f"""
ARG CHOSEN
RUN --mount=type=secret,id=pip.env ["cp", "/run/secrets/pip.env", "/opt/kept"]
RUN ["python3", "-c", "print('{MARK}log')"]
RUN ["python3", "-c", "open('/opt/login', 'w').write('{LOGIN}')"]
ENV GIVEN={MARK}environment
"""


@pytest.mark.proofs
def test_a_dockerfile_that_leaks_is_found_in_every_place(project: Made) -> None:
    """Else the test above could not fail."""
    original = (project.folder / "Dockerfile").read_text(encoding="utf-8")
    project.edit("Dockerfile", "\nFROM shipped AS production\n", f"\nFROM runtime AS leaky{LEAKS}")
    try:
        argument = f"--build-arg=CHOSEN={MARK}argument"
        found = {
            (x, y) for x, content in places(project, "leaky", argument) for y in named(content)
        }
    finally:
        (project.folder / "Dockerfile").write_text(original, encoding="utf-8")
    assert {("layer", "variable"), ("cache", "netrc"), ("log", "log")} <= found
    assert ("layer", "in base64") in found
    assert {("configuration", "environment"), ("attestation", "argument")} <= found
