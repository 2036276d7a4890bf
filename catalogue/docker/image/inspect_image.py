"""Check, in an image of the catalogue, that it has what it should have, and nothing forbidden.

    python3 -c "$(cat docker/image/inspect_image.py)" ROLE EXPECTED
    python3 -c "$(cat docker/image/inspect_image.py)" content

Nothing of it is in the image: the session gives its text to the image's own Python. In: base or
builder, and JSON with the release, the Python, modules to import, libraries to load, and programs
that are forbidden in base; for builder headers and programs, too. The last line that it prints is
JSON: sentences on what is wrong, none if all is well; or a digest of all files, whatever their
dates, by which an image that is built anew of the same packages is known.
"""

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Modules of the standard library that need a library of the system, which a base may lack.
STANDARD = ("bz2", "ctypes", "lzma", "sqlite3", "ssl", "zlib")
# Without them no virtual environment can be made.
ENVIRONMENTS = ("ensurepip", "venv")
INCLUDE = ("/usr/include", "/usr/local/include")
SOURCE = """
#include <Python.h>
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "probe", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&definition); }
"""
# What engines fill, and what differs each time and nobody reads: logs, and copies of old lists.
APART = re.compile(
    r"/(?:dev|proc|run|sys|tmp|etc/(?:hostname|hosts|resolv\.conf|mtab)|\.dockerenv|var/log|var/tmp"
    r"|var/cache/(?:apt|debconf|ldconfig|packages)|var/lib/(?:dpkg|apt)/.*-old|etc/.*-"
    r"|.*/__pycache__)(?:/|$)"
)


def findings(role: str, expected: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with this image."""
    system = platform.freedesktop_os_release()
    version = system.get("VERSION_ID") or system.get("VERSION_CODENAME", "")
    release = system["ID"] + "-".join(version.split(".")[:2])
    if release != expected["release"]:
        yield f"it is {release}: write that name in [bases], or choose another image there"
    if not f"{platform.python_version()}.".startswith(f"{expected['python']}."):
        yield f"its Python is {platform.python_version()}"
    standard = STANDARD if role == "base" else (*STANDARD, *ENVIRONMENTS)
    for name in (*standard, *expected["imports"]):
        try:
            importlib.import_module(name)
        # A module may raise anything when it is imported, and end the program.
        except (Exception, SystemExit) as error:
            yield f"{name} cannot be imported ({error})"
    for name in expected["libraries"]:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            yield f"the library {name} cannot be loaded ({error})"
    if role == "base":
        yield from (f"{x} is forbidden" for x in expected["forbidden"] if shutil.which(x))
        return
    yield from (f"there is no program {x}" for x in expected["programs"] if not shutil.which(x))
    for name in expected["headers"]:
        if not any(path for folder in INCLUDE for path in Path(folder).glob(f"**/{name}")):
            yield f"there is no header {name}"
    yield from compilation()


def compilation() -> Iterator[str]:
    """Yield why a module in C cannot be compiled and imported, if it cannot."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    include = sysconfig.get_path("include")
    with tempfile.TemporaryDirectory() as folder:
        source, module = Path(folder, "probe.c"), Path(folder, "probe.so")
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", f"-I{include}", "-o", str(module), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            yield f"nothing can be compiled ({error})"
            return
        if done.returncode:
            told = next(iter(done.stderr.strip().splitlines()), f"status {done.returncode}")
            yield f"nothing can be compiled ({told})"
            return
        spec = importlib.util.spec_from_file_location("probe", module)
        assert spec, "the suffix is one of a module"
        try:
            importlib.util.module_from_spec(spec)
        except ImportError as error:
            yield f"what is compiled cannot be imported ({error})"


def content(root: str = "/") -> str:
    """Return a digest of the names, kinds, rights, owners and bytes of all files."""
    found = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        inside = f"/{os.path.relpath(folder, root)}" if folder != root else ""
        folders[:] = sorted(name for name in folders if not APART.match(f"{inside}/{name}"))
        for name in sorted((*folders, *files)):
            if APART.match(f"{inside}/{name}"):
                continue
            path = os.path.join(folder, name)
            state = os.lstat(path)
            facts: list[Any] = [f"{inside}/{name}", state.st_mode, state.st_uid, state.st_gid]
            if stat.S_ISLNK(state.st_mode):
                facts.append(os.readlink(path))
            elif stat.S_ISREG(state.st_mode):
                facts.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
            found.update(ascii(facts).encode())
    return f"sha256:{found.hexdigest()}"


if __name__ == "__main__":
    if sys.argv[1] == "content":
        print(json.dumps(content()))
    else:
        # What modules print is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            found = [*findings(sys.argv[1], json.loads(sys.argv[2]))]
        print(json.dumps(found))
