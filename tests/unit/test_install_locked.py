"""docker/image/install_locked.py: uv installs what was chosen, and a refusal is told by name."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import install_locked
import pytest

from tests.unit.indexes import Index

# It fails at what FAILS is a part of.
UV = """#!/bin/sh
touch "$VIRTUAL_ENV/.lock" "$VIRTUAL_ENV/module.py"
echo "$UV_CACHE_DIR" > "$0.cache"
echo "${UV_INDEX:-}" > "$0.index"
echo "${GIT_CONFIG_KEY_0:-}=${GIT_CONFIG_VALUE_0:-}" > "$0.git"
echo "$*" >> "$0.calls"
case "$*" in *"$FAILS"*) exit "$STATUS" ;; esac
"""
COMMIT = "shop @ git+https://code.example/shop.git@0a1b"
LOCKED = "click==8.1 \\\n    --hash=sha256:aa\n"


@dataclass
class Uv:
    """A stand-in for uv, and the folders that it installs from."""

    folder: Path

    @property
    def calls(self) -> list[str]:
        """Return the arguments of each call."""
        file = self.folder / "uv.calls"
        return file.read_text().splitlines() if file.exists() else []

    def told(self, what: str) -> str:
        """Return what it found of its environment."""
        return (self.folder / f"uv.{what}").read_text().removesuffix("\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of what was chosen, in wheels/ or built/."""
        (self.folder / name).write_text(text, encoding="utf-8")


Install = Callable[..., object]


def indexes(sources: dict[str, str]) -> str:
    """Return what was chosen of indexes with a name, each with one package that it has."""
    return json.dumps({"sources": sources, "packages": dict.fromkeys(sources, "click")})


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    """Put a stand-in for uv first on the path, in folders as the image has them."""
    for name in ("wheels", "built", "venv"):
        (tmp_path / name).mkdir()
    uv = Uv(tmp_path)
    uv.write("uv", UV)
    (tmp_path / "uv").chmod(0o755)
    uv.write("wheels/requirements.txt", LOCKED)
    uv.write("wheels/commits.txt", "")
    uv.write("wheels/indexes.json", indexes({}))
    uv.write("compile-key.txt", "debian13-x86_64-0a1b")
    monkeypatch.setattr(install_locked, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(install_locked, "BUILT", tmp_path / "built")
    monkeypatch.setattr(install_locked, "KEY", tmp_path / "compile-key.txt")
    git = ("COUNT", "KEY_0", "VALUE_0")
    changed = (
        *("GIT_TERMINAL_PROMPT", "LDFLAGS", "PIP_EXTRA_INDEX_URL", "SOURCE_DATE_EPOCH"),
        *("UV_CACHE_DIR", "UV_INDEX"),
    )
    for name in (*changed, *(f"GIT_CONFIG_{part}" for part in git)):
        # Set first, so that it is removed in the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "venv"))
    return uv


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, uv: Uv) -> Install:
    """Return a function that runs the program with uv's status; it returns how that ends."""
    assert not uv.calls

    def install(*options: str, status: int = 0, fails: str = "") -> object:
        monkeypatch.setenv("STATUS", str(status))
        monkeypatch.setenv("FAILS", fails)
        monkeypatch.setattr(sys, "argv", ["install_locked.py", *options])
        try:
            install_locked.main()
        except SystemExit as end:
            return end.code
        return 0

    return install


def test_uv_has_a_cache_for_each_key_and_checks_the_hash_of_all_that_it_installs(
    install: Install, uv: Uv
) -> None:
    assert install() == 0
    assert uv.told("cache") == "/root/.cache/uv/debian13-x86_64-0a1b"
    [call] = uv.calls
    assert call.startswith("pip install --no-deps ")
    assert " --require-hashes " in call
    assert call.endswith(f" --requirements={uv.folder}/wheels/requirements.txt")


def test_commits_which_have_no_hash_follow_by_themselves(install: Install, uv: Uv) -> None:
    uv.write("wheels/commits.txt", f"{COMMIT}\n")
    assert install() == 0
    locked, commits = uv.calls
    assert "--require-hashes" in locked
    assert "--require-hashes" not in commits
    assert " --no-deps " in commits
    assert commits.endswith(f" --requirements={uv.folder}/wheels/commits.txt")


def test_wheels_that_were_built_here_are_installed_without_an_index(
    install: Install, uv: Uv
) -> None:
    uv.write("built/requirements.txt", "shared\n")
    assert install() == 0
    _, built = uv.calls
    options = f" --no-index --find-links={uv.folder}/built "
    assert f"--no-deps{options}" in built
    assert built.endswith(f" --requirements={uv.folder}/built/requirements.txt")


def test_an_option_of_uv_is_passed_on_every_time(install: Install, uv: Uv) -> None:
    uv.write("wheels/commits.txt", f"{COMMIT}\n")
    uv.write("built/requirements.txt", "shared\n")
    assert install("--prefix", "/opt/x y") == 0
    assert [call.endswith(" --prefix /opt/x y") for call in uv.calls] == [True] * 3


def test_the_lock_of_uv_is_not_left(install: Install, uv: Uv) -> None:
    assert install() == 0
    assert [file.name for file in (uv.folder / "venv").iterdir()] == ["module.py"]


def test_what_is_refused_is_not_installed(install: Install, uv: Uv) -> None:
    uv.write("wheels/refused.txt", "Wheels: It has no hash. Depend on another.\n")
    assert install() == "Wheels: It has no hash. Depend on another."
    assert not uv.calls


@pytest.mark.parametrize("status", [1, 2])
@pytest.mark.parametrize(
    ("fails", "calls"), [("requirements.txt", 1), ("commits.txt", 2), ("--no-index", 3)]
)
def test_what_uv_cannot_install_stops_the_build_with_its_status(
    install: Install, uv: Uv, status: int, fails: str, calls: int
) -> None:
    uv.write("wheels/commits.txt", f"{COMMIT}\n")
    uv.write("built/requirements.txt", "shared\n")
    assert install(status=status, fails=fails) == status
    assert len(uv.calls) == calls


def test_without_a_key_nothing_is_installed(install: Install, uv: Uv) -> None:
    """Else wheels of other headers would be taken for those of this image."""
    (uv.folder / "compile-key.txt").unlink()
    with pytest.raises(FileNotFoundError):
        install()
    assert not uv.calls


LOGIN = ("POETRY_HTTP_BASIC_OUR_INDEX_USERNAME", "POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD")


@pytest.fixture
def source(uv: Uv, index: Index) -> Index:
    """Return an index that the lock names."""
    uv.write("wheels/indexes.json", indexes({"our-index": index.address}))
    return index


@pytest.fixture
def login(source: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables with the login that the index wants."""
    for name, value in zip(LOGIN, source.login, strict=True):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("login")
def test_uv_logs_in_where_the_lock_says(
    install: Install, uv: Uv, source: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", "https://first/simple")
    assert install() == 0
    login = "joe%40example:p%40s%2Fs%3Aw%25rd%20%241"
    address = source.address.replace("//", f"//{login}@")
    assert uv.told("index") == f"https://first/simple {address}"
    # What works is not asked again.
    assert not source.asked


def test_git_logs_in_where_poetry_does(
    install: Install, uv: Uv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POETRY_REPOSITORIES_OUR_INDEX_URL", "https://code.example/")
    monkeypatch.setenv(LOGIN[0], "joe")
    monkeypatch.setenv(LOGIN[1], "a b")
    uv.write("wheels/commits.txt", f"{COMMIT}\n")
    assert install() == 0
    setting = "url.https://joe:a%20b@code.example/.insteadOf=https://code.example/"
    assert uv.told("git") == setting


def test_an_index_that_lets_nobody_in_is_named(install: Install, source: Index) -> None:
    said = str(install(status=1))
    assert said.startswith(f"Index: our-index at {source.address} wants a password ")
    assert f" Set {' and '.join(LOGIN)}, " in said
    assert source.asked == ["/simple/click/"]


@pytest.mark.usefixtures("login")
def test_a_wrong_password_is_told_from_none(
    install: Install, source: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOGIN[1], "wrong")
    said = str(install(status=1))
    assert said.startswith(f"Index: our-index at {source.address} does not accept this user and ")
    assert source.asked


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("known", [200, 404])
def test_another_failure_is_left_to_uv(install: Install, source: Index, known: int) -> None:
    source.known = known
    assert install(status=2) == 2
    assert source.asked


def test_an_index_that_does_not_answer_is_left_to_uv(install: Install, uv: Uv) -> None:
    uv.write("wheels/indexes.json", indexes({"silent": "http://127.0.0.1:1/simple"}))
    assert install(status=1) == 1


def test_an_index_of_which_nothing_is_missing_is_not_asked(
    install: Install, uv: Uv, source: Index
) -> None:
    """As where all wheels of it are there."""
    text = {"sources": {"our-index": source.address}, "packages": {}}
    uv.write("wheels/indexes.json", json.dumps(text))
    assert install(status=1) == 1
    assert not source.asked


def test_a_commit_that_cannot_be_installed_is_no_matter_of_an_index(
    install: Install, uv: Uv, source: Index
) -> None:
    uv.write("wheels/commits.txt", f"{COMMIT}\n")
    assert install(status=1, fails="commits.txt") == 1
    assert not source.asked
