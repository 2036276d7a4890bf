"""For each distribution with extension modules: the libraries that are derived and those loaded.

Derived are those outside the environment that its files need; loaded are those that a process has
which imports its modules. Both are without what the process gets from other distributions and from
the standard library. It runs in production's image, with docker/image on the path.
"""

import importlib.machinery
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import elf
import report_system

IMPORT = """
import importlib, json, os, sys
before, *modules = sys.argv[1:]
if before:
    os.environ["PSYCOPG_IMPL"] = before
    import psycopg
refused = []
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError:
        refused.append(module)
mapped = {os.path.realpath(line.split()[5]) for line in open("/proc/self/maps") if ".so" in line}
specs = [(name, getattr(module, "__spec__", None)) for name, module in sys.modules.items()]
origins = {name: spec.origin or "" for name, spec in specs if spec}
print(json.dumps([refused, sorted(mapped), origins]))
"""
ENVIRONMENT = Path("/opt/venv")
SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)


def load(before: str, modules: Iterable[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Import modules in a process of their own; return which refused, what is mapped, origins."""
    command = [sys.executable, "-c", IMPORT, before, *modules]
    refused, mapped, origins = json.loads(subprocess.check_output(command))
    return refused, mapped, origins


def names(paths: Iterable[Path], folder: Path) -> Iterator[str]:
    """Yield the names of the extension modules among files."""
    for path in paths:
        parts = path.relative_to(folder).with_name(path.name.split(".")[0]).parts
        if path.name.endswith(SUFFIXES) and all(map(str.isidentifier, parts)):
            yield ".".join(parts)


def compare() -> dict[str, dict[str, list[str]]]:
    """Return what is derived and what is loaded, by the distributions' names."""
    native = {file.path: file for file in report_system.native_files(ENVIRONMENT)}
    linker = elf.Linker.of_this_system(list(native))
    (folder,) = ENVIRONMENT.glob("lib/python3*/site-packages")
    compared = {}
    for distribution in importlib.metadata.distributions(path=[str(folder)]):
        paths = {Path(os.path.normpath(folder / file)) for file in distribution.files or ()}
        own = {path: native[path] for path in paths & native.keys()}
        if not own:
            continue
        modules = sorted(names(own, folder))
        refused, mapped, origins = load(distribution.name.partition("psycopg-")[2], modules)
        others = [x for x, path in origins.items() if ".so" in path and Path(path) not in own]
        also = {*load("", others)[1], *(path for path in mapped if path.startswith("/opt/venv/"))}
        derived = {os.path.realpath(path) for path in elf.closure(own.values(), linker).found}
        compared[distribution.name] = {
            "modules": modules,
            "refused": refused,
            "mapped": sorted({*mapped} - also),
            "derived": sorted({x for x in derived if not x.startswith("/opt/venv/")} - also),
        }
    return compared


if __name__ == "__main__":
    print(json.dumps(compare()))
