"""Every download has a second way, and only a download that fails is one."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from support import SupportError, UnavailableError, debian, docker, downloads, images
from support.docker import Client
from support.images import bases


@pytest.mark.parametrize(("lags", "option"), [("", ""), ("no", " check-valid-until=no")])
def test_a_package_source_is_signed_and_of_one_component(
    program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, lags: str, option: str
) -> None:
    """It trusts an old list only where this machine's own apt does."""
    program("apt-config", {"shell": f"value='{lags}'\n" if lags else ""})
    monkeypatch.setattr(debian, "archives", lambda suffix: [f"http://deb.example/debian{suffix}"])
    signed = f"[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg{option}]"
    assert debian.source_lines("trixie") == [f"deb {signed} http://deb.example/debian trixie main"]
    assert debian.source_lines("trixie-security", "deb-src") == [
        f"deb-src {signed} http://deb.example/debian-security trixie-security main"
    ]


def test_the_archives_are_found_without_any_list(
    program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "host_release", lambda: "bookworm")
    parts = [
        "one.example/debian/dists/bookworm",
        "two.example/debian/dists/bookworm",
        "one.example/debian/dists/bookworm-updates",
        "one.example/debian-security/dists/bookworm-security",
        "other.example/dists/nodistro",
    ]
    lists = [f"'http://{part}/main/binary-amd64/Packages.xz' name 0 \n" for part in parts]
    program("apt-get", {"update --print-uris": "".join(lists)})
    assert debian.archives() == ["http://one.example/debian/", "http://two.example/debian/"]
    assert debian.archives("-security") == ["http://one.example/debian-security/"]
    monkeypatch.setattr(debian, "host_release", lambda: "trixie")
    assert debian.archives("-security") == []
    with pytest.raises(SupportError, match="name no Debian archive"):
        debian.archives()


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        (
            "#9 1.2 E: Failed to fetch http://a.example/x.deb  404  Not Found [IP: 192.0.2.1 80]\n",
            "Failed to fetch http://a.example/x.deb  404  Not Found [IP: 192.0.2.1 80]",
        ),
        (
            "E: Release file for http://a.example/InRelease is expired (invalid since 19d).\n",
            "Release file for http://a.example/InRelease is expired (invalid since 19d).",
        ),
        (
            "E: The repository 'http://a.example none Release' does not have a Release file.\n",
            "The repository 'http://a.example none Release' does not have a Release file.",
        ),
        ("W: Failed to fetch http://a.example/x\nmake: *** [all] Error 1\n", None),
        ("E: Unable to locate package misspelt\n", None),
        ("E: The repository 'http://a.example x InRelease' is not signed.\n", None),
        # In the log of a build a line of the other stream came between.
        (
            "#5 0.549 E: \n#5 0.549 Failed to fetch http://deb.example/Packages  404  Not Found\n"
            "#5 0.549 E: Some index files failed to download. They have been ignored.",
            "Failed to fetch http://deb.example/Packages  404  Not Found",
        ),
        ("W: Failed to fetch http://deb.example/Packages  404  Not Found", None),
    ],
)
def test_only_a_download_that_fails_is_not_served(output: str, missing: str | None) -> None:
    assert debian.not_served(output) == missing


def test_the_first_way_that_serves_is_taken() -> None:
    def lost() -> str:
        raise UnavailableError("404")

    assert downloads.first("it", [("one", lost), ("two", lambda: "here")]) == ("two", "here")
    with pytest.raises(UnavailableError, match=r"serves it today; tried: one \(404\); two \(404\)"):
        downloads.first("it", [("one", lost), ("two", lost)])


def test_an_error_of_ours_ends_the_search() -> None:
    def wrong() -> None:
        raise SupportError("ours")

    with pytest.raises(SupportError, match=r"^ours$"):
        downloads.first("it", [("one", wrong), ("two", lambda: None)])


@pytest.mark.parametrize(
    ("works", "built", "error"),
    [
        ((1,), ["seedpod/debian:trixie"], None),
        ((2,), ["seedpod/debian:trixie", "seedpod/debian:trixie-updates"], None),
        ((), ["seedpod/debian:trixie", "seedpod/debian:trixie-updates"], UnavailableError),
    ],
    ids=["release", "updates", "neither"],
)
def test_what_a_build_installs_may_come_from_the_updates(
    monkeypatch: pytest.MonkeyPatch,
    works: tuple[int, ...],
    built: list[str],
    error: type[Exception] | None,
) -> None:
    monkeypatch.setattr(bases, "_assembled", lambda name, *_: name)
    asked: list[str] = []

    def make(image: str) -> str:
        asked.append(image)
        if len(asked) not in works:
            raise docker.PackageUnavailableError("E: Failed to fetch x")
        return image

    with pytest.raises(error) if error else nullcontext():
        assert bases.on_debian("trixie", Client(), make) == built[-1]
    assert asked == built


def test_what_is_built_nowhere_is_listed() -> None:
    assert images.unbuilt() == ["3.12 on Debian", "3.14 on Alpine"]


@pytest.mark.skipif(
    not shutil.which("apt-get") or debian.host_release() is None, reason="needs a Debian"
)
def test_the_archive_is_the_one_that_this_machine_uses() -> None:
    assert all("://" in address for address in debian.archives())
