"""Install the system packages that a list names, with the image's own package manager.

    python3 docker/image/install_system.py packages.json

The list is one of those that docker/image/select_system.py writes. Nothing is installed unless
every package that it names is available.
"""

import json
import sys
from pathlib import Path

import package_managers
import versions
from errors import ended_by_errors


def main() -> None:
    """Install what is in the list that the first argument names."""
    content = json.loads(Path(sys.argv[1]).read_text())
    if not content:
        return
    with ended_by_errors():
        manager = package_managers.of_this_image()
        chosen = versions.choose(manager, content["packages"], content["source"])
        if chosen:
            manager.install(chosen)


if __name__ == "__main__":
    main()
