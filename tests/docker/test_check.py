"""docker_check: what is wrong with production is found by one check, and by no other."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from support.images import Layout
from tests.docker.declarations import declare
from tests.docker.projects import MINIMAL_IMAGES, Made, Make

CHECK = ("python3", "docker/host/check.py")


def verdicts(output: str) -> dict[str, str]:
    """Return the verdict of each check."""
    found = re.findall(r"^([a-z0-9]+) +(ok|WRONG|accepted|-)(?: |$)", output, flags=re.MULTILINE)
    assert len(found) == 20
    return dict(found)


def wrong(output: str) -> set[str]:
    """Return the checks that found something."""
    return {check for check, verdict in verdicts(output).items() if verdict == "WRONG"}


@pytest.mark.parametrize("place", MINIMAL_IMAGES)
def test_the_default_project_is_as_it_should_be(built: Make, place: tuple[Layout, str]) -> None:
    layout, runtime = place
    output = built(layout, runtime=runtime).session("docker_check")
    assert set(verdicts(output).values()) == {"ok"}


# On Alpine a notebook's packages are compiled for long: tests/docker/test_notebooks.py does.
KINDS = [
    (kind, layout, runtime)
    for kind in ("cli", "notebook", "tool")
    for layout in Layout
    for runtime in ("minimal", "full")
    if (kind, layout) != ("notebook", Layout.ALPINE)
]


@pytest.mark.proofs
@pytest.mark.parametrize(("kind", "layout", "runtime"), KINDS)
def test_every_kind_is_as_it_should_be(make: Make, kind: str, layout: Layout, runtime: str) -> None:
    answers = {"distribution": "ruff"} if kind == "tool" else {}
    output = make(layout, kind=kind, runtime=runtime, **answers).session("docker_check")
    # What ends by itself is asked for neither addresses nor signals, and one accepts a finding.
    is_server = kind == "notebook"
    assert set(verdicts(output).values()) <= {"ok", "accepted" if is_server else "-"}
    assert ("-" in verdicts(output).values()) != is_server


@pytest.mark.proofs
def test_services_are_there_and_gone_afterwards(make: Make) -> None:
    made = make(services=json.dumps(["postgres"]))
    output = made.session("docker_check")
    assert set(verdicts(output).values()) == {"ok"}
    image = f"--filter=ancestor={made.name}:production"
    assert made.docker("ps", "--all", "--quiet", image) == ""
    for kind in ("container", "network", "volume"):
        found = made.docker(kind, "ls", "--quiet", f"--filter=name={made.name}-check")
        assert found == "", kind


@pytest.fixture
def broken(built: Make) -> Iterator[Callable[..., str]]:
    """Return a function that makes an image of production with more lines, and checks it."""
    project = built(Layout.DEBIAN)
    image = f"{project.name}:broken"

    def check(*lines: str, project: Made = project) -> str:
        folder = project.folder / "build/broken"
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join([f"FROM {project.name}:production", *lines])
        (folder / "Dockerfile").write_text(f"{text}\n", encoding="utf-8")
        project.docker("build", "--quiet", f"--tag={image}", str(folder))
        done = project.run(*CHECK, image)
        assert "Traceback" not in done.stdout
        assert bool(done.returncode) == bool(wrong(done.stdout)), done.stdout
        return done.stdout

    yield check
    project.docker("rmi", "--force", image)


def as_root(program: str) -> tuple[str, ...]:
    """Return lines that run a program while the image is built."""
    run = json.dumps(["python3", "-c", f"import os, pathlib\n{program}"])
    return ("USER 0:0", f"RUN {run}", "USER 65532:65532")


def write(path: str, mode: str = "0o644", owner: str = "0, 0", content: bytes = b"x") -> str:
    """Return a program that writes a file."""
    return (
        f"path = pathlib.Path({path!r})\npath.parent.mkdir(parents=True, exist_ok=True)\n"
        # The owner first: to change it takes a right away.
        f"path.write_bytes({content!r})\nos.chown(path, {owner})\npath.chmod({mode})\n"
    )


def starting(program: str) -> tuple[str, ...]:
    """Return a line that runs a program before the server takes its place."""
    text = f"import os, time\n{program}\nos.execvp('SERVER', ['SERVER'])"
    return (f"CMD {json.dumps(['python3', '-c', text])}",)


MODULE = "/srv/__pycache__/x.cpython-313.pyc"
OTHER = "/opt/venv/lib/python3.13/site-packages/other-1.0.dist-info"
LINES = {
    "starts": ('CMD ["python3", "-c", "raise SystemExit(3)"]',),
    # Bound to one address of each family, with a check that asks for neither.
    "ipv4": ("ENV HOST=::1", 'HEALTHCHECK CMD ["python3", "-c", "pass"]'),
    "ipv6": ("ENV HOST=0.0.0.0",),
    "writes": starting("try: open('/opt/x', 'w')\nexcept OSError: pass"),
    "zombies": starting("os.fork() or os._exit(0)"),
    # The first process of a container has no handlers but its own.
    "sigterm": starting("time.sleep(3)"),
    "user": ("USER 0:0",),
    "setuid": as_root(write("/usr/bin/x", "0o4755")),
    "writable": as_root(write("/srv/x", "0o666")),
    "owner": as_root(write("/srv/x", owner="1234, 0")),
    "installers": as_root(write("/usr/local/bin/pip3", "0o755")),
    "compilers": as_root(write("/usr/bin/gcc", "0o755")),
    "headers": as_root(write("/usr/include/x.h")),
    "caches": as_root(write("/root/.cache/x")),
    "private": as_root(write("/app/.env")),
    "bytecode": as_root(write("/srv/x.py") + write(MODULE)),
    "records": as_root(
        "for path in pathlib.Path('/opt/venv').rglob('click-*/METADATA'):"
        " path.write_text(path.read_text() + 'x')"
    ),
    "packages": as_root(
        write(f"{OTHER}/METADATA", content=b"Name: other\nVersion: 1.0\n\n")
        + write(f"{OTHER}/RECORD")
    ),
}


@pytest.mark.proofs
@pytest.mark.parametrize("check", LINES)
def test_an_image_that_is_broken_in_one_way_fails_one_check(
    broken: Callable[..., str], built: Make, check: str
) -> None:
    name = built(Layout.DEBIAN).name
    assert wrong(broken(*(line.replace("SERVER", name) for line in LINES[check]))) == {check}


@pytest.mark.proofs
def test_a_server_that_ignores_sigterm_is_found_at_both_moments(
    broken: Callable[..., str], built: Make
) -> None:
    program = "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    program += f"subprocess.run([{built(Layout.DEBIAN).name!r}])"
    output = broken(f"CMD {json.dumps(['python3', '-c', program])}")
    assert wrong(output) == {"sigterm"}
    assert re.findall(r"^sigterm: (\w+) does not end within", output, re.M) == ["idle", "starting"]


@pytest.mark.proofs
def test_an_image_that_starts_as_any_user_but_its_own_is_found(
    broken: Callable[..., str], built: Make
) -> None:
    """A file that only group 0 can read."""
    lines = starting("open('/srv/x')")[0].replace("SERVER", built(Layout.DEBIAN).name)
    output = broken(*as_root(write("/srv/x", "0o640")), lines)
    assert wrong(output) == {"starts"}
    assert "starts: starting ends with status 1: PermissionError" in output


@pytest.mark.proofs
def test_a_program_that_does_not_end_is_found(make: Make) -> None:
    made = make(kind="cli")
    [package] = (made.folder / "src").iterdir()
    (package / "cli.py").write_text(
        "import time\n\n\ndef cli(prog_name: str) -> None:\n    time.sleep(600)\n", "utf-8"
    )
    output = made.refused("docker_check")
    assert wrong(output) == {"starts"}
    assert "starts: --help does not end within 60 seconds: name others in runs of" in output
    assert made.docker("ps", "--all", "--quiet", f"--filter=ancestor={made.name}:production") == ""


@pytest.mark.proofs
def test_a_test_of_the_project_that_ships_fails_one_check(
    broken: Callable[..., str], built: Make
) -> None:
    content = (built(Layout.DEBIAN).folder / "tests/test_app.py").read_bytes()
    assert wrong(broken(*as_root(write("/srv/x", content=content)))) == {"tests"}


@pytest.mark.proofs
def test_a_setting_that_an_override_loosens_fails_one_check(make: Make) -> None:
    made = make()
    made.session("docker_prod")
    override = made.folder / "docker-compose.override.yml"
    for setting, subject in (
        ("cap_add: [CHOWN]", "capabilities"),
        ("read_only: false", "read-only"),
        ("deploy: !reset {}", "processes"),
        ("security_opt: !override [no-new-privileges:false]", "new-privileges"),
        ("security_opt: [seccomp:unconfined]", "seccomp"),
    ):
        text = f"services:\n  {made.name}-production:\n    {setting}\n"
        override.write_text(text, encoding="utf-8")
        output = made.refused("docker_check")
        assert (wrong(output), f"strict: {subject} " in output) == ({"strict"}, True)


@pytest.mark.proofs
def test_what_is_accepted_with_a_reason_is_said_and_passes(make: Make) -> None:
    made = make()
    rootfs = made.folder / "rootfs/usr/include/x.h"
    rootfs.parent.mkdir(parents=True)
    rootfs.write_text("/* read by the application itself */\n", encoding="utf-8")
    made.session("lock")
    output = made.refused("docker_check")
    assert "headers: /usr/include/x.h is for compilers" in output
    assert "accept it with a reason in [tool.seedpod.check]" in output
    declare(made, '[tool.seedpod.check.headers]\n"/usr/include/*" = "the application reads it"')
    output = made.session("docker_check")
    assert verdicts(output)["headers"] == "accepted"
    assert "is for compilers; accepted: the application reads it" in output
