"""A debugger attaches to the application in its container, by the debug adapter protocol."""

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import SupportError
from tests.docker.projects import Made, Make, fetch, free_port, wait_until

DEBUG = "docker-compose.yml:docker-compose.debug.yml"
# What stands in the endpoint for the debugger to read, and the line on which it stops.
VARIABLE = 'greeting = "read by a debugger"'
RETURN = 'return {"application"'

Message = dict[str, Any]


class Debugger:
    """A client of the debug adapter protocol: JSON messages behind a header with their length."""

    def __init__(self, port: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", int(port)), timeout=30)
        self.stream = self.connection.makefile("rb")
        self.sent = 0
        self.unread: list[Message] = []

    def close(self) -> None:
        self.stream.close()
        self.connection.close()

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; return its number, by which its response is known."""
        self.sent += 1
        message = {"seq": self.sent, "type": "request", "command": command, "arguments": arguments}
        content = json.dumps(message).encode()
        self.connection.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(content), content))
        return self.sent

    def request(self, command: str, **arguments: Any) -> Message:
        """Send a request; return the body of its response."""
        return self.response(self.send(command, **arguments))

    def response(self, number: int) -> Message:
        """Wait for the response to a request, which has to be a success; return its body."""
        message = self.wait(lambda message: message.get("request_seq") == number)
        assert message["success"], message
        body: Message = message.get("body", {})
        return body

    def event(self, name: str) -> Message:
        """Wait for an event; return its body."""
        body: Message = self.wait(lambda message: message.get("event") == name).get("body", {})
        return body

    def wait(self, expected: Callable[[Message], bool]) -> Message:
        """Return the first message that is expected; others stay for whoever waits for them."""
        for message in self.unread:
            if expected(message):
                self.unread.remove(message)
                return message
        while not expected(message := self.read()):
            self.unread.append(message)
        return message

    def read(self) -> Message:
        """Read a message; ConnectionError when there will be none."""
        length = 0
        while line := self.stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            raise ConnectionError("The debugger closed the connection.")
        message: Message = json.loads(self.stream.read(length))
        return message


@contextmanager
def connected(project: Made) -> Iterator[Debugger]:
    """Connect to a debugger that listens, waiting until it does; it waits for "attach" then."""
    clients: list[Debugger] = []

    def answers() -> bool:
        # The engine takes a connection even before anything listens in the container.
        try:
            clients.append(Debugger(project.variables["DEBUG_PORT"]))
            clients[-1].request("initialize", adapterID="debugpy", clientID="a test")
        except ConnectionError:
            return False
        return True

    try:
        wait_until(answers, 60)
        yield clients[-1]
    finally:
        for client in clients:
            client.close()


@contextmanager
def attached(debugger: Debugger, project: Made) -> Iterator[None]:
    """Attach as .vscode/launch.json says; breakpoints are set inside, and hold after it."""
    text = (project.folder / ".vscode" / "launch.json").read_text(encoding="utf-8")
    text = text.replace("${workspaceFolder}", str(project.folder))
    configurations: list[Message] = json.loads(text)["configurations"]
    [mappings] = [entry["pathMappings"] for entry in configurations if entry["request"] == "attach"]
    attaching = debugger.send("attach", pathMappings=mappings)
    debugger.event("initialized")
    yield
    debugger.request("configurationDone")
    debugger.response(attaching)


@pytest.fixture(scope="module")
def prepared(make: Make) -> Made:
    """Return a project whose endpoint has a variable."""
    project = make()
    project.edit(
        str(source(project).relative_to(project.folder)), RETURN, f"{VARIABLE}\n    {RETURN}"
    )
    return project


@pytest.fixture
def project(prepared: Made) -> Iterator[Made]:
    """Return the project, on ports of this test's own; its containers are removed at the end."""
    yield from debugged(prepared)


@pytest.fixture
def command(make: Make) -> Iterator[Made]:
    """Return a project of the other kind."""
    yield from debugged(make(kind="cli"))


def debugged(project: Made) -> Iterator[Made]:
    settings = {"COMPOSE_FILE": DEBUG, "DEBUG_PORT": free_port(), "PORT": free_port()}
    yield replace(project, variables={**project.variables, **settings})
    project.run("docker", "compose", "down", "--volumes")


def source(project: Made, name: str = "app.py") -> Path:
    return next((project.folder / "src").glob(f"*/{name}"))


def line(path: Path, part: str) -> int:
    """Return the number of the one line in which a text stands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    [number] = [number for number, text in enumerate(lines, 1) if part in text]
    return number


def break_at(debugger: Debugger, path: Path, number: int) -> None:
    """Set a breakpoint; the debugger has to find the line."""
    lines = [{"line": number}]
    found = debugger.request("setBreakpoints", source={"path": str(path)}, breakpoints=lines)
    states = [(point["line"], point["verified"]) for point in found["breakpoints"]]
    assert states == [(number, True)]


def stopped_in(debugger: Debugger) -> Message:
    """Wait for a breakpoint; return the frame that it is in, and the thread in "threadId"."""
    stopped = debugger.event("stopped")
    assert stopped["reason"] == "breakpoint"
    frames = debugger.request("stackTrace", threadId=stopped["threadId"])["stackFrames"]
    return {**frames[0], "threadId": stopped["threadId"]}


def local_variables(debugger: Debugger, frame: Message) -> dict[str, str]:
    """Return the local variables of a frame as they are shown."""
    scopes = debugger.request("scopes", frameId=frame["id"])["scopes"]
    [local] = [scope["variablesReference"] for scope in scopes if scope["name"] == "Locals"]
    variables = debugger.request("variables", variablesReference=local)["variables"]
    return {variable["name"]: variable["value"] for variable in variables}


def address(project: Made) -> str:
    return f"http://127.0.0.1:{project.variables['PORT']}/"


def ask(project: Made) -> str:
    """Return what the application answers to one request, however long a breakpoint holds it."""
    with urllib.request.urlopen(address(project), timeout=120) as response:
        return str(response.read().decode())


def test_a_breakpoint_stops_a_request_whose_variables_can_be_read(project: Made) -> None:
    project.session("up", "--detach")
    path = source(project)
    number = line(path, RETURN)
    with ThreadPoolExecutor() as background, connected(project) as debugger:
        # It does not wait for a debugger unless it is told to.
        assert project.name in fetch(address(project))
        with attached(debugger, project):
            break_at(debugger, path, number)
        answer = background.submit(ask, project)
        frame = stopped_in(debugger)
        # The file on this machine, not the one in the container.
        found = (frame["name"], frame["line"], frame["source"]["path"])
        assert found == ("index", number, str(path))
        assert local_variables(debugger, frame)["greeting"] == "'read by a debugger'"
        assert not answer.done()
        debugger.request("continue", threadId=frame["threadId"])
        assert project.name in answer.result(timeout=30)


def test_the_application_goes_on_without_the_debugger(project: Made) -> None:
    project.session("up", "--detach")
    for _ in range(2):
        with connected(project) as debugger, attached(debugger, project):
            pass
        assert project.name in fetch(address(project))


def test_the_application_waits_for_a_debugger_on_request(project: Made) -> None:
    project.session("up", "--detach", DEBUG_WAIT="1")
    with connected(project) as debugger:
        # The debugger listens, and the application would serve a second later.
        with pytest.raises(SupportError, match="does not answer"):
            fetch(address(project), seconds=4)
        assert "Uvicorn running" not in project.docker("compose", "logs", project.name)
        with attached(debugger, project):
            pass
        assert project.name in fetch(address(project))
        assert "Uvicorn running" in project.docker("compose", "logs", project.name)


@pytest.mark.proofs
def test_a_command_waits_for_a_debugger(command: Made) -> None:
    """It would have ended before one attaches."""
    command.session("up", "--detach")
    path = source(command, "cli.py")
    with connected(command) as debugger:
        with attached(debugger, command):
            break_at(debugger, path, line(path, "click.echo("))
        frame = stopped_in(debugger)
        assert local_variables(debugger, frame)["name"] == "'world'"
        logs = ("compose", "logs", command.name)
        assert "Hello" not in command.docker(*logs)
        debugger.request("continue", threadId=frame["threadId"])
        wait_until(lambda: "Hello, world!" in command.docker(*logs))


def test_only_this_machine_reaches_the_debugger(project: Made) -> None:
    """Whoever reaches it runs any code."""
    project.session("up", "--detach")
    container = project.docker("compose", "ps", "--quiet", project.name)
    assert project.docker("port", container, "5678").splitlines() == [
        f"127.0.0.1:{project.variables['DEBUG_PORT']}"
    ]


def test_production_has_no_debugger(built: Make) -> None:
    with pytest.raises(SupportError, match="No module named 'debugpy'"):
        built().python("import debugpy")
