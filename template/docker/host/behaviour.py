"""Observe how an image runs: under docker_run's settings, as root, and when it is ended.

In: the production service of docker-compose.yml, with an owner's override and the services that it
needs. Copies of it differ in one setting each. A server is an image with a port or a health check;
anything else is a program, which is run with the arguments of [tool.seedpod.test], else --help.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import client
import compose
import engine
from root_files import Finding
from session import SessionError, docker, write_text

START_SECONDS, END_SECONDS, POLL_SECONDS = 60, 2, 0.1
LEFT_OUT = ("build", "container_name", "ports", "profiles")
# How often a health check of the image is run here. Within the start period, engines since 25 have
# another interval, of 5 seconds: https://docs.docker.com/reference/dockerfile/#healthcheck
OFTEN = {"interval": "300ms", "timeout": "5s", "retries": 1000, "start_period": "1ms"}
# Time for what a server does when its health was asked for, and for its children to end.
IDLE_SECONDS = 1
KILLED = 137
# In the container: what its first process may do, which ports answer, and what has ended.
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
        if rest[0] == "Z":
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

    def __init__(self, image: str, name: str, folder: str, *, is_server: bool) -> None:
        """Take the image, a name for the project of compose, and a folder for its file."""
        self.image, self.name, self._file = image, name, Path(folder, "compose.json")
        config = (f"--project-name={name}", "--profile=production", "config", "--format=json")
        model = json.loads(client.output(("docker", "compose", *config)))
        services = model["services"]
        original = services.pop(f"{engine.name()}-production")
        # What it is built of is no matter, and what it publishes is for the machine.
        service = {key: value for key, value in original.items() if key not in LEFT_OUT}
        service |= {"image": image, "pull_policy": "never", "restart": "no"}
        needed = compose.needed("strict", {**services, "strict": service})
        if not needed and not is_server:
            del service["networks"]
            service["network_mode"] = "none"
        if not service.get("healthcheck", {}).get("test"):
            service["healthcheck"] = service.get("healthcheck", {}) | OFTEN
        # Bytecode that Python would add is not the application's: official images have none for the
        # standard library.
        written = {**(service.get("environment") or {}), "PYTHONDONTWRITEBYTECODE": "1"}
        model["services"] = {
            **{key: value for key, value in services.items() if key in needed},
            "strict": service,
            "own": {key: value for key, value in service.items() if key != "user"},
            "root": {**service, "user": "0:0", "read_only": False, "environment": written},
        }
        write_text(self._file, json.dumps(model))
        if needed:
            client.output(self._command("up", "--detach", "--wait", *sorted(needed)))

    def _command(self, *words: str) -> tuple[str, ...]:
        files = (f"--project-name={self.name}", f"--file={self._file}", "--project-directory=.")
        return ("docker", "compose", *files, *words)

    def create(self, copy: str) -> str:
        """Make a container of a copy, and return its number."""
        client.output(self._command("up", "--no-start", "--no-deps", copy))
        return client.output(self._command("ps", "--all", "--quiet", copy)).split()[-1]

    def run(self, copy: str, *words: str, entrypoint: str = "") -> subprocess.CompletedProcess[str]:
        """Run a copy to its end with words for a command; its output comes as one text.

        Its container has the name of the project and of the copy.
        """
        options = ["--no-deps", "--no-TTY", f"--name={self.name}-{copy}"]
        if entrypoint:
            options.append(f"--entrypoint={entrypoint}")
        return subprocess.run(
            self._command("run", *options, copy, *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


@contextmanager
def services(image: str, *, is_server: bool) -> Iterator[Service]:
    """Give copies of the production service with an image, and remove them in the end."""
    name = engine.own_name("check")
    os.environ.setdefault("COMPOSE_PROGRESS", "quiet")
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Service(image, name, folder, is_server=is_server)
        finally:
            compose.remove(compose.Own(name), all_=True)


def observe(
    image: str, config: Mapping[str, Any], runs: Sequence[Sequence[str]]
) -> tuple[list[Finding], dict[str, str]]:
    """Return what is wrong with how an image runs, and why some checks were left out.

    In: its configuration, and the arguments with which a program is run.
    """
    ports = [port.partition("/")[0] for port in config.get("ExposedPorts") or {}]
    test = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    is_server = bool(ports) or test != ["NONE"]
    with services(image, is_server=is_server) as service:
        if is_server:
            return _observe_server(service, ports, has_health=test != ["NONE"])
        return _observe_program(service, runs or [["--help"]])


def _observe_server(
    service: Service, ports: list[str], *, has_health: bool
) -> tuple[list[Finding], dict[str, str]]:
    skipped: dict[str, str] = {}
    strict = service.create("strict")
    seconds, problem = _start(strict, ports, has_health=has_health)
    if problem:
        others = ("ipv4", "ipv6", "writes", "zombies", "sigterm", "strict")
        return [Finding("starts", "server", problem)], dict.fromkeys(others, "it does not start")
    time.sleep(IDLE_SECONDS)
    seen = _probe(strict, ports)
    found = [*_strictness(seen, strict), *_answers(seen)]
    if not ports:
        skipped |= dict.fromkeys(("ipv4", "ipv6"), "it has no port")
    elif seen["ipv6"] is None:
        skipped["ipv6"] = "containers have no IPv6 here"
    found += [
        Finding("zombies", name, "has ended, and nobody asks how") for name in seen["zombies"]
    ]
    found += _stopped(strict, "idle")
    # Half of the time that it took.
    starting = service.create("own")
    docker("start", starting)
    time.sleep(seconds / 2)
    found += _stopped(starting, "starting")
    root = service.create("root")
    _, problem = _start(root, ports, has_health=has_health)
    if problem:
        skipped["writes"] = f"as root it does not start: it {problem}"
    else:
        time.sleep(IDLE_SECONDS)
        found += _written(root)
    return found, skipped


def _observe_program(
    service: Service, runs: Sequence[Sequence[str]]
) -> tuple[list[Finding], dict[str, str]]:
    reason = "it is no server"
    skipped = dict.fromkeys(("ipv4", "ipv6", "sigterm", "zombies"), reason)
    found: list[Finding] = []
    for arguments in runs:
        words = engine.with_command(service.image, *arguments)
        for copy in ("strict", "root"):
            done = service.run(copy, *words)
            container = f"{service.name}-{copy}"
            if copy == "strict" and done.returncode:
                last = (done.stdout.strip().splitlines() or ["it says nothing"])[-1]
                problem = f"ends with status {done.returncode}: {last}"
                found.append(Finding("starts", " ".join(arguments), problem))
            elif copy == "root":
                found += _written(container)
            compose.docker_lines("rm", "--force", container)
    container = f"{service.name}-strict"
    done = service.run("strict", "-c", PROBE, entrypoint="python3")
    if done.returncode:
        raise SessionError(
            f"python3 does not run in {service.image}: {done.stdout.strip()}. Build it anew."
        )
    found += _strictness(json.loads(done.stdout), container)
    return found, skipped


def _start(container: str, ports: Iterable[str], *, has_health: bool) -> tuple[float, str]:
    """Start a container; return after how many seconds it was ready, or what is wrong."""
    docker("start", container)
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < START_SECONDS:
        state = json.loads(docker("inspect", "--format={{json .State}}", container))
        if not state["Running"]:
            return passed, f"ends with status {state['ExitCode']}: {_last_line(container)}"
        if has_health:
            ready = state.get("Health", {}).get("Status") == "healthy"
        else:
            ready = all(_probe(container, ports)["ipv4"].values())
        if ready:
            return passed, ""
        time.sleep(POLL_SECONDS)
    return passed, f"is not ready after {START_SECONDS} seconds: {_last_line(container)}"


def _last_line(container: str) -> str:
    """Return the last line that a container has written."""
    done = subprocess.run(
        ["docker", "logs", "--tail=1", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout.strip() or "it says nothing"


def _probe(container: str, ports: Iterable[str]) -> dict[str, Any]:
    """Return what is seen from inside of a container."""
    seen: dict[str, Any] = json.loads(docker("exec", container, "python3", "-c", PROBE, *ports))
    return seen


def _strictness(seen: Mapping[str, Any], container: str) -> Iterator[Finding]:
    """Yield settings that are not as strict as docker_run's, which an override may have changed."""
    limit = json.loads(docker("inspect", "--format={{json .HostConfig.PidsLimit}}", container))
    for subject, is_wrong, problem in (
        ("capabilities", seen["capabilities"], "are not all dropped"),
        ("new-privileges", not seen["new"], "are not forbidden"),
        ("processes", not limit or limit < 0, "have no limit"),
        ("read-only", seen["written"], "is not set for the root file system"),
        ("seccomp", seen["filter"] != SECCOMP_FILTER, "does not filter system calls"),
    ):
        if is_wrong:
            yield Finding("strict", subject, problem)


# https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
SECCOMP_FILTER = 2


def _answers(seen: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the ports at which nothing answers."""
    for check, address in (("ipv4", "127.0.0.1"), ("ipv6", "::1")):
        for port, answers in (seen[check] or {}).items():
            if not answers:
                yield Finding(check, port, f"does not answer on {address}")


def _stopped(container: str, when: str) -> Iterator[Finding]:
    """End a container, and yield that it does not end by itself in time."""
    docker("stop", f"-t{END_SECONDS}", container)
    status = json.loads(docker("inspect", "--format={{.State.ExitCode}}", container))
    if status == KILLED:
        yield Finding("sigterm", when, f"does not end within {END_SECONDS} seconds")


def _written(container: str) -> Iterator[Finding]:
    """Yield files that a container has made or changed; mounts are not among them."""
    paths = {line[2:]: line[0] for line in docker("diff", container).splitlines()}
    for path, kind in paths.items():
        # A folder changes with what is in it.
        inside = any(os.path.dirname(other) == path for other in paths)
        if not (kind == "C" and inside) and not path.startswith("/tmp/"):
            yield Finding("writes", path, {"A": "is made", "C": "is changed", "D": "goes"}[kind])
