"""A container engine: the one that answers, else an embedded one from Debian's own packages.

The embedded engine needs root on a Debian host and nothing else. Its programs are unpacked, not
installed, into the user's cache folder; it listens on a private socket and keeps its data in the
cache folder, so that images survive from one run to the next. It is of one of two releases of
Debian and has one of two image stores; each pair has data of its own.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support import SupportError, UnavailableError, debian, waiting
from support.docker import Client
from support.paths import alone, cache, content_key

DOCKER_PACKAGES = ("docker-buildx", "docker-cli", "docker-compose", "docker.io")
# What is taken of each release, because it runs on Debian 12's libc: trixie's containerd does not.
RELEASES = {
    "sid": ("containerd", *DOCKER_PACKAGES, "tini-static"),
    "trixie": (*DOCKER_PACKAGES, "tini"),
}
# What is taken of the host's own release, unless it is in the list above.
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
STORES = ("overlay2", "containerd")
OLDEST_SERVER = 23
START_SECONDS = 60
STOP_SECONDS = 60
INSTALL_HINT = "Start Docker, or name a running engine in DOCKER_HOST."


@dataclass(frozen=True)
class Variant:
    """An embedded engine: the Debian release of its Docker, and where it stores images."""

    release: str
    store: str

    def __str__(self) -> str:
        """Return words for messages."""
        return f"Docker of Debian {self.release} with {self.store}"

    @property
    def data(self) -> Path:
        """Return the folder of its images and build cache; no other variant opens it."""
        first = ("trixie", "overlay2")
        own = (self.release, self.store)
        # The first variant keeps the folder that it had when it was the only one.
        return cache("engine", "data" if own == first else f"data-{'-'.join(own)}")


DEFAULT = Variant("sid", "overlay2")
VARIANTS = tuple(Variant(release, store) for release in RELEASES for store in STORES)


@dataclass(frozen=True)
class Running:
    """The embedded engine that runs: its process, its programs and what it is."""

    process: int
    tree: Path
    variant: Variant | None  # None where an earlier version of this module started it


def ensure(wanted: Variant | None = None) -> Client:
    """Return a client of an engine, starting one if need be.

    Without ``wanted`` any engine that answers is taken, and the client has no variables when one
    answers with the environment as it is. When none does, the default is started, or another
    release's where that one does not fit, with a message. With ``wanted`` it is this embedded
    engine and no other; one of ours that is another is stopped first. Raises SupportError when
    there is no such engine and it cannot be started here, or when the one that answers is too old.
    """
    if wanted is None:
        client = _answering()
        if client:
            return client
    else:
        refuse_foreign()
    _refuse_unsupported_host()
    # One process at a time downloads and starts it.
    with alone("engine"):
        ours = running()
        if ours and wanted in (None, ours.variant):
            if client_of(ours.tree).server_version():
                return client_of(ours.tree)
            raise SupportError(
                f"The embedded engine (process {ours.process}) does not answer. "
                "Stop it with nox -s engine -- stop."
            )
        if ours and wanted:
            _programs(wanted.release)  # What cannot be started ends nothing that runs.
            name = ours.variant or "The embedded engine"
            _say(f"{name} is stopped, with the containers in it. Its images are kept.")
            stop()
        _refuse_second()
        return client_of(_start_one([wanted] if wanted else _choices()))


def refuse_foreign() -> None:
    """Raise SupportError where an engine answers that is not the embedded one."""
    version = "" if _ours_is_named() else Client().server_version()
    if version:
        raise SupportError(
            f"An engine that is not the embedded one answers here (version {version}). "
            "Stop it, or unset DOCKER_HOST, to have an embedded engine of a certain release."
        )


def running() -> Running | None:
    """Return the embedded engine that runs; a stale pid file never names somebody else's."""
    try:
        process = int(_pid_file().read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    except (OSError, ValueError):
        return None
    if f"--host=unix://{_socket()}" not in command:
        return None
    variants = (each for each in VARIANTS if f"--data-root={each.data}" in command)
    return Running(process, Path(command[0]).parents[2], next(variants, None))


def stop() -> bool:
    """Stop the embedded engine with the containers in it; return False when it was not running.

    Raises SupportError when it does not end in time.
    """
    ours = running()
    if ours is None:
        return False
    os.kill(ours.process, signal.SIGTERM)
    _wait(lambda: running() is None, STOP_SECONDS, "The embedded engine does not stop.")
    shutil.rmtree(_run_folder(), ignore_errors=True)
    return True


def client_of(tree: Path) -> Client:
    """Return a client of the embedded engine whose programs ``tree`` has."""
    return Client(
        {
            "DOCKER_HOST": f"unix://{_socket()}",
            "DOCKER_CONFIG": str(tree / "client"),
            "PATH": f"{tree / 'client/bin'}:{os.environ.get('PATH', os.defpath)}",
        }
    )


def export_lines(client: Client) -> str:
    """Return a client's variables as lines that a POSIX shell evaluates.

    Without any, the shell's own environment already reaches an engine.
    """
    return "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in client.variables.items()
    )


def programs() -> Path:
    """Return a folder with the unpacked programs of one release, mmdebstrap among them.

    They are downloaded once (100 MB). Raises SupportError when no release's fit.
    """
    found = [_programs_folder(choice.release) for choice in _choices()]
    return next((folder for folder in found if folder.exists()), None) or _first(
        _choices(), lambda choice: _programs(choice.release)
    )


def _choices() -> list[Variant]:
    """Return the default and, to fall back on, its like of every other release."""
    return [
        DEFAULT,
        *(Variant(each, DEFAULT.store) for each in RELEASES if each != DEFAULT.release),
    ]


def _start_one(choices: list[Variant]) -> Path:
    """Start the first of ``choices`` that fits this machine and return the folder of its programs.

    Raises SupportError, which names every attempt, when none does.
    """

    def attempt(choice: Variant) -> Path:
        tree = _programs(choice.release)
        _start(tree, choice)
        return tree

    return _first(choices, attempt)


def _first(choices: list[Variant], attempt: Callable[[Variant], Path]) -> Path:
    """Return the first result of ``attempt``, saying which choices did not fit before it."""
    problems: list[str] = []
    unavailable = True
    for choice in choices:
        try:
            result = attempt(choice)
        except SupportError as error:
            problems.append(f"{choice} is not available: {error}")
            unavailable &= isinstance(error, UnavailableError)
        else:
            if problems:
                _say("\n".join([*problems, f"{choice} is used instead."]))
            return result
    # Something that is served and does not fit may be an error of ours.
    raise (UnavailableError if unavailable else SupportError)("\n".join(problems))


def _programs(release: str) -> Path:
    """Return the folder with the unpacked programs of ``release``, downloading them once.

    Raises SupportError when Debian's archive does not answer, or when one does not run here.
    """
    final = _programs_folder(release)
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        work = Path(folder)
        packages, tree = work / "packages", work / "tree"
        packages.mkdir()
        debian.Apt(release, work).download(RELEASES[release], packages)
        debian.Apt(_host_release(), work).download(_host_packages(release), packages)
        debian.unpack(sorted(packages.glob("*.deb")), tree)
        _finish_tree(tree)
        _refuse_unfit(tree, release)
        tree.rename(final)
    return final


def _host_packages(release: str) -> tuple[str, ...]:
    return tuple(name for name in HOST_PACKAGES if name not in RELEASES[release])


def _finish_tree(tree: Path) -> None:
    """Make the links that the packages' own scripts make, and tell the client where plugins are."""
    for name in ("iptables", "ip6tables"):
        link = tree / "usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-nft-multi")
    (tree / "client/bin").mkdir(parents=True)
    (tree / "client/bin/docker").symlink_to("../../usr/bin/docker")
    (tree / "client/cli-plugins").symlink_to("../usr/libexec/docker/cli-plugins")


def _refuse_unfit(tree: Path, release: str) -> None:
    """Raise SupportError for a program that does not run with this machine's libraries."""
    daemons = ("dockerd", "containerd", "runc", "docker-init", "iptables")
    calls = [([name, "--version"], server_environment(tree)) for name in daemons]
    client = client_of(tree).environment()
    calls += [(["docker", *words], client) for words in (["--version"], ["buildx", "version"])]
    calls += [(["docker", "compose", "version"], client)]
    for command, environment in calls:
        problem = _problem(command, environment)
        if problem:
            raise SupportError(
                f"{' '.join(command)} of Debian {release} fails on this machine ({problem}). "
                "Use another release's Docker, or an engine that is installed."
            )


def _problem(command: list[str], environment: Mapping[str, str]) -> str:
    """Return the last line that a command which fails prints, '' if it succeeds."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return str(error)
    said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
    return said[-1] if done.returncode else ""


def server_environment(tree: Path) -> dict[str, str]:
    """Return the variables with which the daemons of ``tree`` find its programs and libraries."""
    path = [tree / folder for folder in ("usr/bin", "usr/sbin", "sbin")]
    libraries = [*sorted(tree.glob("usr/lib/*-linux-gnu*")), *sorted(tree.glob("lib/*-linux-gnu*"))]
    return {
        **os.environ,
        "PATH": ":".join([*map(str, path), os.environ.get("PATH", os.defpath), "/usr/sbin:/sbin"]),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        # Without it iptables looks for its extensions, the RETURN target among them, in /usr/lib.
        "XTABLES_LIBDIR": ":".join(str(folder / "xtables") for folder in libraries),
    }


def _start(tree: Path, variant: Variant) -> None:
    """Start ``variant`` from the programs in ``tree`` and wait until it answers."""
    run, log = _run_folder(), cache("engine", "dockerd.log")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    variant.data.mkdir(parents=True, exist_ok=True)
    # A file of its own, because 26.1 has no option for it. What /etc/docker/daemon.json says is for
    # an installed engine: its sockets and its data, among others.
    settings = run / "daemon.json"
    settings.write_text(
        json.dumps({"features": {"containerd-snapshotter": variant.store == "containerd"}})
    )
    with log.open("wb") as output:
        engine = subprocess.Popen(
            [
                str(tree / "usr/sbin/dockerd"),
                f"--config-file={settings}",
                f"--host=unix://{_socket()}",
                f"--pidfile={_pid_file()}",
                f"--data-root={variant.data}",
                f"--exec-root={run / 'exec'}",
            ],
            env=server_environment(tree),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    client = client_of(tree)
    try:
        _wait(
            lambda: engine.poll() is not None or bool(client.server_version()),
            START_SECONDS,
            f"The embedded engine does not start; the reason is in {log}.",
        )
        if engine.poll() is not None:
            raise SupportError(f"The embedded engine ended at once; {log} says why. {INSTALL_HINT}")
    except BaseException:
        engine.terminate()
        engine.wait(STOP_SECONDS)
        shutil.rmtree(run, ignore_errors=True)
        raise


def _answering() -> Client | None:
    """Return a client of an engine that answers, None if there is none."""
    ours = running()
    for client in (Client(), *([client_of(ours.tree)] if ours else [])):
        version = client.server_version()
        if version:
            _refuse_old(version)
            return client
    return None


def server_major() -> int:
    """Return the major version of the engine that answers in this environment, 0 if none does."""
    major = Client().server_version().split(".", 1)[0]
    return int(major) if major.isdigit() else 0


def _refuse_old(version: str) -> None:
    """Raise SupportError for an engine without BuildKit as its default builder."""
    major = version.split(".", 1)[0]
    if major.isdigit() and int(major) < OLDEST_SERVER:
        raise SupportError(
            f"The container engine is version {version}, and builds need {OLDEST_SERVER} or later. "
            "Update it, or name a newer one in DOCKER_HOST."
        )


def _ours_is_named() -> bool:
    return os.environ.get("DOCKER_HOST") == f"unix://{_socket()}"


def _refuse_unsupported_host() -> None:
    """Raise SupportError where the embedded engine must not or cannot be started."""
    if "DOCKER_HOST" in os.environ and not _ours_is_named():
        raise SupportError(
            f"No container engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}. "
            "Correct the address, or unset it."
        )
    if os.geteuid() != 0 or debian.host_release() is None:
        raise SupportError(f"No container engine answers. {INSTALL_HINT}")


def _refuse_second() -> None:
    """Raise SupportError where another engine runs: two fight over bridge and packet filter."""
    other = next(_processes("dockerd"), None)
    if other:
        raise SupportError(
            f"A container engine runs here (process {other}) but does not answer. {INSTALL_HINT}"
        )


def _processes(name: str) -> Iterator[int]:
    """Yield the running processes called ``name`` (proc(5), comm) in this network namespace."""
    network = Path("/proc/self/ns/net").readlink()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            # A process that has ended and waits for its parent has no command line any more.
            alive = (comm.parent / "cmdline").read_bytes() != b""
            if (
                alive
                and comm.read_text().strip() == name
                and (comm.parent / "ns/net").readlink() == network
            ):
                yield int(comm.parent.name)
        except OSError:
            continue


def _say(message: str) -> None:
    """Tell the user; standard output is for what a shell evaluates."""
    print(message, file=sys.stderr)


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


def _programs_folder(release: str) -> Path:
    host = (str(debian.host_release()), *_host_packages(release))
    return cache("engine", f"programs-{content_key(release, *RELEASES[release], *host)}")


def _run_folder() -> Path:
    # A socket's path has at most 107 bytes (unix(7)); a cache folder may lie deeper than that.
    return Path("/run", f"seedpod-{content_key(str(cache()))}")


def _socket() -> Path:
    return _run_folder() / "docker.sock"


def _pid_file() -> Path:
    return _run_folder() / "docker.pid"
