"""What this repository says of itself is true: its records, pages, forms, changelog and pins."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from tests.conftest import REPOSITORY, git
from tests.render.questions import asked, hooks_of_projects

RECORDS = sorted((REPOSITORY / "docs/decisions").glob("[0-9]*.md"))
PAGES = [REPOSITORY / name for name in ("CONTRIBUTING.md", "README.md", "SECURITY.md")]
PAGES += sorted((REPOSITORY / "docs").glob("*.md"))
NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
)
# The schema of each file in .github, and of Renovate's settings; pull requests have plain text.
SCHEMAS = {
    ".github/ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/feature.yml": "vendor.github-issue-forms",
    ".github/workflows/ci.yml": "vendor.github-workflows",
    "renovate.json": "vendor.renovate",
}
PLAIN = {".github/pull_request_template.md"}
# Where Renovate's managers look by themselves: "managerFilePatterns" in its documentation.
OWN_PATTERNS = {
    "github-actions": [r"(^|/)\.github/workflows/.+\.ya?ml$"],
    "pep621": [r"(^|/)pyproject\.toml$"],
    # It reads the name of what it compiles in what it made of it.
    "pip-compile": [r"^on_request/sbom\.in$"],
    "pip_requirements": [],
    "pre-commit": [r"(^|/)\.pre-commit-config\.ya?ml$"],
}
PIN = re.compile(r"\b([a-z][\w.-]*)(?:\[[\w,.-]+\])?==(\d[\w.]*)")
ACTION = re.compile(r"\buses: (\S+)@([0-9a-f]{40})\b")


def read(name: str) -> str:
    """Return the text of a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def line(text: str, name: str) -> str:
    """Return what a record says after "- NAME: ", which it says once."""
    [found] = re.findall(rf"^- {name}: (.+)$", text, flags=re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_begins_with_its_number_its_date_and_its_status(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    number = record.name[:4]
    assert re.match(rf"# {number} .+\n\n- Date: .+\n- Status: .+\n\n## ", text)
    date.fromisoformat(line(text, "Date"))
    status = re.match(r"(?:accepted|superseded by \[(\d{4})\])(?=$|[,;(])", line(text, "Status"))
    assert status
    assert status[1] in (None, *(path.name[:4] for path in RECORDS))


def test_records_are_numbered_without_a_gap_in_the_order_of_their_dates() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))
    dates = [line(path.read_text(encoding="utf-8"), "Date") for path in RECORDS]
    assert dates == sorted(dates)


def test_the_index_has_the_title_the_date_and_the_status_of_each_record() -> None:
    rows = [row for row in read("docs/decisions/index.md").splitlines() if row.startswith("| [0")]
    expected = []
    for path in RECORDS:
        text = path.read_text(encoding="utf-8")
        title = text.partition("\n")[0].removeprefix(f"# {path.name[:4]} ")
        name = f"[{path.name[:4]}]({path.name})"
        expected.append(f"| {name} | {title} | {line(text, 'Date')} | {line(text, 'Status')} |")
    assert rows == expected


def questions() -> list[str]:
    """Return the names of the questions that are asked."""
    settings: dict[str, Any] = yaml.safe_load(read("copier.yml"))
    return [
        name
        for name, question in settings.items()
        if not name.startswith("_") and question.get("when") is not False
    ]


def test_the_pages_count_the_questions_as_they_are() -> None:
    """Wherever a number stands before the word; the changelog counts those of its time."""
    counted: dict[str, set[int]] = {}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for word in re.findall(r"\b(\w+)\s+questions\b", text):
            number = int(word) if word.isdigit() else None
            if word.lower() in NUMBERS:
                number = NUMBERS.index(word.lower())
            if number is not None:
                counted.setdefault(path.name, set()).add(number)
    assert counted.keys() >= {"README.md", "development.md"}
    configuration = yaml.safe_load(read("copier.yml"))
    most = max(
        len([x for name, x in configuration.items() if name[0] != "_" and asked(x, kind)])
        for kind in configuration["kind"]["choices"].values()
    )
    assert set().union(*counted.values()) == {most}


def test_the_page_start_lists_every_question() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", read("docs/start.md"), flags=re.MULTILINE)
    assert listed == questions()


def sessions() -> list[str]:
    """Return the names of the sessions of this repository's noxfile."""
    functions = [node for node in ast.parse(read("noxfile.py")).body if hasattr(node, "name")]
    return [
        node.name
        for node in functions
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def test_the_page_development_lists_every_session() -> None:
    page = read("docs/development.md")
    table = page.partition("| session | what it does |")[2].partition("\n\n")[0]
    listed = [
        name
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.removeprefix("| ").partition(" | ")[0])
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(sessions())


def test_every_file_of_the_forge_has_a_schema() -> None:
    tracked = git(REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard", ".github")
    assert {*tracked.split(), "renovate.json"} == SCHEMAS.keys() | PLAIN


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_of_the_forge_is_valid(name: str) -> None:
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name]]
    done = subprocess.run(
        [*program, str(REPOSITORY / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_what_every_change_has_to_pass() -> None:
    [job] = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_actions_are_those_of_the_template() -> None:
    """One commit for each, which somebody has looked at."""
    [template] = (REPOSITORY / "template").glob("*github*/workflows/ci.yml.jinja")
    assert set(ACTION.findall(read(".github/workflows/ci.yml"))) <= set(
        ACTION.findall(template.read_text(encoding="utf-8"))
    )


def test_the_changelog_has_a_date_for_each_release_the_latest_first() -> None:
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), flags=re.MULTILINE)
    releases = headings[1:] if headings[0] == "Unreleased" else headings
    found = [re.fullmatch(r"(\d+\.\d+\.\d+) — (\d{4}-\d\d-\d\d)", heading) for heading in releases]
    assert all(found), releases
    facts = [(Version(match[1]), date.fromisoformat(match[2])) for match in found if match]
    for later, earlier in pairwise(facts):
        assert later[0] > earlier[0]
        assert later[1] >= earlier[1]


def test_each_release_begins_with_what_owners_do() -> None:
    sections = re.split(r"^## .+\n", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    assert all(section.startswith("\nWhat owners do: ") for section in sections)


def hooks() -> list[dict[str, Any]]:
    """Return the hooks of this repository."""
    [repository] = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    found: list[dict[str, Any]] = repository["hooks"]
    return found


def test_a_hook_is_a_program_that_a_group_installs() -> None:
    """The tests have the group of "nox -s lint", so each program is there; mypy has another."""
    for hook in hooks():
        assert hook["language"] in ("pygrep", "system"), hook["id"]
        assert "additional_dependencies" not in hook, hook["id"]
        if hook["language"] == "system" and hook["id"] != "mypy":
            assert (Path(sys.executable).parent / hook["entry"].split()[0]).exists(), hook["id"]
    groups = tomllib.loads(read("pyproject.toml"))["dependency-groups"]
    assert {"include-group": "lint"} in groups["tests"]


def test_the_hooks_of_projects_are_hooks_here() -> None:
    """But for those that are for an image, a cluster, a lock, and what an update leaves."""
    for_projects = {"hadolint", "kubernetes-validate", "poetry-check", "rejected-changes"}
    theirs = {hook["id"] for hook in hooks_of_projects()} - for_projects
    assert theirs <= {hook["id"] for hook in hooks()}


def renovate() -> dict[str, Any]:
    """Return Renovate's settings."""
    settings: dict[str, Any] = json.loads(read("renovate.json"))
    return settings


def matches(patterns: list[str], name: str) -> bool:
    """Return whether one of Renovate's patterns, written with slashes or not, is for a file."""
    return any(re.search(pattern.removeprefix("/").removesuffix("/"), name) for pattern in patterns)


def findings(manager: dict[str, Any], text: str) -> Iterator[re.Match[str]]:
    """Yield what the expressions of a custom manager find; Python names groups by "?P<"."""
    for expression in manager["matchStrings"]:
        yield from re.finditer(re.sub(r"\(\?<(\w+)>", r"(?P<\1>", expression), text)


def maintained() -> dict[str, str]:
    """Return the text of each file in which a pin has to be refreshed, by its name."""
    listing = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    left_out = ("tests/", "docs/", "support/")
    names = [name for name in listing.split("\0") if name and not name.startswith(left_out)]
    return {name: read(name) for name in names if (REPOSITORY / name).is_file()}


def test_renovate_finds_every_exact_version() -> None:
    settings = renovate()
    for name, text in maintained().items():
        by_file = any(
            matches(own + settings.get(manager, {}).get("managerFilePatterns", []), name)
            for manager, own in OWN_PATTERNS.items()
        )
        custom = {
            (match["depName"], match["currentValue"])
            for manager in settings["customManagers"]
            if matches(manager["managerFilePatterns"], name)
            for match in findings(manager, text)
        }
        pins = {*PIN.findall(text)}
        assert by_file or pins <= custom, f"{name}: {pins - custom}"


def test_renovate_finds_every_action() -> None:
    own = renovate()["github-actions"]["managerFilePatterns"]
    names = [name for name, text in maintained().items() if ACTION.search(text)]
    assert any(name.startswith("template/") for name in names)
    for name in names:
        assert matches(OWN_PATTERNS["github-actions"] + own, name), name


@pytest.mark.parametrize(
    "manager", renovate()["customManagers"], ids=lambda manager: manager["description"]
)
def test_each_expression_of_renovate_finds_something_in_the_template(
    manager: dict[str, Any],
) -> None:
    """A file that was moved, or a line that is worded anew, is lost to it without a word."""
    texts = [
        text for name, text in maintained().items() if matches(manager["managerFilePatterns"], name)
    ]
    assert [match for text in texts for match in findings(manager, text)]


def test_renovate_finds_the_requirements_of_images_in_the_template_and_the_example() -> None:
    patterns = renovate()["pip_requirements"]["managerFilePatterns"]
    assert {name for name in maintained() if matches(patterns, name)} == {
        f"{folder}/docker/{name}.txt"
        for folder in ("example", "template")
        for name in ("poetry", "tools")
    }
