"""Finish what "copier update" began: the project is held against what the template made of it.

    python docker/template_update.py [COMMIT]

It runs after "copier update". COMMIT is the last one before that: HEAD, unless the update itself is
committed. What it has as the old version of the template made it becomes what the new version
makes: README.md and the example in src and tests, too, which Copier leaves alone because owners
rewrite them, and what the new version has no longer. A file that Copier deleted although it was
edited comes back.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ANSWERS = ".copier-answers.yml"


def finish(commit: str, old: Path, new: Path) -> Iterator[str]:
    """Change the project in this folder by two copies of the template; yield what was done."""
    lines = git("ls-tree", "-r", "-z", commit).rstrip("\0").split("\0")
    committed = {name: fact.split()[2] for fact, name in (line.split("\t", 1) for line in lines)}
    before, after = files(old), files(new)
    hashes = git("hash-object", "--stdin-paths", stdin="\n".join(map(str, before.values())))
    made = dict(zip(before, hashes.split(), strict=True))
    names = sorted(before.keys() | after.keys())
    edited = {unit(name) for name in names if committed.get(name) != made.get(name)}
    for name in names:
        here, there = Path(name), new / name
        if unit(name) in edited:
            if name in committed and not there.exists() and not here.exists():
                git("restore", f"--source={commit}", "--", name)
                yield f"kept, because you edited it; the template no longer has it: {name}"
        elif not there.exists():
            here.unlink(missing_ok=True)
            yield f"deleted, the template no longer has it: {name}"
        elif not here.exists() or here.read_bytes() != there.read_bytes():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there, here)
            yield f"updated: {name}"


def unit(name: str) -> str:
    """Return what changes together: the files of the example, which fit each other, or one file."""
    return "example" if name.startswith(("src/", "tests/")) else name


def files(copy: Path) -> dict[str, Path]:
    """Return the files of a copy of the template by their names in the project."""
    paths = {path.relative_to(copy).as_posix(): path for path in copy.rglob("*") if path.is_file()}
    return {name: path for name, path in paths.items() if name != ANSWERS}


def render(answers: str, folder: Path) -> Path:
    """Make a project by the text of an answers file; return its folder."""
    file = folder.with_suffix(".yml")
    file.write_text(answers, encoding="utf-8")
    # YAML quotes a version that could be a number.
    facts = dict(re.findall(r"(?m)^(_commit|_src_path): ['\"]?(.*?)['\"]?$", answers))
    options = ("--quiet", "--defaults", f"--data-file={file}", f"--vcs-ref={facts['_commit']}")
    subprocess.run(["copier", "copy", *options, facts["_src_path"], str(folder)], check=True)
    return folder


def git(*arguments: str, stdin: str = "") -> str:
    """Return what a git command prints."""
    return subprocess.run(
        ["git", *arguments], check=True, encoding="utf-8", input=stdin, stdout=subprocess.PIPE
    ).stdout


def main() -> None:
    """Hold the project in this folder against copies of both versions of the template."""
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    try:
        with tempfile.TemporaryDirectory() as folder:
            old = render(git("show", f"{commit}:./{ANSWERS}"), Path(folder, "old"))
            new = render(Path(ANSWERS).read_text(encoding="utf-8"), Path(folder, "new"))
            for line in finish(commit, old, new):
                print(line)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"The update cannot be finished: {error}. "
            "Run it in the project's Git repository, where copier is installed."
        )


if __name__ == "__main__":
    main()
