"""What a later version of the template brings, and what an update to it has left to be done.

python docker/updates.py news        before: what owners have to know, from its CHANGELOG.md
python docker/updates.py conflicts   after: every conflict, with its file and line
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ANSWERS = ".copier-answers.yml"
# Copier's abbreviations of addresses.
ADDRESSES = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}
Version = tuple[int, ...]


def version(text: str) -> Version | None:
    """Return the release number at the beginning of a tag or a heading, None if there is none."""
    found = re.match(r"v?(\d+(?:\.\d+)*)\b", text)
    return tuple(map(int, found.group(1).split("."))) if found else None


def answer(name: str) -> str:
    """Return an answer that Copier stored; end if there is none."""
    text = Path(ANSWERS).read_text(encoding="utf-8") if Path(ANSWERS).exists() else ""
    found = re.search(rf"^{name}: ['\"]?(.*?)['\"]?$", text, flags=re.MULTILINE)
    if not found:
        sys.exit(f"{ANSWERS} has no {name}. Restore the file from Git: Copier needs it.")
    return found.group(1)


def git(*arguments: str, folder: str = ".") -> str:
    """Run Git in a folder and return what it prints; end with its last message if it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        sys.exit(f"git {arguments[0]} failed. Mend what it reported: {last}")
    return done.stdout


def sections_after(changelog: str, current: Version | None) -> Iterator[str]:
    """Yield the sections of a changelog that belong to releases later than ``current``."""
    for section in re.split(r"^(?=## )", changelog, flags=re.MULTILINE)[1:]:
        number = version(section.removeprefix("## "))
        if number and (current is None or number > current):
            yield section.strip()


def news() -> str:
    """Return what the template's latest release says of those after this project's version."""
    source = answer("_src_path")
    for short, address in ADDRESSES.items():
        if source.startswith(short):
            source = address + source.removeprefix(short)
    with tempfile.TemporaryDirectory() as folder:
        git("clone", "--quiet", "--bare", os.path.expanduser(source), folder)
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


def main() -> None:
    """Run the command that the argument names."""
    if sys.argv[1:] == ["news"]:
        print(news() or "The template's changelog names no later release.")
    elif sys.argv[1:] == ["conflicts"]:
        left = conflicts()
        if left:
            sys.exit("Your edits and the template's meet. Decide in:\n  " + "\n  ".join(left))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
