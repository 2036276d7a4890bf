"""The tasks of this project: "nox -l" lists them, "nox -s NAME -- ARGUMENTS" runs one."""

import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "lint",
    "typecheck",
    "tests",
    "docker_test",
    "sys_check",
    "docker_prod",
    "docker_size",
]

PYPROJECT = nox.project.load_toml("pyproject.toml")
NAME = PYPROJECT["project"]["name"]
PYTHON = ".".join(re.findall(r"\d+", PYPROJECT["project"]["requires-python"])[:2])
SIZED_STAGES = ("base", *PYPROJECT["tool"].get("seedpod", {}).get("size", {"production": None}))
# The names under which uv knows pip's settings.
INDEX_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
COPIER = "copier>=9.15,<10"
NOX = (sys.executable, "-m", "nox", "--session")
# Taken from the environment; what is not set there has its default in the Dockerfile.
BUILD_ARGUMENTS = ("PYTHON_IMAGE", "BUILDER_IMAGE", "HOST_UID", "HOST_GID")
# Repeats a step that asks what there is now; --no-cache-filter would empty its cache mounts, too.
ASKED = f"--build-arg=ASKED={time.time_ns()}"
CERTIFICATE_SETTINGS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
CERTIFICATE = next(filter(None, map(os.environ.get, CERTIFICATE_SETTINGS)), None)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and configuration with the hooks of pre-commit (-- HOOK to run one)."""
    if subprocess.run(["git", "rev-parse"], capture_output=True, check=False).returncode:
        session.error("The hooks check what Git knows of. Run: git init && git add --all")
    ensure_lock(session)
    session.install("pre-commit>=4,<5")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session(python=PYTHON)
def typecheck(session: nox.Session) -> None:
    """Check types with mypy (-- OPTIONS of mypy)."""
    install_locked(session)
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the tests on this machine (-- OPTIONS of pytest)."""
    install_locked(session)
    session.run("pytest", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write poetry.lock (-- --regenerate to update all packages, -- PACKAGE … for these)."""
    arguments = session.posargs
    command = ["update", "--lock"] if arguments and arguments[0][0] != "-" else ["lock"]
    options = [f"--build-arg=LOCK_COMMAND={' '.join([*command, *arguments])}", "--output=."]
    if arguments:
        options.append(ASKED)
    build(session, "lock", *options)


@nox.session(venv_backend="none")
def sys_lock(session: nox.Session) -> None:
    """Write sys.lock, the exact system packages of the image (-- --check to compare only)."""
    folder = session.create_tmp()
    build(session, "system-lock", ASKED, f"--output={folder}")
    run_program(session, "system_lock", f"{folder}/resolved.json", *session.posargs)


@nox.session
def sys_check(session: nox.Session) -> None:
    """Hold the declared system packages against what the image needs (-- --fix to declare it)."""
    if session.posargs not in ([], ["--fix"]):
        session.error("Usage: nox -s sys_check [-- --fix]")
    report = system_report(session)
    if session.posargs:
        session.install("tomlkit>=0.13,<1")
        session.run("python", "docker/system_fix.py", report, "pyproject.toml")
        if Path("sys.lock").exists():
            session.run(*NOX, "sys_lock", external=True)
        report = system_report(session)
    run_program(session, "system_check", report)


@nox.session(venv_backend="none")
def docker_dev(session: nox.Session) -> None:
    """Build the development image (-- OPTIONS of docker build)."""
    build_locked(session, "development", *session.posargs)


@nox.session(venv_backend="none")
def docker_test(session: nox.Session) -> None:
    """Run the tests in the image, beside services of their own (-- OPTIONS of pytest)."""
    run_program(session, "system_check", system_report(session), "missing")
    run_stage(session, "test", "pytest", *session.posargs)


@nox.session(venv_backend="none")
def docker_prod(session: nox.Session) -> None:
    """Build the production image (-- OPTIONS of docker build)."""
    build_locked(session, "production", *session.posargs)


@nox.session(venv_backend="none")
def docker_push(session: nox.Session) -> None:
    """Build production, push it, and print its digest (-- REPOSITORY:TAG)."""
    image = re.fullmatch(r"([^\s@]+):([\w.-]+)", " ".join(session.posargs))
    if not image:
        session.error("Usage: nox -s docker_push -- REPOSITORY:TAG")
    ensure_lock(session)
    run_program(session, "push", f"{NAME}:production", image[0], *build_command("production"))


@nox.session(venv_backend="none")
def docker_run(session: nox.Session) -> None:
    """Run production as a strict cluster would, beside services of its own (-- ARGUMENTS)."""
    run_stage(session, "production", *session.posargs)


@nox.session(venv_backend="none")
def docker_wheels(session: nox.Session) -> None:
    """Make a wheel of every locked package, in .wheels (-- --only-binary to compile none)."""
    if session.posargs not in ([], ["--only-binary"]):
        session.error("Usage: nox -s docker_wheels [-- --only-binary]")
    ensure_lock(session)
    plan = session.create_tmp()
    build(session, "wheel-plan", f"--output={plan}")
    run_program(session, "wheel_report", "plan", f"{plan}/wheels.json", *session.posargs)
    build(session, "wheelhouse", "--output=.wheels")
    run_program(session, "wheel_report", "done", f"{plan}/wheels.json", ".wheels")


@nox.session(venv_backend="none")
def docker_size(session: nox.Session) -> None:
    """Measure every stage and hold it against its budget in pyproject.toml."""
    if session.posargs:
        session.error("Usage: nox -s docker_size")
    for stage in SIZED_STAGES:
        build_locked(session, stage)
    images = [f"{stage}={NAME}:{stage}" for stage in SIZED_STAGES]
    session.run(sys.executable, "docker/sizes.py", *images, external=True)


@nox.session(venv_backend="none")
def up(session: nox.Session) -> None:
    """Develop in a container that reloads on save (-- down, -- logs, any compose command)."""
    command = session.posargs
    if command[:1] == ["poetry"]:
        run_in_development(session, *command)
        return
    if not command or command[0].startswith("-"):
        command = ["up", *command]
    if command[0] in ("run", "up", "watch"):
        ensure_lock(session)
    run_program(session, "run_compose", *command)


@nox.session(venv_backend="none")
def shell(session: nox.Session) -> None:
    """Open a shell in the development container (-- COMMAND … to run that instead)."""
    run_in_development(session, *(session.posargs or ["sh"]))


@nox.session
def template_check(session: nox.Session) -> None:
    """Ask for a later version of the template: exit status 2 if there is one."""
    session.install(COPIER)
    status = subprocess.run([f"{session.bin}/copier", "check-update", "--quiet"], check=False)
    if status.returncode == 2:
        session.warn("The template has a later version. Take it over: nox -s template_update")
    if status.returncode:
        sys.exit(status.returncode)


@nox.session
def template_update(session: nox.Session) -> None:
    """Take over the latest template and test the result (-- OPTIONS of copier update)."""
    state = subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=False)
    if state.returncode or state.stdout:
        session.error("An update needs a Git repository without uncommitted changes. Commit them.")
    session.install(COPIER)
    run_program(session, "updates", "news")
    session.run("copier", "update", "--defaults", *session.posargs)
    run_program(session, "template_update")
    run_program(session, "updates", "conflicts")
    session.run(*NOX, "lock", "docker_test", external=True)


def install_locked(session: nox.Session) -> None:
    """Install the locked packages, development groups included, and the project itself."""
    metadata = ensure_lock(session)
    # The hashes decide what is installed, so it does not matter which of several indexes has it.
    strategy = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    requirements = f"{metadata}/requirements-development.txt"
    session.install("--require-hashes", "--requirement", requirements, env=strategy)
    session.install("--no-deps", "--editable", ".")


def ensure_lock(session: nox.Session) -> str:
    """Write the lock file if there is none; refuse one that does not fit pyproject.toml.

    Return the folder with what the image's stages read of both.
    """
    if not Path("poetry.lock").exists():
        session.log("There is no poetry.lock yet: locking first.")
        session.run(*NOX, "lock", external=True)
    folder = session.create_tmp()
    run_program(session, "metadata", ".", folder)
    return folder


def system_report(session: nox.Session) -> str:
    """Return a file that compares the declared system packages with what the image needs."""
    ensure_lock(session)
    folder = session.create_tmp()
    build(session, "system-report", f"--output={folder}")
    return f"{folder}/report.json"


def build_locked(session: nox.Session, stage: str, *options: str) -> None:
    """Build and tag a stage that holds locked packages; the old image keeps its tag on failure."""
    ensure_lock(session)
    # A builder elsewhere keeps what it builds, where nothing asks for it.
    build(session, stage, "--load", "--tag", f"{NAME}:{stage}", *options)


def build(session: nox.Session, stage: str, *options: str) -> None:
    """Build a stage."""
    run_program(session, "explain", *build_command(stage, *options))


def build_command(stage: str, *options: str) -> list[str]:
    """Return a build with the settings of this machine, which reach it as arguments and secrets."""
    settings = [f"--build-arg={name}" for name in BUILD_ARGUMENTS]
    if CERTIFICATE:
        settings.append(f"--secret=id=ca.pem,src={CERTIFICATE}")
    settings.append("--secret=id=pip.env,env=PIP_ENV")
    # Pipelines say there where layers are kept, for each stage apart.
    settings += shlex.split(os.environ.get("BUILD_OPTIONS", "").replace("{stage}", stage))
    return ["docker", "build", f"--target={stage}", *settings, *options, "."]


def run_stage(session: nox.Session, stage: str, *arguments: str) -> None:
    """Build a stage and run it beside services of its own, which are removed in the end."""
    build_locked(session, stage)
    # Another run at the same time has services, too.
    own = (f"--project-name={NAME}-{stage}-{os.getpid()}", "run", "--rm", "--service-ports")
    run_program(session, "run_compose", *own, f"{NAME}-{stage}", *arguments)


def run_in_development(session: nox.Session, *command: str) -> None:
    """Run a command in the development container that runs, else in one of its own."""
    ask = ("docker", "compose", "ps", "--quiet", "--status=running", NAME)
    running = run_program(session, "explain", *ask, silent=True)
    # A warning may precede the container's number.
    if re.search(r"^[0-9a-f]{64}$", running, flags=re.MULTILINE):
        run_program(session, "run_compose", "exec", NAME, *command)
    else:
        ensure_lock(session)
        run_program(session, "run_compose", "run", "--rm", NAME, *command)


def run_program(session: nox.Session, name: str, *arguments: str, silent: bool = False) -> str:
    """Run a program of docker/ with Nox's own Python (3.11 or later); return what it printed."""
    program = (sys.executable, f"docker/{name}.py", *arguments)
    # An interrupt is passed on at once, with time to stop and remove containers.
    times: Any = {"interrupt_timeout": 0, "terminate_timeout": 90}
    return str(session.run(*program, external=True, silent=silent, **times))


def interrupt(*_: object) -> None:
    """End Nox in good order; what follows until it has ended cannot disturb that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def use_settings_of_this_machine() -> None:
    """Tell builds, pip and uv which index to use, and containers who owns the mounted files."""
    file = Path("pip.env")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for name, _, value in (line.partition("=") for line in lines):
        if name in INDEX_SETTINGS:
            os.environ.setdefault(name, value)
    index = {name: os.environ[name] for name in INDEX_SETTINGS if os.environ.get(name)}
    os.environ["PIP_ENV"] = "\n".join(f"{name}={value}" for name, value in index.items())
    for name, value in index.items():
        os.environ.setdefault(INDEX_SETTINGS[name], value)
    if CERTIFICATE:
        os.environ.setdefault("SSL_CERT_FILE", CERTIFICATE)
    if hasattr(os, "getuid"):  # Elsewhere Docker maps the owner.
        file = Path(".env")
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for name, number in re.findall(r"^(HOST_[UG]ID)=(\d+)$", text, flags=re.MULTILINE):
            os.environ.setdefault(name, number)
        os.environ.setdefault("HOST_UID", str(os.getuid()))
        os.environ.setdefault("HOST_GID", str(os.getgid()))


use_settings_of_this_machine()
# A job that is ended removes its containers, as one that is interrupted at the keyboard does.
SIGNALS = [signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)])]
for number in SIGNALS:
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, interrupt)
# Sessions of your own, which the template never touches.
if Path("noxfile_local.py").exists():
    runpy.run_path("noxfile_local.py")
