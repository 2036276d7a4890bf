"""The benchmark: what it published is what README says, and a run that was ended goes on."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from support import SupportError, bench, waiting
from support.bench import (
    applications,
    cases,
    goals,
    measuring,
    page,
    plan,
    report,
    state,
)
from support.bench.contestants import Contestant
from support.bench.state import State
from support.bench.ways import APPLICATIONS, PEERS, WAYS
from support.paths import REPOSITORY
from support.project import Project
from support.transfer import Registry

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
        seedpod={"builds": {"source": [None, 0.5]}},
        uv_given={"builds": {"source": [None, 2.0]}},
        uv_installed={"builds": {"source": [3.0]}},
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


def test_without_one_of_its_peers_a_goal_is_not_judged_and_they_are_named() -> None:
    found = results(
        seedpod={"builds": {"source": [0.1]}}, uv_given={"builds": {"source": [2.0, None]}}
    )
    one = verdict(found, "source edit; uv")
    assert (one.word, one.other) == ("not measured", "without uv by pip")


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
        # Each case finds what the one before it has built.
        assert list(scope.cases) == [name for name in cases.CASES if name in scope.cases]
        assert set(scope.further) <= set(scope.ways)
        assert set(scope.pushes) <= set(cases.CASES)


def test_the_first_round_has_every_way_and_case_and_later_ones_have_fewer() -> None:
    [scope] = (each for each in plan.SCOPES if each.name == "web")
    assert scope.ways_of(0) == tuple(WAYS)
    assert scope.cases_of(0) == scope.cases
    assert set(scope.ways_of(1)) < set(WAYS)
    assert set(scope.cases_of(0)) - set(scope.cases_of(1)) == {cases.SYSTEM, cases.BASE}


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


def test_uv_is_bound_to_the_plain_lock_where_there_is_no_other(tmp_path: Path) -> None:
    assert applications._constraints(tmp_path).parts[-3] == "plain"
    more = tmp_path / "locks/added" / applications.NAME / "poetry.lock"
    more.parent.mkdir(parents=True)
    more.touch()
    assert applications._constraints(tmp_path) == more


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
    assert late.results["left_out"] == [{"place": "this", "why": "for want of time"}]


def test_what_was_left_out_or_failed_is_forgotten_when_it_is_measured(tmp_path: Path) -> None:
    kept = State(tmp_path / "full.json", "full")
    for _ in range(2):
        kept.note_failure("a build", SupportError("no network"))
        kept.leave_out("a round", "for want of time")
        kept.leave_out("a round, too", "for want of time")
    assert len(kept.results["failures"]) == 1
    kept.settle("a build")
    kept.settle("a round")
    assert kept.results["failures"] == []
    assert [each["place"] for each in kept.results["left_out"]] == ["a round, too"]


def test_base_images_take_no_time_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    kept = State(tmp_path / "full.json", "full")
    with kept.uncounted():
        now = 200.0
        kept.say("a base image is made")
    now = 203.0
    assert kept.seconds() == 3


def test_what_only_shows_figures_ends_no_run_and_what_measures_does() -> None:
    there = {path.stem for path in PEERS.parent.glob("*.py")} - {"__init__"}
    measures = {Path(name).stem for name in state.SOURCES if name.endswith(".py")}
    assert there - measures == {"figures", "goals", "page", "plots", "report", "state"}
    for name in state.SOURCES:
        assert (REPOSITORY / name).exists(), name


def test_only_a_run_that_has_finished_is_published(tmp_path: Path) -> None:
    folder = tmp_path / "report/benchmarks"
    folder.mkdir(parents=True)
    (tmp_path / "report/benchmarks.md").write_text("# Benchmarks\n")
    (folder / "results.json").write_text('{"finished": false}')
    with pytest.raises(SupportError, match="part of a run"):
        report.publish(tmp_path)


@pytest.mark.parametrize(("spent", "measured"), [(0, [1]), (70, [])])
def test_a_further_round_begins_if_it_will_end_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spent: int, measured: list[int]
) -> None:
    found: list[int] = []
    monkeypatch.setattr(
        measuring, "_measure", lambda _, __, ___, number, ____: found.append(number)
    )
    kept = State(tmp_path / "full.json", "full")
    [scope] = (each for each in plan.SCOPES if each.name == "web")
    builds = {cases.COLD: {"0": 20.0}, cases.BASE: {"0": 1000.0}}
    kept.results["scopes"]["web"] = {"ways": {"seedpod": {"builds": builds}}, "rounds": [0]}
    kept.results["seconds"] = float(spent)
    for number in range(2):
        measuring.measure(kept, scope, number, limit=90)
    assert found == measured


class Built:
    """Stands for a contestant: it notes what it is asked for, and fails or is ended on request."""

    def __init__(self, name: str, folder: Path, ends_at: int = 0, fails_at: int = 0) -> None:
        """``ends_at`` and ``fails_at`` are numbers of builds."""
        self.way, self.project = WAYS[name], self
        self.folder, self.ends_at, self.fails_at = folder, ends_at, fails_at
        self.calls: list[str] = []
        self.caches: list[str] = []
        self.image = name
        self.changes = self.based = True

    def there(self, image: str) -> str:
        """Return another id after each build."""
        return f"image {self.calls.count('build') if self.changes else 0}"

    def has_base(self) -> bool:
        """Tell what was asked for."""
        return self.based

    def renew_base(self, number: int) -> None:
        """Note it."""
        self.calls.append("base")

    def forget_layers(self) -> None:
        """Note it."""
        self.calls.append("forget")

    def build(self, caches: str, *more: str) -> float:
        """Note it."""
        self.calls.append("build")
        self.caches.append(caches)
        if self.calls.count("build") == self.ends_at:
            raise KeyboardInterrupt
        if self.calls.count("build") == self.fails_at:
            raise SupportError("It failed.\nERROR: no network")
        return 1.5


def a_run(
    tmp_path: Path, made: list[Built], *names: str, pushes: tuple[str, ...] = ()
) -> measuring._Run:
    ways = tuple(x.way.name for x in made)
    scope = plan.Scope("s", "a scope", "web", ways, names, rounds=1, pushes=pushes)
    kept = State(tmp_path / "full.json", "full")
    found = kept.results["scopes"].setdefault("s", {"ways": {}})
    return measuring._Run(kept, scope, found, cast(list[Contestant], made))


def test_a_run_that_is_ended_keeps_every_figure_and_begins_the_last_build_anew(
    tmp_path: Path, project: Path
) -> None:
    names = (cases.COLD, cases.SOURCE)
    first = Built("uv-given", project, ends_at=2)
    with pytest.raises(KeyboardInterrupt):
        a_run(tmp_path, [first], *names).round(0, 1000)
    second = Built("uv-given", project)
    run = a_run(tmp_path, [second], *names)
    assert run.round(0, 1000)
    # On a base of its own, because the build that was ended may have left its result.
    assert second.calls == ["base", "build", "build"]
    builds = run.results["ways"]["uv-given"]["builds"]
    assert builds == {"cold": {"0": 1.5}, "source": {"0": 1.5}}


def test_a_base_that_is_gone_is_made_again(tmp_path: Path, project: Path) -> None:
    a_run(tmp_path, [Built("uv-given", project)], cases.COLD).round(0, 1000)
    second = Built("uv-given", project)
    second.based = False
    a_run(tmp_path, [second], cases.COLD, cases.SOURCE).round(0, 1000)
    assert second.calls == ["base", "build", "build"]


def test_after_a_build_that_fails_a_way_waits_for_the_next_run(
    tmp_path: Path, project: Path
) -> None:
    names = (cases.COLD, cases.SOURCE, cases.TOOL)
    made = [Built("uv-given", project, fails_at=2), Built("uv-installed", project)]
    run = a_run(tmp_path, made, *names)
    run.round(0, 1000)
    ways = run.results["ways"]
    failed = {"cold": {"0": 1.5}, "source": {"0": None}, "tool": {"0": None}}
    assert ways["uv-given"]["builds"] == failed
    assert None not in [each["0"] for each in ways["uv-installed"]["builds"].values()]
    [failure] = run.state.results["failures"]
    assert failure["error"] == "ERROR: no network"
    assert measuring.failed(run.results, 0) == [("uv-given", "source"), ("uv-given", "tool")]

    run = a_run(tmp_path, [Built("uv-given", project), Built("uv-installed", project)], *names)
    run.round(0, 1000)
    assert measuring.failed(run.results, 0) == []
    assert run.state.results["failures"] == []


def test_a_build_that_changes_nothing_has_no_figure(tmp_path: Path, project: Path) -> None:
    made = Built("uv-given", project)
    run = a_run(tmp_path, [made], cases.COLD, cases.NOTHING, cases.SOURCE)
    run.case(cases.CASES[cases.COLD], 0, None, 1000)
    made.changes = False
    for name in (cases.NOTHING, cases.SOURCE):
        run.ids["uv-given"] = {"image 0"}
        run.case(cases.CASES[name], 0, None, 1000)
    builds = run.results["ways"]["uv-given"]["builds"]
    assert builds == {"cold": {"0": 1.5}, "nothing": {"0": 1.5}, "source": {"0": None}}


def test_no_build_begins_when_the_time_is_over(tmp_path: Path, project: Path) -> None:
    made = Built("uv-given", project)
    run = a_run(tmp_path, [made], cases.COLD)
    run.state.results["seconds"] = 1000.0
    assert not run.round(0, 1000)
    assert made.calls == []
    [left_out] = run.state.results["left_out"]
    assert left_out["place"] == "a scope, round 1"


class Counting:
    """Stands for a registry that counts pushes."""

    address = "registry"

    def __init__(self) -> None:
        """Begin with none."""
        self.pushes = 0

    def push(self, project: object, image: str) -> int:
        """Count it."""
        self.pushes += 1
        return self.pushes


def test_layers_of_a_registry_are_taken_with_the_caches_of_the_build_that_made_them(
    tmp_path: Path, project: Path
) -> None:
    made = Built("uv-given", project)
    run = a_run(tmp_path, [made], cases.COLD, cases.REGISTRY)
    for name in (cases.COLD, cases.REGISTRY):
        run.case(cases.CASES[name], 0, cast(Registry, Counting()), 1000)
    assert made.calls == ["base", "build", "build", "forget", "build"]
    assert len(set(made.caches)) == 1


def test_an_image_and_its_unnamed_layers_go_before_the_build_cache(tmp_path: Path) -> None:
    commands: list[str] = []

    class Noting:
        def docker(self, *arguments: str) -> str:
            commands.append(" ".join(arguments[:2]))
            return "id"

    Contestant(WAYS["seedpod"], "full-web", cast(Project, Noting())).forget_layers()
    assert [command.split(" --")[0] for command in commands] == [
        "image ls",
        "rmi",
        "image prune",
        "builder prune",
    ]


def test_a_push_is_counted_once_the_registry_has_the_image_before_the_edit(
    tmp_path: Path, project: Path
) -> None:
    made, server = Built("uv-given", project), Counting()
    counted = (cases.SOURCE, cases.VERSION)
    names = (cases.COLD, cases.NOTHING, cases.DEPENDENCY, *counted)
    run = a_run(tmp_path, [made], *names, pushes=counted)
    for name in names:
        run.case(cases.CASES[name], 0, cast(Registry, server), 1000)
    assert run.results["ways"]["uv-given"]["sent"] == {"source": 2, "version": 3}


def test_the_order_of_ways_differs_from_case_to_case_and_is_kept(
    tmp_path: Path, project: Path
) -> None:
    order: list[str] = []

    class Noting(Built):
        def build(self, caches: str, *more: str) -> float:
            order.append(self.way.name)
            return super().build(caches, *more)

    names = ("seedpod", "uv-given", "uv-backend", "uv-installed")
    made: list[Built] = [Noting(name, project) for name in names]
    run = a_run(tmp_path, made, cases.COLD, cases.NOTHING)
    run.round(0, 1000)
    noted = run.results["order"]
    assert [noted["cold"]["0"], noted["nothing"]["0"]] == [order[:4], order[4:]]
    assert order[:4] != order[4:]
    assert sorted(order[:4]) == sorted(names)


def test_images_of_runs_and_ways_are_in_repositories_of_their_own() -> None:
    project = cast(Project, None)
    names = {
        Contestant(way, f"{mode}-web", project).image.partition(":")[0]
        for way in WAYS.values()
        for mode in ("quick", "full")
    }
    assert len(names) == 2 * len(WAYS)


def test_what_another_repository_has_counts_as_sent(tmp_path: Path) -> None:
    root = tmp_path / "docker/registry/v2"
    for digest, size in (("aa1", 10), ("bb2", 200)):
        (root / "blobs/sha256" / digest[:2] / digest).mkdir(parents=True)
        (root / "blobs/sha256" / digest[:2] / digest / "data").write_bytes(bytes(size))
    for repository, digests in (("bench/one", ["aa1", "bb2"]), ("bench/two", ["aa1"])):
        for digest in digests:
            link = root / "repositories" / repository / "_layers/sha256" / digest
            link.mkdir(parents=True)
            (link / "link").write_text(f"sha256:{digest}")
    registry = Registry("", tmp_path)
    stored = [registry.stored(name) for name in ("bench/one", "bench/two", "bench/three")]
    assert stored == [210, 10, 0]


def test_an_answer_of_another_version_is_none(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Running:
        folder = project

        def docker(self, *arguments: str) -> str:
            return "12MiB / 8GiB" if arguments[0] == "stats" else "id"

    cases.edit_version(WAYS["uv-given"], project, 7)
    contestant = Contestant(WAYS["uv-given"], "full-web", cast(Project, Running()))
    monkeypatch.setattr("time.sleep", lambda _: None)
    for version in ("0.1.7", "0.1.6"):
        answer = json.dumps({"version": version})
        monkeypatch.setattr(waiting, "fetch", lambda *_, answer=answer: answer)
        if version == "0.1.7":
            assert contestant.first_answer(idle=True)[1] == 12 << 20
            assert contestant.first_answer(idle=False)[1] is None
        else:
            with pytest.raises(SupportError, match=r"version 0\.1\.7"):
                contestant.first_answer(idle=True)


def test_a_report_says_how_much_rounds_differ_and_what_it_was_measured_with(
    tmp_path: Path,
) -> None:
    kept = State(tmp_path / "full.json", "full")
    way = {"builds": {"cold": {"0": 3.0, "1": 1.0, "2": 2.0}, "base": {"0": 4.0}}, "sent": {}}
    scope = {"title": "the web", "ways": {"seedpod": way}, "rounds": [0, 1, 2]}
    kept.results["scopes"]["web"] = scope
    kept.results |= {"commit": "abc-dirty", "load": 0.5, "versions": {"BuildKit": "0.25"}}
    kept.leave_out("growth: data", "for want of time")
    series = {"name": "Data", "unit": "MB", "of": "seconds", "lines": {"Seedpod": [[1, 2.0]]}}
    kept.results["growth"] = {"data": [series], "packages": [{**series, "lines": {}}]}
    text = page.page(kept.results, [])
    for words in (
        "2.00 (1.00 to 3.00)",
        "| 4.00 |",
        "medians of up to 3 rounds",
        "commit abc with changes",
        "load average 0.5",
        "BuildKit 0.25",
        "Left out: growth: data, for want of time.",
    ):
        assert words in text
    assert text.count("### Data") == 1


def test_a_slope_is_what_one_more_costs() -> None:
    assert page.slope([[1, 3], [2, 5], [10, 21]]) == pytest.approx(2)


@pytest.mark.parametrize("arguments", [("9",), ("quick", "web"), ("full", "wbe"), ("publish", "x")])
def test_other_arguments_are_refused_with_the_usage(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SupportError, match=r"nox -s bench -- quick.*registry"):
        bench.run(*arguments)
