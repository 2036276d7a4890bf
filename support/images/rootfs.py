"""Root file systems of Debian, from which the base images are made.

A base image is made anew when this file changes, so nothing else is in it.
"""

import os
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support import debian

# apt_preferences(5): less than a version of the release itself, and more.
SELDOM, ALWAYS = 100, 990
# What Debian's official images set, as far as builds can tell: no wait for the disk at each file,
# no archives and no cache kept (https://github.com/debuerreotype/debuerreotype, minimizing-config).
CACHES = ("archives/*.deb", "archives/partial/*.deb", "*.bin")
CLEAN = f"rm -f {' '.join(f'/var/cache/apt/{pattern}' for pattern in CACHES)} || true"
SETTINGS = {
    "/etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "/etc/apt/apt.conf.d/docker-clean": (
        f'DPkg::Post-Invoke {{ "{CLEAN}"; }};\n'
        f'APT::Update::Post-Invoke {{ "{CLEAN}"; }};\n'
        'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    ),
    "/etc/apt/apt.conf.d/docker-gzip-indexes": 'Acquire::GzipIndexes "true";\n',
    "/etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
}


@dataclass(frozen=True)
class Root:
    """What a root file system is made of.

    ``packages`` come beside the essential ones. Those in ``borrowed`` (patterns) come from the
    release ``lender``, which nothing else is taken from. ``links`` are made by their paths. It is
    for this machine's ``architecture`` if that is empty, else for one whose programs run here, too.
    """

    release: str
    packages: tuple[str, ...]
    lender: str = ""
    borrowed: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""


def bootstrap(root: Root, suites: Iterable[str], tarball: Path, programs: Path) -> None:
    """Write a root file system with packages of ``suites``, those of its release, to ``tarball``.

    ``programs`` is the folder into which Debian's mmdebstrap package was unpacked.
    Documentation, manual pages and translations are left out, licences are kept. Raises
    UnavailableError when the archive does not serve a package, SupportError when they do not make a
    root file system.
    """
    exclude = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in exclude]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    options += [
        f'--customize-hook=ln -s {target} "$1{path}"' for path, target in root.links.items()
    ]
    # With these settings apt cleans no more what it has kept before.
    options.append('--customize-hook=rm -f "$1"/var/cache/apt/*.bin')
    options += [
        # Last: the apt that fills it is this machine's, which would clean this machine.
        f'--customize-hook=printf %s {shlex.quote(text)} > "$1{path}"'
        for path, text in SETTINGS.items()
    ]
    if root.architecture:
        # Whether it runs here is known; to ask for it takes one more program.
        options += [f"--architectures={root.architecture}", "--skip=check/qemu"]
    sources = [*suites, root.lender] if root.lender else suites
    with (
        tempfile.TemporaryDirectory(dir=tarball.parent) as folder,
        tempfile.NamedTemporaryFile(dir=tarball.parent, suffix=".tar") as partial,
    ):
        if root.lender:
            preferences = Path(folder, "lender")
            preferences.write_text(_preferences(root))
            options += [f"--setup-hook=copy-in {preferences} /etc/apt/preferences.d"]
        debian.run(
            [
                "perl",
                str(programs / "usr/bin/mmdebstrap"),
                "--mode=root",
                "--variant=minbase",
                "--format=tar",
                *options,
                f"--include={','.join(root.packages)}",
                root.release,
                partial.name,
                *(line for suite in sources for line in debian.source_lines(suite)),
            ],
            f"A Debian {root.release} root file system cannot be assembled.",
            # mmdebstrap calls its companion mmtarfilter for the excluded paths.
            environment={
                "PATH": f"{programs / 'usr/bin'}:{os.environ.get('PATH', os.defpath)}",
                "SOURCE_DATE_EPOCH": "0",
            },
        )
        os.link(partial.name, tarball)


def _preferences(root: Root) -> str:
    """Return apt_preferences(5), which the image keeps: headers have to fit what was borrowed."""
    rules = {"*": SELDOM, " ".join(root.borrowed): ALWAYS}
    return "\n".join(
        f"Package: {packages}\nPin: release n={root.lender}\nPin-Priority: {priority}\n"
        for packages, priority in rules.items()
    )
