"""Leave out of the virtual environment what [tool.seedpod.trim] names, and prove the rest.

    /opt/venv/bin/python3 docker/image/trim_environment.py trim.json BEFORE REPORT

BEFORE is the same environment, as it was installed, in another folder. REPORT gets for each rule,
as JSON, how many files it changed and how many bytes it saved. A module that is left and could be
imported before has to be importable, and nothing that is left may import what a pattern leaves out.
"""

import base64
import csv
import fnmatch
import hashlib
import io
import itertools
import json
import os
import re
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import elf_segments
import imported_names
import prove_imports
from errors import BuildError, ended_by_errors
from import_modules import is_within

TESTS = ("test", "tests")
TESTS_WORD = re.compile(rb"\btests?\b")
SOURCES = (
    *(".a", ".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".h", ".hh", ".hpp", ".hxx", ".map"),
    *(".pxd", ".pxi", ".pyx"),
)
# Of a line "name = module:object", the name and the module.
ENTRY_POINT = re.compile(r"^([^=#\n]+)=\s*([\w.]+)", re.MULTILINE)
MOST_NAMED = 5
# Who imports: the environment cannot be written by them.
NOBODY = 65534


class TrimError(BuildError):
    """A rule that leaves out what is needed, or nothing."""

    subject = "Trim"


class Environment:
    """A virtual environment, whose files the rules change in their place."""

    def __init__(self, root: Path, packages: Path) -> None:
        """Take its folder, and the one in it that packages are in."""
        self.root, self.packages = root, packages

    def files(self) -> list[Path]:
        """Return all files, links left out."""
        found = (Path(folder, name) for folder, _, names in os.walk(self.root) for name in names)
        return sorted(path for path in found if not path.is_symlink())

    def size(self) -> int:
        """Return the bytes of all files; of several hard links to one, those of one."""
        stats = [path.stat() for path in self.files()]
        return sum({(x.st_dev, x.st_ino): x.st_size for x in stats}.values())

    def modules(self, without: Container[Path] = ()) -> dict[str, Path]:
        """Return the modules that can be imported, programs left out, by their names.

        In: files that are taken for removed. A compiled module comes before its source, as it does
        for Python.
        """
        found: dict[str, Path] = {}
        for name, path in self._named(without):
            is_name = all(part.isidentifier() for part in name.split("."))
            if (
                is_name
                and name.rpartition(".")[2] != "__main__"
                and (path.suffix != ".py" or name not in found)
            ):
                found[name] = path
        return found

    def sources(self) -> list[tuple[str, Path]]:
        """Return the source of all modules, with their names, and of programs, too."""
        return [(name, path) for name, path in self._named(()) if path.suffix == ".py"]

    def entry_points(self, without: Container[Path] = ()) -> dict[str, str]:
        """Return the modules that entry points name, each with the name of the first.

        In: files that are taken for removed, programs in bin/ among them.
        """
        found: dict[str, str] = {}
        for path in self.packages.glob("*.dist-info/entry_points.txt"):
            if path not in without:
                for entry, module in ENTRY_POINT.findall(path.read_text("utf-8", "replace")):
                    if self.root / "bin" / entry.strip() not in without:
                        found.setdefault(module, entry.strip())
        return found

    def _named(self, without: Container[Path]) -> Iterator[tuple[str, Path]]:
        for path in self.files():
            if path not in without and path.is_relative_to(self.packages):
                name = imported_names.module_name(path.relative_to(self.packages))
                if name:
                    yield name, path

    def remove(self, paths: Iterable[Path]) -> int:
        """Remove files, with the bytecode of modules and folders that are empty then; count."""
        removed = list(paths)
        for path in removed:
            path.unlink(missing_ok=True)
            if path.suffix == ".py":
                for suffix in ("", ".opt-1", ".opt-2"):
                    name = f"{path.stem}.{sys.implementation.cache_tag}{suffix}.pyc"
                    (path.parent / "__pycache__" / name).unlink(missing_ok=True)
        for folder in sorted({x for path in removed for x in self._folders(path)}, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return len(removed)

    def _folders(self, path: Path) -> list[Path]:
        above = [x for x in path.parents if x.is_relative_to(self.root) and x != self.root]
        return [path.parent / "__pycache__", *above]


def excluded(environment: Environment, patterns: list[str]) -> dict[Path, str]:
    """Return the files that patterns name, each with its pattern; TrimError if one names none.

    A pattern is compared as in fnmatch(3) with paths of files and folders, below the folder of
    packages or below the whole environment.
    """
    found: dict[Path, str] = {}
    unused = dict.fromkeys(patterns)
    for path in environment.files():
        names = [
            x.as_posix()
            for root in (environment.packages, environment.root)
            if path.is_relative_to(root)
            for x in (path.relative_to(root), *path.relative_to(root).parents)
        ]
        for pattern in patterns:
            if any(fnmatch.fnmatchcase(name, pattern.rstrip("/")) for name in names):
                found.setdefault(path, pattern)
                unused.pop(pattern, None)
    for pattern in unused:
        raise TrimError(
            f"{pattern} in exclude of [tool.seedpod.trim] names no file that is there. "
            "Remove or correct it."
        )
    return found


def exclude(environment: Environment, patterns: list[str]) -> int:
    """Remove what patterns name; TrimError if a module or a program that is left imports it."""
    paths = excluded(environment, patterns)
    modules, left = environment.modules(), environment.modules(paths)
    removed = {name: paths[path] for name, path in modules.items() if name not in left}
    needed = (
        (f"The entry point {entry} starts {module}", module)
        for module, entry in environment.entry_points(paths).items()
    )
    imports = (
        (f"{importer} imports {name} in line {line}", name)
        for importer, path in environment.sources()
        if path not in paths and _mentions(path, importer, removed)
        for name, line in imported_names.names(path, importer, unprepared=True)
    )
    for told, name in itertools.chain(needed, imports):
        if name in removed:
            raise TrimError(
                f"{told}, which {removed[name]!r} in exclude of [tool.seedpod.trim] leaves out. "
                "Remove that pattern or narrow it."
            )
    return environment.remove(paths)


def _mentions(module: Path, name: str, others: Iterable[str]) -> bool:
    """Tell whether a module's text may import another: to parse all of them takes a minute."""
    text = module.read_bytes()
    for other in others:
        folder, _, last = other.rpartition(".")
        # Within a package, imports may be relative.
        near = other.partition(".")[0] == name.partition(".")[0]
        if last.encode() in text and (near or folder.rpartition(".")[2].encode() in text):
            return True
    return False


def tests(environment: Environment) -> int:
    """Remove the folders of tests that no module outside of them, and no entry point, imports."""
    folders = {
        path: ".".join(path.relative_to(environment.packages).parts)
        for path in environment.packages.rglob("*")
        if path.name in TESTS and path.is_dir()
    }
    around = {
        (name, path): {folders[x] for x in path.parents if x in folders}
        for name, path in environment.sources()
    }
    named = {*environment.entry_points()}
    needed, read = set[str](), set[tuple[str, Path]]()
    while True:
        needed |= {x for x in folders.values() if any(is_within(name, [x]) for name in named)}
        # What the tests that are needed import, is needed, too.
        unread = [x for x, outer in around.items() if outer <= needed and x not in read]
        if not unread:
            break
        read.update(unread)
        named = {x for name, path in unread for x in _imported(name, path)}
    unneeded = {path for path, name in folders.items() if name not in needed}
    return environment.remove(x for x in environment.files() if not unneeded.isdisjoint(x.parents))


def _imported(name: str, module: Path) -> set[str]:
    """Return what a module imports of which a part is called like a folder of tests."""
    if not TESTS_WORD.search(module.read_bytes()):
        return set()
    found = (x for x, _ in imported_names.names(module, name))
    return {x for x in found if not {*TESTS}.isdisjoint(x.split("."))}


def sources(environment: Environment) -> int:
    """Remove what was compiled, and what compilers and debuggers of browsers read."""
    return environment.remove(x for x in environment.files() if x.suffix in SOURCES)


def symbols(environment: Environment) -> int:
    """Remove from shared libraries what is not loaded: symbols, and data for debuggers."""
    count = 0
    for path in environment.files():
        if ".so" in path.suffixes:
            old = path.read_bytes()
            new = elf_segments.loaded(old)
            if len(new) < len(old):
                path.write_bytes(new)
                count += 1
    return count


def duplicates(environment: Environment) -> int:
    """Make files with the same content hard links to one of them."""
    alike: defaultdict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path in environment.files():
        status = path.stat()
        if status.st_size:
            alike[status.st_size, status.st_mode].append(path)
    count = 0
    for paths in [paths for paths in alike.values() if len(paths) > 1]:
        first: dict[bytes, Path] = {}
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).digest()
            one = first.setdefault(digest, path)
            if not path.samefile(one):
                path.unlink()
                path.hardlink_to(one)
                count += 1
    return count


def trim(environment: Environment, settings: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Follow the rules that are set; return what each one changed and saved, in bytes."""
    # What tests alone import may be left out by a pattern, and so may one of two files alike.
    rules: dict[str, Callable[[Environment], int]] = {
        "tests": tests,
        "exclude": lambda x: exclude(x, settings["exclude"]),
        "sources": sources,
        "symbols": symbols,
        "duplicates": duplicates,
    }
    report = {}
    size = environment.size()
    for name, rule in rules.items():
        if not settings.get(name):
            continue
        count = rule(environment)
        before, size = size, environment.size()
        report[name] = {"files": count, "saved": before - size}
        print(f"{name}: {count} files, {(before - size) / 1e6:.1f} MB less", flush=True)
    return report


def correct_records(environment: Environment) -> None:
    """Let the lists of installed files have what there is.

    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    for record in environment.packages.glob("*.dist-info/RECORD"):
        try:
            with record.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error):  # It is no list.
            continue
        new = [_corrected(row, environment.packages) for row in rows]
        if new != rows:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(row for row in new if row)
            record.write_text(text.getvalue(), encoding="utf-8")


def _corrected(row: list[str], packages: Path) -> list[str]:
    """Return a row of path, hash and size as it should be; empty if there is no such file."""
    if not row or not os.path.isfile(path := packages / row[0]):
        return []
    size = str(path.stat().st_size)
    # Without a hash, as of bytecode, nothing is claimed.
    if len(row) < len(("path", "hash", "size")) or not row[1] or row[2] in ("", size):
        return row
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
    return [row[0], f"sha256={digest.rstrip('=')}", size]


def prove(environment: Environment, before: Path, user: int | None = None) -> int:
    """Import all modules that are left, and return how many can be; TrimError if more could."""
    python, old = environment.root / "bin/python3", before / "bin/python3"
    for interpreter in (python, old):
        # What fails in both would be no difference.
        if prove_imports.failures(interpreter, ["sys"], user):
            raise TrimError(
                f"{interpreter} cannot be run as another user, so that nothing can be proved. "
                "Let everybody execute the Python of the base image."
            )
    modules = environment.modules()
    failed = prove_imports.failures(python, modules, user)
    could = failed.keys() - prove_imports.failures(old, failed, user)
    # One that fails now and then is not to blame on a rule.
    broken = prove_imports.failures(python, could, user)
    if broken:
        names = sorted(broken)
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        path = modules[names[0]].relative_to(environment.packages)
        raise TrimError(
            f"{', '.join(names[:MOST_NAMED])}{more} can no longer be imported "
            f"({broken[names[0]].removesuffix('.')}). Set the rule of [tool.seedpod.trim] that "
            f"leaves out what is needed to false, or add what nobody needs to exclude: {path}"
        )
    return len(modules) - len(failed)


def main() -> None:
    """Trim the environment of this interpreter as the arguments say."""
    listed, before, written = map(Path, sys.argv[1:])
    settings = json.loads(listed.read_text(encoding="utf-8"))
    environment = Environment(Path(sys.prefix), Path(sysconfig.get_path("purelib")))
    report: dict[str, Any] = {}
    if settings:
        with ended_by_errors():
            report["rules"] = trim(environment, settings)
            correct_records(environment)
            report["imported"] = prove(environment, before, NOBODY)
        print(f"{report['imported']} modules can be imported, as before", flush=True)
    written.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
