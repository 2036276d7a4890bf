"""docker/host/session.py reads and writes files whole, and says why a program failed."""

import errno
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import session
from session import SessionError

Program = Callable[..., Path]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    session.write_text(file, "whole")
    with pytest.raises(UnicodeEncodeError):
        session.write_text(file, "half\udc80")
    assert file.read_text() == "whole"
    assert [*tmp_path.iterdir()] == [file]


def test_a_file_keeps_its_permissions_and_gets_its_folder_and_its_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "folder/file"
    session.write_text(file, "one\r\ntwo\n")
    file.chmod(0o640)
    session.write_text(file, "two\r\nthree\n")
    assert file.read_bytes() == b"two\r\nthree\n"
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"7", b"\xff"], ids=repr)
def test_what_is_missing_or_damaged_is_an_empty_object(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    assert session.read_json(tmp_path / "file") == {}


def test_an_error_ends_the_program_with_its_sentences() -> None:
    with pytest.raises(SystemExit) as error, session.ended_by_errors():
        raise SessionError("It is wrong. Correct it.")
    assert error.value.code == "It is wrong. Correct it."


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        (errno.EACCES, "Give this user the right to read and to write it."),
        (errno.EROFS, "Mount it so that it can be written, or work in a copy of the project"),
        (errno.ENOSPC, "Make room on its disk."),
        (errno.ENOENT, "Restore it from Git, or make it."),
        (errno.EIO, "Correct it."),
    ],
    ids=errno.errorcode.get,
)
def test_a_file_that_cannot_be_used_ends_the_program_with_its_name_and_a_remedy(
    kind: int, remedy: str
) -> None:
    with pytest.raises(SystemExit) as error, session.ended_by_errors():
        raise OSError(kind, os.strerror(kind), "build/sizes.json")
    told = f"build/sizes.json cannot be used ({os.strerror(kind)}). {remedy}"
    assert str(error.value.code).startswith(told)


def test_a_full_disk_names_no_file_and_is_a_sentence_all_the_same() -> None:
    with pytest.raises(SystemExit) as error, session.ended_by_errors():
        raise OSError(errno.ENOSPC, "No space left on device")
    told = "A file cannot be used (No space left on device). Make room on its disk."
    assert error.value.code == told


@pytest.mark.parametrize("name", ["file", "folder/file"])
def test_a_write_that_fails_names_the_file_that_was_asked_for(tmp_path: Path, name: str) -> None:
    """And not the one beside it, which is gone by then."""
    in_the_way = tmp_path / name.partition("/")[0]
    if name == "file":
        in_the_way.mkdir()
    else:
        in_the_way.touch()
    with pytest.raises(SystemExit) as error, session.ended_by_errors():
        session.write_text(tmp_path / name, "text")
    assert re.fullmatch(
        rf"{in_the_way} cannot be used \(.+\)\. Move it away: .+\.", str(error.value.code)
    )
    assert [*tmp_path.iterdir()] == [in_the_way]


@pytest.mark.parametrize("content", [None, b"\xfc"], ids=["folder", "Latin-1"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(SessionError, match=rf"^{path} cannot be (read|used) \(.+\)\. [MS]\w+ it "):
        session.read_text(path)


def test_what_programs_print_is_returned(program: Program, tmp_path: Path) -> None:
    calls = {name: program(name, {"tag": f"{name}\n"}) for name in ("docker", "git")}
    assert session.docker("tag", "x") == "docker\n"
    assert session.git("tag", folder="folder") == "git\n"
    assert calls["docker"].read_text() == "tag x\n"
    assert calls["git"].read_text() == "-C folder tag\n"


@pytest.mark.parametrize(
    ("name", "run"), [("docker", session.docker), ("git", partial(session.git, folder="folder"))]
)
def test_a_program_that_fails_or_is_missing_is_named_with_a_remedy(
    name: str, run: Callable[..., str], program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(name, {"tag": ""}, status=1)
    with pytest.raises(SessionError) as error:
        run("tag")
    assert str(error.value) == f"{name} tag failed. Fix what it reported: no message"
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SessionError, match=rf"(?i){name}.* is not installed\. Install "):
        run("tag")


def test_an_interrupt_between_two_steps_ends_a_program_without_a_traceback() -> None:
    with pytest.raises(SystemExit) as end, session.ended_by_errors():
        raise KeyboardInterrupt
    assert end.value.code == 130


def test_what_is_nested_too_deep_is_an_empty_object(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("[" * 100_000)
    assert session.read_json(tmp_path / "x") == {}
