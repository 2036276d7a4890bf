"""The seconds that sessions of a project take when nothing has changed."""

import subprocess
import sys
import time

from support import SupportError, engine
from support.bench import applications
from support.bench.applications import PLAIN, options
from support.bench.plan import SESSION_ROUNDS
from support.bench.state import FOLDER, State
from support.bench.ways import APPLICATIONS, WAYS
from support.images import Layout
from support.project import Project

SESSIONS = ("docker_prod", "docker_size")


def measure(state: State, limit: float) -> None:
    """Time the sessions and a bare build in turn, after each has run once."""
    if state.results["sessions"] or state.out_of_time(limit, "sessions with nothing to do"):
        return
    state.say("sessions with nothing to do")
    with state.uncounted():
        settings = applications.variables(Layout.LOCAL, engine.ensure())
    folder = FOLDER / "projects" / "sessions"
    applications.make(APPLICATIONS["web"], [WAYS["seedpod"]], folder, settings, (PLAIN,))
    project = Project(folder / "seedpod", settings)
    _commit(project)
    times: dict[str, list[float]] = {"build": [], **{name: [] for name in SESSIONS}}
    for number in range(SESSION_ROUNDS + 1):
        for name, found in times.items():
            seconds = _bare_build(project) if name == "build" else _session(project, name)
            # The first one has something to do.
            if number:
                found.append(round(seconds, 3))
    state.results["sessions"] = times
    state.save()


def _commit(project: Project) -> None:
    """Make the project a repository, as people have it: sessions ask Git for what they label."""
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "Begin")):
        subprocess.run(["git", *author, *command], cwd=project.folder, check=True)


def _bare_build(project: Project) -> float:
    image = f"--build-arg=PYTHON_IMAGE={project.variables['PYTHON_IMAGE']}"
    start = time.perf_counter()
    project.docker("build", f"--tag={project.name}:bare", image, *options(project), ".")
    return time.perf_counter() - start


def _session(project: Project, name: str) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "nox", "--session", name],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SupportError(f"{name} fails: {done.stdout[-500:]}{done.stderr[-500:]}")
    return time.perf_counter() - start
