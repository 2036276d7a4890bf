"""docker/image/project_settings.py reads what an owner declares, and takes nothing wrong."""

from typing import Any

import project_settings
import pytest


def read(**table: Any) -> dict[str, Any]:
    """Return what is read of a table with these settings."""
    settings = {name.replace("_", "-"): value for name, value in table.items()}
    return project_settings.image_settings({"tool": {"seedpod": {"image": settings}}})


@pytest.mark.parametrize(
    "pyproject", [{}, {"tool": {}}, {"tool": {"seedpod": {}}}, {"tool": {"seedpod": {"image": {}}}}]
)
def test_an_image_needs_no_settings(pyproject: dict[str, Any]) -> None:
    assert project_settings.image_settings(pyproject) == {}


TAKEN: dict[str, list[Any]] = {
    "command": [["x"], ["a b", "$HOME", 'a"b', "\\", "ü 日本 😀", "--x=[1]"]],
    "data": [
        [],
        ["/data"],
        ["/srv/a b", "/ü", "/..a", "/a..", "/.hidden", "/a/...", "/$x\\"],
        ["/tmp", "/library", "/binary", "/runs", "/devices", "/opt/shop", "/opt/venvs"],
        ["/etc/shop", "/home/shop", "/srv/bin", "/usr/share/shop", "/var/lib/shop", "/var/runs"],
    ],
    "environment": [
        {},
        {"A": "", "_b9": "x y", "c": 'a"b$c\\d', "D": "ü 日本 😀"},
        {"path": "x", "PYTHONPATH": "x", "SHOP_PORT": "1"},
    ],
    "health": [False, "/", "/health", "/a?b=$c&d=%20", "/~(a)*+,;=:@!_-."],
    "labels": [{}, {"org.opencontainers.image.vendor": "We", "a/b-c_d": "", "9": "ü"}],
    "port": [1, 80, 65535],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in TAKEN.items() for value in values], ids=ascii
)
def test_what_an_image_can_have_is_read_as_it_is(key: str, value: Any) -> None:
    assert read(**{key: value}) == {key: value}


def test_a_step_is_read_with_what_it_makes() -> None:
    settings = {"step": ["make", "x"], "step-output": ["/srv/static"]}
    assert read(**settings) == settings


PACKAGE = "/opt/venv/lib/python3.13/site-packages"


def test_a_step_may_add_to_an_installed_package_and_data_may_not() -> None:
    """Compiled translations are beside their sources."""
    folder = f"{PACKAGE}/shop/locale"
    assert read(step=["make"], **{"step-output": [folder]})["step-output"] == [folder]
    for key, wrong in (
        ("data", folder),
        ("step-output", PACKAGE),
        ("step-output", "/opt/venv"),
        ("step-output", "/opt/venv/bin"),
    ):
        with pytest.raises(project_settings.SettingError, match=rf"^{key} in "):
            read(**{key: [wrong]})


WORDS = [[], "x", [""], ["a", 1], ["a\nb"], ["a\rb"], ["a\0b"], ["a\tb"], {"x": "y"}, True]
# What an image has, links in it, and what is the system's.
SYSTEM = [
    *("/bin", "/dev", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"),
    *("/bin/x", "/dev/shm", "/lib/shop", "/proc/x/y", "/sbin/x", "/sys/x"),
    *("/var/lock", "/var/lock/x", "/var/run", "/var/run/x"),
    *("/etc", "/home", "/opt", "/root", "/root/x", "/run", "/srv", "/usr", "/var"),
    *("/opt/test", "/opt/tools", "/opt/venv", "/opt/test/x", "/opt/tools/x", "/opt/venv/bin"),
]
FOLDERS = [
    *([folder] for folder in SYSTEM),
    ["/data", "/etc"],
    "/data",
    [""],
    ["/"],
    ["//"],
    ["data"],
    ["./data"],
    ["../data"],
    ["/.."],
    ["/."],
    ["/../etc"],
    ["/a/.."],
    ["/a/../b"],
    ["/a/./b"],
    ["/a/"],
    ["/a//b"],
    ["/a:b"],
    ["/a,b"],
    ["/a\n"],
    ["/..\n"],
    ["/a\0"],
    ["C:/a"],
    [1],
    {"/a": "/b"},
]
TEXTS = ["x", ["A=x"], {"A": 1}, {"A": True}, {"A": "a\nb"}, {"A": "a\rb"}, {"A": "\0"}, {"": "x"}]
TEXTS += [{"A": "a\\"}, {"A": "\\"}, {"A": "a\\\\"}]  # Linters take the next line for the rest.
TEXTS += [{"A": "a\u2028b"}, {"A": "\x85"}, {"A": ["x"]}, {"A B": "x"}, {"A\n": "x"}, {"A=B": "x"}]
REFUSED: dict[str, list[Any]] = {
    "command": WORDS,
    "data": FOLDERS,
    "environment": [*TEXTS, {"1A": "x"}, {"A-B": "x"}, {"Ä": "x"}, {"A.B": "x"}],
    "health": [True, 0, 1, "", "health", "/a b", "/a'", '/a"', "/{x}", "/a\\", "/a\n", "/ü", ["/"]],
    "labels": [*TEXTS, {"-a": "x"}, {"ä": "x"}, {'a"': "x"}, {"$a": "x"}],
    "port": [True, False, 0, -1, 65536, 80.0, "80", [80], None],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in REFUSED.items() for value in values],
    ids=ascii,
)
def test_what_no_image_could_have_is_refused_with_what_could(key: str, value: Any) -> None:
    with pytest.raises(project_settings.SettingError) as error:
        read(**{key: value})
    told = str(error.value)
    assert told.startswith(f"{key} in [tool.seedpod.image] is {value!r}. Write ")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PATH", "Remove it."),
        ("PORT", "Remove it and write port = NUMBER."),
        ("VIRTUAL_ENV", "Remove it."),
    ],
)
def test_a_variable_that_the_image_needs_as_it_is_is_refused(name: str, told: str) -> None:
    with pytest.raises(project_settings.SettingError) as error:
        read(environment={"A": "x", name: "9000"})
    assert str(error.value) == (
        f"environment in [tool.seedpod.image] has {name}, which the image needs as it is. {told}"
    )


@pytest.mark.parametrize("value", WORDS, ids=ascii)
def test_a_step_is_words_as_a_command_is(value: Any) -> None:
    with pytest.raises(project_settings.SettingError, match=r"^step in \[tool\.seedpod\.image\] "):
        read(step=value, step_output=["/srv/x"])


@pytest.mark.parametrize("value", FOLDERS, ids=ascii)
def test_what_a_step_makes_is_folders_as_those_of_data_are(value: Any) -> None:
    with pytest.raises(project_settings.SettingError, match=r"^step-output in \[tool\.seedpod\.im"):
        read(step=["x"], step_output=value)


@pytest.mark.parametrize(
    "table",
    [
        {"step": ["x"]},
        {"step_output": ["/srv/x"]},
        {"step": ["x"], "step_output": []},
    ],
    ids=str,
)
def test_a_step_alone_or_what_it_makes_alone_is_refused(table: dict[str, Any]) -> None:
    """The first would keep nothing, and the second would have nothing to keep."""
    with pytest.raises(project_settings.SettingError, match=r" has one of step and step-output\."):
        read(**table)


@pytest.mark.parametrize("key", ["ports", "user", "entrypoint", "Port", "step_output"])
def test_a_key_that_means_nothing_is_refused(key: str) -> None:
    tables = {"tool": {"seedpod": {"image": {key: 1}}}}
    with pytest.raises(project_settings.SettingError, match=f"has no use for '{key}'. It takes "):
        project_settings.image_settings(tables)
