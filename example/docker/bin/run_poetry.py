#!/opt/poetry/bin/python3
"""Run Poetry through the Simple API of the index in use.

Closed networks often serve nothing else, and Poetry's own client for its default index asks for
JSON. Poetry repeats an address in what it says, so a user and a password are given apart from it,
by the name that the plugin for mirrors has for it:
https://python-poetry.org/docs/repositories/#configuring-credentials.
"""

import os
import sys
from importlib import import_module
from urllib.parse import unquote, urlsplit

POETRY = "/opt/poetry/bin/poetry"
MIRROR = "POETRY_PYPI_MIRROR_URL"


def default_index() -> str:
    """Return the address that Poetry has for its default index."""
    # It takes a moment, and is in Poetry's environment alone.
    client = import_module("poetry.repositories.pypi_repository").PyPiRepository()
    return str(client.url)


def variables(address: str, *, publishes: bool) -> dict[str, str]:
    """Return the variables by which Poetry knows an index, and who asks there.

    Whoever publishes has a login of another server by the same name.
    """
    try:
        url = urlsplit(address)
    except ValueError:  # Poetry says so.
        return {MIRROR: address}
    login, _, host = url.netloc.rpartition("@")
    plain = url._replace(netloc=host).geturl()
    if not login or publishes:
        return {MIRROR: plain}
    user, _, password = login.partition(":")
    return {
        MIRROR: plain,
        "POETRY_HTTP_BASIC_PYPI_USERNAME": unquote(user),
        "POETRY_HTTP_BASIC_PYPI_PASSWORD": unquote(password),
    }


def main() -> None:
    """Run Poetry in place of this program, with its arguments."""
    mirror = os.environ.get(MIRROR) or os.environ.get("PIP_INDEX_URL") or default_index()
    os.environ.update(variables(mirror, publishes="publish" in sys.argv))
    # In a container of compose the certificates are a secret, too.
    os.execvp("online", ["online", POETRY, *sys.argv[1:]])


if __name__ == "__main__":
    main()
