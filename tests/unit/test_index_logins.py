"""docker/image/index_logins.py: pip and uv log in at the indexes for which Poetry has a login."""

import os
import re
import subprocess
from urllib.parse import unquote, urlsplit

import index_logins
import pytest
from index_logins import LoginError
from poetry.config.config import Config

from tests.unit.indexes import Index

ADDRESS = "https://index.example:8443/a/simple"
SOURCES = {"ours": ADDRESS}
NAMES = ("PIP_EXTRA_INDEX_URL", "UV_INDEX")


def environment(user: str = "", password: str = "", name: str = "OURS") -> dict[str, str]:
    """Return the variables of an index that are set."""
    found = {"USERNAME": user, "PASSWORD": password}
    return {f"POETRY_HTTP_BASIC_{name}_{field}": text for field, text in found.items() if text}


def test_without_a_login_nothing_is_set() -> None:
    assert index_logins.variables(SOURCES, {"UV_INDEX": "https://a/"}) == {}
    assert index_logins.variables({}, environment("joe", "secret")) == {}
    assert index_logins.variables(SOURCES, environment("joe", "secret", "OTHERS")) == {}


def test_pip_and_uv_have_the_login_in_the_address() -> None:
    expected = "https://joe:secret@index.example:8443/a/simple"
    found = index_logins.variables(SOURCES, environment("joe", "secret"))
    assert found == dict.fromkeys(NAMES, expected)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("joe@example", "p@s/s:w%rd $1"),
        ("__token__", "pypi-?a=1&b=2#c"),
        ("ü🌱", "'single'\"double\"\\ "),
        ("token", ""),
        ("", "token"),
    ],
)
def test_any_character_of_a_login_arrives_and_none_ends_the_address(
    user: str, password: str
) -> None:
    found = index_logins.variables(SOURCES, environment(user, password))["UV_INDEX"]
    url = urlsplit(found)
    assert (url.hostname, url.port, url.path) == ("index.example", 8443, "/a/simple")
    assert (unquote(url.username or ""), unquote(url.password or "")) == (user, password)
    # Several addresses are in one variable.
    assert " " not in found


def test_several_indexes_follow_what_is_set() -> None:
    sources = {"one": "https://one/simple", "two": "https://two/simple", "three": "http://three:1"}
    variables = {
        "UV_INDEX": "https://first/simple",
        **environment("a", "b", "ONE"),
        **environment("c", "d", "THREE"),
    }
    logged_in = "https://a:b@one/simple http://c:d@three:1"
    assert index_logins.variables(sources, variables) == {
        "PIP_EXTRA_INDEX_URL": logged_in,
        "UV_INDEX": f"https://first/simple {logged_in}",
    }


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ours", "OURS"),
        ("our-index", "OUR_INDEX"),
        ("Our_Index-2", "OUR_INDEX_2"),
        ("eu-1-our-index", "EU_1_OUR_INDEX"),
    ],
)
def test_an_index_has_the_variables_that_poetry_reads(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    login = environment("joe", "secret", key)
    for variable, value in login.items():
        monkeypatch.setenv(variable, value)
    assert index_logins.variables_of(name) == tuple(login)
    found = tuple(Config().get(["http-basic", name, field]) for field in ("username", "password"))
    assert index_logins.login(name, login) == found == ("joe", "secret")


def remote(address: str, variables: dict[str, str]) -> str:
    """Return the address that Git asks in the place of one, in a shell with these variables."""
    command = ["git", "ls-remote", "--get-url", address]
    told = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.check_output(command, env={**told, **variables}, text=True).strip()


@pytest.mark.parametrize("name", ["OURS", "OUR_SERVER"])
def test_git_logs_in_at_the_servers_that_have_an_address_and_at_no_others(name: str) -> None:
    variables = {
        **environment("joe@example", "p@s/s: w%rd $1", name),
        f"POETRY_REPOSITORIES_{name}_URL": "https://code.example:8443/team/",
        "POETRY_REPOSITORIES_OPEN_URL": "https://open.example/",
        **environment("a", "b", "INDEX"),
    }
    found = index_logins.git_variables(variables)
    assert found["GIT_CONFIG_COUNT"] == "1"
    address = "https://code.example:8443/team/x.git"
    login = "joe%40example:p%40s%2Fs%3A%20w%25rd%20%241"
    assert remote(address, found) == address.replace("//", f"//{login}@")
    for other in ("https://code.example/team/x.git", "https://open.example/x.git"):
        assert remote(other, found) == other


def test_several_servers_of_git_have_a_login_each() -> None:
    found = index_logins.git_variables(
        {
            **environment("a", "b", "ONE"),
            "POETRY_REPOSITORIES_ONE_URL": "https://one.example",
            **environment("c", "d", "TWO"),
            "POETRY_REPOSITORIES_TWO_URL": "https://two.example",
        }
    )
    assert remote("https://one.example/x", found) == "https://a:b@one.example/x"
    assert remote("https://two.example/x", found) == "https://c:d@two.example/x"
    another = "https://one.example.org/x"
    assert remote(another, found) == another


def test_git_asks_nobody_for_a_password() -> None:
    """No build has anybody who would answer."""
    assert index_logins.git_variables({}) == {"GIT_CONFIG_COUNT": "0", "GIT_TERMINAL_PROMPT": "0"}


CLICK = {"ours": "click"}


def own(index: Index) -> dict[str, str]:
    """Return the variables with the login that an index wants."""
    return environment(*index.login)


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_wants_a_login_is_named_with_its_variables(index: Index, status: int) -> None:
    index.strangers = status
    with pytest.raises(LoginError) as error:
        index_logins.check({"our-index": index.address}, {}, {"our-index": "click"})
    assert str(error.value) == (
        f"our-index at {index.address} wants a password (HTTP {status}). "
        "Set POETRY_HTTP_BASIC_OUR_INDEX_USERNAME and POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD, in "
        "the environment or in pip.env."
    )
    assert index.asked == ["/simple/click/"]


def test_a_wrong_login_is_told_from_none_and_not_shown(index: Index) -> None:
    said = f"^ours at {re.escape(index.address)} does not accept this user and password "
    with pytest.raises(LoginError, match=said) as error:
        index_logins.check({"ours": index.address}, environment("joe", "secret"), CLICK)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_who_is_let_in_is_not_refused_whatever_the_index_has(index: Index, status: int) -> None:
    index.known = status
    index_logins.check({"ours": index.address}, own(index), CLICK)
    assert index.asked == ["/simple/click/"]


def test_of_several_indexes_the_one_that_refuses_is_found(index: Index) -> None:
    """What does not answer does not hide it."""
    sources = {"silent": "http://127.0.0.1:1", "ours": index.address}
    with pytest.raises(LoginError, match=r"^ours at "):
        index_logins.check(sources, {}, {"silent": "rich", **CLICK})
    index_logins.check(sources, {}, {"silent": "rich"})


def test_no_other_server_sees_a_password(index: Index) -> None:
    """An index may send whoever asks for what it lacks to another one."""
    index.known = 302
    index_logins.check({"ours": index.address}, own(index), CLICK)
    assert index.asked == ["/simple/click/"]


def test_an_address_that_is_none_logs_in_nowhere(index: Index) -> None:
    wrong = {**environment("u", "p"), "POETRY_REPOSITORIES_OURS_URL": "https://["}
    assert index_logins.git_variables(wrong)["GIT_CONFIG_COUNT"] == "0"
    index_logins.check({"ours": "no address"}, {}, {"ours": "x"})
