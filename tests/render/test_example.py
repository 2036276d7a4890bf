"""The published example is what the template makes now."""

from support import example


def test_the_example_has_not_drifted() -> None:
    example.run("--check")
