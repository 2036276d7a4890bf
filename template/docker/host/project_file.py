"""Read pyproject.toml for sessions, and choose the Python of those on this machine."""

import hashlib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

FILE = Path("pyproject.toml")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A lower end of a version specifier, or Poetry's shorthand for one.
LOWER_END = re.compile(r"(?:>=?|==|~=?|\^)\s*(\d+\.\d+)")


def read() -> dict[str, Any]:
    """Return the content of pyproject.toml; ends the program if there is no project in it."""
    try:
        content = FILE.read_bytes()
        # Neither Poetry nor pip can read it.
        if content.startswith(BYTE_ORDER_MARK):
            sys.exit(f"{FILE} begins with a byte order mark. Save it as UTF-8 without one.")
        pyproject = tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"{FILE} cannot be read ({error}). Correct it.")
    if not isinstance(table(pyproject).get("name"), str):
        sys.exit(f'{FILE} has no name of the project. Add name = "…" to [project].')
    return pyproject


def name(pyproject: dict[str, Any]) -> str:
    """Return the project's name, which its images and its service of compose have, too."""
    return str(table(pyproject)["name"])


def has_package(pyproject: dict[str, Any]) -> bool:
    """Tell whether the project is a package itself, unless Poetry's package-mode says it is not."""
    poetry = _poetry(pyproject)
    return not (isinstance(poetry, dict) and poetry.get("package-mode") is False)


def setting(name: str) -> Any:
    """Return what [tool.seedpod] has by a name; an empty table without it."""
    tools = read().get("tool")
    table = tools.get("seedpod", {}) if isinstance(tools, dict) else {}
    return table.get(name, {}) if isinstance(table, dict) else {}


def lowest_python(pyproject: dict[str, Any]) -> str | None:
    """Return the lowest version that the project allows, like 3.13; None if it does not say."""
    node: Any = pyproject
    # Poetry has it among its own dependencies, too.
    for key in ("tool", "poetry", "dependencies", "python"):
        node = node.get(key) if isinstance(node, dict) else None
    text = table(pyproject).get("requires-python", node)
    found = LOWER_END.search(text) if isinstance(text, str) else None
    return found[1] if found else None


def environments() -> Path:
    """Return the folder for environments of Nox: .nox, or one in the user's cache folder.

    That one is for a project that cannot be written, where Nox would end in a traceback.
    """
    own = Path(".nox")
    if os.access(own if own.exists() else ".", os.W_OK) and own.is_dir() == own.exists():
        return own
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache, "seedpod", "nox", hashlib.sha256(os.getcwdb()).hexdigest()[:16])


def reuse(environment: Path, version: str | None) -> bool | None:
    """Return reuse_venv of a session: False if it has another Python, None for what Nox is told."""
    try:
        text = (environment / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:  # Nox says why it cannot use one that it cannot read.
        text = ""
    found = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", text, flags=re.MULTILINE)
    return False if found and version and found[1] != version else None


def table(pyproject: dict[str, Any]) -> dict[str, Any]:
    """Return the table that names the project: Poetry 1 had one of its own."""
    tables = (pyproject.get("project"), _poetry(pyproject))
    return next((table for table in tables if isinstance(table, dict)), {})


def _poetry(pyproject: dict[str, Any]) -> Any:
    """Return what [tool.poetry] is, None without it."""
    tools = pyproject.get("tool")
    return tools.get("poetry") if isinstance(tools, dict) else None
