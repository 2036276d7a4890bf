"""Install the project's own package into a folder, by the backend that it names (PEP 517).

    /opt/tools/bin/python3 docker/image/install_application.py simple SOURCES OUTPUT
    … install_application.py other SOURCES OUTPUT FOLDERS PATHS BUILT

Simple is what docker/image/package_metadata.py says. poetry-core is here, pinned, and asks nothing
of the network. Any other backend is installed for the build, in the versions that [build-system]
allows. APPLICATION_VERSION is the version for backends that would ask Git, which no build context
has. FOLDERS names path dependencies on folders, which docker/image/path_dependencies.py collected
in PATHS: they are installed with the package, those of development left as wheels in BUILT.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from poetry.core.masonry import api

import build_environment
import package_metadata
import path_dependencies
import uv_records
from compile_bytecode import compile_tree
from errors import ended_by_errors
from package_metadata import PackageError, is_plain, is_simple
from set_dates import set_dates

# How backends are told a version: setuptools-scm and hatch-vcs, poetry-dynamic-versioning,
# pdm-backend, uv-dynamic-versioning.
VERSIONS = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "PDM_BUILD_SCM_VERSION",
    "UV_DYNAMIC_VERSIONING_BYPASS",
)
TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*", re.MULTILINE)


def build_plain(sources: Path, output: Path) -> None:
    """Build with the poetry-core that is here, in this process; PackageError if it refuses."""
    try:
        with contextlib.chdir(sources):
            api.build_wheel(str(output))
    except (OSError, RuntimeError, ValueError) as error:
        told = " ".join(str(error).split()).removesuffix(".")
        raise PackageError(f"poetry-core says: {told}. {remedy(told)}.") from error


def build_isolated(sources: Path, output: Path, backend: str, version: str) -> None:
    """Build with a backend that is installed for it; PackageError if that fails."""
    command = ["online", "uv", "build", "--wheel", f"--out-dir={output}", str(sources)]
    told = dict.fromkeys(VERSIONS, version) if version else {}
    done = subprocess.run(
        command,
        env={**build_environment.environment(), **told},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(without_tracebacks(done.stdout, sources), flush=True)
    if done.returncode:
        said = sentence(done.stdout).removesuffix(".")
        raise PackageError(f"{backend} says: {said}. {remedy(said)}.")


def remedy(said: str) -> str:
    """Return what to do about what a backend says."""
    if re.search(r"version control|detect version|\bgit\b", said, flags=re.IGNORECASE):
        return "Name the version in APPLICATION_VERSION, because no build sees a repository"
    return (
        "Correct pyproject.toml, let its files in by a line like !FOLDER/ in .dockerignore, or "
        "declare in [tool.sys] what building needs"
    )


def without_tracebacks(output: str, sources: Path) -> str:
    """Return a backend's output without its own frames; those of the owner's script are of use."""
    return TRACEBACK.sub(lambda found: found[0] if f'File "{sources}' in found[0] else "", output)


def sentence(output: str) -> str:
    """Return what a backend says is wrong, or uv of the backend, out of uv's output."""
    backend, _, own = output.partition("error: Failed to build")
    errors = re.findall(r"^(?:[\w.]*[A-Z]\w+|error): .+", backend, flags=re.MULTILINE)
    causes = re.findall(r"^\s*cause: (.+)", own, flags=re.MULTILINE)
    return str([*causes[-1:], *errors][-1] if causes or errors else "nothing").strip()


def check(output: Path, name: str) -> None:
    """Raise PackageError for a wheel that has nothing to import."""
    for wheel in output.glob("*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive:
                entries = archive.namelist()
        # An archive that is damaged, or packed otherwise.
        except (OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
            raise PackageError(
                f"The wheel of {name} cannot be read ({error}). Correct the build backend."
            ) from error
        if not any(entry.endswith((".py", ".so")) for entry in entries):
            raise PackageError(
                f"The wheel of {name} has no module. Add its folder to .dockerignore, "
                "as !FOLDER/, or correct what [tool] in pyproject.toml says of packages."
            )


def build(sources: Path, pyproject: dict[str, Any], output: Path, version: str) -> None:
    """Build a wheel, in a version that its backend might not find out; raises PackageError."""
    if is_plain(pyproject):
        build_plain(sources, output)
    else:
        backend = pyproject.get("build-system", {}).get("build-backend", "setuptools")
        build_isolated(sources, output, backend, version)


def build_folders(folders: list[dict[str, Any]], paths: Path, output: Path) -> list[str]:
    """Build wheels of path dependencies that apply to this Python; return the packages' names."""
    output.mkdir(exist_ok=True)
    folders = [x for x in folders if not x["marker"] or Marker(x["marker"]).evaluate()]
    for folder in folders:
        sources = path_dependencies.collected(folder["path"], paths)
        file = sources / "pyproject.toml"
        pyproject = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
        try:
            build(sources, pyproject, output, folder["version"])
        except PackageError as error:
            raise PackageError(f"Of the path dependency {folder['path']}, {error}") from error
    return [folder["name"] for folder in folders]


def install(wheels: Path, requirements: list[str], output: Path) -> None:
    """Install wheels into a folder, where they are in the virtual environment."""
    listed = wheels / "requirements.txt"
    listed.write_text("".join(f"{line}\n" for line in requirements))
    options = ["--no-cache", "--no-deps", "--no-index"]
    prefix = Path(f"{output}{os.environ['VIRTUAL_ENV']}")
    files = (f"--find-links={wheels}", f"--prefix={prefix}", f"--requirements={listed}")
    subprocess.run(["uv", "pip", "install", *options, *files], check=True)
    uv_records.remove(prefix)
    compile_tree(prefix / "lib")
    set_dates(output)


def main() -> None:
    """Build and install what the arguments name."""
    kind, sources, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.chdir(sources)
    pyproject: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder, ended_by_errors():
        requirements, wheels = [package_metadata.name(pyproject)], Path(folder)
        if kind == "simple":
            # What lets the Dockerfile copy folders that may be missing.
            for name in ("", "LICENSES", "src"):
                Path(name, "tools.txt").unlink(missing_ok=True)
            if not is_simple(pyproject):
                raise PackageError(
                    "The Dockerfile takes poetry-core and a package in src/ by default, and this "
                    "is another. Build with --build-arg OWN_PACKAGE=other, or for compose write "
                    "OWN_PACKAGE=other into .env; sessions of Nox do it by themselves."
                )
        build(sources, pyproject, wheels, os.environ.get("APPLICATION_VERSION", ""))
        check(wheels, requirements[0])
        if kind == "other":
            listed, paths, built = map(Path, sys.argv[4:])
            folders = json.loads(listed.read_text(encoding="utf-8"))
            requirements += build_folders(folders["main"], paths, wheels)
            others = [x for x in folders["development"] if x["name"] not in requirements]
            names = build_folders(others, paths, built)
            if names:
                text = "".join(f"{name}\n" for name in names)
                (built / "requirements.txt").write_text(text, encoding="utf-8")
        install(wheels, requirements, output)


if __name__ == "__main__":
    main()
