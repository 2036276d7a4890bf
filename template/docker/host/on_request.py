"""Fetch the programs that a project does not carry, because only some sessions run them on request.

    python docker/host/on_request.py FOLDER

They are in the template's repository, at the commit that the project was made from: both stand in
.copier-answers.yml. Git fetches that once; the user's cache folder keeps it by the commit's hash.
The variable SEEDPOD_SOURCE names a clone where the template's own address cannot be reached.
"""

import os
import re
import secrets
import shutil
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import layers
import template
from session import SessionError, cache, ended_by_errors, git, only_docker

PROGRAMS = "on_request"
# What hash a commit of a source has: a tag that is moved is not followed.
COMMITS = "commits.json"
MOST_COMMITS = 100
HASH = re.compile(r"[0-9a-f]{40,64}")


def fetch(folder: Path) -> None:
    """Write the programs into a folder, in place of what it has; raises SessionError."""
    source, commit = template.source(), template.answer("_commit")
    shutil.rmtree(folder, ignore_errors=True)
    known = layers.recall(COMMITS).get(f"{source} {commit}")
    if HASH.fullmatch(str(known)) and _unpacked(_kept(str(known)), folder):
        return
    with tempfile.TemporaryDirectory() as clone:
        hash = _clone(os.environ.get("SEEDPOD_SOURCE") or source, commit, clone)
        shutil.copytree(Path(clone, PROGRAMS), folder)
    try:
        _keep(folder, _kept(hash))
    except OSError as error:
        print(f"{error.filename} cannot be written: {error.strerror}. Each run fetches anew.")
        return
    layers.keep(COMMITS, {f"{source} {commit}": hash}, MOST_COMMITS)


def _clone(source: str, commit: str, folder: str) -> str:
    """Get the programs of a commit into a folder; return the commit's hash."""
    try:
        git("clone", "--quiet", "--no-checkout", "--", source, folder)
    except SessionError as error:
        raise SessionError(
            f"This session needs programs of the template's commit {commit}, and {error} Or run it "
            f"where the template can be reached, and copy {cache('')} from there, or name a clone "
            "of the template in SEEDPOD_SOURCE."
        ) from error
    try:
        hash = git("rev-parse", "--verify", f"{commit}^{{commit}}", folder=folder).strip()
        git("checkout", "--quiet", hash, "--", PROGRAMS, folder=folder)
    except SessionError as error:
        raise SessionError(
            f"{source} has no commit {commit} with the programs of this session. Name a clone that "
            "has it in SEEDPOD_SOURCE, or update: nox -s template_update"
        ) from error
    return hash


def _kept(hash: str) -> Path:
    return cache(f"programs/{hash}.zip")


def _keep(folder: Path, file: Path) -> None:
    """Write a folder into an archive, whole or not at all; raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _unpacked(file: Path, folder: Path) -> bool:
    """Unpack an archive into a folder; tell whether it was there, and not damaged."""
    try:
        with tempfile.TemporaryDirectory() as whole, zipfile.ZipFile(file) as archive:
            archive.extractall(whole)
            shutil.copytree(whole, folder)
    except (OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False
    return True


def main() -> None:
    """Take the folder to write them to."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("Usage: python docker/host/on_request.py FOLDER")
    with ended_by_errors():
        # Its history does not say which layers are the application's.
        only_docker("docker_sbom")
        fetch(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
