"""A family of tests is left out for one reason alone, and never without a word."""

import pytest

from support import SupportError, UnavailableError
from tests import families

WORDS = "Nobody serves expat today."


@pytest.fixture(autouse=True)
def nothing_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(families.SETTING, raising=False)


def leave_out(family: str, error: Exception) -> None:
    with families.needed_by(family):
        raise error


def test_what_nobody_serves_is_left_out_with_the_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match=f"alpine: {WORDS}"):
        leave_out("alpine", UnavailableError(WORDS))


@pytest.mark.parametrize("error", [SupportError("Our recipe is wrong."), ValueError("ours")])
def test_any_other_error_is_one(error: Exception) -> None:
    with pytest.raises(type(error)):
        leave_out("alpine", error)


def test_a_required_family_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(families.SETTING, "services, alpine")
    with pytest.raises(pytest.fail.Exception, match=WORDS):
        leave_out("alpine", UnavailableError(WORDS))
    with pytest.raises(pytest.skip.Exception):
        leave_out("local", UnavailableError(WORDS))


def test_a_family_that_is_none_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(families.SETTING, "alpin")
    with pytest.raises(pytest.UsageError, match=r"alpin\..* families are alpine"):
        families.required()


def test_the_last_lines_name_each_family_once_with_its_reason() -> None:
    reasons = [
        f"Skipped: {families.LEFT_OUT}services: no redis-server",
        f"Skipped: {families.LEFT_OUT}alpine: no expat",
        f"Skipped: {families.LEFT_OUT}alpine: no readline",
        "Skipped: needs a Debian",
    ]
    assert families.summary(reasons) == [
        "not tested: alpine (no expat)",
        "not tested: services (no redis-server)",
    ]
