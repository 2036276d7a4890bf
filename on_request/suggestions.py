"""Say what could be left out of production: each is built and measured, so that no size is a guess.

Builds have the project's own context; the files that a suggestion changes come from a folder beside
it, and no file of the project is touched.
"""

import copy
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import contents
import declaration
import engine
import image_settings
import layers
import pins
import platforms
import project_file
import system_packages
from figures import print_table, show_size
from session import SessionError, docker, only_docker, read_text

# The tag of what is tried; it is removed in the end.
TAG = "suggestion"
PYPROJECT, LOCK = project_file.FILE, Path("poetry.lock")
EXCLUDE = Path("docker/stdlib-exclude.txt")
# Their code is in no module.
NOTEBOOKS = Path("notebooks")
TRIM = "tool.seedpod.trim"
# Rules that are set or not; what to exclude, only the owner knows.
RULES = {
    "tests": "folders of tests that nothing imports",
    "sources": "sources of compiled modules",
    "symbols": "symbols of shared libraries",
    "duplicates": "second copies of files",
}
UNIMPORTED = Path(__file__).with_name("unimported.py")
# Where the Dockerfile reads what a suggestion changes, and how it reads that from elsewhere.
TEST, CONTEXT = "test", "suggested"
PLACES = {
    f"COPY {PYPROJECT} poetry.loc[k] ": f"COPY --from={CONTEXT} {PYPROJECT} poetry.loc[k] ",
    f"source={EXCLUDE.as_posix()},": f"from={CONTEXT},source={EXCLUDE.name},",
}
INTERRUPTED = 128


@dataclass(frozen=True)
class Suggestion:
    """What could go: how its owner sets that, and what a build with it has in place of files."""

    what: str
    place: str
    lines: tuple[str, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def show() -> None:
    """Build production with each suggestion, and print how many bytes that saves.

    Raises SessionError with Podman, whose builds have a Dockerfile of their own.
    """
    only_docker("docker_size -- --suggest")
    production, _ = contents.built()
    [image] = layers.measure(production)
    rows, saving = [], list[Suggestion]()
    tried = [(x, tried_size(x)) for x in suggestions(production)]
    for suggestion, size in sorted(tried, key=lambda x: (x[1] is None, x[1] or 0)):
        saved = None if size is None else image.size - size
        if saved is None or saved > 0:
            told = "does not build: see above" if saved is None else show_size(saved)
            exact = "" if saved is None else f"{saved:,} bytes"
            rows.append([suggestion.what, told, exact])
            saving += [] if saved is None else [suggestion]
    print(f"{production}: {show_size(image.size)}")
    if not rows:
        print("Nothing is known that could go.")
        return
    print_table(rows)
    print("\nEach alone saves that; together it may be less.")
    print("Once it is set, run nox -s docker_test docker_check")
    for suggestion in saving:
        print(f"\n{suggestion.what}: {suggestion.place}")
        print(*(f"  {line}" for line in suggestion.lines), sep="\n")


def suggestions(production: str) -> Iterator[Suggestion]:
    """Yield what could go of an image, as far as the project's files can be changed for it."""
    text = read_text(PYPROJECT)
    yield from rules(text)
    found = re.search(r"^ARG RUNTIME=(\w+)", read_text(image_settings.DOCKERFILE), re.MULTILINE)
    if found and found[1] == "full":
        yield Suggestion(
            "RUNTIME=minimal",
            "take it over into the Dockerfile, and test what calls programs of the base image",
            ("nox -s template_update -- --data runtime=minimal",),
            options=("--build-arg=RUNTIME=minimal",),
        )
    else:
        yield from unimported(production)
    yield from unused(text)


def rules(text: str) -> Iterator[Suggestion]:
    """Yield the rules of trimming that are not set, with pyproject.toml's text."""
    set_ = project_file.setting("trim")
    for rule, what in RULES.items():
        if not set_.get(rule):
            changed = with_rule(text, rule)
            if changed is None:
                tell_left(f"{rule} of [{TRIM}]")
            else:
                place = f"[{TRIM}] in {PYPROJECT}"
                yield Suggestion(what, place, (f"{rule} = true",), {PYPROJECT: changed})


def unimported(production: str) -> Iterator[Suggestion]:
    """Yield the modules of the standard library that nothing in the image, or a test, imports."""
    if NOTEBOOKS.is_dir():
        tell_left("What no notebook imports of the standard library")
        return
    image, folders = production, list[str]()
    if TEST in engine.stages():
        # What the tests import has to be there, too, or they could not run on what ships.
        engine.build(TEST, platform=platforms.wanted()[-1])
        image, folders = f"{engine.name()}:{TEST}", ["/app"]
    run = ("run", "--rm", "--network=none", "--entrypoint=python3", image, "-P", "-c")
    try:
        modules = json.loads(docker(*run, UNIMPORTED.read_text(encoding="utf-8"), *folders))
    except (SessionError, ValueError) as error:
        print(f"What the image imports cannot be told ({error}).", file=sys.stderr)
        return
    lines = sorted({pattern(path) for paths in modules.values() for path in paths})
    if lines:
        text = read_text(EXCLUDE)
        end = "" if text.endswith("\n") or not text else "\n"
        changed = {EXCLUDE: f"{text}{end}" + "".join(f"{line}\n" for line in lines)}
        what = f"{len(modules)} modules of the standard library that no statement imports"
        yield Suggestion(what, str(EXCLUDE), tuple(lines), changed)


def pattern(path: str) -> str:
    """Return what leaves out the top-level module or package of a file of the standard library."""
    first, _, rest = path.partition("/")
    if first == "lib-dynload":
        return f"{first}/{rest.partition('.')[0]}.*"
    # Of a module there is bytecode in the place of its source, whose name counts.
    return f"{first}/*" if rest else f"{first.partition('.')[0]}.py"


def unused(text: str) -> Iterator[Suggestion]:
    """Yield declared system packages that no library needs, with pyproject.toml's text."""
    if not any(section.run for section in declaration.load(tomllib.loads(text)).values()):
        return
    report = system_packages.reports()[platforms.wanted()[-1]]
    names = [x["package"] for x in report["findings"] if x["kind"] in ("unused", "build-only")]
    table = f"{report['title']}.{declaration.RUN}"
    for name in names:
        changed = without(text, report["key"], name)
        if changed is None or pins.LOCK.exists():
            tell_left(f"{name} of [{table}]")
        else:
            place = f"if nothing loads or runs it by name, remove from [{table}] in {PYPROJECT}"
            what = f"{name}, a system package that no library needs"
            yield Suggestion(what, place, (system_packages.toml_key(name),), {PYPROJECT: changed})


def tell_left(what: str) -> None:
    """Say what could go, too, and was not tried."""
    print(f"{what} could go, too, and is not tried. Change it and run docker_size.")


def with_rule(text: str, rule: str) -> str | None:
    """Return pyproject.toml's text with a rule of trimming; None if it is not written like that."""
    wanted = copy.deepcopy(tomllib.loads(text))
    wanted.setdefault("tool", {}).setdefault("seedpod", {}).setdefault("trim", {})[rule] = True
    header = re.search(rf"^\s*\[{re.escape(TRIM)}\].*\n?", text, re.MULTILINE)
    if header is None:
        changed = f"{text}\n\n[{TRIM}]\n{rule} = true\n"
    else:
        start, end = text[: header.end()], _without_key(text[header.end() :], rule)
        changed = f"{start.rstrip()}\n{rule} = true\n{end}"
    return changed if _is(changed, wanted) else None


def without(text: str, key: str, package: str) -> str | None:
    """Return pyproject.toml's text without a package to run; None if it is not written like that.

    In: the key of the release in [tool.sys].
    """
    wanted = copy.deepcopy(tomllib.loads(text))
    del wanted["tool"]["sys"][key][declaration.RUN][package]
    names = rf"(?:{re.escape(key)}|\"{re.escape(key)}\")\.{declaration.RUN}"
    header = re.search(rf"^\s*\[tool\.sys\.{names}\].*\n", text, re.MULTILINE)
    if header is None:
        return None
    changed = text[: header.end()] + _without_key(text[header.end() :], package)
    return changed if _is(changed, wanted) else None


def _without_key(text: str, key: str) -> str:
    """Return the rest of a table, and what follows it, without the line of a key of that table."""
    header = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    end = header.start() if header else len(text)
    line = rf"^[ \t]*(?:{re.escape(key)}|\"{re.escape(key)}\")[ \t]*=.*\n?"
    return re.sub(line, "", text[:end], count=1, flags=re.MULTILINE) + text[end:]


def _is(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def tried_size(suggestion: Suggestion) -> int | None:
    """Build production with a suggestion and return its size in bytes; None if it does not build.

    Raises SessionError if the Dockerfile does not read the files where the template's does.
    """
    print(f"\nTrying without {suggestion.what}", file=sys.stderr, flush=True)
    image = f"{engine.name()}:{TAG}"
    with tempfile.TemporaryDirectory() as folder:
        options = prepared(Path(folder), suggestion.files)
        try:
            platform = platforms.wanted()[-1]
            arguments = (*options, *suggestion.options)
            engine.build(engine.PRODUCTION, *arguments, tag=TAG, platform=platform)
        except SystemExit as error:
            # An interrupt ends all of it.
            if not isinstance(error.code, int) or error.code >= INTERRUPTED:
                raise
            return None
    try:
        [found] = layers.measure(image)
    finally:
        docker("image", "rm", image)
    return found.size


def prepared(folder: Path, files: Mapping[Path, str]) -> Iterable[str]:
    """Write what a build reads in place of files into a folder; return the options for that."""
    read, text = Path(folder, "files"), read_text(image_settings.DOCKERFILE)
    read.mkdir()
    for path in (PYPROJECT, LOCK, EXCLUDE):
        content = files.get(path, read_text(path))
        (read / path.name).write_text(content, encoding="utf-8", newline="")
    for place, other in PLACES.items():
        if place not in text:
            raise SessionError(
                f"The Dockerfile has no {place!r}, so that nothing can be tried. Take the "
                "template's lines, or change the settings and run docker_size."
            )
        text = text.replace(place, other)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(text, encoding="utf-8", newline="")
    return (f"--file={dockerfile}", f"--build-context={CONTEXT}={read}")
