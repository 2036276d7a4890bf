"""The stand-in for Alpine behaves as Alpine does, so that what is proved on it holds there."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from support import SupportError
from support.docker import Client
from support.images import alpine, bases
from support.images.alpine import server, wheels
from support.paths import alone
from tests.docker.projects import wait_until
from tests.families import needed_by

# Tests of what only tests have.
pytestmark = pytest.mark.proofs
VERSION = "3.13"
Run = Callable[..., subprocess.CompletedProcess[str]]

# A module in C that calls libffi, and one in C++ that throws.
C_MODULE = r"""
#include <Python.h>
#include <ffi.h>
static PyObject *size(PyObject *self, PyObject *none) {
    return PyLong_FromSize_t(ffi_type_double.size);
}
static PyMethodDef methods[] = {{"size", size, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", "", -1, methods};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
"""
CXX_MODULE = r"""
#include <Python.h>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
static PyObject *size(PyObject *self, PyObject *none) {
    std::map<std::string, int> found;
    std::thread([&] {
        found["digits"] = std::regex_match("2024", std::regex("[[:digit:]]+"));
    }).join();
    try {
        throw found.at("digits");
    } catch (int value) {
        std::cout << "caught " << value << std::endl;
        return PyLong_FromLong(value);
    }
}
static PyMethodDef methods[] = {{"size", size, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", "", -1, methods};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
"""
CLIENT = r"""
#include <libpq-fe.h>
#include <stdio.h>
int main(void) { return printf("%d\n", PQlibVersion() / 10000) < 0; }
"""
COMPILE = 'compile() { "$1" -shared -fPIC $(python3-config --includes) "$2" -o \
"native$(python3-config --extension-suffix)" $3; }'


@pytest.fixture(scope="module")
def debian_image(client: Client) -> str:
    """Return the Debian image that the recipes start from."""
    with alone("images"), needed_by("alpine"):
        return bases.plain("trixie", client)


@pytest.fixture(scope="module")
def image(client: Client, debian_image: str) -> str:
    """Return the stand-in."""
    with alone("stand-in alpine"), needed_by("alpine"):
        return alpine.stand_in(VERSION, debian_image, client)


@pytest.fixture
def run(client: Client, image: str) -> Run:
    """Run a shell program in the stand-in, on the default network unless options say otherwise."""

    def in_container(program: str, *options: str) -> subprocess.CompletedProcess[str]:
        return client.run("run", "--rm", *options, image, "sh", "-euc", program)

    return in_container


@pytest.fixture(scope="module")
def repository(client: Client, image: str) -> Iterator[str]:
    """Serve the packages."""
    with alpine.serve(client) as address:
        yield address


@pytest.fixture(scope="module")
def libffi(client: Client, image: str, repository: str) -> str:
    """Return the author's version of libffi, which depends on the release that has served it."""
    search = ("run", "--rm", image, "apk", "search", "--no-cache", "--exact", "libffi")
    found = client.run_or_raise("It is not there.", *search).splitlines()[0]
    return found.removeprefix("libffi-").rpartition("-")[0]


@pytest.fixture
def build(
    client: Client, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Build a Dockerfile in which IMAGE is the stand-in; the images are removed."""
    made: list[str] = []

    def from_text(dockerfile: str, name: str, **files: str) -> str:
        context = tmp_path_factory.mktemp(name)
        for file, text in files.items():
            (context / file.replace("_", ".")).write_text(text)
        (context / "Dockerfile").write_text(dockerfile.replace("IMAGE", image))
        tag = f"seedpod-test-{name}"
        made.append(tag)
        client.build("It does not build.", "--tag", tag, str(context))
        return tag

    yield from_text
    client.run("rmi", "--force", *made)


@pytest.mark.parametrize("version", list(wheels.CPYTHON))
def test_it_is_alpine_with_the_python_of_the_official_image(
    client: Client, debian_image: str, version: str
) -> None:
    program = (
        "import bz2, ctypes, curses, ensurepip, lzma, platform, pyexpat, readline, sqlite3, ssl\n"
        "import sys, sysconfig, uuid, venv, zlib, zoneinfo\n"
        "assert sys.prefix == '/usr/local' and zoneinfo.ZoneInfo('Europe/Berlin')\n"
        "release = platform.freedesktop_os_release()\n"
        "print(platform.python_version(), release['ID'], release['VERSION_ID'][:4],\n"
        "      sysconfig.get_config_var('EXT_SUFFIX'))\n"
    )
    with alone("stand-in alpine"), needed_by("alpine"):
        name = alpine.stand_in(version, debian_image, client)
    run = ("run", "--rm", "--network=none", name)
    assert client.run_or_raise("It does not run.", *run, "python3", "-c", program) == (
        f"{wheels.CPYTHON[version][0]} alpine 3.23"
        f" .cpython-{version.replace('.', '')}-x86_64-linux-musl.so"
    )
    checks = (
        "find / -xdev -name '*.pyc'; test \"$(command -v python)\" = /usr/local/bin/python;"
        " pip --version >&2; python -m venv /tmp/venv; /tmp/venv/bin/pip --version >&2"
    )
    assert client.run_or_raise("It is not whole.", *run, "sh", "-euc", checks) == ""


def test_it_is_made_once(client: Client, debian_image: str, image: str) -> None:
    before = client.image_id(image)
    assert alpine.stand_in(VERSION, debian_image, client) == image
    assert client.image_id(image) == before
    assert client.recipe_key(image)


def test_python_knows_only_musl(run: Run) -> None:
    tags = "from pip._vendor.packaging import tags; print(*tags.platform_tags())"
    done = run(f'python3 -c "{tags}"', "--network=none")
    assert "musllinux_1_2_x86_64" in done.stdout.split()
    assert "manylinux" not in done.stdout


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("wanted", "installed"),
    [
        ("libffi-dev", "r1"),
        ("libffi-dev={version}-r0", "r0"),
        ("libffi-dev={version}-r1", "r1"),
        ("libffi-dev=~3", "r1"),
        ("libffi-dev>=3", "r1"),
        ("libffi-dev<{version}-r1", "r0"),
    ],
)
def test_a_version_can_be_asked_for(run: Run, libffi: str, wanted: str, installed: str) -> None:
    done = run(f"apk add --no-cache '{wanted.format(version=libffi)}'; apk info -v")
    assert done.returncode == 0, done.stderr
    assert f"libffi-dev-{libffi}-{installed}" in done.stdout.split()
    assert f"libffi-{libffi}-{installed}" in done.stdout.split()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("libffi-dev={version}-r2", "breaks: world[libffi-dev={version}-r2]"),
        ("libffi-dev=~4", "breaks: world[libffi-dev~4]"),
        ("zlib=1.3.1-r0", "breaks: world[zlib=1.3.1-r0]"),
        ("no-such-package", "no-such-package (no such package)"),
    ],
)
def test_what_is_not_there_is_refused(run: Run, libffi: str, wanted: str, message: str) -> None:
    done = run(f"apk add --no-cache '{wanted.format(version=libffi)}'")
    assert done.returncode != 0
    assert message.format(version=libffi) in done.stdout + done.stderr


@pytest.mark.usefixtures("repository")
def test_packages_without_a_trusted_signature_are_refused(run: Run) -> None:
    done = run("rm /etc/apk/keys/seedpod.rsa.pub; apk add --no-cache make")
    assert done.returncode != 0
    assert "UNTRUSTED" in done.stdout + done.stderr


@pytest.mark.usefixtures("repository")
def test_every_package_can_be_installed(run: Run) -> None:
    """Their files do not collide, and all that they need is there."""
    done = run(
        "apk add --no-cache $(apk list --no-cache --available | sed 's/ .*//; s/-[^-]*-r[0-9]*$//'"
        " | sort -u)"
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ("make", "gcc: not found"),
        ("gcc", "fatal error:"),
        ("gcc musl-dev", "fatal error: ffi.h: No such file or directory"),
        ("gcc musl-dev libffi-dev", None),
        ("build-base libffi-dev", None),
    ],
)
def test_a_build_needs_compiler_and_headers(run: Run, packages: str, message: str | None) -> None:
    done = run(
        f"apk add --no-cache {packages}; cd /tmp; {COMPILE}\n"
        f"cat > native.c <<'EOF'\n{C_MODULE}\nEOF\n"
        "compile gcc native.c -lffi; python3 -c 'import native; print(native.size())'"
    )
    if message is None:
        assert done.stdout.splitlines()[-1] == "8", done.stderr
    else:
        assert done.returncode != 0
        assert message in done.stderr


@pytest.mark.usefixtures("repository")
def test_production_needs_the_libraries_and_no_compiler(
    client: Client, build: Callable[..., str]
) -> None:
    """Packages come into a build on the default network, and what was compiled outlives them."""
    compiled = (
        "FROM IMAGE AS build\nRUN apk add --no-cache g++\nWORKDIR /app\nCOPY native.cc ./\n"
        f"RUN {COMPILE}; compile g++ native.cc\n"
        "FROM IMAGE\nCOPY --from=build /app/*.so /app/\nENV PYTHONPATH=/app\n"
    )
    program = ("python3", "-c", "import native; native.size()")
    without = build(compiled, "without-library", native_cc=CXX_MODULE)
    done = client.run("run", "--rm", "--network=none", without, *program)
    assert done.returncode != 0
    assert "Error loading shared library libstdc++.so.6: No such file" in done.stderr

    wanted = f"{compiled}RUN apk add --no-cache libstdc++ && ! command -v g++\n"
    complete = build(wanted, "with-library", native_cc=CXX_MODULE)
    done = client.run("run", "--rm", "--network=none", complete, *program)
    assert done.stdout.strip() == "caught 1", done.stderr


@pytest.mark.usefixtures("repository")
def test_build_packages_can_be_removed_in_the_same_layer(run: Run) -> None:
    done = run(
        "apk info > before; apk add --no-cache --virtual .build gcc musl-dev;"
        " apk del --no-network .build; apk info > after; diff before after; ! command -v gcc"
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("repository")
def test_a_client_of_postgresql_needs_its_library(run: Run) -> None:
    """As psycopg does, which asks pg_config where things are."""
    done = run(
        "apk add --no-cache gcc libpq-dev musl-dev pkgconf; cd /tmp\n"
        f"cat > client.c <<'EOF'\n{CLIENT}\nEOF\n"
        'test "$(pg_config --version)" = "PostgreSQL $(pkg-config --modversion libpq)"\n'
        "gcc -I$(pg_config --includedir) client.c $(pkg-config --libs libpq) -o client\n"
        "apk del gcc libpq-dev musl-dev pkgconf; ! ./client; apk add --no-cache libpq; ./client"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error loading shared library libpq.so.5" in done.stderr
    assert done.stdout.splitlines()[-1] == "17"


def test_users_share_the_server_and_the_last_one_removes_it(
    client: Client, image: str, repository: str
) -> None:
    with alpine.serve(client) as address:
        assert address == repository
    state = ("container", "inspect", "--format", "{{.State.Running}}", server.CONTAINER)
    assert client.run(*state).stdout.strip() == "true"


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(
    client: Client, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONTAINER", "seedpod-test-port")
    monkeypatch.setenv(server.PORT_VARIABLE, "8919")
    address = server._bridge_address(client)
    listen = ("python3", "-m", "http.server", f"--bind={address}", "8919")
    options = ("run", "--detach", "--rm", "--network=host", server.PACKAGES_IMAGE)
    container = client.run_or_raise("It does not run.", *options, *listen)
    try:
        probe = ("exec", container, "wget", "-qO/dev/null", f"http://{address}:8919/")
        wait_until(lambda: client.run(*probe).returncode == 0)
        error = pytest.raises(SupportError, match=f"in use.*{server.PORT_VARIABLE}")
        with error, alpine.serve(client):
            pass
    finally:
        client.run("rm", "--force", container)
    assert client.run("container", "inspect", server.CONTAINER).returncode != 0
