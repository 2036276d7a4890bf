"""Settings of this machine for builds, pip and uv: which index to use, and who owns mounted files.

In: environment variables, pip.env (lines like PIP_INDEX_URL=https://…) and .env. What is set in the
environment comes first. Out: further variables of this process, for all that it starts.
"""

import os
import re
from pathlib import Path

# The names under which uv knows pip's settings.
INDEX = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
# What builds take of .env; the rest of it is for compose only.
BUILDS = ("APPLICATION_VERSION", "BUILDER_IMAGE", "HOST_GID", "HOST_UID", "PYTHON_IMAGE")


def certificates() -> str | None:
    """Return the file with the certificates of the authorities to trust, None if none is named."""
    return next(filter(None, map(os.environ.get, CERTIFICATES)), None)


def apply() -> None:
    """Set the variables; a second time nothing changes."""
    for name, value in _read("pip.env", r"^([A-Z_]+)=(.*)$"):
        if name in INDEX:
            os.environ.setdefault(name, value)
    index = {name: os.environ[name] for name in INDEX if os.environ.get(name)}
    # A build has this one as its secret pip.env.
    os.environ["PIP_ENV"] = "\n".join(f"{name}={value}" for name, value in index.items())
    for name, value in index.items():
        os.environ.setdefault(INDEX[name], value)
    for name, value in _read(".env", r"^(?:export )?([A-Z_]+)=(.*)$"):
        # Quotes and a comment mean here what they mean to compose.
        if name in (*BUILDS, *CERTIFICATES) and (
            text := re.sub(r"\s#.*", "", value).strip().strip("'\"")
        ):
            os.environ.setdefault(name, text)
    if file := certificates():
        os.environ.setdefault("SSL_CERT_FILE", file)
    if hasattr(os, "getuid"):  # Elsewhere Docker maps the owner.
        os.environ.setdefault("HOST_UID", str(os.getuid()))
        os.environ.setdefault("HOST_GID", str(os.getgid()))


def _read(name: str, line: str) -> list[tuple[str, str]]:
    file = Path(name)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.findall(line, text, flags=re.MULTILINE)


if __name__ in ("__main__", "<run_path>"):
    apply()
