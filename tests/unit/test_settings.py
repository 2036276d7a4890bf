"""docker/host/settings.py finds the settings of this machine, the environment's before a file's."""

import json
import os
import re
from pathlib import Path

import index_logins
import pytest
import settings

# Of an index that pyproject.toml calls our-index.
REPOSITORY = "POETRY_REPOSITORIES_OUR_INDEX_URL"
LOGIN = ("POETRY_HTTP_BASIC_OUR_INDEX_USERNAME", "POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD")
SOURCE = '[[tool.poetry.source]]\nname = "{}"\nurl = "{}"\n'
PROXIES = [either for name in settings.PROXIES for either in (name, name.lower())]
NAMES = (*settings.INDEX, *settings.INDEX.values(), *settings.CERTIFICATES, *PROXIES)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, on a machine without settings; what is set does not stay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NETRC", raising=False)
    for name in (*NAMES, *LOGIN, REPOSITORY, *settings.BUILDS, "PIP_ENV"):
        # Set first, so that it is removed in the end, whatever happens to it in between.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_without_settings_there_is_only_an_owner() -> None:
    settings.apply()
    assert os.environ["PIP_ENV"] == ""
    assert os.environ["HOST_UID"] == str(os.getuid())
    assert not any(os.environ.get(name) for name in NAMES)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_names_the_index_for_builds_for_pip_and_for_uv(folder: Path, end: str) -> None:
    text = f"# Ours{end}PIP_INDEX_URL=https://u:a=b@h/simple{end}OTHER=x{end}"
    (folder / "pip.env").write_bytes(text.encode())
    settings.apply()
    assert os.environ["PIP_ENV"] == "PIP_INDEX_URL=https://u:a=b@h/simple"
    assert os.environ["PIP_INDEX_URL"] == os.environ["UV_DEFAULT_INDEX"]
    assert "OTHER" not in os.environ


def test_the_environment_comes_before_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pip.env").write_text("PIP_INDEX_URL=https://file/\n")
    (folder / ".env").write_text("HOST_UID=1234\nHOST_GID=5678\nNAME=x\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment/")
    monkeypatch.setenv("HOST_GID", "9")
    settings.apply()
    assert os.environ["PIP_ENV"] == "PIP_INDEX_URL=https://environment/"
    assert (os.environ["HOST_UID"], os.environ["HOST_GID"]) == ("1234", "9")


def test_of_two_lines_for_one_name_the_last_counts(folder: Path) -> None:
    """As for compose, which reads the same file: with the first one, the two would differ."""
    (folder / ".env").write_text("PYTHON_IMAGE=old\nBUILDER_IMAGE=b\nPYTHON_IMAGE=new\n")
    (folder / "pip.env").write_text("PIP_INDEX_URL=https://a/\nPIP_INDEX_URL=https://b/\n")
    settings.apply()
    assert os.environ["PYTHON_IMAGE"] == "new"
    assert os.environ["PIP_ENV"] == "PIP_INDEX_URL=https://b/"


@pytest.mark.parametrize(
    "line",
    ["PYTHON_IMAGE=a/b:1", "PYTHON_IMAGE='a/b:1'", 'export PYTHON_IMAGE="a/b:1" # ours', "X=1\r"],
)
def test_builds_use_the_images_that_compose_reads_in_a_file(folder: Path, line: str) -> None:
    (folder / ".env").write_text(f"{line}\nPORT=1\nBUILDER_IMAGE=\n")
    settings.apply()
    assert os.environ.get("PYTHON_IMAGE") == ("a/b:1" if "PYTHON" in line else None)
    assert not {"PORT", "BUILDER_IMAGE", "X"} & os.environ.keys()


@pytest.mark.parametrize("name", settings.CERTIFICATES)
def test_certificates_under_any_of_their_names_reach_uv(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/ca.pem")
    settings.apply()
    assert settings.certificates() == os.environ["SSL_CERT_FILE"] == "/ca.pem"


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_in_either_case_is_there_in_both_and_no_other_is(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Some programs know the one, and some the other."""
    monkeypatch.setenv(name, "http://proxy.example:3128")
    settings.apply()
    found = {proxy: os.environ[proxy] for proxy in PROXIES if proxy in os.environ}
    assert found == dict.fromkeys((name.upper(), name.lower()), "http://proxy.example:3128")


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("name", settings.PROXIES)
def test_a_proxy_that_is_empty_is_as_if_it_were_not_set(
    monkeypatch: pytest.MonkeyPatch, name: str, empty: str | None
) -> None:
    if empty is not None:
        monkeypatch.setenv(name, empty)
    settings.apply()
    assert not any(os.environ.get(proxy) for proxy in PROXIES)
    monkeypatch.setenv(name.lower(), "a")
    settings.apply()
    assert os.environ[name] == os.environ[name.lower()] == "a"


def test_of_two_proxies_the_one_in_capitals_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "a")
    monkeypatch.setenv("https_proxy", "b")
    settings.apply()
    assert os.environ["HTTPS_PROXY"] == os.environ["https_proxy"] == "a"


def test_files_of_podman_belong_to_root_in_its_containers() -> None:
    """That is who runs it, who needs no other owner."""
    Path(".env").write_text("CONTAINER_ENGINE=podman\n")
    settings.apply()
    assert os.environ["CONTAINER_ENGINE"] == "podman"
    assert (os.environ["HOST_UID"], os.environ["HOST_GID"]) == ("0", "0")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that Docker's own settings would be in."""
    folder = tmp_path / "of docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


def test_containers_have_the_proxy_that_docker_names_for_them(
    docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of this machine may be at an address which is another machine there."""
    default = {"httpProxy": "http://a", "httpsProxy": "http://b", "noProxy": "c", "allProxy": "d"}
    docker.write_text(json.dumps({"proxies": {"default": default}}))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    settings.apply()
    found = {"HTTP_PROXY": "http://a", "HTTPS_PROXY": "http://b", "NO_PROXY": "c"}
    lower = {name.lower(): proxy for name, proxy in found.items()}
    assert settings.proxies_of_docker() == found | lower
    assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:3128"
    assert "HTTP_PROXY" not in os.environ


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"proxies": 1}', '{"proxies": {"tcp://a": {}}}', "\xff"]
)
def test_settings_of_docker_without_a_proxy_are_left_to_docker(docker: Path, text: str) -> None:
    docker.write_bytes(text.encode("latin-1"))
    assert settings.proxies_of_docker() == {}


@pytest.mark.parametrize("name", ["pip.env", ".env"])
def test_a_file_names_no_proxy(folder: Path, name: str) -> None:
    (folder / name).write_text("".join(f"{proxy}=a\n" for proxy in PROXIES))
    settings.apply()
    assert not any(proxy in os.environ for proxy in PROXIES)


@pytest.mark.parametrize("name", ["pip.env", ".env"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str, is_folder: bool) -> None:
    if is_folder:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(b"PIP_INDEX_URL=\xff\n")
    with pytest.raises(SystemExit, match=rf"^{re.escape(name)} cannot be read \(.+\)\. Correct it"):
        settings.apply()


def test_a_second_time_nothing_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pip.env").write_text("PIP_TRUSTED_HOST=a b\n")
    monkeypatch.setenv("http_proxy", "a")
    settings.apply()
    before = dict(os.environ)
    settings.apply()
    assert dict(os.environ) == before


def sources(folder: Path, **addresses: str) -> None:
    """Write a pyproject.toml that names indexes."""
    tables = [SOURCE.format(name.replace("_", "-"), url) for name, url in addresses.items()]
    (folder / "pyproject.toml").write_text("".join(tables))


ADDRESS = "https://index.example:8443/simple"
LOGGED_IN = "https://joe%40example:p%40s%2Fs@index.example:8443/simple"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pip.env", f"{LOGIN[0]}=joe@example\n{LOGIN[1]}=p@s/s\n"),
        ("pip.env", f"{LOGIN[0]}=joe@example\r\n{LOGIN[1]}=p@s/s\r\n"),
        ("poetry.toml", '[http-basic.our-index]\nusername = "joe@example"\npassword = "p@s/s"\n'),
        (
            "poetry.toml",
            '[http-basic]\nOur-Index = { username = "joe@example", password = "p@s/s" }\n',
        ),
    ],
)
def test_a_login_is_for_builds_and_poetry_by_its_name_and_for_pip_and_uv_in_the_address(
    folder: Path, file: str, text: str
) -> None:
    sources(folder, our_index=ADDRESS, other="https://other.example/simple")
    (folder / file).write_bytes(text.encode())
    settings.apply()
    assert [os.environ[name] for name in LOGIN] == ["joe@example", "p@s/s"]
    assert set(os.environ["PIP_ENV"].splitlines()) == {
        f"{LOGIN[0]}=joe@example",
        f"{LOGIN[1]}=p@s/s",
    }
    found = settings.for_installing()
    assert found["PIP_EXTRA_INDEX_URL"] == found["UV_INDEX"] == LOGGED_IN
    # What compose and the container see.
    assert not {"PIP_EXTRA_INDEX_URL", "UV_INDEX"} & os.environ.keys()


def test_a_login_follows_the_indexes_that_are_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(folder, our_index=ADDRESS)
    (folder / "pip.env").write_text("PIP_EXTRA_INDEX_URL=https://first/simple\n")
    for name, value in zip(LOGIN, ("joe@example", "p@s/s"), strict=True):
        monkeypatch.setenv(name, value)
    settings.apply()
    both = f"https://first/simple {LOGGED_IN}"
    found = settings.for_installing()
    assert found["PIP_EXTRA_INDEX_URL"] == found["UV_INDEX"] == both
    # Builds know by themselves which index has which login.
    assert "PIP_EXTRA_INDEX_URL=https://first/simple" in os.environ["PIP_ENV"].splitlines()
    before = dict(os.environ)
    settings.apply()
    assert dict(os.environ) == before


def test_the_environment_has_a_login_before_files_and_pip_env_before_poetry(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOGIN[1], "environment")
    (folder / "pip.env").write_text(f"{LOGIN[0]}=file\n{LOGIN[1]}=file\n")
    text = '[http-basic.our-index]\nusername = "poetry"\npassword = "poetry"\n'
    (folder / "poetry.toml").write_text(text)
    settings.apply()
    assert [os.environ[name] for name in LOGIN] == ["file", "environment"]


def write_netrc(folder: Path, text: str, name: str = "home/.netrc") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)


NETRC = "machine index.example login joe@example password p@s/s\nmachine other login x password y\n"


@pytest.mark.parametrize("name", ["home/.netrc", "home/_netrc", "logins"])
def test_a_login_of_netrc_reaches_builds_for_every_index_without_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "logins":
        monkeypatch.setenv("NETRC", str(folder / name))
    write_netrc(folder, NETRC, name)
    sources(folder, our_index=ADDRESS, third="https://third.example/simple")
    monkeypatch.setenv("PIP_INDEX_URL", ADDRESS)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"https://third.example/ https://a@other/ {ADDRESS}")
    settings.apply()
    assert set(os.environ["PIP_ENV"].splitlines()) == {
        f"PIP_INDEX_URL={LOGGED_IN}",
        f"PIP_EXTRA_INDEX_URL=https://third.example/ https://a@other/ {LOGGED_IN}",
        f"{LOGIN[0]}=joe@example",
        f"{LOGIN[1]}=p@s/s",
    }
    # What compose, hooks and tests see; uv and pip read the same file.
    assert os.environ["PIP_INDEX_URL"] == os.environ["UV_DEFAULT_INDEX"] == ADDRESS
    assert not {*LOGIN} & os.environ.keys()
    assert settings.for_installing()["UV_INDEX"].endswith(f" {LOGGED_IN}")
    before = dict(os.environ)
    settings.apply()
    assert dict(os.environ) == before


@pytest.mark.parametrize("named", ["", "missing"])
def test_who_names_another_netrc_or_none_has_no_login_of_the_usual_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("NETRC", named)
    write_netrc(folder, NETRC)
    monkeypatch.setenv("PIP_INDEX_URL", ADDRESS)
    settings.apply()
    assert os.environ["PIP_ENV"] == f"PIP_INDEX_URL={ADDRESS}"


@pytest.mark.parametrize(
    "address", ["ftp://index.example/", "file://index.example/x", "https://me@index.example/"]
)
def test_a_login_of_netrc_goes_to_no_other_kind_of_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    write_netrc(folder, NETRC)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    settings.apply()
    assert os.environ["PIP_ENV"] == f"PIP_INDEX_URL={address}"


@pytest.mark.parametrize("url", ['["x"]', "{}", "5", '"https://index.example"'])
def test_a_source_that_poetry_refuses_is_left_to_it(folder: Path, url: str) -> None:
    write_netrc(folder, NETRC)
    name = "a=b" if "index" in url else "x"
    text = f'[[tool.poetry.source]]\nname = "{name}"\nurl = {url}\n'
    (folder / "pyproject.toml").write_text(text)
    settings.apply()
    assert os.environ["PIP_ENV"] == ""
    assert settings.for_installing().keys() == {"UV_INDEX_STRATEGY"}


@pytest.mark.parametrize("end", ["\n", "\r", "\0"])
def test_a_line_break_would_make_two_settings_of_one_and_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    sources(folder, our_index=ADDRESS)
    write_netrc(folder, f'machine index.example login joe password "a{end}B=c"\n')
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a/\n https://b/")
    with pytest.raises(SystemExit, match=rf"^{LOGIN[1]} has a line break or a null byte, "):
        settings.apply()


def test_netrc_comes_last_and_its_default_entry_is_for_no_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(folder, our_index=ADDRESS)
    write_netrc(folder, f"{NETRC}default login z password z\n")
    (folder / "poetry.toml").write_text('[http-basic.our-index]\nusername = "poetry"\n')
    monkeypatch.setenv("PIP_INDEX_URL", "https://third.example/simple")
    settings.apply()
    assert set(os.environ["PIP_ENV"].splitlines()) == {
        f"{LOGIN[0]}=poetry",
        "PIP_INDEX_URL=https://third.example/simple",
    }


@pytest.mark.parametrize("text", ["machine", "\0", "machine index.example login"])
@pytest.mark.parametrize("address", [ADDRESS, "https://[::1/", "no address"])
def test_a_netrc_or_an_address_that_nobody_can_read_is_left_to_its_own_readers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, address: str
) -> None:
    sources(folder, our_index=address)
    write_netrc(folder, text)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv(LOGIN[0], "joe")
    settings.apply()
    assert f"PIP_INDEX_URL={address}" in os.environ["PIP_ENV"].splitlines()
    assert f"{LOGIN[1]}=" not in os.environ["PIP_ENV"]


@pytest.mark.parametrize(
    ("name", "url", "login"),
    [
        ("our-index", ADDRESS, ("joe@example", "p@s/s:w%rd $1")),
        ("our-index", f"{ADDRESS}/", ("ü", "?a=1&b=2#c")),
        ("OUR_INDEX", "http://127.0.0.1:1/simple", ("token", "")),
    ],
)
def test_sessions_log_in_as_builds_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str, login: tuple[str, str]
) -> None:
    """docker/host/ and docker/image/ share no code."""
    for variable, value in zip(LOGIN, login, strict=True):
        monkeypatch.setenv(variable, value)
    in_a_build = index_logins.variables({name: url}, os.environ)
    (folder / "pyproject.toml").write_text(SOURCE.format(name, url))
    settings.apply()
    found = settings.for_installing()
    assert {name: found[name] for name in in_a_build} == in_a_build


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pip.env", "PIP_INDEX_URL=https://index.example\0\n"),
        (".env", "PYTHON_IMAGE=python\0\n"),
        ("poetry.toml", '[http-basic.x]\nusername = "\\u0000"\n'),
    ],
)
def test_what_no_variable_can_hold_is_named_with_the_files_to_correct(
    folder: Path, file: str, text: str
) -> None:
    (folder / file).write_text(text)
    with pytest.raises(SystemExit) as error:
        settings.apply()
    assert re.fullmatch(
        r"[A-Z_]+ has a null byte in pip\.env, \.env or poetry\.toml\. Write it anew there\.",
        str(error.value.code),
    )


@pytest.mark.parametrize("text", ["http-basic = 5", "repositories = [1]", "http-basic.x = 5"])
def test_what_poetry_refuses_is_left_to_it(folder: Path, text: str) -> None:
    (folder / "poetry.toml").write_text(text)
    (folder / "pyproject.toml").write_text("[tool.poetry]\nsource = [5]\n")
    settings.apply()
    assert os.environ["PIP_ENV"] == ""
    assert settings.for_installing().keys() == {"UV_INDEX_STRATEGY"}


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.toml"])
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b"\xff", b"[tool]\n"])
def test_a_file_that_cannot_be_read_is_left_to_its_own_readers(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    settings.apply()
    assert os.environ["PIP_ENV"] == ""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pip.env", f"{REPOSITORY}=https://code.example/\n"),
        ("poetry.toml", '[repositories.our-index]\nurl = "https://code.example/"\n'),
    ],
)
def test_the_address_of_a_server_of_git_is_passed_on(folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text)
    settings.apply()
    assert os.environ["PIP_ENV"] == f"{REPOSITORY}=https://code.example/"
    assert "UV_INDEX" not in os.environ


def test_a_login_for_no_index_that_is_known_is_passed_on_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an index that a lock still has."""
    monkeypatch.setenv(LOGIN[0], "joe")
    sources(folder, other=ADDRESS)
    settings.apply()
    assert os.environ["PIP_ENV"] == f"{LOGIN[0]}=joe"
    assert "UV_INDEX" not in os.environ


def test_what_is_nested_too_deep_sets_nothing(folder: Path) -> None:
    (folder / "poetry.toml").write_text(f"a = {'[' * 5_000}")
    settings.apply()
    assert os.environ["PIP_ENV"] == ""
