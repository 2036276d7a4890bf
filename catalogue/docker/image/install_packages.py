"""Install system packages into an image of the catalogue.

    python3 -B docker/image/install_packages.py LIST

LIST is a list of docker/image/read_catalogue.py, as JSON. Builds of many images go on side by side,
and those of one release have the package manager's cache in common: they take turns.
"""

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import package_managers
from errors import ended_by_errors
from install_system import install


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other step uses the cache of this image's package manager."""
    manager = package_managers.of_this_image()
    package_managers.CACHE.mkdir(parents=True, exist_ok=True)
    with (package_managers.CACHE / f"{manager.cache.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Install the list that is the argument; an empty one waits for nobody."""
    if listed := json.loads(sys.argv[1]):
        with ended_by_errors(), alone():
            install(listed)


if __name__ == "__main__":
    main()
