"""The tasks of working on Seedpod: "nox -l" lists them, "nox -s NAME -- ARGUMENTS" runs one."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def demo(session: nox.Session) -> None:
    """Make a project from nothing, build it, size it, run it and ask it for / (-- picture)."""
    support(session, "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run what every change has to pass, real builds and runs included (-- OPTIONS of pytest)."""
    install(session, "tests")
    session.run("python", "-m", "support", "test", *session.posargs)


@nox.session(default=False)
def unit(session: nox.Session) -> None:
    """Run the tests that need no engine: the small loop (-- OPTIONS of pytest)."""
    install(session, "tests")
    session.run("python", "-m", "support", "unit", *session.posargs)


@nox.session(default=False)
def proofs(session: nox.Session) -> None:
    """Run what takes too long for every change, and go on where it failed (-- FAMILIES)."""
    install(session, "tests")
    session.run("python", "-m", "support", "proofs", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and spelling with the hooks of pre-commit, which correct files (-- HOOK)."""
    install(session, "lint")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types with mypy, strictly (-- OPTIONS of mypy)."""
    install(session, "typing")
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "build/docs", *session.posargs)


@nox.session(default=False)
def example(session: nox.Session) -> None:
    """Write the published example anew (-- --check to compare it only)."""
    support(session, "example", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure times and sizes of other ways to make images, side by side (-- quick, publish)."""
    install(session, "bench")
    session.run("python", "-m", "support", "bench", *session.posargs)


@nox.session(default=False)
def engine(session: nox.Session) -> None:
    """Start an engine if none answers, print how to reach it (-- stop, --release, --store)."""
    support(session, "engine", *session.posargs)


@nox.session(default=False)
def engines(session: nox.Session) -> None:
    """Run what depends on the engine on each tested one, in one table (-- NAMES)."""
    install(session, "tests")
    session.run("python", "-m", "support", "engines", *session.posargs)


@nox.session(default=False)
def official(session: nox.Session) -> None:
    """Build, test and run both bases and runtimes on the official images, in one table."""
    support(session, "official")


@nox.session(default=False)
def docker_dev(session: nox.Session) -> None:
    """Build the development image of a project (-- QUESTION=ANSWER …)."""
    support(session, "project", "docker_dev", *session.posargs)


@nox.session(default=False)
def docker_test(session: nox.Session) -> None:
    """Run a project's tests in its image (-- QUESTION=ANSWER …)."""
    support(session, "project", "docker_test", *session.posargs)


@nox.session(default=False)
def docker_prod(session: nox.Session) -> None:
    """Build the production image of a project (-- QUESTION=ANSWER …)."""
    support(session, "project", "docker_prod", *session.posargs)


@nox.session(default=False)
def docker_size(session: nox.Session) -> None:
    """Measure every stage of a project's image (-- QUESTION=ANSWER …)."""
    support(session, "project", "docker_size", *session.posargs)


def install(session: nox.Session, group: str) -> None:
    """Install the pinned tools of a dependency group."""
    session.install(*nox.project.dependency_groups(PYPROJECT, group))
    if group in ("tests", "typing"):
        # What the programs on request import.
        session.install("--require-hashes", "--requirement", "on_request/sbom.txt")


def support(session: nox.Session, *arguments: str) -> None:
    """Run a command of the package support/."""
    install(session, "support")
    session.run("python", "-m", "support", *arguments)
