"""docker/host/settings.py finds the settings of this machine, the environment's before a file's."""

import os
from pathlib import Path

import pytest
import settings

NAMES = (*settings.INDEX, *settings.INDEX.values(), *settings.CERTIFICATES)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, on a machine without settings; what is set does not stay."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, *settings.BUILDS, "PIP_ENV"):
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


def test_a_second_time_nothing_changes(folder: Path) -> None:
    (folder / "pip.env").write_text("PIP_TRUSTED_HOST=a b\n")
    settings.apply()
    before = dict(os.environ)
    settings.apply()
    assert dict(os.environ) == before
