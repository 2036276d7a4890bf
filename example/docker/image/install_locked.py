"""Install the locked packages that docker/image/select_wheels.py chose.

    online python3 docker/image/install_locked.py [OPTION …]

In: /wheels, what it wrote; /built, wheels that docker/image/install_application.py built for
development only, if there are any; and options of uv, like --prefix /opt/test. By default it
installs into the virtual environment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import build_environment
import index_logins
import uv_records
from compile_bytecode import compile_tree
from errors import ended_by_errors

WHEELS, BUILT = Path("/wheels"), Path("/built")
KEY = Path("/metadata/compile-key.txt")
UV = ("uv", "pip", "install", "--no-deps")


def commands(wheels: Path, built: Path) -> list[list[str]]:
    """Return the commands that install what is in these folders."""
    # The hashes decide what is installed, so it does not matter which of several indexes has it.
    locked = ["--index-strategy=unsafe-best-match", "--require-hashes"]
    found = [[*locked, f"--requirements={wheels / 'requirements.txt'}"]]
    # A commit's own number is its hash.
    if (wheels / "commits.txt").stat().st_size:
        found.append([f"--requirements={wheels / 'commits.txt'}"])
    if (built / "requirements.txt").exists():
        own = ["--no-index", f"--find-links={built}"]
        found.append([*own, f"--requirements={built / 'requirements.txt'}"])
    return [[*UV, *options] for options in found]


def main() -> None:
    """Install with the options that the arguments are."""
    refused = WHEELS / "refused.txt"
    if refused.exists():
        sys.exit(refused.read_text(encoding="utf-8").strip())
    indexes = json.loads((WHEELS / "indexes.json").read_text(encoding="utf-8"))
    given = dict(os.environ)
    os.environ.update(index_logins.variables(indexes["sources"], given))
    os.environ.update(index_logins.git_variables(os.environ))
    os.environ.update(build_environment.environment())
    # A wheel that was compiled with other headers has the same name, so each key has a cache.
    os.environ["UV_CACHE_DIR"] = f"/root/.cache/uv/{KEY.read_text(encoding='utf-8')}"
    for command in commands(WHEELS, BUILT):
        status = subprocess.run([*command, *sys.argv[1:]], check=False).returncode
        if status and "--require-hashes" in command:
            with ended_by_errors():
                index_logins.check(indexes["sources"], given, indexes["packages"])
        if status:
            sys.exit(status)
    installed = Path(sys.argv[-1] if "--prefix" in sys.argv else os.environ["VIRTUAL_ENV"])
    uv_records.remove(installed)
    compile_tree(installed / "lib")


if __name__ == "__main__":
    main()
