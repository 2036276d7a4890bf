"""Fetch the programs that a project does not carry, because only some sessions run them on request.

    python docker/host/on_request.py FOLDER

They are in the template's repository, at the commit that the project was made from: both stand in
.copier-answers.yml. Git fetches that once; the user's cache folder keeps it by the commit's hash.
The variable SEEDPOD_SOURCE names a clone where the template's own address cannot be reached.
"""

import os
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import layers
import template
from session import SessionError, cache, ended_by_errors, git

PROGRAMS = "on_request"
# What hash a commit of a source has: a tag that is moved is not followed.
COMMITS = "commits.json"
MOST_COMMITS = 100


def programs() -> Path:
    """Return the folder in the user's cache that has the programs; raises SessionError."""
    source, commit = template.source(), template.answer("_commit")
    known = layers.recall(COMMITS).get(f"{source} {commit}")
    if isinstance(known, str) and _folder(known).is_dir():
        return _folder(known)
    given = os.environ.get("SEEDPOD_SOURCE")
    with tempfile.TemporaryDirectory() as clone:
        try:
            git("clone", "--quiet", "--no-checkout", "--", given or source, clone)
        except SessionError as error:
            raise SessionError(
                f"This session needs programs of the template's commit {commit}, and {error} "
                "Or run the session where the template can be reached and copy "
                f"{cache('')} from there, or name a clone of the template in SEEDPOD_SOURCE."
            ) from error
        try:
            hash = git("rev-parse", "--verify", f"{commit}^{{commit}}", folder=clone).strip()
            git("checkout", "--quiet", hash, "--", PROGRAMS, folder=clone)
        except SessionError as error:
            raise SessionError(
                f"{given or source} has no commit {commit} with the programs of this session. Name "
                "a clone that has it in SEEDPOD_SOURCE, or update: nox -s template_update"
            ) from error
        folder = _folder(hash)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}")
        shutil.copytree(Path(clone, PROGRAMS), partial)
    try:
        # Another process may have been faster: both have the same.
        with suppress(OSError):
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    layers.keep(COMMITS, {f"{source} {commit}": folder.name}, MOST_COMMITS)
    return folder


def _folder(hash: str) -> Path:
    return cache(f"programs/{hash}")


def main() -> None:
    """Take the folder to write them to."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("Usage: python docker/host/on_request.py FOLDER")
    with ended_by_errors():
        shutil.copytree(programs(), sys.argv[1], dirs_exist_ok=True)


if __name__ == "__main__":
    main()
