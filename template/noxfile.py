"""The tasks of this project: "nox -l" lists them, "nox -s NAME -- ARGUMENTS" runs one."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

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
NOX = (sys.executable, "-m", "nox", "--session")
BASE_IMAGES = ("PYTHON_IMAGE", "BUILDER_IMAGE")
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
    """Run the tests in the image, against the production packages (-- OPTIONS of pytest)."""
    run_program(session, "system_check", system_report(session), "missing")
    build_locked(session, "test")
    pytest = ["pytest", "-p", "no:cacheprovider", *session.posargs]
    docker(session, "run", "--rm", "--init", f"{NAME}:test", *pytest)


@nox.session(venv_backend="none")
def docker_prod(session: nox.Session) -> None:
    """Build the production image (-- OPTIONS of docker build)."""
    build_locked(session, "production", *session.posargs)


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
    if not command or command[0].startswith("-"):
        ensure_lock(session)
        command = ["up", "--build", *command]
    docker(session, "compose", *command)


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
    build(session, stage, "--tag", f"{NAME}:{stage}", *options)


def build(session: nox.Session, stage: str, *options: str) -> None:
    """Build a stage with the settings of this machine, which reach it as arguments and secrets."""
    settings = [f"--build-arg={name}={value}" for name, value in host_user().items()]
    for name in BASE_IMAGES:
        if name in os.environ:
            settings.append(f"--build-arg={name}={os.environ[name]}")
    if CERTIFICATE:
        settings.append(f"--secret=id=ca.pem,src={CERTIFICATE}")
    settings.append("--secret=id=pip.env,env=PIP_ENV")
    docker(session, "build", f"--target={stage}", *settings, *options, ".")


def docker(session: nox.Session, *arguments: str) -> None:
    """Run docker, which is told who runs it and which package index to use."""
    index = [f"{name}={os.environ[name]}" for name in INDEX_SETTINGS if os.environ.get(name)]
    env = {**host_user(), "PIP_ENV": "\n".join(index)}
    run_program(session, "explain", "docker", *arguments, env=env)


def run_program(
    session: nox.Session, name: str, *arguments: str, env: dict[str, str] | None = None
) -> None:
    """Run one of the programs in docker/ with the Python that runs Nox (3.11 or later)."""
    program = (sys.executable, f"docker/{name}.py", *arguments)
    # Time for compose to stop its containers after an interrupt.
    session.run(*program, env=env, external=True, interrupt_timeout=30)


def host_user() -> dict[str, str]:
    """Return the numbers of the user who owns the mounted files; none where Docker maps them."""
    if not hasattr(os, "getuid"):
        return {}
    return {"HOST_UID": str(os.getuid()), "HOST_GID": str(os.getgid())}


def use_network_settings() -> None:
    """Let pip and uv on this machine use the index that pip.env or pip's own variables name."""
    file = Path("pip.env")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for name, _, value in (line.partition("=") for line in lines):
        if name in INDEX_SETTINGS:
            os.environ.setdefault(name, value)
    for name, uv_name in INDEX_SETTINGS.items():
        if os.environ.get(name):
            os.environ.setdefault(uv_name, os.environ[name])
    if CERTIFICATE:
        os.environ.setdefault("SSL_CERT_FILE", CERTIFICATE)


use_network_settings()
