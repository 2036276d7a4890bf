"""Before and after "copier update": what a later template brings, and what is left to be done.

    python docker/host/template.py news              what owners have to know, of its CHANGELOG.md
    python docker/host/template.py finish [COMMIT]   take over what Copier leaves as it was
    python docker/host/template.py conflicts         every conflict, with its file and line

"finish" replaces files that are as the old version of the template made them by the new version's:
README.md and the example in src and tests, too, which Copier leaves alone because owners rewrite
them. What the new version no longer has is deleted; a file that Copier deleted although it was
edited comes back. Conflicts of pyproject.toml are merged by key. COMMIT is the last one before the
update: HEAD, unless the update itself is committed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from merge import appended, by_key, untouched
from session import SessionError, ended_by_errors, git, read_text, write_text

ANSWERS = ".copier-answers.yml"
# What an update leaves alone, edited or not: Copier's own file, and the table of a catalogue.
OWNED = {ANSWERS, "catalogue.toml"}
# Copier's abbreviations of addresses.
ADDRESSES = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}
# Files that are merged again where Git has a conflict.
MERGES = {"noxfile.py": appended, "pyproject.toml": by_key}
Version = tuple[int, ...]


def version(text: str) -> Version | None:
    """Return the release number at the beginning of a tag or a heading, None if there is none."""
    found = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)\b", text)
    return tuple(map(int, found.group(1).split("."))) if found else None


def answer(name: str, text: str | None = None) -> str:
    """Return an answer that Copier stored, here or in a text; SessionError if there is none."""
    if text is None:
        text = read_text(Path(ANSWERS)) if Path(ANSWERS).exists() else ""
    # YAML quotes a version that could be a number.
    found = re.search(rf"^{name}: ['\"]?([^\0\n]*?)['\"]?\r?$", text, flags=re.MULTILINE)
    if not found:
        raise SessionError(f"{ANSWERS} has no {name}. Restore the file from Git: Copier needs it.")
    return found.group(1)


def source() -> str:
    """Return the address of the template that Copier stored; raises SessionError."""
    stored = answer("_src_path")
    for short, address in ADDRESSES.items():
        if stored.startswith(short):
            stored = address + stored.removeprefix(short)
    return os.path.expanduser(stored)


def sections_after(changelog: str, current: Version | None) -> Iterator[str]:
    """Yield the sections of a changelog that belong to releases later than ``current``."""
    for section in re.split(r"^(?=## )", changelog, flags=re.MULTILINE)[1:]:
        number = version(section.removeprefix("## "))
        if number and (current is None or number > current):
            yield section.strip()


def news() -> str:
    """Return what the template's latest release says of those after this project's version."""
    with tempfile.TemporaryDirectory() as folder:
        git("clone", "--quiet", "--bare", "--", source(), folder)
        tags = git("tag", folder=folder).split()
        # Copier takes no pre-release, either.
        releases = [tag for tag in tags if re.fullmatch(r"v?\d+(\.\d+)*", tag)]
        latest = max(releases, key=lambda tag: version(tag) or (), default="HEAD")
        changelog = git("show", f"{latest}:CHANGELOG.md", folder=folder)
    return "\n\n".join(sections_after(changelog, version(answer("_commit"))))


def conflicts() -> list[str]:
    """Return where the update left something to decide, as ``file:line`` or a file's name."""
    listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    found = []
    for name in sorted({name for name in listing if Path(name).is_file()}):
        if name.endswith(".rej"):
            found.append(name)
        lines = Path(name).read_bytes().splitlines()
        starts = (number for number, line in enumerate(lines, 1) if line.startswith(b"<<<<<<< "))
        found += [f"{name}:{number}" for number in starts]
    return found


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
    conflicted = {place.rpartition(":")[0] for place in conflicts()}
    for name in conflicted & MERGES.keys() & before.keys() & after.keys():
        template = (file.read_text("utf-8") for file in (before[name], after[name]))
        # A file that is not UTF-8 is left to its owner.
        with suppress(UnicodeEncodeError):
            yield from merged(name, git("show", f"{commit}:./{name}"), *template)


def merged(name: str, own: str, old: str, new: str) -> Iterator[str]:
    """Merge a file as Copier left it with conflicts, if that can be done; yield what was done.

    In: the owner's text, and the template's before and after.
    """
    if not untouched(read_text(Path(name)), old, own, new):
        return
    if merge := MERGES[name](old, own, new):
        text, disputed = merge
        write_text(Path(name), text)
        git("reset", "--quiet", "--", name)
        yield f"merged, with your edits: {name}"
        yield from (f"kept as you have it: {value}" for value in disputed)


def unit(name: str) -> str:
    """Return what changes together: the files of the example, which fit each other, or one file."""
    return "example" if name.startswith(("notebooks/", "rootfs/", "src/", "tests/")) else name


def files(copy: Path) -> dict[str, Path]:
    """Return the files of a copy of the template by their names in the project."""
    paths = {path.relative_to(copy).as_posix(): path for path in copy.rglob("*") if path.is_file()}
    return {name: path for name, path in paths.items() if name not in OWNED}


def render(answers: str, folder: Path) -> Path:
    """Make a project by the text of an answers file; return its folder."""
    file = folder.with_suffix(".yml")
    file.write_text(answers, encoding="utf-8", errors="surrogateescape")
    commit, source = answer("_commit", answers), answer("_src_path", answers)
    options = ("--quiet", "--defaults", f"--data-file={file}", f"--vcs-ref={commit}")
    subprocess.run(["copier", "copy", *options, source, str(folder)], check=True)
    return folder


def finished(commit: str = "HEAD") -> Iterator[str]:
    """Compare this folder's project with copies of both versions; yield what was done about it."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            old = render(git("show", f"{commit}:./{ANSWERS}"), Path(folder, "old"))
            new = render(read_text(Path(ANSWERS)), Path(folder, "new"))
            yield from finish(commit, old, new)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SessionError(
            f"The update cannot be finished: {error}. "
            "Run it in the project's Git repository, where copier is installed."
        ) from error


def main(arguments: list[str]) -> None:
    """Run the command that the arguments name."""
    with ended_by_errors():
        match arguments:
            case ["news"]:
                print(news() or "The template's changelog names no later release.")
            case ["finish", *commit] if len(commit) < 2:
                for line in finished(*commit):
                    print(line, flush=True)
            case ["conflicts"]:
                left = conflicts()
                if left:
                    raise SessionError(
                        "Your edits and the template's meet. Decide in:\n  "
                        + "\n  ".join(left)
                        + "\nNo update touches [tool.seedpod.image], rootfs/, noxfile_local.py and "
                        "docker-compose.override.yml."
                    )
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
