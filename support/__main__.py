"""The commands that the noxfile offers: python -m support COMMAND ARGUMENTS."""

import argparse
import inspect
import sys
from collections.abc import Callable

from support import (
    SupportError,
    bench,
    carried,
    demo,
    engine,
    engines,
    example,
    images,
    official,
    testing,
)
from support.project import Project, parse_answers, render


def project(session: str, *arguments: str) -> None:
    """Render a project with answers like ``kind=cli`` and run one of its sessions."""
    folder = render(parse_answers(list(arguments)))
    Project(folder, images.variables_for(folder)).nox(session)


def control_engine(*arguments: str) -> None:
    """Print the lines that a shell evaluates to reach an engine; with ``stop``, end ours.

    With ``--release`` or ``--store`` it is the embedded engine of that release and image store.
    """
    parser = argparse.ArgumentParser(prog="nox -s engine --", allow_abbrev=False)
    parser.add_argument("stop", nargs="?", choices=["stop"], help="end the embedded engine")
    parser.add_argument("--release", choices=engine.RELEASES, help="of Debian, for its Docker")
    parser.add_argument("--store", choices=engine.STORES, help="for images")
    options = parser.parse_args(arguments)
    chosen = options.release or options.store
    if options.stop and chosen:
        parser.error("stop takes no options")
    if options.stop:
        print("stopped" if engine.stop() else "not running", file=sys.stderr)
        return
    wanted = engine.Variant(
        options.release or engine.DEFAULT.release, options.store or engine.DEFAULT.store
    )
    client = engine.ensure(wanted if chosen else None)
    print(engine.export_lines(client) or "# An engine answers already.")
    ours = engine.running()
    if ours:
        print(f"The embedded engine: {ours.variant or 'of an earlier version'}.", file=sys.stderr)


COMMANDS: dict[str, Callable[..., None]] = {
    "bench": bench.run,
    "carried": carried.run,
    "demo": demo.run,
    "engine": control_engine,
    "engines": engines.run,
    "example": example.run,
    "official": official.run,
    "project": project,
    "proofs": testing.proofs,
    "test": testing.merge_lane,
    "unit": testing.small_loop,
}


def main() -> None:
    """Run the command that the arguments name."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"Usage: python -m support {{{','.join(COMMANDS)}}} ARGUMENTS")
    command, arguments = COMMANDS[sys.argv[1]], sys.argv[2:]
    try:
        inspect.signature(command).bind(*arguments)
    except TypeError:
        sys.exit(f"Usage: nox -s {sys.argv[1]}")
    try:
        command(*arguments)
    except SupportError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
