"""The settings of [tool.seedpod] in pyproject.toml that decide what is built and tested."""

import re
from collections.abc import Callable
from typing import Any

from errors import BuildError

# check is read by docker/host/check.py, platforms by platforms.py, size by sizes.py there, and
# vulnerabilities by a program on request.
TABLES = ("check", "extras", "image", "size", "test", "trim", "vulnerabilities", "wheels")
TEST = ("not-imported", "programs", "runs")
TRIM = ("duplicates", "exclude", "sources", "symbols", "tests")
WHEELS = ("build-first", "no-binary", "no-build-isolation")


# What of [tool.seedpod.image] is an instruction of the Dockerfile, and what stages of it read.
INSTRUCTIONS = ("command", "environment", "health", "labels", "port")
STAGES = ("data", "step", "step-output")
# https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html, in any case.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The path and the query of an address, without a quote (RFC 3986, 3.3 and 3.4).
HEALTH = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@%/?-]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


class SettingError(BuildError):
    """A setting that cannot be followed."""

    subject = "Settings"


def wheel_settings(pyproject: dict[str, Any]) -> dict[str, list[str]]:
    """Return the lists of package names in [tool.seedpod.wheels]: what to compile, in which way.

    Raises SettingError for anything else.
    """
    table = _table(pyproject, "wheels", WHEELS)
    return {name: _names(table, "wheels", name, "lxml") for name in WHEELS}


def trim(pyproject: dict[str, Any]) -> dict[str, Any]:
    """Return what the environment is shipped without, the rules that are set; SettingError."""
    table = _table(pyproject, "trim", TRIM)
    for key, value in table.items():
        if key != "exclude" and not isinstance(value, bool):
            raise SettingError(f"{key} in [tool.seedpod.trim] is {value!r}. Write true or false.")
    patterns = _names(table, "trim", "exclude", "babel/locale-data/*")
    chosen = {key: value for key, value in table.items() if value and key != "exclude"}
    return {**chosen, "exclude": patterns} if patterns else chosen


def test_programs(pyproject: dict[str, Any]) -> list[str]:
    """Return the programs of the base image that the tests call; raises SettingError."""
    return _names(_table(pyproject, "test", TEST), "test", "programs", "sh")


def not_imported(pyproject: dict[str, Any]) -> dict[str, str]:
    """Return the modules that production need not import, each with a reason; SettingError."""
    table = _table(pyproject, "test", TEST).get("not-imported", {})
    if not isinstance(table, dict) or not all(isinstance(x, str) and x for x in table.values()):
        raise SettingError(
            f"not-imported in [tool.seedpod.test] is {table!r}. "
            'Write modules with a reason for each, like { "shop.windows" = "Windows only" }.'
        )
    return table


def test_runs(pyproject: dict[str, Any]) -> list[list[str]]:
    """Return the lists of arguments with which docker_test runs production; raises SettingError."""
    runs = _table(pyproject, "test", TEST).get("runs", [])
    if not isinstance(runs, list) or not all(map(_are(WORD), runs)):
        raise SettingError(
            f"runs in [tool.seedpod.test] is {runs!r}. "
            'Write lists of arguments like [["--version"], ["check", "--help"]].'
        )
    return runs


def image_settings(pyproject: dict[str, Any]) -> dict[str, Any]:
    """Return [tool.seedpod.image], what an image has besides the application.

    Raises SettingError for what no image could have.
    """
    table = _table(pyproject, "image", (*INSTRUCTIONS, *STAGES))
    for key, value in table.items():
        holds, form = FORMS[key]
        if not holds(value):
            raise SettingError(f"{key} in [tool.seedpod.image] is {value!r}. Write {form}.")
    for name in sorted({"PATH", "PORT", "VIRTUAL_ENV"} & {*table.get("environment", {})}):
        raise SettingError(
            f"environment in [tool.seedpod.image] has {name}, which the image needs as it is. "
            f"Remove it{' and write port = NUMBER' if name == 'PORT' else ''}."
        )
    if bool(table.get("step")) != bool(table.get("step-output")):
        raise SettingError(
            "[tool.seedpod.image] has one of step and step-output. Write both: a command, and the "
            'folders that it fills, like ["/srv/static"].'
        )
    return table


def _are(pattern: str, least: int = 0) -> Callable[[Any], bool]:
    """Return a function that tells whether a value is a list of texts, so many at least."""

    def holds(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) >= least
            and all(isinstance(text, str) and re.fullmatch(pattern, text) for text in value)
        )

    return holds


def _maps(names: re.Pattern[str]) -> Callable[[Any], bool]:
    """Return a function that tells whether a value has texts, without line ends, by such names."""

    def holds(value: Any) -> bool:
        return isinstance(value, dict) and all(
            names.fullmatch(name)
            and isinstance(text, str)
            and not CONTROL.search(text)
            # Linters read a backslash at its end as if the line went on.
            and not text.endswith("\\")
            for name, text in value.items()
        )

    return holds


def _is_health(value: Any) -> bool:
    return value is False or (isinstance(value, str) and bool(HEALTH.fullmatch(value)))


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


# What an image has, is a link in it, or is the system's.
TAKEN = (
    "/(bin|dev|lib|lib32|lib64|libx32|proc|root|sbin|sys|var/lock|var/run)(/|$)",
    # Where tests are, and what is in memory.
    "/app(/tests(/|$)|$)",
    "/(etc|home|opt|run|srv|usr|usr/local|usr/local/bin|var)$",
    "/usr/(bin|lib|lib32|lib64|libx32|sbin)(/|$)",
    "/etc/(group|passwd)$",
    "/opt/(test|tools)(/|$)",
)
# Below the top of the root file system, never out of it, and without what compose reads as options.
PATH = r"(/(?!\.\.?(/|$))[^/:,\x00-\x1f]+)+"
FOLDER = rf"(?!{'|'.join((*TAKEN, '/opt/venv(/|$)'))}){PATH}"
# A step may add to an installed package, as compiled translations are.
MADE = (
    rf"(?!{'|'.join((*TAKEN, '/tmp(/|$)', '/opt/venv(?!/lib/[^/]+/site-packages/[^/]+)'))}){PATH}"
)
ONE_LINE = "names with texts of one line, without a backslash at the end, like"
WORD = r"[^\x00-\x1f]+"
FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "command": (_are(WORD, 1), 'a list of words like ["gunicorn", "shop.wsgi"]'),
    "data": (_are(FOLDER), 'a list of folders like ["/data"]'),
    "environment": (_maps(VARIABLE), ONE_LINE + ' { "WORKERS" = "2" }'),
    "health": (_is_health, 'a path like "/healthz", or false for none'),
    "labels": (_maps(LABEL), ONE_LINE + ' { "org.opencontainers.image.vendor" = "We" }'),
    "port": (_is_port, "a number from 1 to 65535"),
    "step": (_are(WORD, 1), 'a list of words like ["python3", "-m", "shop", "collectstatic"]'),
    "step-output": (_are(MADE), 'a list of folders like ["/srv/static"]'),
}


def extras(pyproject: dict[str, Any]) -> list[str]:
    """Return the extras of the project that are installed; raises SettingError."""
    value = _seedpod(pyproject).get("extras", [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SettingError(
            f'extras in [tool.seedpod] is {value!r}. Write a list of names like ["server"].'
        )
    return value


def _seedpod(pyproject: dict[str, Any]) -> dict[str, Any]:
    table = pyproject.get("tool", {}).get("seedpod", {})
    if not isinstance(table, dict):
        raise SettingError(
            f"seedpod in [tool] is {table!r}. Write tables, like [tool.seedpod.size]."
        )
    return table


def _table(pyproject: dict[str, Any], name: str, known: tuple[str, ...]) -> dict[str, Any]:
    """Return a table of [tool.seedpod], which has only what is known."""
    tables = _seedpod(pyproject)
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SettingError(
            f"{name} in [tool.seedpod] is {table!r}. Write a table, [tool.seedpod.{name}]."
        )
    for where, content, keys in (
        ("tool.seedpod", tables, sorted((*TABLES, "platforms"))),
        (f"tool.seedpod.{name}", table, known),
    ):
        for key in sorted(content.keys() - set(keys)):
            raise SettingError(f"[{where}] has no use for {key!r}. It takes {', '.join(keys)}.")
    return table


def _names(table: dict[str, Any], title: str, key: str, example: str) -> list[str]:
    value = table.get(key, [])
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise SettingError(
        f'{key} in [tool.seedpod.{title}] is {value!r}. Write a list of names like ["{example}"].'
    )
