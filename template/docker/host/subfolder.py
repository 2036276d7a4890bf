"""Let pre-commit see a folder of a repository as a repository of its own.

    python docker/host/subfolder.py FOLDER

In: a folder for Git. Out: its index has the files of the current folder that Git knows, and its
objects are those of the repository. Without it, pre-commit works at the top of the repository, with
the configuration and on the files of other projects.
"""

import os
import shutil
import sys
from pathlib import Path

from session import ended_by_errors, git

PIPELINES = (".github", ".gitlab-ci.yml")


def make(folder: Path) -> None:
    """Make the index, in place of one of an earlier time; raises SessionError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    form = git("rev-parse", "--show-object-format").strip()
    objects = Path(git("rev-parse", "--git-path", "objects").strip()).resolve()
    # In the form that update-index reads, with paths from here.
    files = git("ls-files", "--stage", "-z")
    own = f"--git-dir={folder}"
    git(own, "init", "--quiet", "--bare", f"--object-format={form}")
    alternates = folder / "objects/info/alternates"
    alternates.write_text(f"{objects}\n", encoding="utf-8")
    git(own, "--work-tree=.", "update-index", "-z", "--index-info", stdin=files)
    here = git("rev-parse", "--show-prefix").strip()
    for name in filter(os.path.exists, PIPELINES):
        print(
            f"{name} is read only at the top of the repository. "
            f"Move it there, and let its jobs begin with cd {here}"
        )


def main() -> None:
    """Make it where the argument says."""
    with ended_by_errors():
        make(Path(sys.argv[1]).resolve())


if __name__ == "__main__":
    main()
