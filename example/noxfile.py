"""The tasks of this project: "nox -l" lists them, "nox -s NAME -- ARGUMENTS" runs one."""

import runpy
import subprocess
import sys
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
    "docker_check",
]

PROJECT = runpy.run_path("docker/host/project_file.py")
# The lowest that requires-python allows; None is the Python of Nox.
PYTHON = PROJECT["lowest_python"](PROJECT["read"]())
# Nox itself reuses an environment that has another one.
REUSE = PROJECT["reuse"]
ENVIRONMENTS = PROJECT["environments"]()
nox.options.envdir = str(ENVIRONMENTS)
COPIER = "copier>=9.15,<10"
NOX = (sys.executable, "-m", "nox", "--session")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and configuration with the hooks of pre-commit (-- HOOK to run one)."""
    session.install("pre-commit>=4,<5")
    host(session, "hooks", *session.posargs)


@nox.session(python=PYTHON, reuse_venv=REUSE(ENVIRONMENTS / "typecheck", PYTHON))
def typecheck(session: nox.Session) -> None:
    """Check types with mypy (-- OPTIONS of mypy)."""
    install_locked(session)
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHON, reuse_venv=REUSE(ENVIRONMENTS / "tests", PYTHON))
def tests(session: nox.Session) -> None:
    """Run the tests on this machine (-- OPTIONS of pytest)."""
    install_locked(session)
    session.run("pytest", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write poetry.lock and the image's settings (-- --regenerate, -- PACKAGE … for new ones)."""
    host(session, "engine", "lock", *session.posargs)


@nox.session(venv_backend="none")
def sys_lock(session: nox.Session) -> None:
    """Write sys.lock, the image's base and system packages (-- --check, or -- --rebuild)."""
    host(session, "system_packages", "lock", *session.posargs)


@nox.session
def sys_check(session: nox.Session) -> None:
    """Check the declared system packages against what the image needs (-- --fix adds them)."""
    if session.posargs not in ([], ["--fix"]):
        session.error("Usage: nox -s sys_check [-- --fix]")
    if session.posargs:
        session.install("tomlkit>=0.13,<1")
        session.run("python", "docker/host/system_packages.py", "fix")
        if Path("sys.lock").exists():
            host(session, "system_packages", "lock")
    host(session, "system_packages", "check")


@nox.session(venv_backend="none")
def docker_dev(session: nox.Session) -> None:
    """Build the development image (-- OPTIONS of docker build)."""
    host(session, "engine", "build", "development", *session.posargs)


@nox.session(venv_backend="none")
def docker_test(session: nox.Session) -> None:
    """Run the tests on production, with their own services if it has any (-- OPTIONS of pytest)."""
    host(session, "system_packages", "check", "missing")
    host(session, "engine", "test", *session.posargs)


@nox.session(venv_backend="none")
def docker_prod(session: nox.Session) -> None:
    """Build the production image (-- OPTIONS of docker build; --reproducible to compare two)."""
    host(session, "engine", "build", "production", *session.posargs)


@nox.session(venv_backend="none")
def docker_push(session: nox.Session) -> None:
    """Build production, push it, and print its digest (-- REPOSITORY:TAG)."""
    host(session, "engine", "push", *session.posargs)


@nox.session(venv_backend="none")
def docker_run(session: nox.Session) -> None:
    """Run production as a strict cluster would, with its own services (-- ARGUMENTS)."""
    host(session, "engine", "run", "production", *session.posargs)


@nox.session(venv_backend="none")
def docker_wheels(session: nox.Session) -> None:
    """Make a wheel of every locked package, in .wheels (-- --only-binary to compile none)."""
    host(session, "wheels", *session.posargs)


@nox.session(venv_backend="none")
def docker_size(session: nox.Session) -> None:
    """Measure stages and compare them with budgets (-- --html, --since, --why NAME, --suggest)."""
    host(session, "sizes", *session.posargs)


@nox.session(venv_backend="none")
def docker_check(session: nox.Session) -> None:
    """Check how production runs under strict settings, and what is in it (-- IMAGE)."""
    host(session, "check", *session.posargs)


@nox.session
def docker_sbom(session: nox.Session) -> None:
    """Write production's bill of materials (-- --help: attach and sign it, vulnerabilities)."""
    host(session, "on_request", folder := session.create_tmp())
    session.install("--require-hashes", f"-r{folder}/sbom.txt", env=SETTINGS["for_installing"]())
    session.run("python", f"{folder}/sbom.py", *session.posargs, env={"PYTHONPATH": "docker/host"})


@nox.session(venv_backend="none")
def up(session: nox.Session) -> None:
    """Develop in a container on the mounted project (-- down, -- logs, any compose command)."""
    host(session, "engine", "up", *session.posargs)


@nox.session(venv_backend="none")
def shell(session: nox.Session) -> None:
    """Open a shell in the development container (-- COMMAND … to run that instead)."""
    host(session, "engine", "develop", *(session.posargs or ["sh"]))


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
        session.error("An update needs a Git repository with nothing uncommitted. Commit, or git stash -u.")
    session.install(COPIER)
    host(session, "template", "news")
    session.run("copier", "update", "--defaults", *session.posargs)
    host(session, "template", "finish")
    host(session, "template", "conflicts")
    # By another Nox: this one still has the noxfile from before the update.
    session.run(*NOX, "lock", "docker_test", external=True)


def install_locked(session: nox.Session) -> None:
    """Install the locked packages, development groups included, and the project itself."""
    facts = session.create_tmp()
    host(session, "engine", "facts", facts)
    locked = f"{facts}/requirements-development.txt"
    session.install("--require-hashes", "--requirement", locked, env=SETTINGS["for_installing"]())
    session.install("--no-deps", "--requirement", f"{facts}/requirements-own.txt")


def host(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of docker/host with Nox's own Python (3.11 or later)."""
    command = (sys.executable, f"docker/host/{program}.py", *arguments)
    # An interrupt is passed on at once, with time to stop and remove containers.
    with uninterrupted():
        session.run(*command, external=True, interrupt_timeout=0, terminate_timeout=90)


# A job that is cancelled or loses its terminal removes its containers, as after Ctrl-C.
uninterrupted = runpy.run_path("docker/host/interrupts.py")["install"]()
# Sets the index for pip and uv, with which sessions install.
SETTINGS = runpy.run_path("docker/host/settings.py")
# Sessions of your own, which the template never touches.
if Path("noxfile_local.py").is_file():
    runpy.run_path("noxfile_local.py")
