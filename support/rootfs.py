"""Root file systems of Debian, from which the base images are made.

A base image is made anew when this file changes, so nothing else is in it.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from support import debian, downloads


def bootstrap(release: str, include: Iterable[str], tarball: Path, programs: Path) -> None:
    """Write a root file system of ``release`` with the packages ``include`` to ``tarball``.

    ``programs`` is the folder into which Debian's mmdebstrap package was unpacked.
    Documentation, manual pages and translations are left out, licences are kept. Raises
    UnavailableError when no archive serves all packages, SupportError when they do not make a root
    file system.
    """
    exclude = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in exclude]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]

    def assemble(suites: Iterable[str]) -> None:
        with tempfile.NamedTemporaryFile(dir=tarball.parent, suffix=".tar") as partial:
            debian.run(
                [
                    "perl",
                    str(programs / "usr/bin/mmdebstrap"),
                    "--quiet",
                    "--mode=root",
                    "--variant=minbase",
                    "--format=tar",
                    *options,
                    f"--include={','.join(include)}",
                    release,
                    partial.name,
                    *(line for suite in suites for line in debian.source_lines(suite)),
                ],
                f"A Debian {release} root file system cannot be assembled.",
                # mmdebstrap calls its companion mmtarfilter for the excluded paths.
                environment={
                    "PATH": f"{programs / 'usr/bin'}:{os.environ.get('PATH', os.defpath)}",
                    "SOURCE_DATE_EPOCH": "0",
                },
            )
            os.link(partial.name, tarball)

    ways = [(name, lambda suites=suites: assemble(suites)) for name, suites in debian.ways(release)]
    downloads.first(f"a root file system of Debian {release}", ways)
