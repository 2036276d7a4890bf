"""Run a compose command, and remove what it started, however it ends.

    python docker/host/compose.py [--project-name=NAME] COMMAND …

A project with a name is this program's own: its containers, networks and volumes all go. Else the
project is the one of this folder, whose volumes hold the developer's data and stay: removed are the
containers of "up" and "watch" in the foreground, and of "run --rm" with the services it started.
What ran before stays, and every other command ends as compose lets it end.

Compose itself forgets some of it: 2.40 leaves the container of an interrupted "run" behind, and its
"down" does not see it. The engine's labels tell what belongs to a project.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import interrupts
import podman
from client import Client
from session import docker_client, ended_by_errors, is_podman

if sys.platform != "win32":
    import termios

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
# Marks the container of one "run" among those of its project.
RUN = "seedpod.run"
# As Docker says it of a container, and as Podman 4.3 does.
RUNNING, EXITED = ("running", "Up", "paused", "Paused", "restarting"), ("exited", "Exited")
DETACHED = ("--detach", "--detach=true", "--wait", "--no-start")
# Within this time a container of ours ends by itself, or is killed; one of the developer's has the
# time that its service gives it.
STOP_SECONDS = 5
COMMAND_SECONDS = 60
ATTEMPTS, POLL_SECONDS = 50, 0.1
# After an interrupt: a request that was on its way ends after its client, later on a busy machine.
QUIET_SECONDS = 1
HEALTH_SECONDS = 5
LOG_LINES = 20


def base_command() -> list[str]:
    """Return the start of a compose command; raises SessionError."""
    return [podman.compose()] if is_podman() else ["docker", "compose"]


def docker_lines(*arguments: str) -> list[str]:
    """Return the lines that a docker command prints, none if it fails."""
    return _lines([docker_client(), *arguments])


def _lines(command: Sequence[str]) -> list[str]:
    """Return the lines that a command prints, none if it fails.

    It is out of reach of the keyboard: an interrupted clean-up would leave what it should remove.
    """
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            start_new_session=True,
        )
        return done.stdout.splitlines() if done.returncode == 0 else []
    return []


def containers(*labels: str) -> dict[str, tuple[str, str, bool]]:
    """Return containers with all these labels: service, mark, and whether it runs, by number."""
    shown = "\t".join(["{{.ID}}", label_format(SERVICE), label_format(RUN), "{{.State}}"])
    filters = [f"--filter=label={label}" for label in labels]
    lines = docker_lines("ps", "--all", "--no-trunc", f"--format={shown}", *filters)
    found = (line.split("\t") for line in lines)
    return {
        number: (service, mark, state.startswith(RUNNING)) for number, service, mark, state in found
    }


def label_format(name: str) -> str:
    """Return what stands in a format for the value of a container's label."""
    return f'{{{{index .Labels "{name}"}}}}' if is_podman() else f'{{{{.Label "{name}"}}}}'


class Own:
    """A project that nothing else uses."""

    volumes = True

    def __init__(self, name: str) -> None:
        """Take the project's name."""
        self.name = name

    def started(self, *, all_: bool) -> list[str]:
        """Return the containers to remove: all of the project."""
        return list(containers(f"{PROJECT}={self.name}"))


class Shared:
    """The project of this folder, in which other sessions may have containers."""

    volumes = False

    def __init__(self, command: Sequence[str], mark: str) -> None:
        """Ask for what runs before the command starts."""
        lines = _lines([*base_command(), "config", "--format=json"])
        model: dict[str, Any] = json.loads("\n".join(lines) or "{}")
        self.name: str = model.get("name", "")
        self.mark = mark if command[0] == "run" else ""
        services = model.get("services", {})
        service = next((word for word in command[1:] if word in services), "")
        self.needed = needed(service, services) if self.mark else set(services)
        running = containers(f"{PROJECT}={self.name}") if self.name else {}
        self.before = {number for number, (_, _, runs) in running.items() if runs}

    def started(self, *, all_: bool) -> list[str]:
        """Return the containers to remove; without ``all_`` those that run are left alone."""
        found = containers(f"{PROJECT}={self.name}") if self.name else {}
        single = {*containers(f"{PROJECT}={self.name}", "com.docker.compose.oneoff=True")}
        ours = {number for number, (_, mark, _) in found.items() if mark and mark == self.mark}
        served = {
            number
            for number, (service, _, runs) in found.items()
            if service in self.needed and number not in single
            if number not in self.before or not runs
        }
        if self.mark:
            others = found.keys() - ours - served
            # Services that another container came to need are no longer only this command's.
            if any(found[number][2] for number in others - self.before):
                served = set()
            return [*ours, *(served if all_ or not any(found[n][2] for n in ours) else ())]
        return [number for number in served if all_ or not found[number][2]]


def needed(service: str, services: dict[str, Any]) -> set[str]:
    """Return the services that compose starts for this one."""
    found: set[str] = set()
    missing = set(services.get(service, {}).get("depends_on", {}))
    # One that is not required may be in a profile that is not chosen.
    while missing := {name for name in missing if name in services} - found:
        found |= missing
        missing = {d for name in missing for d in services[name].get("depends_on", {})}
    return found


def stop(project: Own | Shared) -> None:
    """Stop what the command started, as its service wants to be stopped."""
    limit = [f"-t{STOP_SECONDS}"] if project.volumes else []
    found = project.started(all_=True)
    if found:
        docker_lines("stop", *limit, *found)


def remove(project: Own | Shared, *, all_: bool, quiet: float = 0) -> None:
    """Remove what the command started; what the engine is still about to make, too.

    It ends when nothing was there for ``quiet`` seconds.
    """
    clear_since = float("inf")
    for _ in range(ATTEMPTS):
        left = project.started(all_=all_)
        if left:
            docker_lines("rm", "--force", "--volumes", *left)
        elif not containers(f"{PROJECT}={project.name}"):
            of_project = f"--filter=label={PROJECT}={project.name}"
            for kind in ("network", "volume")[: 1 + project.volumes]:
                for number in docker_lines(kind, "ls", "--quiet", of_project):
                    docker_lines(kind, "rm", number)
                    left.append(number)
        now = time.monotonic()
        clear_since = float("inf") if left else min(clear_since, now)
        if now - clear_since >= quiet:
            return
        time.sleep(POLL_SECONDS)


@contextmanager
def removed(name: str) -> Iterator[None]:
    """Remove a project of this name in the end, which signals do not disturb."""
    quiet: float = QUIET_SECONDS
    try:
        yield
        quiet = 0
    finally:
        interrupts.ignore()
        remove(Own(name), all_=True, quiet=quiet)
        interrupts.install()


def unlock(name: str) -> None:
    """Remove the lock of a "watch" that has ended, which compose 2.40 leaves behind.

    It names a process, and refuses the project as soon as another one has that number.
    https://github.com/docker/compose/blob/v2.40.3/internal/locker/runtime_unix.go
    """
    if sys.platform == "win32":  # There, the call below would be an interrupt.
        return
    folder = os.environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.docker/docker-compose")
    file = Path(folder, f"{name}.pid")
    with suppress(OSError, ValueError):
        try:
            os.kill(int(file.read_text()), 0)
        except ProcessLookupError:
            file.unlink()


class Health:
    """Says that a command's container is unhealthy, once, with the last that its check told."""

    def __init__(self, mark: str) -> None:
        """Take the mark of the command's container."""
        self.filters = [f"--filter=label={RUN}={mark}", "--filter=health=unhealthy"]
        self.told = False
        self.asked = time.monotonic()

    def look(self) -> None:
        """Ask the engine, every few seconds."""
        if self.told or time.monotonic() - self.asked < HEALTH_SECONDS:
            return
        self.asked = time.monotonic()
        for number in docker_lines("ps", "--quiet", *self.filters):
            shown = docker_lines("inspect", "--format={{json .State.Health.Log}}", number)
            log: list[dict[str, Any]] = json.loads("".join(shown) or "[]")
            said = log[-1]["Output"].strip().splitlines()[-1:] if log else []
            print(
                f"\nThe container is unhealthy: {''.join(said) or 'its check says nothing'}. "
                "Correct health in [tool.seedpod.image], or what it asks for.",
                file=sys.stderr,
            )
            self.told = True


def show_failed(project: str) -> None:
    """Show the last lines of services that do not run, or are not healthy."""
    shown = "\t".join(["{{.ID}}", label_format(SERVICE), "{{.State}}", "{{.Status}}"])
    of_project = (f"--filter=label={PROJECT}={project}", f"--format={shown}")
    for line in docker_lines("ps", "--all", *of_project):
        number, service, state, status = line.split("\t")
        ended_well = state.startswith(EXITED) and "(0)" in status
        if (not state.startswith(RUNNING[:2]) and not ended_well) or "unhealthy" in status:
            done = subprocess.run(
                [docker_client(), "logs", f"--tail={LOG_LINES}", number],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            if done.stdout:
                print(f"\nThe last lines of {service}:\n{done.stdout}", file=sys.stderr)


def restore_terminal() -> Callable[[], None]:
    """Return a function that gives the terminal back the settings that it has now."""
    if sys.platform != "win32":
        with suppress(termios.error):  # There is none.
            settings = termios.tcgetattr(0)
            return lambda: termios.tcsetattr(0, termios.TCSANOW, settings)
    return lambda: None


def run(*commands: Sequence[str], name: str = "") -> None:
    """Run compose commands one after the other, in a project of their own if that has a name.

    Several share the services that the first one starts. Ends the program with the status of the
    first that is not 0.
    """
    *first, command = commands
    mark = f"{os.getpid()}-{time.time_ns()}"
    detached = any(word in DETACHED or _is_short_detach(word) for word in command)
    cleans = command[0] == "watch" or (command[0] == "up" and not detached)
    cleans = cleans or (command[0] == "run" and "--rm" in command)
    project: Own | Shared | None = None
    if name:
        project = Own(name)
    elif cleans:
        project = Shared(command, mark)
    if project and command[0] == "run":
        command = ["run", f"--label={RUN}={mark}", *command[1:]]
    options = [f"--project-name={name}"] if name else []
    health = Health(mark)
    restore = restore_terminal()
    with ExitStack() as clients:
        status, number = 1, 0
        try:
            for each in (*first, command):
                client = clients.enter_context(Client([*base_command(), *options, *each]))
                number = client.attend(*([health.look] if each[0] == "run" else []))
                if number and project:
                    stop(project)
                if number:
                    client.end(1)
                status = client.finish()
                number = client.received[0] if client.received else 0
                if status and not number and name:
                    show_failed(name)
                if status or number:
                    break
        finally:
            if project:
                # A command that succeeds and leaves something running was detached from it.
                failed = status != 0 or bool(number) or project.volumes
                remove(project, all_=failed, quiet=QUIET_SECONDS if number else 0)
                unlock(project.name)
            with suppress(Exception):
                restore()
    if status or number:
        sys.exit(status or 128 + number)


def _is_short_detach(word: str) -> bool:
    return word[:1] == "-" and word[1:].isalpha() and "d" in word


def main() -> None:
    """Run the compose command named by the arguments."""
    name, command = "", sys.argv[1:]
    if command[:1] and command[0].startswith("--project-name="):
        name, command = command[0].partition("=")[2], command[1:]
    if not command:
        sys.exit("Usage: python docker/host/compose.py [--project-name=NAME] COMMAND …")
    with ended_by_errors():
        run(command, name=name)


if __name__ == "__main__":
    main()
