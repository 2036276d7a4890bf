"""The benchmark: what it published is what README says, and a run that was ended goes on."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from support import SupportError, bench
from support.bench import applications, cases, goals, measuring, page, plan, state
from support.bench.contestants import Contestant
from support.bench.growth import slope
from support.bench.state import State
from support.bench.ways import APPLICATIONS, PEERS, WAYS

# A number and what it counts; a line of a program's own output has none of them in README.
FIGURE = re.compile(
    r"\b\d[\d.,]*(?: ?(?:kB|MB|GB|ms|s|x|%)|(?: to | )\d* ?(?:seconds|minutes))(?!\w)"
)
Results = dict[str, Any]
# README has the figures of the former benchmark until the first full run of this one is published.
of_published = pytest.mark.skipif(not page.RESULTS.exists(), reason="no run is published yet")


def published() -> Results:
    results: Results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    return results


def plots() -> list[str]:
    return page.pictures_in(page.RESULTS.parent)


@of_published
def test_readme_has_the_figures_of_the_published_run() -> None:
    text = page.README.read_text(encoding="utf-8")
    assert page.with_section(text, page.readme(published(), plots())) == text


@of_published
def test_the_page_has_the_figures_of_the_published_run() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(published(), plots())


def test_readme_has_one_place_for_figures() -> None:
    text = page.README.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1


@of_published
def test_readme_has_no_other_figures() -> None:
    text = page.README.read_text(encoding="utf-8")
    assert FIGURE.findall(page.with_section(text, "")) == []


@pytest.mark.parametrize(
    "claim", ["in 0.4 s", "54 MB", "54.3MB", "7.3 kB", "a 2x", "30 minutes", "84 to 144 s"]
)
def test_a_figure_is_found_where_one_is_claimed(claim: str) -> None:
    assert FIGURE.search(claim)


@of_published
def test_what_is_published_names_no_machine_and_is_small() -> None:
    files = list(page.RESULTS.parent.iterdir())
    assert sum(path.stat().st_size for path in files if path.suffix == ".svg") < 300_000
    assert page.RESULTS.stat().st_size < 1_000_000
    for path in [*files, page.PAGE]:
        assert not re.search(
            r"/(?:home|root|tmp|work)/|https?://(?!www\.w3|purl|creative|matplotlib)",
            path.read_text(encoding="utf-8"),
        ), path


def results(**ways: Results) -> Results:
    """Return results of the web application, with the builds of each way as one list for a case."""
    made = {
        name.replace("_", "-"): {
            **way,
            "builds": {
                case: dict(enumerate(times)) for case, times in way.get("builds", {}).items()
            },
        }
        for name, way in ways.items()
    }
    return {"scopes": {goals.SCOPE: {"ways": made}}, "sessions": {}}


def verdict(found: Results, title: str) -> goals.Verdict:
    [one] = [each for each in goals.judge(found) if each.title == title]
    return one


@pytest.mark.parametrize(
    ("own", "met", "figure"),
    [
        ([0.8, 0.9, 9.0], True, "0.90 s: 0.45 times"),
        ([1.0, 1.0, 0.1], False, "1.00 s: 0.50 times"),
    ],
)
def test_a_goal_compares_medians_with_the_fastest_of_its_peers(
    own: list[float], met: bool, figure: str
) -> None:
    found = results(
        seedpod={"builds": {"source": own}},
        uv_given={"builds": {"source": [2.0, 2.0, 50.0]}},
        uv_installed={"builds": {"source": [2.5]}},
        pip_user={"builds": {"source": [0.1]}},
    )
    one = verdict(found, "source edit; uv")
    assert (one.met, one.own) == (met, figure)
    assert one.other == "2.00 s (uv given)"


def test_a_build_that_failed_is_in_no_median() -> None:
    found = results(
        seedpod={"builds": {"source": [None, 0.5]}}, uv_given={"builds": {"source": [None, 2.0]}}
    )
    assert verdict(found, "source edit; uv").met


@pytest.mark.parametrize(("size", "met"), [(50_000_000, True), (50_000_001, False), (None, None)])
def test_a_goal_may_be_a_figure_of_its_own(size: int | None, met: bool | None) -> None:
    way = {} if size is None else {"size": size}
    assert verdict(results(seedpod=way), "size of the image").met is met


def test_what_was_not_measured_is_not_met() -> None:
    verdicts = goals.judge(results())
    assert {each.word for each in verdicts} == {"not measured"}
    assert goals.missed(verdicts) == len(goals.GOALS)


def test_a_session_is_compared_with_what_it_calls() -> None:
    found = results() | {"sessions": {"build": [1.0], "docker_prod": [1.3], "docker_size": [1.1]}}
    words = {each.title: each.word for each in goals.judge(found)}
    assert words["docker_prod with nothing to do, over the bare build"] == "met"
    assert words["docker_size of unchanged images"] == "missed"


def test_every_dockerfile_of_a_peer_is_built_by_a_way() -> None:
    there = {path.name.partition(".")[0] for path in PEERS.glob("*.Dockerfile")} - {"given"}
    assert there == {way.dockerfile for way in WAYS.values() if way.dockerfile}


def test_every_peer_is_given_what_its_dockerfile_asks_for() -> None:
    for way in WAYS.values():
        if way.dockerfile:
            text = (PEERS / f"{way.dockerfile}.Dockerfile").read_text(encoding="utf-8")
            asked = set(re.findall(r"^FROM \$\{(\w+)\}", text, flags=re.MULTILINE))
            assert asked == {"PYTHON_IMAGE", *(name for name, _ in way.given)}, way.name


def test_the_plan_names_ways_cases_and_applications_that_there_are() -> None:
    for scope in (*plan.SCOPES, *plan.QUICK):
        assert set(scope.ways) <= WAYS.keys()
        assert set(scope.cases) <= cases.CASES.keys()
        assert scope.application in APPLICATIONS
        # Nothing can be edited before it was built.
        assert scope.cases[0] == cases.COLD


@pytest.fixture
def project(draft: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a project as a way that reads uv.lock has it, with locks that name its version."""
    folder = draft(tmp_path / "uv-given", project_name=applications.NAME)
    name = applications.NAME
    for variant in ("plain", "added"):
        locks = tmp_path / "locks" / variant / name
        locks.mkdir(parents=True)
        lock = f'# {variant}\n[[package]]\nname = "{name}"\nversion = "0.1.0"\n'
        (locks / "uv.lock").write_text(lock)
    shutil.copy(tmp_path / "locks/plain" / name / "uv.lock", folder)
    shutil.copy(PEERS / "uv-given.Dockerfile", folder / "Dockerfile")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", cases.CASES.values(), ids=lambda case: case.name)
def test_an_edit_changes_something_and_can_be_made_again(case: cases.Case, project: Path) -> None:
    before = files(project)
    for number in (1, 2):
        case.edit(WAYS["uv-given"], project, number)
    changed = files(project) != before
    assert changed == (case.edit is not cases.nothing)
    if case.undo is not cases.nothing:
        case.undo(WAYS["uv-given"], project, 3)
        assert files(project) == before


def test_one_dependency_more_has_the_version_that_the_project_has(project: Path) -> None:
    way = WAYS["uv-given"]
    cases.edit_version(way, project, 7)
    cases.more_dependencies(way, project, 8)
    assert (project / "uv.lock").read_text().startswith("# added")
    assert 'version = "0.1.7"' in (project / "uv.lock").read_text()
    assert "itsdangerous" in (project / "pyproject.toml").read_text()


def test_a_system_package_has_no_place_where_there_is_no_package_manager(project: Path) -> None:
    case = cases.CASES[cases.SYSTEM]
    assert case.fits(WAYS["uv-given"], project)
    shutil.copy(PEERS / "distroless.Dockerfile", project / "Dockerfile")
    assert not case.fits(WAYS["distroless"], project)


def test_a_run_that_was_ended_goes_on_and_another_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "full.json"
    first = State(file, "full")
    first.results["scopes"]["web"] = {"size": 1}
    number = first.next()
    again = State(file, "full")
    assert again.resumed
    assert again.results["scopes"] == {"web": {"size": 1}}
    assert again.next() > number
    assert not State(file, "quick").resumed
    monkeypatch.setattr(state, "sources_key", lambda: "other sources")
    assert State(file, "full").results["scopes"] == {}


def test_a_run_that_has_finished_is_not_gone_on_with(tmp_path: Path) -> None:
    done = State(tmp_path / "full.json", "full")
    done.results["finished"] = True
    done.save()
    assert not State(tmp_path / "full.json", "full").resumed


def test_what_there_is_no_time_for_is_named(tmp_path: Path) -> None:
    late = State(tmp_path / "full.json", "full")
    late.results["seconds"] = 100.0
    assert late.out_of_time(99, "this")
    assert not late.out_of_time(200, "that")
    assert late.results["left_out"] == ["this, for want of time"]


def test_what_was_begun_is_gone_on_with_when_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    monkeypatch.setattr(measuring, "_measure", lambda _, scope, *__: measured.append(scope.name))
    late = State(tmp_path / "full.json", "full")
    late.results["seconds"] = 100.0
    late.results["scopes"]["web"] = {"title": "", "ways": {"seedpod": {}}}
    for scope in plan.SCOPES[:2]:
        measuring.measure(late, scope, limit=1)
    assert measured == ["web"]
    assert late.results["left_out"] == ["a command, for want of time"]


class Built:
    """Stands for a contestant: it notes what it is asked for, and fails or is ended on request."""

    def __init__(self, name: str, folder: Path, ends_at: int = 0) -> None:
        """``ends_at`` is the number of the build in which the run is ended."""
        self.way, self.project = WAYS[name], self
        self.folder, self.ends_at = folder, ends_at
        self.calls: list[str] = []

    def renew_base(self, number: int) -> None:
        """Note it."""
        self.calls.append("base")

    def build(self, caches: str, *more: str) -> float:
        """Note it."""
        self.calls.append("build")
        if self.calls.count("build") == self.ends_at:
            raise KeyboardInterrupt
        if "fails" in str(self.folder):
            raise SupportError("It failed.\nERROR: no network")
        return 1.5


def a_run(tmp_path: Path, made: list[Built], *names: str) -> measuring._Run:
    scope = plan.Scope("s", "a scope", "web", tuple(x.way.name for x in made), names, rounds=1)
    kept = State(tmp_path / "full.json", "full")
    found = kept.results["scopes"].setdefault("s", {"ways": {}})
    return measuring._Run(kept, scope, found, cast(list[Contestant], made))


def test_a_run_that_is_ended_keeps_every_figure_and_begins_the_last_build_anew(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "registry", nullcontext)
    names = (cases.COLD, cases.SOURCE)
    first = Built("uv-given", project, ends_at=2)
    with pytest.raises(KeyboardInterrupt):
        a_run(tmp_path, [first], *names).rounds(1000)
    second = Built("uv-given", project)
    run = a_run(tmp_path, [second], *names)
    run.rounds(1000)
    # On a base of its own, because the build that was ended may have left its result.
    assert second.calls == ["base", "build", "build"]
    builds = run.results["ways"]["uv-given"]["builds"]
    assert builds == {"cold": {"0": 1.5}, "source": {"0": 1.5}}


def test_a_build_that_fails_is_named_and_the_run_goes_on(tmp_path: Path, project: Path) -> None:
    failing = project.with_name("fails")
    project.rename(failing)
    run = a_run(tmp_path, [Built("uv-given", failing)], cases.COLD)
    run.rounds(1000)
    assert run.results["ways"]["uv-given"]["builds"] == {"cold": {"0": None}}
    [failure] = run.state.results["failures"]
    assert failure["error"] == "ERROR: no network"


def test_every_round_begins_with_another_way(tmp_path: Path, project: Path) -> None:
    order: list[str] = []

    class Noting(Built):
        def build(self, caches: str, *more: str) -> float:
            order.append(self.way.name)
            return 1.0

    made: list[Built] = [Noting(name, project) for name in ("seedpod", "uv-given", "uv-backend")]
    run = a_run(tmp_path, made, cases.COLD)
    for number in range(2):
        run.case(cases.CASES[cases.COLD], number, None)
    assert order[:3] == ["seedpod", "uv-given", "uv-backend"]
    assert order[3:] == ["uv-given", "uv-backend", "seedpod"]


def test_a_slope_is_what_one_more_costs() -> None:
    assert slope([[1, 3], [2, 5], [10, 21]]) == pytest.approx(2)


@pytest.mark.parametrize("arguments", [("9",), ("quick", "web"), ("full", "wbe"), ("publish", "x")])
def test_other_arguments_are_refused_with_the_usage(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SupportError, match=r"nox -s bench -- quick.*registry"):
        bench.run(*arguments)
