"""Install the system packages that a list names, with the image's own package manager.

    python3 docker/image/install_system.py packages.json

The list is one of those that docker/image/select_system.py writes. Nothing is installed unless
every package that it names is available.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import package_managers
import versions
from errors import ended_by_errors


def install(listed: Mapping[str, Any]) -> None:
    """Install a list, which may be empty; raises ManagerError if that is not possible."""
    if not listed:
        return
    manager = package_managers.of_this_image(listed.get("date", ""))
    chosen = versions.choose(manager, listed["packages"], listed["source"])
    if chosen:
        manager.install(chosen)


def main() -> None:
    """Install what is in the list that the first argument names."""
    with ended_by_errors():
        install(json.loads(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
