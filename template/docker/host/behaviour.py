"""Observe how an image runs: under docker_run's settings, as root, and when it is ended.

In: the production service of docker-compose.yml, with an owner's override and the services that it
needs. Copies of it differ in one setting each. A server has a port or a health check; anything else
is a program, which is run with the arguments of [tool.seedpod.test], else --help.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import client
import compose
import engine
from root_files import Finding
from session import SessionError, docker, docker_client, is_podman, write_text

START_SECONDS, END_SECONDS, POLL_SECONDS = 60, 2, 0.1
# On a busy machine what takes long to start takes long to end; engines wait for 10 seconds.
LONGEST_END_SECONDS = 10
# Time for what a server does when its health was asked for, and for its children to end.
IDLE_SECONDS = 1
KILLED = 137
# How often a health check is run here. Within the start period, engines since 25 have another
# interval, of 5 seconds: https://docs.docker.com/reference/dockerfile/#healthcheck
OFTEN = {"interval": "300ms", "timeout": "5s", "retries": 1000, "start_period": "1ms"}
CHECKS = ("starts", "strict", "ipv4", "ipv6", "writes", "zombies", "sigterm")
# What an image is built of, and what others would find on this machine.
LEFT_OUT = ("build", "container_name", "ports", "profiles")
# https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
SECCOMP_FILTER = 2
# In the container: what its settings allow a process, which ports answer, and what has ended. A
# process without a parent is one that was started from outside.
PROBE = """
import json, os, socket, sys

def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()

def answers(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0

def ended():
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            name, _, rest = read(f"/proc/{number}/stat").partition("(")[2].rpartition(") ")
        except OSError:
            continue
        state, parent, *_ = rest.split()
        if state == "Z" and parent != "0":
            yield name

status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
has_ipv6 = os.path.exists("/proc/net/if_inet6") and " lo\\n" in read("/proc/net/if_inet6")
ports = [int(port) for port in sys.argv[1:]]
print(json.dumps({
    "capabilities": int(status["CapBnd"], 16),
    "filter": int(status["Seccomp"]),
    "new": int(status["NoNewPrivs"]),
    "written": not os.statvfs("/").f_flag & os.ST_RDONLY,
    "ipv4": {port: answers("127.0.0.1", port) for port in ports},
    "ipv6": {port: answers("::1", port) for port in ports} if has_ipv6 else None,
    "zombies": sorted(ended()),
}))
"""


class Service:
    """Copies of the production service, in a project of compose of its own."""

    def __init__(self, image: str, config: Mapping[str, Any], name: str, folder: str) -> None:
        """Take an image with its configuration, a name for the project, a folder for its file."""
        self.image, self.name, self._file = image, name, Path(folder, "compose.json")
        own = (f"--project-name={name}", "--profile=production", "config", "--format=json")
        model = json.loads(client.output((*compose.base_command(), *own)))
        service = model["services"][f"{engine.name()}-production"]
        self.ports = tcp_ports(config)
        self.has_health = has_health(service, config)
        self.is_server = bool(self.ports) or self.has_health
        copied = copies(model, image, self.is_server)
        write_text(self._file, json.dumps(copied))
        if compose.needed("strict", copied["services"]):
            # Compose starts what the service needs, in the way that it says there.
            self._compose("run", "--rm", "--no-TTY", "--entrypoint=python3", "strict", "-c", "")

    def _compose(self, *words: str) -> None:
        client.run(self._command(*words))

    def _command(self, *words: str) -> tuple[str, ...]:
        files = (f"--project-name={self.name}", f"--file={self._file}", "--project-directory=.")
        return (*compose.base_command(), *files, *words)

    def create(self, copy: str) -> str:
        """Make a container of a copy, and return its number."""
        self._compose("up", "--no-start", "--no-deps", copy)
        return client.output(self._command("ps", "--all", "--quiet", copy)).split()[-1]

    def run(self, copy: str, *words: str, entrypoint: str = "") -> tuple[int, str]:
        """Run a copy to its end with words for a command.

        Returns its status and the last line that it wrote. Its container has the name of the
        project and of the copy. Raises TimeoutExpired if it does not end in time.
        """
        options = ["--no-deps", "--no-TTY", f"--name={self.name}-{copy}"]
        if entrypoint:
            options.append(f"--entrypoint={entrypoint}")
        done = subprocess.run(
            self._command("run", *options, copy, *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=START_SECONDS,
        )
        return done.returncode, (done.stdout.strip().splitlines() or ["it says nothing"])[-1]


def tcp_ports(config: Mapping[str, Any]) -> list[str]:
    """Return the ports of an image that take connections."""
    ports = (port.partition("/") for port in config.get("ExposedPorts") or {})
    return [number for number, _, protocol in ports if protocol in ("", "tcp")]


def has_health(service: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Tell whether a service has a health check, of its own or of its image's configuration."""
    own = service.get("healthcheck") or {}
    test = own.get("test") or (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    return not own.get("disable") and test[0] != "NONE"


def copies(model: dict[str, Any], image: str, is_server: bool) -> dict[str, Any]:
    """Return a model of compose with copies of the production service, and what it needs.

    ``strict`` is docker_run's own; ``own`` has the image's user; ``root`` may write. A program that
    needs no service has no network.
    """
    services = dict(model["services"])
    original = services.pop(f"{engine.name()}-production")
    service = {key: value for key, value in original.items() if key not in LEFT_OUT}
    service |= {"image": image, "pull_policy": "never", "restart": "no", "user": "12345:0"}
    needed = compose.needed("strict", {**services, "strict": service})
    if not needed and not is_server:
        service.pop("networks", None)
        service["network_mode"] = "none"
    health = service.get("healthcheck") or {}
    service["healthcheck"] = health if health.get("disable") else {**health, **OFTEN}
    # Each has its own data.
    known = model.get("volumes") or {}
    service["volumes"] = [
        {key: value for key, value in mount.items() if key != "source"}
        if mount["type"] == "volume" and not known.get(mount.get("source"), {}).get("external")
        else mount
        for mount in service.get("volumes") or []
    ]
    # Bytecode that Python would add is not the application's: official images have none for the
    # standard library.
    environment = {**(service.get("environment") or {}), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {
        name: {key: value for key, value in services[name].items() if key not in LEFT_OUT[1:]}
        for name in needed
    }
    return {
        **model,
        "services": {
            **kept,
            "strict": service,
            "own": {key: value for key, value in service.items() if key != "user"},
            "root": {**service, "user": "0:0", "read_only": False, "environment": environment},
        },
    }


@contextmanager
def services(image: str, config: Mapping[str, Any], name: str) -> Iterator[Service]:
    """Give copies of the production service with an image, and remove them in the end."""
    os.environ.setdefault("COMPOSE_PROGRESS", "quiet")
    with tempfile.TemporaryDirectory() as folder, compose.removed(name):
        yield Service(image, config, name, folder)


def observe(
    image: str, config: Mapping[str, Any], runs: Sequence[Sequence[str]], name: str
) -> tuple[list[Finding], dict[str, str]]:
    """Return what is wrong with how an image runs, and why some checks were left out.

    In: its configuration, the arguments with which a program is run, and a name for a project of
    compose. Ends the program, or raises SessionError, if the engine fails.
    """
    with services(image, config, name) as service:
        if service.is_server:
            return _observe_server(service)
        return _observe_program(service, runs or [["--help"]])


def _observe_server(service: Service) -> tuple[list[Finding], dict[str, str]]:
    skipped: dict[str, str] = {}
    strict = service.create("strict")
    seconds, problem = _start(service, strict)
    if not problem:
        time.sleep(IDLE_SECONDS)
        problem = _end(strict)
    if problem:
        skipped = dict.fromkeys(CHECKS[1:], "it does not start")
        return [Finding("starts", "server", problem)], skipped
    seen = _probe(service, strict)
    found = [*_strictness(seen, strict), *_answers(seen)]
    if not service.ports:
        skipped |= dict.fromkeys(("ipv4", "ipv6"), "it has no port")
    elif seen["ipv6"] is None:
        skipped["ipv6"] = "containers have no IPv6 here"
    found += [Finding("zombies", name, "has ended, and stays") for name in seen["zombies"]]
    limit = min(max(END_SECONDS, round(2 * seconds)), LONGEST_END_SECONDS)

    def be_idle() -> None:
        _start(service, strict)
        time.sleep(IDLE_SECONDS)

    # It is idle already, the first time.
    found += _stopped(strict, "idle", limit, [lambda: None, be_idle, be_idle])
    starting = service.create("own")

    def be_half_started(seconds: float = seconds) -> None:
        docker("start", starting)
        time.sleep(seconds / 2)

    def be_half_started_anew() -> None:
        # A busy machine may need longer than before.
        latest, problem = _start(service, starting)
        # What does not start is told as such.
        if not problem:
            docker("kill", starting)
            be_half_started(latest)

    moments = [be_half_started, be_half_started_anew, be_half_started_anew]
    found += _stopped(starting, "starting", limit, moments)
    root = service.create("root")
    _, problem = _start(service, root)
    if problem:
        skipped["writes"] = f"as root it does not start: it {problem}"
    else:
        time.sleep(IDLE_SECONDS)
        found += _written(root)
    return found, skipped


def _observe_program(
    service: Service, runs: Sequence[Sequence[str]]
) -> tuple[list[Finding], dict[str, str]]:
    skipped = dict.fromkeys(("ipv4", "ipv6", "sigterm", "zombies"), "it is no server")
    found: list[Finding] = []
    for arguments in runs:
        words = engine.with_command(service.image, *arguments)
        for copy in ("strict", "root"):
            try:
                status, last = service.run(copy, *words)
                problem = f"ends with status {status}: {last}" if status else ""
            except subprocess.TimeoutExpired:
                problem = (
                    f"does not end within {START_SECONDS} seconds: "
                    "name others in runs of [tool.seedpod.test]"
                )
            container = f"{service.name}-{copy}"
            if problem and copy == "strict":
                found.append(Finding("starts", " ".join(arguments), problem))
            elif problem:
                skipped["writes"] = f"as root it {problem}"
            elif copy == "root":
                found += _written(container)
            _remove(container)
    status, last = service.run("strict", "-c", PROBE, entrypoint="python3")
    if status:
        raise SessionError(f"python3 does not run in {service.image}: {last}. Build it anew.")
    return [*found, *_strictness(json.loads(last), f"{service.name}-strict")], skipped


def _remove(container: str) -> None:
    compose.docker_lines("rm", "--force", "--volumes", container)


def _start(service: Service, container: str) -> tuple[float, str]:
    """Start a container; return after how many seconds it was ready, or what is wrong."""
    docker("start", container)
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < START_SECONDS:
        if problem := _end(container):
            return passed, problem
        if service.has_health:
            if is_podman():  # By itself it does so with systemd alone.
                compose.docker_lines("healthcheck", "run", container)
            ready = _inspect(container, "State.Health.Status") == "healthy"
        else:
            ready = False
            # It may end meanwhile.
            with suppress(SessionError):
                ready = all(_probe(service, container)["ipv4"].values())
        if ready:
            return passed, ""
        time.sleep(POLL_SECONDS)
    return passed, f"is not ready after {START_SECONDS} seconds: {_last_line(container)}"


def _inspect(container: str, field: str) -> Any:
    return json.loads(docker("inspect", f"--format={{{{json .{field}}}}}", container))


def _end(container: str) -> str:
    """Return how a container has ended; an empty text if it runs."""
    state = _inspect(container, "State")
    if state["Running"]:
        return ""
    return f"ends with status {state['ExitCode']}: {_last_line(container)}"


def _last_line(container: str) -> str:
    """Return the last line that a container has written."""
    done = subprocess.run(
        [docker_client(), "logs", "--tail=1", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.stdout.strip() or "it says nothing"


def _probe(service: Service, container: str) -> dict[str, Any]:
    """Return what is seen from inside of a container; raises SessionError if it has ended."""
    program = ("python3", "-c", PROBE, *service.ports)
    seen: dict[str, Any] = json.loads(docker("exec", container, *program))
    return seen


def _strictness(seen: Mapping[str, Any], container: str) -> Iterator[Finding]:
    """Yield settings that are not as strict as docker_run's, which an override may have changed."""
    host = _inspect(container, "HostConfig")
    # A rootless engine may have no way to limit processes.
    can_limit = is_podman() or docker("info", "--format={{.PidsLimit}}").strip() != "false"
    profiles = [x for x in host.get("SecurityOpt") or [] if x.startswith("seccomp")]
    for subject, is_wrong, problem in (
        ("capabilities", seen["capabilities"], "are not all dropped"),
        ("new-privileges", not seen["new"], "are not forbidden"),
        ("processes", can_limit and (host["PidsLimit"] or 0) <= 0, "have no limit"),
        ("read-only", seen["written"], "is not set for the root file system"),
        ("seccomp", profiles or seen["filter"] != SECCOMP_FILTER, "is not the engine's own filter"),
    ):
        if is_wrong:
            yield Finding("strict", subject, problem)


def _answers(seen: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the ports at which nothing answers."""
    for check, address in (("ipv4", "127.0.0.1"), ("ipv6", "::1")):
        for port, answers in (seen[check] or {}).items():
            if not answers:
                yield Finding(check, port, f"does not answer on {address}")


def _stopped(
    container: str, when: str, limit: int, moments: Iterable[Callable[[], None]]
) -> Iterator[Finding]:
    """End a container, and yield that it has ended before, or never in so many seconds.

    Each of ``moments`` waits until it is to be ended; the first that ends it is the last.
    """
    for wait in moments:
        wait()
        if problem := _end(container):
            yield Finding("starts", when, problem)
            return
        docker("stop", f"-t{limit}", container)
        if _inspect(container, "State.ExitCode") != KILLED:
            return
    yield Finding("sigterm", when, f"does not end within {limit} seconds")


def _written(container: str) -> Iterator[Finding]:
    """Yield files that a container has made or changed; mounts are not among them."""
    mounts = {x["Destination"] for x in _inspect(container, "Mounts")}
    mounts |= {*(_inspect(container, "HostConfig.Tmpfs") or {}), "/tmp"}
    paths = {line[2:]: line[0] for line in docker("diff", container).splitlines()}
    folders = {os.path.dirname(path) for path in paths}
    if is_podman():  # It makes files there, and lists none of them.
        folders.add("/etc")
    for path, kind in paths.items():
        # A folder changes with what is in it, and engines make the folders of mounts.
        if (kind == "C" and path in folders) or _is_mounted(path, mounts):
            continue
        yield Finding("writes", path, {"A": "is made", "C": "is changed", "D": "goes"}[kind])


def _is_mounted(path: str, mounts: Iterable[str]) -> bool:
    """Tell whether a path is that of a mount, in it, or above it."""
    return any(f"{x}/".startswith(f"{path}/") or path.startswith(f"{x}/") for x in mounts)
