"""docker/bin/online.sh and what goes through it: run_poetry.py.

They name fixed folders of the image; the tests run copies in which these are others.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parent.parent.parent / "template/docker/bin"
SHELLS = [["sh"], ["dash"], ["busybox", "sh"], ["bash", "--posix"]]

Run = Callable[..., dict[str, str]]


@pytest.fixture(params=[s for s in SHELLS if shutil.which(s[0])], ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Return the command of a shell."""
    command: list[str] = request.param
    return [str(shutil.which(command[0])), *command[1:]]


def relocated(name: str, folders: Mapping[str, Path], program: Path) -> Path:
    """Make a copy of a program in which other folders stand for those of the image; return it."""
    text = (PROGRAMS / name).read_text(encoding="utf-8")
    for old, new in folders.items():
        assert old in text
        text = text.replace(old, str(new))
    return command(program, text)


def command(program: Path, text: str) -> Path:
    """Write a program that can be run by its name; return it."""
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH on which online.sh is a command, as in the image."""
    folder = tmp_path / "path"
    folder.mkdir()
    relocated("online.sh", {"/run/secrets": tmp_path}, folder / "online")
    return f"{folder}{os.pathsep}{os.defpath}"


def environment_of(command: list[str], **variables: str) -> dict[str, str]:
    """Run a command that ends with `env -0` in an empty environment; return what that prints."""
    done = subprocess.run(
        command, env={"PATH": os.defpath, **variables}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().rstrip("\0").split("\0")
    return {
        name: value
        for name, value in (line.split("=", 1) for line in lines)
        if name not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")
    }


@pytest.fixture
def online(shell: list[str], tmp_path: Path) -> Run:
    """Return a function that runs online.sh with secrets; it returns what the command gets."""

    def run(pip_env: str | None = None, certificates: str | None = None) -> dict[str, str]:
        program = relocated("online.sh", {"/run/secrets": tmp_path}, tmp_path / "online")
        for name, text in (("pip.env", pip_env), ("ca.pem", certificates)):
            if text is not None:
                (tmp_path / name).write_text(text, encoding="utf-8")
        return environment_of([*shell, str(program), "env", "-0"])

    return run


@pytest.mark.parametrize("text", [None, "", "\n"], ids=ascii)
def test_without_settings_nothing_is_set(online: Run, text: str | None) -> None:
    assert online(text, "" if text is None else None) == {}


def test_an_index_reaches_pip_and_uv(online: Run) -> None:
    assert online("PIP_INDEX_URL=https://a/simple\n") == {
        "PIP_INDEX_URL": "https://a/simple",
        "UV_DEFAULT_INDEX": "https://a/simple",
    }


def test_further_indexes_and_trusted_hosts_reach_both(online: Run) -> None:
    assert online("PIP_EXTRA_INDEX_URL=https://b c\nPIP_TRUSTED_HOST=d e\n") == {
        "PIP_EXTRA_INDEX_URL": "https://b c",
        "UV_INDEX": "https://b c",
        "PIP_TRUSTED_HOST": "d e",
        "UV_INSECURE_HOST": "d e",
    }


LOGIN = {
    "POETRY_HTTP_BASIC_OUR_INDEX_2_USERNAME": "joe@example",
    "POETRY_HTTP_BASIC_OUR_INDEX_2_PASSWORD": "p@s/s: w%rd=$HOME`x`'\"\\n*",
    "POETRY_REPOSITORIES_OUR_INDEX_2_URL": "https://code.example/",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=ascii)
def test_logins_of_indexes_arrive_as_poetry_reads_them(online: Run, end: str) -> None:
    assert online(end.join(f"{name}={value}" for name, value in LOGIN.items())) == LOGIN


ADDRESSES = [
    "https://user:p=a=ss@host/simple?a=1&b=2",
    "https://u:$HOME@host/",
    "https://u:$(touch hacked)`touch hacked`@host/",
    "https://u:'single'\"double\"@host/",
    "https://u:a b  c@host/ ",
    "https://u:back\\slash\\n@host/",
    "https://u:*?[a-z]@host/~;|<>#!",
    "https://ü🌱@host/",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_arrives_as_it_is(online: Run, tmp_path: Path, address: str) -> None:
    found = online(f"PIP_INDEX_URL={address}\n")
    assert found["PIP_INDEX_URL"] == found["UV_DEFAULT_INDEX"] == address
    assert not list(Path.cwd().glob("hacked"))
    assert not list(tmp_path.glob("hacked"))


def test_the_last_line_may_lack_its_end(online: Run) -> None:
    """PIP_ENV, from the environment, has none."""
    assert online("PIP_TRUSTED_HOST=a\nPIP_INDEX_URL=b")["PIP_INDEX_URL"] == "b"


def test_of_two_lines_the_last_one_counts(online: Run) -> None:
    """The noxfile writes the environment's settings after those of the file."""
    found = online("PIP_INDEX_URL=file\nPIP_INDEX_URL=environment\n")
    assert found["PIP_INDEX_URL"] == found["UV_DEFAULT_INDEX"] == "environment"


def test_a_file_with_line_ends_of_windows_is_read(online: Run) -> None:
    found = online("PIP_INDEX_URL=https://a/simple\r\nPIP_TRUSTED_HOST=a\r\n")
    assert found["PIP_INDEX_URL"] == "https://a/simple"
    assert found["UV_INSECURE_HOST"] == "a"


def test_other_lines_are_neither_run_nor_set(online: Run, tmp_path: Path) -> None:
    text = f"# PIP_INDEX_URL=x\ntouch {tmp_path}/hacked\nPATH=/nowhere\nPIP_NO_INDEX=1\n\n=\n"
    assert online(text) == {}
    assert not (tmp_path / "hacked").exists()


def test_certificates_reach_every_tool_that_goes_online(online: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "ca.pem")
    assert online(None, "-----BEGIN CERTIFICATE-----\n") == {
        "SSL_CERT_FILE": path,
        "PIP_CERT": path,
        "REQUESTS_CA_BUNDLE": path,
    }


def test_the_command_keeps_its_arguments_and_its_status(shell: list[str], tmp_path: Path) -> None:
    program = relocated("online.sh", {"/run/secrets": tmp_path}, tmp_path / "online")
    command = [*shell, str(program), sys.executable, "-c"]
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    arguments = ["two words", "$HOME", "*", ""]
    done = subprocess.run([*command, code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout == f"{arguments}\n"


@pytest.fixture
def poetry(path: str, tmp_path: Path) -> Run:
    """Return a function that runs run_poetry.py; it returns what Poetry gets."""
    (tmp_path / "bin").mkdir()
    command(tmp_path / "bin/poetry", '#!/bin/sh\n# A mock of Poetry.\nexec "$@"\n')
    # The Python beside it has the real Poetry, the one of this repository's own tests.
    command(tmp_path / "bin/python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program = relocated("run_poetry.py", {"/opt/poetry": tmp_path}, tmp_path / "poetry")

    def run(*arguments: str, **variables: str) -> dict[str, str]:
        command = [
            str(program),
            "env",
            *(part for name in arguments for part in ("-u", name)),
            "-0",
        ]
        return environment_of(command, PATH=path, **variables)

    return run


def test_poetry_asks_the_index_that_pip_asks(poetry: Run) -> None:
    found = poetry(PIP_INDEX_URL="https://a/$s & t/simple")
    assert found["POETRY_PYPI_MIRROR_URL"] == "https://a/$s & t/simple"
    assert not [name for name in found if "HTTP_BASIC" in name]


@pytest.mark.parametrize(
    ("login", "user", "password"),
    [("u:$p & q", "u", "$p & q"), ("u%40x:p%3Aq%2F", "u@x", "p:q/"), ("token", "token", "")],
)
def test_poetry_cannot_repeat_a_password_in_an_address(
    poetry: Run, login: str, user: str, password: str
) -> None:
    found = poetry(PIP_INDEX_URL=f"https://{login}@a:1/simple")
    assert found["POETRY_PYPI_MIRROR_URL"] == "https://a:1/simple"
    assert asked_with(found, "https://a:1/simple/x/") == (user, password)
    assert asked_with(found, "https://a:1/files/x.whl") == (user, password)
    # Sources of pyproject.toml, whatever they are called, have their own.
    assert asked_with(found, "https://mirror.test/simple/x/") == (None, None)
    assert asked_with(found, "https://ours.test/simple/x/") == ("joe", "pw")


ASK = """
import sys
from poetry.config.config import Config
from poetry.config.dict_config_source import DictConfigSource
from poetry.utils.authenticator import Authenticator

config = Config.create()
ours = {"username": "joe", "password": "pw"}
config.merge({"http-basic": {"ours": ours}, "keyring": {"enabled": False}})
asks = Authenticator(config)
# As poetry-plugin-pypi-mirror, and as Poetry itself for sources.
for name, url in zip(("PyPI", "mirror", "ours"), sys.argv[2:]):
    asks.add_repository(name, url)
login = asks.get_credentials_for_url(sys.argv[1])
print(repr((login.username, login.username and (login.password or ""))))
"""


def asked_with(variables: dict[str, str], address: str) -> tuple[str | None, str | None]:
    """Return the user and the password with which Poetry itself asks for an address."""
    sources = (
        variables["POETRY_PYPI_MIRROR_URL"],
        "https://mirror.test/simple",
        "https://ours.test/",
    )
    done = subprocess.run(
        [sys.executable, "-c", ASK, address, *sources],
        env={**variables, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: tuple[str | None, str | None] = ast.literal_eval(done.stdout)
    return found


def test_who_publishes_has_a_login_of_another_kind(poetry: Run) -> None:
    found = poetry("publish", PIP_INDEX_URL="https://u:p@a/simple")
    assert "POETRY_HTTP_BASIC_PYPI_USERNAME" not in found


def test_an_address_that_is_none_is_left_to_poetry(poetry: Run) -> None:
    found = poetry(PIP_INDEX_URL="https://[::1/simple")
    assert found["POETRY_PYPI_MIRROR_URL"] == "https://[::1/simple"


def test_poetry_asks_the_simple_api_of_its_own_index_by_default(poetry: Run) -> None:
    address = poetry()["POETRY_PYPI_MIRROR_URL"]
    assert re.fullmatch(r"https://[^/]+/simple/?", address)


def test_a_mirror_of_poetrys_own_is_kept(poetry: Run) -> None:
    found = poetry(PIP_INDEX_URL="https://a/simple", POETRY_PYPI_MIRROR_URL="https://m/simple")
    assert found["POETRY_PYPI_MIRROR_URL"] == "https://m/simple"


def test_certificates_reach_poetry(poetry: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    found = poetry(POETRY_PYPI_MIRROR_URL="https://m/simple")
    assert found["REQUESTS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
