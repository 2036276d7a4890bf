"""System packages that test projects declare, and what is built of these."""

import pytest

from tests.docker.projects import Made

RUNTIMES = ("minimal", "full")


# What wheels bring themselves, and what is compiled here against the packages declared below.
WHEELS = (
    *("charset-normalizer", "cryptography", "greenlet", "markupsafe", "numpy", "orjson"),
    *("psycopg-binary", "pyyaml", "regex", "rpds-py", "uvloop"),
)
COMPILED = ("mysqlclient", "psycopg2", "psycopg[c]")
# Minutes, and therefore proofs.
COMPILED_SLOWLY = ("lxml", "pillow")
SLOWLY = pytest.param("compiled_slowly", marks=pytest.mark.proofs)


# Another list of dev-dependencies compiles everything again.
COMPILED_SETTINGS = """
# What the application needs to run.
[tool.sys.debian13.dependencies]
# The driver of MariaDB.
libmariadb3 = "*"
libpq5 = "*"  # and of PostgreSQL

[tool.sys.debian13.dev-dependencies]
gcc = "*"
libc6-dev = "*"
libmariadb-dev = "*"
libpq-dev = "~17"
pkg-config = "*"
zlib1g-dev = ">=1.2"
"""


COMPILED_SLOWLY_SETTINGS = """
[tool.seedpod.wheels]
no-binary = ["lxml", "pillow"]

[tool.sys.debian13.dependencies]
libjpeg62-turbo = "*"
libxml2 = "*"
"libxslt1.1" = "*"

[tool.sys.debian13.dev-dependencies]
gcc = "*"
libc6-dev = "*"
libjpeg62-turbo-dev = "*"
libxml2-dev = "*"
libxslt1-dev = "*"
pkg-config = "*"
zlib1g-dev = "*"
"""


# libjpeg62-turbo stands in two lists, and no file of the environment tells that it needs libmagic.
DECLARED_SETTINGS = """
[tool.sys.debian13.dependencies]
libjpeg62-turbo = ">=1"
libmagic1t64 = { version = "*", dlopen = true }

[tool.sys.debian13.dev-dependencies]
libjpeg62-turbo = ">=1"
make = "*"

[tool.sys.debian13.groups.debug]
strace = "*"
"""


def declare(project: Made, settings: str) -> None:
    """Add tables to a project's pyproject.toml."""
    path = project.folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8") + settings, encoding="utf-8")


def build_runtimes(project: Made) -> None:
    """Build the production image in both runtimes, each tagged with its name."""
    for runtime in RUNTIMES:
        tag = f"--tag={project.name}:{runtime}"
        project.session("docker_prod", f"--build-arg=RUNTIME={runtime}", tag)


def installed(project: Made, image: str) -> dict[str, str]:
    """Return the versions of the Debian packages in an image, by their names."""
    query = ("--entrypoint=dpkg-query", image, "--show", "--showformat=${Package} ${Version}\n")
    return dict(line.split() for line in project.docker("run", "--rm", *query).splitlines())
