"""A release, and system packages that are declared for it."""

import tomllib

import declaration
from declaration import Section

DEBIAN = {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
DECLARED = """
[tool.sys.debian13.dependencies]
libpq5 = "*"
"libxslt1.1" = "~1.1"
[tool.sys.debian13.dev-dependencies]
gcc = "*"
libpq-dev = ">=17"
[tool.sys.debian13.groups.client]
postgresql-client = "*"
[tool.sys.debian13.groups.debugger]
gdb = "16.3-1"
"""


def load(text: str) -> dict[str, Section]:
    """Return the sections of a text of TOML."""
    return declaration.load(tomllib.loads(text))
