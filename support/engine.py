"""A container engine: the one that answers, else an embedded one from Debian's own packages.

The embedded engine needs root on a Debian host and nothing else. Its programs are unpacked, not
installed, into the user's cache folder; it listens on a private socket and keeps its data in the
cache folder, so that images survive from one run to the next. Versions: docker.io, buildx and
compose come from Debian 13 (they run on Debian 12's libc); containerd, runc and iptables come from
the host's own release, because those of a newer one need a newer libc.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support import SupportError, debian, waiting
from support.paths import cache, content_key

DOCKER_RELEASE = "trixie"
DOCKER_PACKAGES = ("docker-buildx", "docker-cli", "docker-compose", "docker.io", "tini")
HOST_PACKAGES = (
    "containerd",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libseccomp2",
    "libxtables12",
    "mmdebstrap",
    "runc",
)
OLDEST_SERVER = 23
START_SECONDS = 60
STOP_SECONDS = 60
INSTALL_HINT = "Start Docker, or name a running engine in DOCKER_HOST."


def ensure() -> dict[str, str]:
    """Return the variables with which a client reaches an engine, starting one if need be.

    The result is empty when an engine already answers with the environment as it is. Raises
    SupportError when none answers and none can be started here, or when it is too old.
    """
    for variables in ({}, client_environment()):
        version = _server_version(variables)
        if version:
            _refuse_old(version)
            return variables
    _refuse_unsupported_host()
    with _locked():
        if not _server_version(client_environment()):
            _start(programs())
    return client_environment()


def stop() -> bool:
    """Stop the embedded engine with the containers in it; return False when it was not running.

    Raises SupportError when it does not end in time.
    """
    process = _running_process()
    if process is None:
        return False
    os.kill(process, signal.SIGTERM)
    _wait(lambda: _running_process() is None, STOP_SECONDS, "The embedded engine does not stop.")
    shutil.rmtree(_run_folder(), ignore_errors=True)
    return True


def client_environment() -> dict[str, str]:
    """Return what a shell has to export to use the embedded engine."""
    return {
        "DOCKER_HOST": f"unix://{_socket()}",
        "DOCKER_CONFIG": str(_programs_folder() / "client"),
        "PATH": f"{_programs_folder() / 'client/bin'}:{os.environ.get('PATH', os.defpath)}",
    }


def export_lines(variables: Mapping[str, str]) -> str:
    """Return ``variables`` as lines that a POSIX shell evaluates.

    Without any, the shell's own environment already reaches an engine.
    """
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def programs() -> Path:
    """Return the folder that holds the unpacked programs, downloading them (100 MB) once.

    Raises SupportError when Debian's archive does not answer.
    """
    final = _programs_folder()
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        work = Path(folder)
        packages, tree = work / "packages", work / "tree"
        packages.mkdir()
        debian.Apt(DOCKER_RELEASE, work).download(DOCKER_PACKAGES, packages)
        debian.Apt(_host_release(), work).download(HOST_PACKAGES, packages)
        debian.unpack(sorted(packages.glob("*.deb")), tree)
        _finish_tree(tree)
        tree.rename(final)
    return final


def _finish_tree(tree: Path) -> None:
    """Make the links that the packages' own scripts make, and tell the client where plugins are."""
    for name in ("iptables", "ip6tables"):
        link = tree / "usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-nft-multi")
    (tree / "client/bin").mkdir(parents=True)
    (tree / "client/bin/docker").symlink_to("../../usr/bin/docker")
    (tree / "client/cli-plugins").symlink_to("../usr/libexec/docker/cli-plugins")


def _start(tree: Path) -> None:
    """Start the engine from ``tree`` and wait until it answers."""
    run, data, log = _run_folder(), cache("engine", "data"), cache("engine", "dockerd.log")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    path = [tree / folder for folder in ("usr/bin", "usr/sbin", "sbin")]
    libraries = [*sorted(tree.glob("usr/lib/*-linux-gnu*")), *sorted(tree.glob("lib/*-linux-gnu*"))]
    environment = {
        **os.environ,
        "PATH": ":".join([*map(str, path), os.environ.get("PATH", os.defpath), "/usr/sbin:/sbin"]),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        # Without it iptables looks for its extensions, the RETURN target among them, in /usr/lib.
        "XTABLES_LIBDIR": ":".join(str(folder / "xtables") for folder in libraries),
    }
    with log.open("wb") as output:
        engine = subprocess.Popen(
            [
                str(tree / "usr/sbin/dockerd"),
                f"--host=unix://{_socket()}",
                f"--pidfile={_pid_file()}",
                f"--data-root={data}",
                f"--exec-root={run / 'exec'}",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(
            lambda: engine.poll() is not None or bool(_server_version(client_environment())),
            START_SECONDS,
            f"The embedded engine does not start; the reason is in {log}.",
        )
        if engine.poll() is not None:
            raise SupportError(f"The embedded engine ended at once; {log} says why. {INSTALL_HINT}")
    except BaseException:
        stop()
        raise


def _server_version(variables: Mapping[str, str]) -> str:
    """Return the version of the engine that answers a client with ``variables``, else ''."""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _refuse_old(version: str) -> None:
    """Raise SupportError for an engine without BuildKit as its default builder."""
    major = version.split(".", 1)[0]
    if major.isdigit() and int(major) < OLDEST_SERVER:
        raise SupportError(
            f"The container engine is version {version}, and builds need {OLDEST_SERVER} or later. "
            "Update it, or name a newer one in DOCKER_HOST."
        )


def _refuse_unsupported_host() -> None:
    """Raise SupportError where the embedded engine must not or cannot be started."""
    if "DOCKER_HOST" in os.environ and os.environ["DOCKER_HOST"] != f"unix://{_socket()}":
        raise SupportError(
            f"No container engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}. "
            "Correct the address, or unset it."
        )
    if os.geteuid() != 0 or debian.host_release() is None:
        raise SupportError(f"No container engine answers. {INSTALL_HINT}")
    other = next((pid for pid in _processes("dockerd") if pid != _running_process()), None)
    if other:
        # Two engines on one machine fight over the bridge and the packet filter.
        raise SupportError(
            f"A container engine runs here (process {other}) but does not answer. {INSTALL_HINT}"
        )


def _running_process() -> int | None:
    """Return the process of the embedded engine; a stale pid file never names somebody else's."""
    try:
        process = int(_pid_file().read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return process if str(_socket()).encode() in command else None


def _processes(name: str) -> Iterator[int]:
    """Yield the running processes whose program is called ``name`` (proc(5), comm)."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            # A process that has ended and waits for its parent has no command line any more.
            running = (comm.parent / "cmdline").read_bytes() != b""
            if running and comm.read_text().strip() == name:
                yield int(comm.parent.name)
        except OSError:
            continue


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time download and start the engine."""
    folder = cache("engine")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(condition: Callable[[], bool], seconds: float, message: str) -> None:
    """Wait until ``condition()`` holds; raise SupportError after ``seconds``."""
    if not waiting.until(condition, seconds):
        raise SupportError(f"{message} {INSTALL_HINT}")


def _host_release() -> str:
    release = debian.host_release()
    if release is None:
        raise SupportError(
            "Debian's packages are unpacked on Debian alone. "
            "Use an engine and a registry, or name a base image that you have in PYTHON_IMAGE."
        )
    return release


def _programs_folder() -> Path:
    key = content_key(DOCKER_RELEASE, *DOCKER_PACKAGES, str(debian.host_release()), *HOST_PACKAGES)
    return cache("engine", f"programs-{key}")


def _run_folder() -> Path:
    # A socket's path has at most 107 bytes (unix(7)); a cache folder may lie deeper than that.
    return Path("/run", f"seedpod-{content_key(str(cache()))}")


def _socket() -> Path:
    return _run_folder() / "docker.sock"


def _pid_file() -> Path:
    return _run_folder() / "docker.pid"
