"""docker/host/merge.py merges what owner and template wrote side by side, by key."""

import tomllib

import merge
import pytest

BASE = """\
[project]
dependencies = [
    "fastapi>=0.115",
]

# How large each stage may be.
[tool.seedpod.size]
test = "450 MB"
production = "58 MB"

[tool.ruff]
line-length = 100
select = ["B", "E"]
"""


def merged(mine: str, theirs: str, base: str = BASE) -> str:
    """Return what three versions merge into."""
    result = merge.by_key(base, mine, theirs)
    assert result
    return result[0]


def change(*changes: tuple[str, str]) -> str:
    """Return the file with texts in place of others."""
    text = BASE
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param(
            ('production = "58 MB"', 'production = "90 MB"'),
            ('test = "450 MB"', 'test = "248 MB"'),
            id="neighbours",
        ),
        pytest.param(
            ("line-length = 100\n", "line-length = 88\n"),
            ("select =", '# The noxfile is the template\'s.\nexclude = ["n.py"]\nselect ='),
            id="a key beside a changed one",
        ),
        pytest.param(
            ('select = ["B", "E"]\n', 'select = ["ALL"]\n\n[tool.coverage]\nbranch = true\n'),
            ("line-length = 100\n", "line-length = 100\nfix = true\n"),
            id="a table at the end",
        ),
        pytest.param(
            ('    "fastapi>=0.115",\n', '    # Fast.\n    "fastapi>=0.115",\n    "rich",\n'),
            ('    "fastapi>=0.115",\n', '    "click",\n    "fastapi>=0.115",\n'),
            id="elements of a list",
        ),
        pytest.param(
            ("\n# How", '\n[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n\n# How'),
            ("\n# How", "\n# Packages of the distribution.\n[tool.sys]\n\n# How"),
            id="two new tables",
        ),
        pytest.param(
            ('test = "450 MB"\n', ""),
            ('production = "58 MB"', 'production = "60 MB"'),
            id="a key that the owner deleted",
        ),
        pytest.param(
            ('production = "58 MB"\n', 'production = "90 MB"\n'),
            ('test = "450 MB"\n', ""),
            id="a key that the template deleted",
        ),
    ],
)
def test_both_edits_are_in_the_result_with_their_comments(
    mine: tuple[str, str], theirs: tuple[str, str]
) -> None:
    together = merged(change(mine), change(theirs))
    # The edits touch other keys, so that one after the other is what both mean.
    values = tomllib.loads(together)
    for side in (mine, theirs):
        old, new = (set(text.splitlines()) for text in side)
        assert new - old <= set(together.splitlines())
        assert not (old - new) & set(together.splitlines())
    assert values["tool"]["ruff"]["select"]
    assert together.count("# How large each stage may be.") == 1


def test_a_value_that_both_changed_stays_the_owners_and_is_said() -> None:
    mine = change(('"58 MB"', '"90 MB"'))
    result = merge.by_key(BASE, mine, change(('"58 MB"', '"60 MB"')))
    said = ["tool.seedpod.size.production is '90 MB', the template's is '60 MB'"]
    assert result == (mine, said)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ('test = "450 MB"\n', 'test = "500 MB"\n', "test is deleted, the template's is '500 MB'"),
        ('test = "500 MB"\n', 'test = "450 MB"\n', "test is '500 MB', the template's is deleted"),
    ],
)
def test_what_one_side_changed_and_the_other_deleted_is_said(
    mine: str, theirs: str, said: str
) -> None:
    """It is as the owner has it."""
    sides = [
        BASE.replace('test = "450 MB"\n', "" if "450" in text else text) for text in (mine, theirs)
    ]
    result = merge.by_key(BASE, *sides)
    assert result
    assert result[1] == [f"tool.seedpod.size.{said}"]
    assert tomllib.loads(result[0])["tool"]["seedpod"] == tomllib.loads(sides[0])["tool"]["seedpod"]


def test_a_requirement_that_both_changed_stays_the_owners_and_is_said() -> None:
    mine = change(("fastapi>=0.115", "fastapi[standard]>=0.115"))
    result = merge.by_key(BASE, mine, change(("fastapi>=0.115", "fastapi>=0.120")))
    said = "fastapi is 'fastapi[standard]>=0.115', the template's is 'fastapi>=0.120'"
    assert result == (mine, [f"project.dependencies: {said}"])


def test_a_list_whose_elements_belong_together_stays_the_owners() -> None:
    """One may be the value of the option before it."""
    mine = change(('["B", "E"]', '["-p", "no:a", "-p", "no:b"]'))
    result = merge.by_key(BASE, mine, change(('["B", "E"]', '["B", "E", "-ra"]')))
    assert result
    assert result[0] == mine
    assert result[1]


def test_requirements_with_a_marker_each_are_kept_both() -> None:
    two = '["fastapi>=0.115", "numpy<2; python_version<\'3.12\'", "numpy>=2"]'
    base = 'x = ["fastapi>=0.115"]\n'
    together = merged(f"x = {two}\n", 'x = ["fastapi>=0.115", "click"]\n', base)
    assert sorted(tomllib.loads(together)["x"]) == sorted(
        [*tomllib.loads(f"x = {two}")["x"], "click"]
    )


def test_a_list_that_both_changed_has_the_elements_of_both() -> None:
    mine = change(('["B", "E"]', '["B", "D"]'))
    together = merged(mine, change(('["B", "E"]', '["ANN", "B", "E"]')))
    assert tomllib.loads(together)["tool"]["ruff"]["select"] == ["B", "D", "ANN"]


def test_a_long_list_is_written_in_lines() -> None:
    base = 'x = ["a"]\n'
    mine, theirs = (f'x = ["a", "{letter * 60}"]\n' for letter in "bc")
    lines = ["x = [", '    "a",', f'    "{"b" * 60}",', f'    "{"c" * 60}",', "]", ""]
    assert merged(mine, theirs, base).split("\n") == lines


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param(
            change(('"58 MB"', '"58 MB" # Small.')),
            change(('"58 MB"', '"60 MB"')),
            id="a comment beside a value",
        ),
        pytest.param(
            change(('["B", "E"]', '[\n    "B", # Bugs.\n    "D",\n]')),
            change(('["B", "E"]', '["B"]')),
            id="comments in a list",
        ),
        pytest.param(
            change((",\n]", ',\n    "rich"]')),
            change((",\n]", ',\n    "uvicorn>=0.34",\n]')),
            id="an element and the end of its list",
        ),
        pytest.param(
            change(('    "fastapi>=0.115",\n', '    "fastapi>=0.116" # Why.\n')),
            change(('    "fastapi>=0.115",\n', '    "fastapi>=0.115",\n    "uvicorn",\n')),
            id="a comment where a comma is missing",
        ),
        pytest.param(
            change(("# How large each stage may be.", "# Ours.")),
            change(("# How large each stage may be.", "# Important.")),
            id="two comments",
        ),
        pytest.param(change(('"58 MB"', "9" * 5000)), change(('"58 MB"', '"60 MB"')), id="number"),
        pytest.param(change(('"58 MB"', "58 MB")), change(('"58 MB"', '"60 MB"')), id="no TOML"),
    ],
)
def test_what_cannot_be_told_apart_is_left_to_the_owner(mine: str, theirs: str) -> None:
    assert merge.by_key(BASE, mine, theirs) is None


def test_the_order_of_a_list_is_its_owners() -> None:
    base = 'x = [\n    "error",\n    "a",\n    "b",\n]\n'
    mine = 'x = [\n    "b",\n    "a",\n    "error",\n]\n'
    assert merge.by_key(base, mine, base.replace('"b"', '"c"')) is None


def test_what_was_written_after_the_merge_is_noticed() -> None:
    mine, theirs = change(('"58 MB"', '"90 MB"')), change(('"58 MB"', '"60 MB"'))
    ours, new = 'production = "90 MB"\n', 'production = "60 MB"\n'
    begin, end = "<<<<<<< before updating\n", ">>>>>>> after updating\n"
    left = mine.replace(ours, f"{begin}{ours}=======\n{new}{end}")
    assert merge.untouched(left, BASE, mine, theirs)
    assert not merge.untouched(left.replace("= 100", "= 99"), BASE, mine, theirs)


def test_what_is_added_at_the_end_stays_there_and_other_edits_are_left_to_the_owner() -> None:
    assert merge.appended("a\n", "a\nmine\n", "b\nc\n") == ("b\nc\nmine\n", [])
    assert merge.appended("a\n", "mine\na\n", "b\n") is None
