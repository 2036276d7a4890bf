"""Users and passwords for indexes that pyproject.toml names, and for Git, as Poetry has them.

Source: https://python-poetry.org/docs/repositories/#configuring-credentials. pip, uv and Git know
a server by its address, in which they take a user and a password.
"""

import re
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from urllib.parse import quote, urlsplit

from errors import BuildError

REFUSED = (401, 403)
SECONDS = 10


class LoginError(BuildError):
    """An index that does not let this build in."""

    subject = "Index"


def login(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the user and the password for the index of this name, both empty if none is set."""
    user, password = (environment.get(variable, "") for variable in variables_of(name))
    return user, password


def variables_of(name: str) -> tuple[str, str]:
    """Return the names of the variables that have the user and the password for an index."""
    key = name.replace("-", "_").upper()
    return f"POETRY_HTTP_BASIC_{key}_USERNAME", f"POETRY_HTTP_BASIC_{key}_PASSWORD"


def variables(sources: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which pip and uv log in at indexes, given by name and address."""
    found = (_with_login(address, *login(name, environment)) for name, address in sources.items())
    addresses = [*filter(None, found)]
    return {
        variable: " ".join(filter(None, [environment.get(variable, ""), *addresses]))
        for variable in ("PIP_EXTRA_INDEX_URL", "UV_INDEX")
        if addresses
    }


def git_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which Git logs in where POETRY_REPOSITORIES_NAME_URL says.

    Source: https://git-scm.com/docs/git-config#ENVIRONMENT and its url.<base>.insteadOf.
    """
    settings: dict[str, str] = {}
    for variable, address in environment.items():
        if named := re.fullmatch(r"POETRY_REPOSITORIES_([A-Z_]+)_URL", variable):
            with suppress(ValueError):  # Who asks there says so.
                # Git compares beginnings: without a slash, another host could begin like this one.
                whole = address if urlsplit(address).path else f"{address}/"
                full = _with_login(whole, *login(named[1], environment))
                settings |= {f"url.{full}.insteadOf": whole} if full else {}
    found = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _with_login(address: str, user: str, password: str) -> str:
    """Return an address with user and password in it, nothing without them."""
    url = urlsplit(address)
    host = url.netloc.rpartition("@")[2]
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return url._replace(netloc=netloc).geturl() if user or password else ""


class _Here(urllib.request.HTTPRedirectHandler):
    """No redirection is followed: another server is not to see the password."""

    def redirect_request(self, *_: object) -> None:
        """Return no request."""


def check(
    sources: Mapping[str, str], environment: Mapping[str, str], packages: Mapping[str, str]
) -> None:
    """Ask each index for one of its packages; LoginError for the first that wants another login.

    pip and uv do not tell a package that an index lacks from one that it does not show.
    """
    opener = urllib.request.build_opener(_Here)
    for name, package in packages.items():
        address = sources[name]
        user, password = login(name, environment)
        token = b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"} if user or password else {}
        try:
            request = urllib.request.Request(f"{address}/{package}/", headers=headers)
            opener.open(request, timeout=SECONDS).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in REFUSED:
                wants = "does not accept this user and password" if headers else "wants a password"
                raise LoginError(
                    f"{name} at {address} {wants} (HTTP {error.code}). "
                    f"Set {' and '.join(variables_of(name))}, in the environment or in pip.env."
                ) from error
        # What does not answer as a server does is another matter, and uv has told it.
        except (HTTPException, OSError, ValueError):
            continue
