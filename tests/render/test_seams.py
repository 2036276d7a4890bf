"""Places for what is an owner's own, which the template has no file for."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

OWN_SESSION = """
import nox


@nox.session(venv_backend="none")
def mine_alone(session: nox.Session) -> None:
    session.log("this is mine")
"""


def nox(project: Path, *arguments: str) -> str:
    """Run Nox in a project and return what it prints."""
    env = {name: value for name, value in os.environ.items() if name != "NOXSESSION"}
    command = [sys.executable, "-m", "nox", *arguments]
    done = subprocess.run(
        command,
        cwd=project,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def test_sessions_of_an_owner_stand_beside_those_of_the_template(
    draft: Callable[..., Path], tmp_path: Path
) -> None:
    project = draft(tmp_path / "myapp")
    assert "mine_alone" not in nox(project, "--list").split()
    (project / "noxfile_local.py").write_text(OWN_SESSION)
    assert {"mine_alone", "docker_prod"} <= set(nox(project, "--list").split())
    assert "this is mine" in nox(project, "--session", "mine_alone")


def test_an_update_outside_of_a_repository_says_what_it_needs(
    draft: Callable[..., Path], tmp_path: Path
) -> None:
    project = draft(tmp_path / "myapp")
    output = nox(project, "--session", "template_update")
    assert "An update needs a Git repository with nothing uncommitted." in output
    assert "Traceback" not in output
