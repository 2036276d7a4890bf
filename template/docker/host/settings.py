"""Settings of this machine for builds, pip and uv: which servers to use, and who owns mounts.

In: environment variables, pip.env (lines like PIP_INDEX_URL=https://…), .env, and the tables
http-basic and repositories of poetry.toml. What is set in the environment comes first. Out: further
variables of this process, for all that it starts.
"""

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

# The names under which uv knows pip's settings.
INDEX = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
# Servers for system packages, which docker/image/package_managers.py reads.
MIRRORS = ("APK_MIRROR", "APT_MIRROR")
# What Poetry reads for an index of pyproject.toml:
# https://python-poetry.org/docs/repositories/#configuring-credentials.
LOGIN = r"POETRY_(HTTP_BASIC_[A-Z\d_]+_(USERNAME|PASSWORD)|REPOSITORIES_[A-Z_]+_URL)"
# With the names that they have in Docker's settings. curl(1) and apt read the first one in lower
# case alone, others in capitals alone.
PROXIES = {"HTTP_PROXY": "httpProxy", "HTTPS_PROXY": "httpsProxy", "NO_PROXY": "noProxy"}
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
# What builds take of .env; the rest of it is for compose only.
BUILDS = (
    *("APPLICATION_VERSION", "BUILDER_IMAGE", "DOCKER_DEFAULT_PLATFORM", "HOST_GID", "HOST_UID"),
    "PYTHON_IMAGE",
)


def certificates() -> str | None:
    """Return the file with the certificates of the authorities to trust, None if none is named."""
    return next(filter(None, map(os.environ.get, CERTIFICATES)), None)


def apply() -> None:
    """Set the variables; a second time nothing changes."""
    # Of two lines for one name the last counts, as compose has it.
    own = _read("pip.env", r"^([A-Z\d_]+)=(.*)$")
    for name, value in (*own.items(), *_logins_of_poetry()):
        if name in (*INDEX, *MIRRORS) or re.fullmatch(LOGIN, name):
            _set(name, value)
    index = {name: os.environ[name] for name in INDEX if os.environ.get(name)}
    logins = {name: value for name, value in os.environ.items() if re.fullmatch(LOGIN, name)}
    # A build has this one as its secret pip.env.
    mirrors = {name: os.environ[name] for name in MIRRORS if os.environ.get(name)}
    lines = sorted({**index, **logins, **mirrors}.items())
    text = "\n".join(f"{name}={value}" for name, value in lines)
    os.environ["PIP_ENV"] = text
    for name, value in index.items():
        os.environ.setdefault(INDEX[name], value)
    for name, value in _read(".env", r"^(?:export )?([A-Z_]+)=(.*)$").items():
        # Quotes and a comment mean here what they mean to compose.
        if name in (*BUILDS, *CERTIFICATES) and (
            text := re.sub(r"\s#.*", "", value).strip().strip("'\"")
        ):
            _set(name, text)
    if file := certificates():
        os.environ.setdefault("SSL_CERT_FILE", file)
    for name in PROXIES:
        proxy = os.environ.get(name) or os.environ.get(name.lower())
        os.environ.update(dict.fromkeys((name, name.lower()), proxy) if proxy else {})
    if hasattr(os, "getuid"):  # Elsewhere Docker maps the owner.
        os.environ.setdefault("HOST_UID", str(os.getuid()))
        os.environ.setdefault("HOST_GID", str(os.getgid()))


def for_installing() -> dict[str, str]:
    """Return variables for pip or uv, which install locked packages on this machine.

    They have passwords, so nothing else is to see them.
    """
    addresses = _with_logins()
    found = {
        name: " ".join(filter(None, [os.environ.get(name), *addresses]))
        for name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX")
        if addresses
    }
    # The hashes decide what is installed, so it does not matter which of several indexes has it.
    return {**found, "UV_INDEX_STRATEGY": "unsafe-best-match"}


def proxies_of_docker() -> dict[str, str]:
    """Return the proxies that Docker's own settings have for builds and containers.

    They count there before those of this machine, which may be at an address that no container
    reaches: https://docs.docker.com/engine/cli/proxy/.
    """
    try:
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        default = found["proxies"]["default"]
        proxies = {name: default[key] for name, key in PROXIES.items() if default.get(key)}
        return proxies | {name.lower(): proxy for name, proxy in proxies.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError):
        return {}  # Docker says what is wrong in it.


def _logins_of_poetry() -> list[tuple[str, str]]:
    """Return what poetry.toml has of users and passwords, as the variables that Poetry reads."""
    content = _toml("poetry.toml")
    return [
        (f"POETRY_{prefix}_{_key(name)}_{field.upper()}", str(value))
        for prefix, table in (("HTTP_BASIC", "http-basic"), ("REPOSITORIES", "repositories"))
        for name, fields in _entries(content.get(table)).items()
        if isinstance(fields, dict)
        for field, value in fields.items()
    ]


def _entries(value: Any) -> dict[str, Any]:
    """Return a table; an empty one for anything else, which Poetry refuses."""
    return value if isinstance(value, dict) else {}


def _with_logins() -> list[str]:
    """Return the addresses of the indexes in pyproject.toml that have a user and a password.

    pip and uv do not know Poetry's variables.
    """
    addresses = []
    poetry = _entries(_entries(_toml("pyproject.toml").get("tool")).get("poetry"))
    sources = poetry.get("source")
    for source in map(_entries, sources if isinstance(sources, list) else ()):
        prefix = f"POETRY_HTTP_BASIC_{_key(str(source.get('name', '')))}"
        login = [os.environ.get(f"{prefix}_{field}", "") for field in ("USERNAME", "PASSWORD")]
        if any(login) and "url" in source:
            url = urlsplit(source["url"])
            user = ":".join(quote(text, safe="") for text in login)
            netloc = f"{user}@{url.netloc.rpartition('@')[2]}"
            addresses.append(url._replace(netloc=netloc).geturl())
    return addresses


def _set(name: str, value: str) -> None:
    """Set a variable that has no value yet; ends the program for what no variable can have."""
    if "\0" in value:
        sys.exit(f"{name} has a null byte in pip.env, .env or poetry.toml. Write it anew there.")
    os.environ.setdefault(name, value)


def _key(name: str) -> str:
    """Return what the variables of an index call it."""
    return name.replace("-", "_").upper()


def _toml(name: str) -> dict[str, Any]:
    """Return the content of a file; nothing if it cannot be read, which its own readers say."""
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read(name: str, line: str) -> dict[str, str]:
    file = Path(name)
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{name} cannot be read ({error}). Correct it, or its owner and rights.")
    return dict(re.findall(line, text, flags=re.MULTILINE))


if __name__ in ("__main__", "<run_path>"):
    apply()
