"""docker/host/summary.py says in five lines what a build has made."""

import re
from pathlib import Path

import pytest
import summary

from tests.unit.images import Engine, layer


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that were printed; the time is none that a test knows."""
    text = capsys.readouterr().out
    assert re.search(r"^seconds  \d+\.\d$", text, flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.splitlines() if "seconds" not in line]


def test_the_first_image_has_nothing_to_be_compared_with(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with summary.shown("x:production"):
        engine.add("x:production", layer(4_000_000))
    image, size, packed, change = lines(capsys)
    assert (image, size) == ("image x:production", "size 4.0 MB")
    assert re.fullmatch(r"packed \d\.\d kB", packed)
    assert change == "change there was none before"


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([4_000_000, 9_000], r"\+9\.0 kB; a push sends 0\.\d kB of layers"),
        ([9_000], r"-4\.0 MB; a push sends 0\.\d kB of layers"),
        ([4_000_000], "none"),
        ([], r"-4\.0 MB; a push sends 0\.0 kB of layers"),
    ],
)
def test_a_change_is_that_to_what_had_the_name_before(
    after: list[int], told: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add("x:production", layer(4_000_000))
    with summary.shown("x:production"):
        engine.add("x:production", *map(layer, after))
    assert re.fullmatch(f"change {told}", lines(capsys)[-1])


def test_an_image_that_cannot_be_measured_is_made_all_the_same(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with summary.shown("x:production"):
        engine.add("x:production", layer(4_000), fails=["save"])
    told = capsys.readouterr()
    assert not told.out
    assert told.err


def test_a_build_that_fails_has_no_summary(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add("x:production", layer(4_000))
    with pytest.raises(SystemExit), summary.shown("x:production"):
        raise SystemExit(1)
    assert not capsys.readouterr().out
