"""Find the system package that has what a compilation lacks, in the archive of this image.

    python3 docker/image/find_package.py system.json "KIND NAME" found.json

In: what docker/image/split_facts.py wrote; header, library or program, and its name in a message of
a build. Out: an object with what to do, in a sentence. An archive that does not answer is no error.
"""

import json
import re
import sys
from pathlib import Path

import package_managers
import select_system
from declaration import BUILD
from errors import BuildError, ended_by_errors

# What build tools name is no file, or one of several.
FILES = {
    "CMAKE_C_COMPILER": "gcc",
    "CMAKE_CXX_COMPILER": "g++",
    "Python.h": f"python{sys.version_info[0]}.{sys.version_info[1]}/Python.h",
    "Rust": "cargo",
    "c++": "g++",
    "cc": "gcc",
}


def remedy(kind: str, name: str, title: str) -> str:
    """Return what to do about a file that is missing.

    In: its kind and name, and the title of this image's section of pyproject.toml.
    """
    table = f"[{title}.{BUILD}]"
    try:
        manager = package_managers.of_this_image()
        manager.update()
        package = manager.builder(kind, FILES.get(name, name))
    except BuildError as error:
        return f"Declare the package that has it in {table}. It was not looked up: {error}"
    if package is None:
        return f"No package of this release has it by that name. Declare one that does in {table}."
    key = package if re.fullmatch(r"[\w-]+", package) else json.dumps(package)
    return f'The package {package} has it. Add to {table}: {key} = "*"'


def main() -> None:
    """Write what to do."""
    declared, wanted, output = sys.argv[1:]
    with ended_by_errors():
        _, section = select_system.of_this_image(Path(declared))
    kind, name = wanted.split(" ", 1)
    Path(output).write_text(json.dumps({"remedy": remedy(kind, name, section.title)}))


if __name__ == "__main__":
    main()
