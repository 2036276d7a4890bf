"""Whatever breaks while a session works: files are whole, the last good image stays, it goes on.

What breaks is real: processes are killed, a disk is full, an index and a registry fail. All take
long, so they run before a release.
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support import builder, debian
from support.docker import Client
from support.transfer import Registry
from tests.docker.indexes import fallback, serving
from tests.docker.kills import TIMES, kill, moments
from tests.docker.mounts import unmount
from tests.docker.projects import Made, Make, Twin, commit, gateway
from tests.families import needed_by

pytestmark = pytest.mark.proofs


def production(project: Made) -> str:
    """Return the id of the production image."""
    inspect = ("image", "inspect", "--format={{.Id}}")
    return project.docker(*inspect, f"{project.name}:production")


def hidden(folder: Path) -> set[str]:
    """Return files that a program began and did not finish."""
    found = {
        path.name for path in folder.rglob("*") if re.match(r"\.tmp|\..*-[0-9a-f]{16}$", path.name)
    }
    return {name for name in found if not name.startswith(".nox")}


def require(project: Made, package: str) -> None:
    """Add a dependency to a project."""
    project.edit("pyproject.toml", "dependencies = [\n", f'dependencies = [\n    "{package}",\n')


@pytest.fixture
def project(built: Make, twin: Twin) -> Made:
    """Return a copy of a project whose production image is built."""
    return twin(built())


def test_a_killed_lock_leaves_the_old_file_or_the_new_one(project: Made) -> None:
    lock, good = project.folder / "poetry.lock", production(project)
    old = lock.read_bytes()
    require(project, "humanize")
    project.session("lock")
    new = lock.read_bytes()
    # Those that are killed find everything downloaded, too.
    lock.write_bytes(old)
    start = time.monotonic()
    project.session("lock")
    seconds = time.monotonic() - start
    killed = 0
    for moment, alone in moments(TIMES, seconds):
        lock.write_bytes(old)
        killed += kill(project, moment, "lock", alone=alone)
        assert lock.read_bytes() in (old, new)
    assert killed > TIMES / 2
    assert hidden(project.folder) == set()
    assert production(project) == good
    lock.write_bytes(old)
    project.session("lock")
    assert lock.read_bytes() == new


def test_a_killed_sys_lock_leaves_the_old_file_or_the_new_one(project: Made) -> None:
    lock, good = project.folder / "sys.lock", production(project)
    project.session("sys_lock")
    old = lock.read_bytes()
    text = '\n[tool.sys.debian13.dependencies]\nlibyaml-0-2 = "*"\n'
    with (project.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(text)
    start = time.monotonic()
    project.session("sys_lock")
    seconds, new = time.monotonic() - start, lock.read_bytes()
    for moment, alone in moments(TIMES, seconds):
        lock.write_bytes(old)
        kill(project, moment, "sys_lock", alone=alone)
        assert undated(lock.read_bytes()) in (undated(old), undated(new))
    assert hidden(project.folder) == set()
    assert production(project) == good
    lock.write_bytes(old)
    project.session("sys_lock")
    assert undated(lock.read_bytes()) == undated(new)


def undated(lock: bytes) -> bytes:
    """Return a lock without the date of the archive that it was made from."""
    return re.sub(rb'(?m)^archive-date = ".*"$', b"", lock)


def test_a_killed_docker_wheels_leaves_whole_wheels_and_a_true_list(project: Made) -> None:
    house, good = project.folder / ".wheels", production(project)
    start = time.monotonic()
    project.session("docker_wheels")
    seconds = time.monotonic() - start
    whole = {path.relative_to(house): path.read_bytes() for path in house.rglob("*.whl")}
    assert len(whole) > 5
    for moment, alone in moments(TIMES, seconds):
        shutil.rmtree(house, ignore_errors=True)
        kill(project, moment, "docker_wheels", alone=alone)
        for path in house.rglob("*.whl") if house.exists() else ():
            assert path.read_bytes() == whole[path.relative_to(house)]
    assert production(project) == good
    project.session("docker_wheels")
    found = {path.relative_to(house): path.read_bytes() for path in house.rglob("*.whl")}
    assert found == whole
    assert hidden(house) == set()


@contextmanager
def small_engine(folder: Path, size: str) -> Iterator[Client]:
    """Run a second engine whose disk has a size, in memory."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "seedpod-test", str(folder)]
    subprocess.run(mount, check=True)
    try:
        with builder.machine(folder) as second:
            yield second.replace(BUILD_OPTIONS="--network=host")
    finally:
        unmount(folder)


def on_engine(project: Made, second: Client, client: Client) -> Made:
    """Return a project on another engine, which gets its base image."""
    builder.copy(project.variables["PYTHON_IMAGE"], client, second)
    return Made(project.folder, {**project.variables, **second.variables})


def test_a_disk_that_fills_is_named_and_the_last_image_stays(
    make: Make, client: Client, tmp_path: Path
) -> None:
    project = make()
    with small_engine(tmp_path / "disk", "900m") as second:
        moved = on_engine(project, second, client)
        large = project.folder / "rootfs/large"
        large.parent.mkdir()
        large.write_bytes(b"small")
        moved.session("lock")
        moved.session("docker_prod")
        good = production(moved)
        with large.open("wb") as file:
            file.truncate(900_000_000)
        output = moved.refused("docker_prod")
        assert "The engine's disk is full. See what docker system df lists" in output
        assert production(moved) == good
        large.write_bytes(b"another")
        moved.docker("builder", "prune", "--force", "--all")
        moved.session("docker_prod")
        assert production(moved) != good


def test_an_engine_that_is_killed_while_it_builds_is_named(
    make: Make, client: Client, tmp_path: Path
) -> None:
    project = make()
    data = tmp_path / "data"
    with builder.machine(data) as second:
        moved = on_engine(project, second.replace(BUILD_OPTIONS="--network=host"), client)
        moved.session("docker_prod")
        good = production(moved)
        outputs: list[str] = []
        working = threading.Thread(
            target=lambda: outputs.append(moved.refused("docker_prod", "--no-cache"))
        )
        working.start()
        time.sleep(4)
        socket = Path(moved.variables["DOCKER_HOST"].removeprefix("unix://"))
        os.kill(int(socket.with_name("docker.pid").read_text()), signal.SIGKILL)
        working.join(120)
        [output] = outputs
        assert "The engine ended while it worked. Start it again" in output, output[-2000:]
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        # What the engine that was killed has left: its containerd.
        with suppress(OSError):
            if str(socket.parent) in place.read_text():
                os.kill(int(place.parent.name), signal.SIGKILL)
    unmount(data)
    with builder.machine(data) as second:
        moved = on_engine(project, second.replace(BUILD_OPTIONS="--network=host"), client)
        assert production(moved) == good
        moved.session("docker_prod", "--no-cache")


@pytest.fixture
def index(client: Client, tmp_path: Path) -> Iterator[Callable[[str], dict[str, str]]]:
    """Serve a package index; return a function that says how, and what makes sessions use it."""
    mode = tmp_path / "mode"
    mode.write_text("well", encoding="utf-8")
    with serving("failing_index", tmp_path / "index.log", fallback(), mode) as (port, _):
        host = gateway(client)

        def use(how: str) -> dict[str, str]:
            mode.write_text(how, encoding="utf-8")
            return {"PIP_INDEX_URL": f"http://{host}:{port}/simple/", "PIP_TRUSTED_HOST": host}

        yield use


def test_an_index_that_fails_now_and_then_or_is_slow_is_enough(
    project: Made, index: Callable[[str], dict[str, str]]
) -> None:
    for how in ("third", "slow"):
        variables = index(how)
        project.session("lock", "--regenerate", **variables)
        project.session("docker_prod", "--no-cache", **variables)
        project.session("docker_wheels", **variables)
        shutil.rmtree(project.folder / ".wheels")


def test_an_index_that_fails_altogether_is_named(
    project: Made, index: Callable[[str], dict[str, str]]
) -> None:
    lock, good = (project.folder / "poetry.lock").read_bytes(), production(project)
    variables = index("all")
    for session in (["lock", "--regenerate"], ["docker_prod", "--no-cache"]):
        output = project.refused(*session, **variables)
        last = [line for line in output.splitlines() if line and not line.startswith("nox >")][-1]
        assert re.search(r"index", last), output[-3000:]
    assert (project.folder / "poetry.lock").read_bytes() == lock
    assert production(project) == good
    project.session("docker_prod", **index("well"))


# What is sent on in one piece.
DROPPED = ("Content-Length", "Transfer-Encoding")


class Relay(ThreadingHTTPServer):
    """A registry that refuses all after so many requests that write."""

    def __init__(self, target: str, allowed: int) -> None:
        """Take the address of the real one."""
        super().__init__(("127.0.0.1", 0), Refusing)
        self.target, self.allowed, self.written = target, allowed, 0


class Refusing(BaseHTTPRequestHandler):
    """Relay what is allowed."""

    server: Relay

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # What is pushed comes in chunks (RFC 9112).
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        if self.command in ("PATCH", "POST", "PUT"):
            self.server.written += 1
            if self.server.written > self.server.allowed:
                self.send_error(500)
                return
        connection = http.client.HTTPConnection(self.server.target, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key not in DROPPED}
        connection.request(self.command, self.path, body=body or None, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(key, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = relay  # noqa: N815

    def log_message(self, format: str, *values: Any) -> None:
        pass


@contextmanager
def relayed(target: str, allowed: int) -> Iterator[Relay]:
    """Relay to a registry, which is allowed so many requests that write."""
    with Relay(target, allowed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_registry_that_refuses_half_way_is_named_and_a_later_push_ends_what_it_began(
    project: Made, registry: Registry
) -> None:
    digest = project.folder / "build/digest.txt"
    with relayed(registry.address, 2) as server:
        name = f"127.0.0.1:{server.server_port}/team/{project.name}:1"
        good = production(project)
        output = project.refused("docker_push", name)
        assert not digest.exists()
        last = [line for line in output.splitlines() if line and not line.startswith("nox >")][-1]
        assert "registry" in last.lower(), output[-2000:]
        assert production(project) == good
        server.allowed = 10_000
        project.session("docker_push", name)
        assert digest.read_text(encoding="utf-8").startswith(name.rpartition(":")[0])


def test_two_builds_and_a_lock_at_once_leave_one_whole_state(project: Made) -> None:
    require(project, "humanize")
    commands = (["lock"], ["docker_prod"], ["docker_wheels"])
    started = [
        subprocess.Popen(
            ["nox", "--session", *command],
            cwd=project.folder,
            env=project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert "Traceback" not in "".join(outputs)
    assert started[0].returncode == 0, outputs[0]
    project.session("docker_prod")
    assert "humanize" in project.python("import humanize; print(humanize.__name__)")


def test_damaged_caches_are_made_anew(project: Made, tmp_path: Path) -> None:
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    project.session("docker_size", **variables)
    files = [*(tmp_path / "cache/seedpod").glob("*.json"), project.folder / "build/sizes.json"]
    assert len(files) >= 3
    for content in (b"", b"{", b"[1]", b"\xff\xfe\x00", b'{"x": [1, "y"]}'):
        for file in files:
            file.write_bytes(content)
        project.session("docker_size", **variables)


@pytest.fixture(scope="module")
def slow_clock(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """Return a function that says how to run a program some time ago: "-400d".

    Made of libfaketime's source: with 0.9.10, which Debian 12 has, Python's time.sleep fails with
    EINVAL; with 0.9.12 it works. https://github.com/wolfcw/libfaketime
    """
    folder = tmp_path_factory.mktemp("clock")
    with needed_by("clock"):
        debian.Apt("sid", folder / "apt").download_source("faketime", folder)
    (archive,) = folder.glob("*.tar.*")
    shutil.unpack_archive(archive, folder)
    (source,) = folder.glob("*faketime*/src")
    subprocess.run(["make", "--silent", "libfaketime.so.1"], cwd=source, check=True)
    # Times that programs wait for are true.
    always = {"LD_PRELOAD": str(source / "libfaketime.so.1"), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return lambda ago: {**always, "FAKETIME": ago}


# Before the last commit, and before what a ZIP file can say.
@pytest.mark.parametrize("ago", ["-400d", "-50y"])
def test_a_clock_in_the_past_changes_nothing(
    project: Made, slow_clock: Callable[[str], dict[str, str]], ago: str
) -> None:
    clock = slow_clock(ago)
    year = project.run(sys.executable, "-c", "import datetime as d; print(d.date.today())", **clock)
    assert year.stdout.strip() < "2026"
    for name in ("lock", "sys_lock"):
        project.session(name)
    # Without a commit, an image's own date is that of its build.
    commit(project)
    project.session("docker_prod")
    good, lock = production(project), (project.folder / "poetry.lock").read_bytes()
    for name in ("lock", "docker_prod", "docker_wheels", "docker_size", "docker_test"):
        project.session(name, **clock)
    project.session("sys_lock", "--check", **clock)
    project.session("docker_check", **clock)
    project.session("docker_run", "python3", "--version", **clock)
    assert (project.folder / "poetry.lock").read_bytes() == lock
    assert production(project) == good


def test_a_damaged_wheel_is_named(project: Made) -> None:
    project.session("docker_wheels")
    good = production(project)
    wheel = min((project.folder / ".wheels").rglob("starlette*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-100])
    output = project.refused("docker_prod", "--no-cache")
    assert re.search(r"^Wheels: .*starlette", output, flags=re.MULTILINE) or wheel.name in output
    assert production(project) == good
    wheel.unlink()
    project.session("docker_wheels")
    project.session("docker_prod")
