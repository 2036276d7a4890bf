"""Say what is in production, how that differs from before, why it is there, and what could go.

    nox -s docker_size -- --html | --since [IMAGE] | --why NAME | --suggest

docker/host/sizes.py fetches and runs it. It imports what Nox itself needs, and nothing else.
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

# Programs of the project that read an image's databases and ELF files.
sys.path.append(str(Path("docker/image").absolute()))

import contents
import engine
import project_file
import suggestions
import treemap
from contents import Change, Contents
from figures import print_table, show_size
from program import running
from session import SessionError, read_text, write_text
from sizes import shorten
from why import Reasons

PAGE = Path("build/size.html")
# What compares with the last page, and no image.
LAST = ""
MOST_ROWS = 20


def print_changes(before: str, was: int, now: int, changes: Sequence[Change]) -> None:
    """Print what is not the same since an image with a name; sizes in bytes."""
    print(f"since {before}: {show_size(was)}, now {show_size(now)}, {_signed(now - was)}")
    rows = [
        [f"  {x.verdict}", f"{x.name or x.kind} {_versions(x)}".rstrip(), _signed(x.bytes)]
        for x in changes
    ]
    if rows:
        print_table(rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        rest = sum(x.bytes for x in changes[MOST_ROWS:])
        print(f"  and {len(rows) - MOST_ROWS} smaller changes, {_signed(rest)}")


def _versions(change: Change) -> str:
    old, new = change.versions
    return f"{old} → {new}" if old and new and old != new else new or old


def _signed(size: int) -> str:
    return f"{'+' if size > 0 else ''}{show_size(size)}"


def image_of(name: str) -> str:
    """Return the name of an image that a user means: a tag alone is one of this project."""
    return name if {*":/@"} & {*name} else f"{engine.name()}:{name}"


def compare(options: argparse.Namespace) -> None:
    """Print what changed, and write the page if that is asked."""
    earlier = treemap.earlier(PAGE) if options.since in (None, LAST) else None
    if options.since == LAST and not earlier:
        raise SessionError(
            f"There is no {PAGE} of this version to compare with. Write it first, nox -s "
            "docker_size -- --html, or name an image: --since IMAGE"
        )
    name, runtime = contents.built()
    if options.since:
        other = image_of(options.since)
        with contents.opened(other, runtime) as image:
            earlier = other, contents.read(image).sizes()
    with contents.opened(name, runtime) as image:
        found = contents.read(image)
    before, sizes = earlier or ("", {})
    changes = contents.changes(sizes, found.sizes()) if earlier else []
    print_layers(found)
    if earlier:
        print()
        shown = before if options.since else f"the last {PAGE}"
        print_changes(shown, sum(size for _, size in sizes.values()), found.size, changes)
    if options.html:
        shown = before if options.since else "the last report" if earlier else ""
        write_text(PAGE, treemap.page(found, shown, changes))
        print(f"\n{PAGE.absolute().as_uri()}")


def print_layers(found: Contents) -> None:
    """Print the layers of an image with the bytes of their files."""
    rows = [
        [shorten(x.instruction), show_size(x.size), f"{len(x.files)} files"] for x in found.layers
    ]
    print_table([*rows, [found.name, show_size(found.size), ""]])


def explain(names: Sequence[str]) -> None:
    """Print why what has these names is in production; raises SessionError."""
    with contents.opened(*contents.built()) as image:
        # A project without a lock has one now.
        lock = tomllib.loads(read_text(Path("poetry.lock")))
        reasons = Reasons(image, project_file.read(), lock)
        unknown = []
        for number, name in enumerate(names):
            try:
                print(*([""] if number else []), *reasons.of(name), sep="\n")
            except SessionError as error:
                unknown.append(str(error))
    if unknown:
        raise SessionError("\n".join(unknown))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return the options; ends the program with a usage for others."""
    parser = argparse.ArgumentParser(
        prog="nox -s docker_size --",
        description="Look into production. Without options, stages are measured.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--html", action="store_true", help=f"write {PAGE}, a treemap of all files, in one file"
    )
    parser.add_argument(
        "--since",
        nargs="?",
        const=LAST,
        metavar="IMAGE",
        help="print what changed since another image, or a tag of this one; else since that page",
    )
    parser.add_argument(
        "--why",
        nargs="+",
        metavar="NAME",
        help="say what brings a distribution, a system package or a library",
    )
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="build production without what could go, and say how many bytes that saves",
    )
    options = parser.parse_args(words)
    chosen = [options.html or options.since is not None, options.why, options.suggest]
    if sum(map(bool, chosen)) != 1:
        parser.error("name --html, --since or both, or --why, or --suggest")
    return options


def main() -> None:
    """Do what the options say."""
    options = arguments(sys.argv[1:])
    with running():
        if sys.platform == "win32":
            raise SessionError("docker_size has no options on Windows. Run it in WSL.")
        if options.why:
            explain(options.why)
        elif options.suggest:
            suggestions.show()
        else:
            compare(options)


if __name__ == "__main__":
    main()
