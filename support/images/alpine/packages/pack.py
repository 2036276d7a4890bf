"""Make a signed repository of Alpine packages from trees of files and a table of packages.

Runs in Alpine: ``pack.py packages.toml TREES VERSIONS REPOSITORY KEY``. VERSIONS has a file with
the version of each Debian package that the table names. See apk-mkpkg(8) and apk-mkndx(8).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ARCHITECTURE = "x86_64"
COMMAND_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin")
LIBRARY_FOLDERS = ("lib", "usr/lib")
PKGCONFIG_FOLDERS = ("usr/lib/pkgconfig", "usr/share/pkgconfig")


@dataclass(frozen=True)
class Package:
    """One version of a package, as the table describes it."""

    name: str
    version: str  # with Alpine's release
    tree: str
    files: tuple[str, ...] = ("*",)
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


@dataclass
class Trace:
    """What the files of a package provide and need: names with versions, and names."""

    provides: dict[str, str | None] = field(default_factory=dict)
    needs: set[str] = field(default_factory=set)


def read_table(text: str, versions: Path) -> Iterator[Package]:
    """Yield the packages of the table ``text``, one for each release.

    ``versions`` is the folder with the versions of Debian's packages.
    """
    for entry in tomllib.loads(text)["package"]:
        known = {"name", "tree", "version", "source", "releases", "files", "depends", "provides"}
        assert entry.keys() <= known, f"unknown keys: {entry.keys() - known}"
        if "source" in entry:
            upstream = Path(versions, entry["source"]).read_text().strip()
        else:
            upstream = entry["version"]
        for release in entry.get("releases", ["r0"]):
            version = f"{upstream}-{release}"
            yield Package(
                name=entry["name"],
                version=version,
                tree=entry.get("tree", entry["name"]),
                files=tuple(entry.get("files", ["*"])),
                depends=tuple(
                    name.replace("{version}", version) for name in entry.get("depends", [])
                ),
                provides=tuple(entry.get("provides", [])),
            )


def select(tree: Path, patterns: tuple[str, ...], target: Path) -> None:
    """Copy the files in ``tree`` that fit a pattern to ``target``."""
    for folder, folders, names in os.walk(tree):
        # A link to a folder is a file to a package.
        for name in [*names, *(name for name in folders if Path(folder, name).is_symlink())]:
            source = Path(folder, name)
            path = source.relative_to(tree)
            if any(fnmatchcase(str(path), pattern) for pattern in patterns):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / path, follow_symlinks=False)


def trace(tree: Path, elf_table: str) -> Trace:
    """Return what the files in ``tree`` provide and need, as abuild finds it.

    ``elf_table`` is what scan_elf() says of the tree.
    """
    found = Trace()
    for path in sorted(path for path in tree.rglob("*") if not path.is_dir()):
        folder = str(path.parent.relative_to(tree))
        if folder in COMMAND_FOLDERS:
            found.provides[f"cmd:{path.name}"] = None
        elif folder in PKGCONFIG_FOLDERS:
            version = re.search(r"^Version:\s*(\S+)", path.read_text(), flags=re.MULTILINE)
            found.provides[f"pc:{path.stem}"] = version and version.group(1)
    for line in elf_table.splitlines():
        name, soname, needed = line.split("|")
        path = Path(name).relative_to(tree)
        if str(path.parent) in (*COMMAND_FOLDERS, *LIBRARY_FOLDERS):
            found.needs |= {f"so:{library}" for library in needed.split(",") if library}
        if soname and str(path.parent) in LIBRARY_FOLDERS:
            found.provides[f"so:{soname}"] = path.name.rpartition(".so.")[2] or "0"
    found.needs -= found.provides.keys()
    return found


def scan_elf(tree: Path) -> str:
    """Return a line ``FILE|SONAME|NEEDED,NEEDED`` for each ELF file in ``tree``."""
    command = ["scanelf", "--recursive", "--nobanner", "--format", "#F%F|%S|%n", str(tree)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mkpkg_command(package: Package, found: Trace, tree: Path, repository: Path) -> list[str]:
    """Return the command that packs ``tree`` as ``package`` into ``repository``."""
    provides = [f"{name}={version or package.version}" for name, version in found.provides.items()]
    info = {
        "name": package.name,
        "version": package.version,
        "arch": ARCHITECTURE,
        "description": f"{package.name}, assembled by Seedpod for its tests",
        "license": "see-source",
        "origin": package.tree,
        "depends": " ".join(sorted({*package.depends, *found.needs})),
        "provides": " ".join(sorted([*provides, *package.provides])),
    }
    command = ["apk", "mkpkg", "--compression", "deflate:1", "--files", str(tree)]
    command += [part for item in info.items() if item[1] for part in ("--info", ":".join(item))]
    return [*command, "--output", str(repository / f"{package.name}-{package.version}.apk")]


def main(table: Path, trees: Path, versions: Path, repository: Path, key: Path) -> None:
    """Pack everything that is in the table, and write and sign the index."""
    repository.mkdir(parents=True)

    def pack(package: Package) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder, "tree")
            tree.mkdir(mode=0o755)
            select(trees / package.tree, package.files, tree)
            assert any(tree.iterdir()) or not package.files, f"{package.name} would be empty"
            command = mkpkg_command(package, trace(tree, scan_elf(tree)), tree, repository)
            subprocess.run([*command, "--sign-key", str(key)], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(pack, read_table(table.read_text(), versions)))
    packages = sorted(str(path) for path in repository.glob("*.apk"))
    # apk asks for the index by this name, whichever of its formats the file has.
    index = [
        "apk",
        "mkndx",
        "--sign-key",
        str(key),
        "--output",
        str(repository / "APKINDEX.tar.gz"),
    ]
    subprocess.run([*index, *packages], check=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
