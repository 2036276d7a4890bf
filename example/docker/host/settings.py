"""Settings of this machine for builds, pip and uv: which servers to use, and who owns mounts.

In: environment variables, pip.env (lines like PIP_INDEX_URL=https://…), .env, the tables http-basic
and repositories of poetry.toml, and logins of .netrc. What is set in the environment comes first, a
login of .netrc last. Out: further variables of this process, for all that it starts.
"""

import json
import netrc
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
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
# Where a user's logins are, unless NETRC names a file.
NETRC = ("~/.netrc", "~/_netrc")
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
# What builds take of .env; the rest of it is for compose only.
BUILDS = (
    *("APPLICATION_VERSION", "BUILDER_IMAGE", "CONTAINER_ENGINE", "DOCKER_DEFAULT_PLATFORM"),
    *("HOST_GID", "HOST_UID"),
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
    os.environ["PIP_ENV"] = _for_builds(index)
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
    if os.environ.get("CONTAINER_ENGINE") == "podman":  # Who runs it is root in its containers.
        os.environ.setdefault("HOST_UID", "0")
        os.environ.setdefault("HOST_GID", "0")
    elif hasattr(os, "getuid"):  # Elsewhere Docker maps the owner.
        os.environ.setdefault("HOST_UID", str(os.getuid()))
        os.environ.setdefault("HOST_GID", str(os.getgid()))


def for_installing() -> dict[str, str]:
    """Return variables for pip or uv, which install locked packages on this machine.

    They have passwords, so nothing else is to see them.
    """
    addresses = _addresses()
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


def _for_builds(index: dict[str, str]) -> str:
    """Return what builds have as their secret pip.env, with the logins of a .netrc here.

    Ends the program for a value that a line cannot hold.
    """
    hosts = _netrc()
    logins = {name: value for name, value in os.environ.items() if re.fullmatch(LOGIN, name)}
    found = {
        **{name: _with_logins(value, hosts) for name, value in index.items()},
        **{name: os.environ[name] for name in MIRRORS if os.environ.get(name)},
    }
    for address, names in _sources():
        login = zip(names, _login(address, names, hosts), strict=True)
        found |= {name: value for name, value in login if value}
    lines = {**found, **logins}
    for name, value in lines.items():
        if re.search(r"[\0\r\n]", value):
            sys.exit(
                f"{name} has a line break or a null byte, where it is set or in .netrc. "
                "Write it anew there."
            )
    return "\n".join(f"{name}={value}" for name, value in sorted(lines.items()))


def _addresses() -> list[str]:
    """Return the addresses of the indexes in pyproject.toml that have a user and a password.

    pip and uv do not know Poetry's variables.
    """
    hosts = _netrc()
    found = ((address, _login(address, names, hosts)) for address, names in _sources())
    return [_logged_in(address, *login) for address, login in found if any(login)]


def _sources() -> Iterator[tuple[str, list[str]]]:
    """Yield the indexes in pyproject.toml: the address, the variables of user and password."""
    poetry = _entries(_entries(_toml("pyproject.toml").get("tool")).get("poetry"))
    sources = poetry.get("source")
    for source in map(_entries, sources if isinstance(sources, list) else ()):
        prefix = f"POETRY_HTTP_BASIC_{_key(str(source.get('name', '')))}"
        names = [f"{prefix}_{field}" for field in ("USERNAME", "PASSWORD")]
        # Another name can be no variable's, and Poetry reads none for it.
        if _host(source.get("url")) and re.fullmatch(LOGIN, names[0]):
            yield source["url"], names


Hosts = dict[str, tuple[str, str]]


def _netrc() -> Hosts:
    """Return users and passwords by host, from the file that pip, uv and Poetry read here.

    Its entry for all other hosts is for none: builds ask servers that this machine does not.
    https://requests.readthedocs.io/en/latest/user/authentication/#netrc-authentication
    """
    named = os.environ.get("NETRC")
    # They pass over a file that they cannot read, too.
    with suppress(OSError, RuntimeError, ValueError, netrc.NetrcParseError):
        paths = [Path(name).expanduser() for name in ([named] if named is not None else NETRC)]
        hosts = netrc.netrc(str(next(filter(Path.is_file, paths), ""))).hosts
        logins = ((host, (user, password or "")) for host, (user, _, password) in hosts.items())
        return {host: login for host, login in logins if host != "default" and any(login)}
    return {}


def _login(address: str, names: list[str], hosts: Hosts) -> tuple[str, str]:
    """Return user and password for an index, of its variables, else of .netrc, or empty ones."""
    if any(name in os.environ for name in names):
        user, password = (os.environ.get(name, "") for name in names)
        return user, password
    return hosts.get(_host(address), ("", ""))


def _with_logins(addresses: str, hosts: Hosts) -> str:
    """Return addresses, separated by spaces, with the login of its host in each that has none."""
    return " ".join(
        _logged_in(address, *hosts[_host(address)])
        if _host(address) in hosts and "@" not in urlsplit(address).netloc
        else address
        for address in addresses.split()
    )


def _host(address: Any) -> str:
    """Return the host of an index's address; empty for what is none, which its own readers say."""
    with suppress(ValueError):
        url = urlsplit(address if isinstance(address, str) else "")
        return (url.hostname or "") if url.scheme in ("http", "https") else ""
    return ""


def _logged_in(address: str, user: str, password: str) -> str:
    """Return an address with a user and a password."""
    url = urlsplit(address)
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{url.netloc.rpartition('@')[2]}"
    return url._replace(netloc=netloc).geturl()


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
    except (OSError, ValueError, RecursionError):
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
