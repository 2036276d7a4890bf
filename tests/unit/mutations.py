"""Damage samples of files, and watch what programs make of that.

A program returns or ends as it says, in time, and starts nothing that the file names.
"""

import copy
import io
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import date, datetime, time
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from errors import BuildError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from session import SessionError

# Random inputs for each target; without it the same ones every time.
RANDOM = int(os.environ.get("SEEDPOD_FUZZ", "0"))
EXAMPLES = RANDOM or 20
SECONDS = 5
# Where a test says how many inputs it has tried.
INPUTS = "inputs"
LONG, DEEP = 50_000, 5_000
# What stands for something that the writers of documents do not write.
HUGE, NESTED = "@huge@", "@nested@"
TEXTS = (
    *("", " ", "a", "-x", "--upload-pack=touch started", "$(touch started)", "x\ny", "\r", "\0"),
    *(
        "../..",
        "/",
        ".",
        "..",
        "/dev/null",
        "/etc",
        "~",
        "*",
        "**",
        "[",
        "[[",
        "{",
        "%s",
        "\\",
        '"',
    ),
    *("http://[", "https://u:p@h/", "http://h:x/", "//", "file:", "9" * DEEP, "x" * 300),
    *("x" * LONG, " " * LONG, "." * LONG, "ü", "\x7f", "\u2028", "1" * 400, "<empty>", "=="),
    *("(" * DEEP, "-" * DEEP + "a", "not " * DEEP, "a-b-c-d-e.whl", "sha256:", "shake_128=x"),
)
VALUES: tuple[Any, ...] = (
    True,
    False,
    0,
    -1,
    2**63,
    10**400,
    HUGE,
    0.5,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
)
VALUES += (*({"": ""}, [{}], [0], {"a": 1}, NESTED), *TEXTS)
DATES = (date(2026, 1, 1), datetime(2026, 1, 1), time(1, 2))
PIECES = (
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\x85",
        b"'",
        b'"',
    ),
    *(b"9" * DEEP, b"[" * DEEP, b"{" * DEEP, b"a" * LONG, b" " * LONG, b"\n" * 2_000, b"\\"),
    *(b"<<<<<<< x\n", b"=======\n", b">>>>>>> x\n", b"#", b":", b"=", b",", b"\x00\x00\x00\x80"),
)
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.system")

Target = Callable[[Random, Path], None]
STARTED: list[str] = []
# The folder of the example that runs, and the programs that may be started for it.
watched: tuple[str, Sequence[str]] | None = None


class SlowError(BaseException):
    """A program that does not end in time; nothing catches it by mistake."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watched is None:
        return
    folder, programs = watched
    if event in STARTS:
        words = arguments[1] if event == "subprocess.Popen" else arguments[:1]
        words = [words] if isinstance(words, (str, bytes)) else words
        name = os.fsdecode(words[0])
        # Docker's settings name those by the end of their names, and that is what they are for.
        if os.path.basename(name) not in programs and not name.startswith("docker-credential-"):
            STARTED.append(f"{event} {words!r}")
    elif event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(folder):
        STARTED.append(f"exec of {arguments[0].co_filename}")
    elif event == "import" and str(arguments[1] or "").startswith(folder):
        STARTED.append(f"import of {arguments[1]}")


sys.addaudithook(_audit)


def _late(*_: object) -> None:
    raise SlowError(f"more than {SECONDS} seconds")


def damaged(random: Random, sample: Any, *, dates: bool = False) -> Any:
    """Return a document with other values, and with keys that are gone or there twice."""
    document = copy.deepcopy(sample)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = [*_places(document)]
        if not places:
            break
        parent, key = random.choice(places)
        kind = random.randrange(8)
        if kind == 0:
            del parent[key]
        elif kind == 1:
            _, other = random.choice(places)
            parent[other if isinstance(parent, dict) else key] = copy.deepcopy(parent[key])
        elif kind == 2 and isinstance(parent[key], str) and parent[key]:
            parent[key] = _spoilt(random, parent[key])
        elif kind == 3:
            where, of = random.choice(places)
            parent[key] = copy.deepcopy(where[of])
        else:
            parent[key] = copy.deepcopy(random.choice((*VALUES, *(DATES if dates else (None,)))))
    return document


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in [*keys]:
        yield node, key
        yield from _places(node[key])


def _spoilt(random: Random, text: str) -> str:
    at = random.randrange(len(text))
    match random.randrange(4):
        case 0:
            return text[:at] + text[at] * LONG + text[at:]
        case 1:
            return text[:at] + random.choice(TEXTS) + text[at:]
        case 2:
            return text[:at]
    return text[:at] + random.choice("\0\n\r'\"@:/;[]{}()=<>~!,.-_ 9aü\u0660²") + text[at + 1 :]


def as_json(document: Any) -> bytes:
    """Return a document as JSON."""
    return _filled(json.dumps(document).replace("\\u00fc", "\\ud800")).encode()


def as_toml(document: dict[str, Any]) -> bytes:
    """Return a document as TOML."""
    return _filled("".join(f"{_key(key)} = {_toml(x)}\n" for key, x in document.items())).encode()


def _filled(text: str) -> str:
    nested = "[" * DEEP + "]" * DEEP
    return text.replace(f'"{HUGE}"', "9" * DEEP).replace(f'"{NESTED}"', nested)


def _key(key: object) -> str:
    return json.dumps(str(key), ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_toml(x)}' for key, x in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value).lower() if isinstance(value, (bool, int, float)) else _key(value)


def spoilt(random: Random, sample: bytes) -> bytes:
    """Return a file with bytes that are other ones, gone, too many, or in another encoding."""
    content = sample
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(content) + 1)
        end = min(len(content), at + random.choice((1, 2, 4, 16, 256, 4096)))
        match random.randrange(10):
            case 0 | 1:
                content = content[:at] + random.choice(PIECES) + content[at:]
            case 2:
                content = content[:at] + content[end:]
            case 3:
                content = (
                    content[:at] + content[at:end] * random.choice((2, 3, 500)) + content[end:]
                )
            case 4:
                content = content[:at]
            case 5:
                content = content.replace(b"\n", random.choice((b"\r\n", b"\r", b"", b"\n\n")))
            case 6:
                lines = content.splitlines(keepends=True)
                random.shuffle(lines)
                content = b"".join(lines)
            case 7:
                text = content.decode(errors="replace")
                content = text.encode(random.choice(("utf-16", "latin-1", "utf-8-sig")), "replace")
            case _:
                content = content[:at] + bytes([random.randrange(256)]) + content[at + 1 :]
    return content[:3_000_000]


def flipped(random: Random, sample: bytes) -> bytes:
    """Return a binary file with fields and bits that are other ones, or cut."""
    content = bytearray(sample)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        if not content:
            break
        # Where the headers are, most of it is decided.
        at = random.randrange(min(len(content), random.choice((64, 256, len(content)))))
        size = random.choice((1, 2, 4, 8))
        match random.randrange(8):
            case 0:
                content = content[:at]
            case 1:
                content[at : at + size] = random.choice((b"\0", b"\xff", b"\x7f")) * size
            case 2:
                number = random.choice((0, 1, 2, 3, at, len(content), len(content) - 1, 2**31, 40))
                content[at : at + size] = number.to_bytes(8, random.choice(("little", "big")))[
                    :size
                ]
            case 3:
                content[at:at] = random.choice(PIECES)
            case 4:
                content[at : at + 64] = content[: min(64, at)]
            case _:
                content[at] ^= 1 << random.randrange(8)
    return bytes(content)


def either(random: Random, sample: Any, write: Callable[[Any], bytes]) -> bytes:
    """Return a document that is damaged as one, or as the text that it is written as."""
    if random.randrange(4):
        return write(damaged(random, sample, dates=write is as_toml))
    return spoilt(random, write(sample))


def main(program: Any, *arguments: object) -> None:
    """Run a program as its arguments say; it may end with a message."""
    with mock.patch.object(sys, "argv", ["program", *map(str, arguments)]):
        ends(program.main)


def ends(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function returns, or None if it ends as programs do that say what is wrong."""
    try:
        found = function(*arguments, **options)
        return [*found] if isinstance(found, Iterator) else found
    except (BuildError, SessionError) as error:
        found = str(error).strip()
    except OSError as error:
        # Sessions say which file it is. What runs while an image is built says it by a BuildError.
        frames = traceback.extract_tb(error.__traceback__)
        if any("/docker/image/" in frame.filename for frame in frames):
            raise
        return None
    except SystemExit as error:
        # A message or a status.
        found = error.code is not None
    assert found
    return None


@contextmanager
def watching(folder: Path, programs: Sequence[str]) -> Iterator[None]:
    """Raise SlowError in time, and AssertionError for what was started besides these programs."""
    global watched  # noqa: PLW0603  # An audit hook stays, and has no other way to know.
    before = signal.signal(signal.SIGALRM, _late)
    STARTED.clear()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    watched = (str(folder), programs)
    try:
        yield
    finally:
        watched = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert STARTED == []


def attempt(target: Target, random: Random, programs: Sequence[str] = ()) -> None:
    """Try a target with one input, in a folder and an environment of its own."""
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": f"{folder}/cache", "HOME": folder}),
        redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")),
        redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # What a library warns of is shown, and is no error.
        warnings.simplefilter("default")
        work = Path(folder, "work")
        work.mkdir()
        os.chdir(work)
        try:
            with watching(work, programs):
                target(random, work)
        finally:
            os.chdir(here)


class Targets:
    """Functions that read damaged files, by their names, each with the programs it may start."""

    def __init__(self) -> None:
        """Have none yet."""
        self.known: dict[str, tuple[Target, tuple[str, ...]]] = {}

    def __call__(self, *programs: str) -> Callable[[Target], Target]:
        """Return a decorator that adds a function."""

        def add(function: Target) -> Target:
            self.known[function.__name__] = (function, programs)
            return function

        return add

    def run(self, name: str) -> int:
        """Try a target with many inputs; return how many they were."""
        function, programs = self.known[name]
        tried = 0

        def example(seed: int) -> None:
            nonlocal tried
            tried += 1
            attempt(function, Random(seed), programs)

        options = settings(
            max_examples=EXAMPLES,
            derandomize=not RANDOM,
            database=None,
            deadline=None,
            # An input is made of a number, of which no smaller one is simpler.
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        options(given(st.integers(0, 2**32 - 1))(example))()
        return tried
