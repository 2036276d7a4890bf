"""docker/host/check.py accepts what pyproject.toml accepts with a reason, and nothing else."""

from pathlib import Path

import check
import project_file
import pytest
from root_files import Finding
from session import SessionError

HEADER = Finding("headers", "/usr/include/x.h", "is for compilers")
IPV6 = Finding("ipv6", "8000", "does not answer on ::1")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return declare("")


def declare(text: str) -> Path:
    """Write a pyproject.toml with a table, and return its path."""
    path = Path("pyproject.toml")
    path.write_text(f'[project]\nname = "shop"\n{text}', encoding="utf-8")
    return path


def test_every_check_has_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check.report([HEADER], {"ipv6": "it has no port"})
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: line[1:] for line in lines[1 : 1 + len(check.CHECKS)]}
    assert [*rows] == [*check.CHECKS]
    assert rows["headers"][0] == "WRONG"
    assert rows["ipv6"] == ["-", "it has no port"]
    assert {row[0] for name, row in rows.items() if name not in ("headers", "ipv6")} == {"ok"}


def test_what_is_accepted_passes_and_its_reason_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare('[tool.seedpod.check]\nheaders = { "/usr/include/*" = "filters" }')
    assert check.report([HEADER], {})
    out = capsys.readouterr().out
    assert "headers: /usr/include/x.h is for compilers; accepted: filters" in out
    assert "headers     accepted" in out


def test_what_is_accepted_for_one_check_or_subject_is_not_for_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare('[tool.seedpod.check]\nipv6 = { "8001" = "later" }\nwritable = { "*" = "ours" }')
    assert not check.report([IPV6, HEADER], {})
    out = capsys.readouterr().out
    # And what accepts nothing is named.
    assert "'8001' in [tool.seedpod.check.ipv6] accepts nothing. Remove it." in out
    assert "'*' in [tool.seedpod.check.writable] accepts nothing. Remove it." in out


def test_the_line_that_accepts_a_finding_does_beside_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    subjects = ["8000", "/usr/lib/a [b]*", '/opt/"ü"', "/opt/\\x"]
    found = [Finding("ipv6", subject, "is wrong") for subject in subjects]
    table = "[tool.seedpod.check.ipv6]\n"
    for _ in found:
        assert not check.report(found, {})
        out = capsys.readouterr().out
        table += out.partition("To accept the first, in [tool.seedpod.check.ipv6]:\n")[2]
        declare(table)
    assert check.report(found, {})
    assert "To accept" not in capsys.readouterr().out


def test_a_check_that_was_left_out_does_not_ask_to_remove_what_it_would_need(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another machine has IPv6."""
    declare('[tool.seedpod.check]\nipv6 = { "8000" = "later" }')
    assert check.report([], {"ipv6": "containers have no IPv6 here"})
    assert "accepts nothing" not in capsys.readouterr().out


def test_what_is_wrong_comes_first_and_long_lists_are_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare('[tool.seedpod.check]\nheaders = { "/a/*" = "ours" }')
    found = [Finding("headers", f"/a/{n:02}", "is") for n in range(check.MOST_SHOWN)]
    assert not check.report([*found, HEADER], {})
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert lines[0] == "headers: /usr/include/x.h is for compilers"
    assert lines[-1] == "headers: and 1 more"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('header = { "*" = "x" }', "[tool.seedpod.check] has no use for 'header'. It takes"),
        ('headers = ["*"]', "headers in [tool.seedpod.check] is ['*']. Write what is accepted"),
        ('headers = { "*" = "" }', "Write what is accepted with a reason for each"),
        ('headers = { "*" = true }', "Write what is accepted with a reason for each"),
    ],
)
def test_what_cannot_be_accepted_is_refused(text: str, problem: str) -> None:
    declare(f"[tool.seedpod.check]\n{text}")
    with pytest.raises(SessionError) as error:
        check.accepted(project_file.setting("check"))
    assert problem in str(error.value)


def test_a_table_that_is_none_is_refused() -> None:
    declare('[tool.seedpod]\ncheck = "all"')
    with pytest.raises(SessionError) as error:
        check.accepted(project_file.setting("check"))
    assert "[tool.seedpod.check] has no use for 'all'" in str(error.value)


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("65532:65532", []),
        ("65532", []),
        ("", ["root is no number"]),
        ("app", ["app is no number"]),
        ("0:0", ["0 is root"]),
        ("00", ["00 is root"]),
    ],
)
def test_the_user_is_a_number_and_not_root(user: str, problem: list[str]) -> None:
    assert [f"{x.subject} {x.problem}" for x in check.user({"User": user})] == problem
