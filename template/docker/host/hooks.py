"""Run the hooks of pre-commit on the files of this project.

    python docker/host/hooks.py [HOOK]

pre-commit works on a whole repository. A project in a folder of one becomes a repository of its own
for the hooks: else they would have the configuration, and change the files, of other projects.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import engine
from session import SessionError, ended_by_errors, git

COMMAND = ("pre-commit", "run", "--all-files", "--show-diff-on-failure")
PIPELINES = (".github", ".gitlab-ci.yml")


def place() -> str:
    """Return where this folder is in its repository, empty for the top; raises SessionError."""
    try:
        return git("rev-parse", "--show-prefix").strip()
    except SessionError as error:
        if "not a git repository" not in str(error):
            raise
        told = "The hooks check what Git knows of. Run: git init && git add --all"
        raise SessionError(told) from error


def make_repository(folder: Path) -> None:
    """Make a repository of this folder's files that Git knows; raises SessionError."""
    form = git("rev-parse", "--show-object-format").strip()
    objects = Path(git("rev-parse", "--git-path", "objects").strip()).resolve()
    # In the form that update-index reads, with paths from here.
    files = git("ls-files", "--stage", "-z")
    own = f"--git-dir={folder}"
    git(own, "init", "--quiet", "--bare", f"--object-format={form}")
    (folder / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    git(own, "--work-tree=.", "update-index", "-z", "--index-info", stdin=files)


def run(*hooks: str) -> int:
    """Run all hooks, or these, and return the status of pre-commit; raises SessionError."""
    here = place()
    engine.check()
    # A hook of Git has variables that name the repository and the index of a commit.
    for name in git("rev-parse", "--local-env-vars").split() if here else ():
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        alone = {}
        if here:
            make_repository(Path(folder, "git"))
            alone = {"GIT_DIR": f"{folder}/git", "GIT_WORK_TREE": os.getcwd()}
        done = subprocess.run([*COMMAND, *hooks], env={**os.environ, **alone}, check=False)
    for name in filter(os.path.exists, PIPELINES if here else ()):
        print(
            f"{name} is read only at the top of the repository. "
            f"Move it there, and let its jobs run in {here}"
        )
    return done.returncode


def main() -> None:
    """Run the hooks that the arguments name."""
    with ended_by_errors():
        sys.exit(run(*sys.argv[1:]))


if __name__ == "__main__":
    main()
