"""The settings of [tool.seedpod] in pyproject.toml that decide what is built and tested."""

from typing import Any

from errors import BuildError

# size is read by docker/host/sizes.py, and extras by split_facts.py.
TABLES = ("extras", "size", "test", "wheels")
TEST = ("not-imported", "programs")
WHEELS = ("build-first", "no-binary", "no-build-isolation")


class SettingError(BuildError):
    """A setting that cannot be followed."""

    subject = "Settings"


def wheel_settings(pyproject: dict[str, Any]) -> dict[str, list[str]]:
    """Return the lists of package names in [tool.seedpod.wheels]: what to compile, in which way.

    Raises SettingError for anything else.
    """
    table = _table(pyproject, "wheels", WHEELS)
    return {name: _names(table, "wheels", name, "lxml") for name in WHEELS}


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


def _table(pyproject: dict[str, Any], name: str, known: tuple[str, ...]) -> dict[str, Any]:
    """Return a table of [tool.seedpod], which has only what is known."""
    tables = pyproject.get("tool", {}).get("seedpod", {})
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SettingError(
            f"{name} in [tool.seedpod] is {table!r}. Write a table, [tool.seedpod.{name}]."
        )
    for where, content, keys in (
        ("tool.seedpod", tables, TABLES),
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
