"""docker/host/sizes.py measures every stage and compares it with its budget."""

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import figures
import pytest
import sizes
from session import SessionError, write_text

from tests.unit.images import Engine, layer

Run = Callable[..., tuple[str | int | None, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the program in a project, with budgets for some stages.

    It returns the exit status, or the message in place of it, and what was printed.
    """
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str, **budgets: str) -> tuple[str | int | None, str, str]:
        lines = [f"{stage} = {json.dumps(size)}\n" for stage, size in budgets.items()]
        text = "".join(["[tool.seedpod.size]\n", *lines]) if budgets else ""
        Path("pyproject.toml").write_text(f'[project]\nname = "x"\n{text}')
        monkeypatch.setattr(sys, "argv", ["sizes.py", *arguments])
        with pytest.raises(SystemExit) as error:
            sizes.main()
        return error.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("58 MB", 58_000_000),
        ("58MB", 58_000_000),
        (" 1.5 GB ", 1_500_000_000),
        ("0.5 kB", 500),
        ("0 MB", 0),
    ],
)
def test_a_size_is_a_number_and_a_decimal_unit(text: str, size: int) -> None:
    assert figures.parse_size(text, "here") == size


@pytest.mark.parametrize(
    "text", ["", "58", "MB", "58 MiB", "58 mb", "-1 MB", "1.2.3 MB", ". MB", "1,5 MB", "58 MB!", 58]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SessionError, match=r"here has .* is not a size.*58 MB"):
        figures.parse_size(text, "here")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 kB"), (999, "1.0 kB"), (1_000_000, "1.0 MB"), (56_123_456, "56.1 MB")],
)
def test_sizes_are_shown_as_docker_shows_them(size: int, text: str) -> None:
    assert figures.show_size(size) == text


@pytest.mark.parametrize(("size", "text"), [(-1_500, "-1.5 kB"), (-2_000_000, "-2.0 MB")])
def test_a_loss_is_shown_like_a_growth(size: int, text: str) -> None:
    assert figures.show_size(size) == text


def test_the_table_shows_every_stage(engine: Engine, run: Run) -> None:
    base = layer(1_000_000, "base")
    engine.add("x:base", base)
    engine.add("x:test", base, layer(3_000_000, "test"))
    engine.add("x:production", base, layer(234_567, "app"))
    status, out, _ = run(
        "base=x:base", "test=x:test", "production=x:production", test="4 MB", production="2 MB"
    )
    assert status == 0
    rows = [line.split() for line in out.splitlines()[:4]]
    assert out.splitlines()[0].split("  ")[0] == "stage"
    assert rows[0][-2:] == ["change", "verdict"]
    assert rows[1][:5] == ["base", "1.0", "MB", "0.0", "kB"]
    # Of zeros, one byte in a thousand is left.
    assert 0.9 < float(rows[1][5]) < 2
    assert rows[1][-3:] == ["-", "-", "-"]
    assert rows[2][:5] == ["test", "4.0", "MB", "3.0", "MB"]
    # A stage as large as its budget is within it.
    assert rows[2][-4:] == ["4.0", "MB", "-", "ok"]
    assert rows[3][:5] == ["production", "1.2", "MB", "234.6", "kB"]
    assert rows[3][-4:] == ["2.0", "MB", "-", "ok"]


def read_report() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path("build/sizes.json").read_text())
    return report


def test_a_layer_that_was_measured_once_is_not_read_again(engine: Engine, run: Run) -> None:
    engine.add("x:base", layer(9, "base"))
    engine.add("x:production", layer(9, "base"), layer(9, "app"))
    _, first, _ = run("base=x:base", "production=x:production")
    saved = engine.calls.count("save")
    _, second, _ = run("base=x:base", "production=x:production")
    assert engine.calls.count("save") == saved
    assert [line.split()[:7] for line in first.splitlines()[1:3]] == [
        line.split()[:7] for line in second.splitlines()[1:3]
    ]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"%s": 7}', '{"%s": {"pytest": "big"}}'])
def test_damaged_distributions_are_measured_again(
    engine: Engine, run: Run, tmp_path: Path, damaged: str
) -> None:
    engine.add("x:base", layer(9), distributions={"pytest": 1_000})
    run("base=x:base")
    file = tmp_path / "cache/seedpod/distributions.json"
    [key] = json.loads(file.read_text())
    file.write_text(damaged.replace("%s", key))
    assert run("base=x:base")[0] == 0
    assert read_report()["base"]["distributions"] == {"pytest": 1_000}


def test_the_largest_layers_and_distributions_are_listed(engine: Engine, run: Run) -> None:
    history = {
        "COPY --link --from=dependencies /opt/venv /opt/venv # buildkit": 190_000,
        "RUN |1 HOST_UID=1000 /bin/sh -c echo 1 # buildkit": 20,
        "/bin/sh -c #(nop) ADD file:1 in / ": 770_000,
        **{f"COPY {number}": 30_000 + number for number in range(9)},
    }
    content = [layer(size, name) for name, size in history.items()]
    instructions = ["ENV PATH=/opt/venv/bin", *history]
    distributions = {"fastapi": 1_200_000, "uvicorn": 700_000}
    engine.add("x:base", layer(9, "base"))
    engine.add("x:production", *content, instructions=instructions, distributions=distributions)
    _, out, _ = run("base=x:base", "production=x:production")
    _, largest, packages = out.split("\n\n")
    lines = largest.splitlines()
    assert lines[0] == "largest layers of production"
    assert lines[1].split() == ["ADD", "file:1", "in", "/", "770.0", "kB"]
    assert lines[2].startswith("  COPY --link --from=dependencies /opt/venv /opt/venv  ")
    assert len(lines) == 1 + 8
    assert "ENV" not in largest
    assert packages.splitlines() == [
        "largest distributions in production",
        "  fastapi    1.2 MB",
        "  uvicorn  700.0 kB",
    ]


def test_what_grew_since_the_last_time_is_named(engine: Engine, run: Run) -> None:
    engine.add("x:base", layer(9, "base"))
    before = {"fastapi": 1_000_000, "gone": 5, "same": 7_000, "smaller": 9_000}
    engine.add("x:production", layer(5_000_000, "app"), distributions=before)
    _, out, _ = run("base=x:base", "production=x:production")
    assert "grown" not in out
    after = {"fastapi": 1_500_000, "new": 3_000, "same": 7_000, "smaller": 8_000}
    engine.add("x:production", layer(6_200_000, "app"), distributions=after)
    _, out, _ = run("base=x:base", "production=x:production")
    assert out.splitlines()[2].split()[-3:] == ["1.2", "MB", "-"]
    assert out.split("grown in production\n")[1].splitlines() == [
        "  fastapi  500.0 kB",
        "  new        3.0 kB",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        # Of an earlier version, which took the engine's figures.
        {"size": 21, "compressed": 9, "budget": 7, "layers": [["COPY", 21]], "distributions": {}},
        {"size": 21, "compressed": 9, "budget": 7, "layers": [], "distributions": {"fastapi": 1}},
        {"size": 21},
        {"unknown": 1},
        [],
        7,
    ],
)
def test_what_was_measured_otherwise_is_not_compared_with(
    engine: Engine, run: Run, entry: Any
) -> None:
    """As after an update, or where a pipeline restores an older report."""
    engine.add("x:base", layer(9, "base"))
    engine.add("x:production", layer(5_000, "app"), distributions={"fastapi": 900})
    write_text(Path("build/sizes.json"), json.dumps({"base": entry, "production": entry}))
    status, out, _ = run("base=x:base", "production=x:production")
    assert status == 0
    assert [line.split()[-2:] for line in out.splitlines()[1:3]] == [["-", "-"]] * 2
    assert "grown" not in out
    assert "build/sizes.json is of an earlier version" in out
    _, out, _ = run("base=x:base", "production=x:production")
    assert "earlier version" not in out
    assert out.splitlines()[2].split()[-3:] == ["0.0", "kB", "-"]


def test_images_that_did_not_change_are_only_inspected(engine: Engine, run: Run) -> None:
    """Over budget, too, where the report is not written."""
    engine.add("x:base", layer(9, "base"))
    engine.add("x:production", layer(2_000_000, "app"), distributions={"app": 1})
    arguments = ["base=x:base", "production=x:production"]
    first = run(*arguments, production="1 MB")
    before = len(engine.calls)
    assert run(*arguments, production="1 MB") == first
    assert engine.calls[before:] == ["image"]


def test_over_budget_fails_names_the_stage_and_keeps_the_baseline(engine: Engine, run: Run) -> None:
    """What grew stays visible until it is fixed: the report of the last good state is kept."""
    engine.add("x:base", layer(9, "base"))
    engine.add("x:test", layer(2_000_000, "test"), distributions={"pytest": 1_000})
    engine.add("x:production", layer(5_000_000, "app"))
    arguments = ["base=x:base", "test=x:test", "production=x:production"]
    run(*arguments, test="3 MB", production="6 MB")
    good = read_report()
    engine.add("x:test", layer(4_000_000, "test"), distributions={"pytest": 900_000})
    for _ in range(2):
        status, out, _ = run(*arguments, test="3 MB", production="6 MB")
        assert status == 1
        [row] = [line for line in out.splitlines() if line.startswith("test ")]
        assert row.split()[-5:] == ["3.0", "MB", "2.0", "MB", "OVER"]
        assert "largest distributions in test" in out
        assert out.rstrip().endswith("Over budget: test. Shrink it, or raise [tool.seedpod.size].")
        assert read_report() == good


def test_growth_over_budget_is_named_for_every_stage_in_the_baseline(
    engine: Engine, run: Run
) -> None:
    engine.add("x:base", layer(9, "base"))
    engine.add("x:test", layer(2_000_000, "test"), distributions={"pytest": 1_000})
    engine.add("x:production", layer(5_000_000, "app"))
    arguments = ["base=x:base", "test=x:test", "production=x:production"]
    run(*arguments, test="3 MB")
    engine.add(
        "x:test", layer(4_000_000, "test"), distributions={"pytest": 1_000, "numpy": 1_999_000}
    )
    _, out, _ = run(*arguments, test="3 MB")
    grown = out.split("grown in test\n")[1].splitlines()
    assert grown[0].split() == ["numpy", "2.0", "MB"]
    assert not any("pytest" in line for line in grown)


@pytest.mark.parametrize("budget", ["3 MB", "1 MB"])
def test_what_was_printed_is_in_a_file_too(engine: Engine, run: Run, budget: str) -> None:
    """Within budget and over it: there a reader needs it most."""
    engine.add("x:base", layer(9, "base"))
    engine.add("x:production", layer(2_000_000, "app"), distributions={"app": 1_000})
    _, out, _ = run("base=x:base", "production=x:production", production=budget)
    assert out.startswith("stage ")
    assert Path("build/sizes.txt").read_text(encoding="utf-8") == out


def test_all_stages_over_budget_are_named(engine: Engine, run: Run) -> None:
    for stage in ("base", "test", "production"):
        engine.add(f"x:{stage}", layer(2_000_000, stage))
    status, out, _ = run(
        "base=x:base", "test=x:test", "production=x:production", test="1 MB", production="1 MB"
    )
    assert status == 1
    assert "Over budget: test, production." in out


def test_a_project_without_budgets_is_measured_all_the_same(engine: Engine, run: Run) -> None:
    engine.add("x:base", layer(9, "base"))
    assert run("base=x:base")[0] == 0


def test_a_budget_that_is_no_size_is_refused(engine: Engine, run: Run) -> None:
    engine.add("x:base", layer(9, "base"))
    status, _, _ = run("base=x:base", base="much")
    assert str(status).startswith("[tool.seedpod.size] in pyproject.toml has 'much'")


def test_an_image_that_is_not_there_is_named_by_docker(engine: Engine, run: Run) -> None:
    engine.add("x:base", layer(9, "base"))
    status, _, _ = run("base=x:base", "production=x:production")
    assert "docker image failed" in str(status)
    assert "No such image" in str(status)


def test_an_image_that_cannot_be_read_is_a_sentence_and_no_traceback(
    engine: Engine, run: Run
) -> None:
    engine.add("x:base", layer(9, "base"), fails=["save"])
    status, _, _ = run("base=x:base")
    assert "docker save failed" in str(status)


@pytest.mark.parametrize("obstacle", ["build", "build/sizes.json", "build/sizes.txt"])
def test_a_report_that_cannot_be_written_is_printed_and_named(
    engine: Engine, run: Run, obstacle: str
) -> None:
    engine.add("x:base", layer(9, "base"))
    if obstacle == "build":
        Path(obstacle).touch()
    else:
        Path(obstacle).mkdir(parents=True)
    status, out, _ = run("base=x:base")
    assert out.startswith("stage ")
    assert str(status).startswith(f"{obstacle} cannot be used (")


def test_a_machine_without_docker_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, _ = run("base=x:base")
    assert status == "The program docker is not installed. Install Docker 23 or later."


@pytest.mark.parametrize(
    ("budgets", "stages"),
    [({}, ["production"]), ({"test": "1 MB", "production": "1 MB"}, ["test", "production"])],
    ids=["none", "two"],
)
def test_without_arguments_the_stages_with_a_budget_are_built_and_measured(
    engine: Engine,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    budgets: dict[str, str],
    stages: list[str],
) -> None:
    built = []

    def build(stage: str, **_: str) -> None:
        built.append(stage)
        engine.add(f"x:{stage}", layer(9, stage))

    monkeypatch.setattr("engine.build", build)
    monkeypatch.setattr("settings.apply", lambda: None)
    status, out, _ = run(**budgets)
    assert status == 0
    assert built == ["base", *stages]
    assert [line.split()[0] for line in out.split("\n\n")[0].splitlines()[1:]] == built


@pytest.mark.parametrize("arguments", [["production=x:production"], ["x:base"]])
def test_wrong_arguments_get_a_usage_line(run: Run, arguments: list[str]) -> None:
    status, _, _ = run(*arguments)
    assert str(status).startswith("Usage: nox -s docker_size")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('size = "58 MB"', "size in [tool.seedpod] is '58 MB'. Write a table, [tool.seedpod.size]"),
        ("[tool.seedpod.size]\nproduction = 58", "has 58, which is not a size. Write a number"),
        ('[tool.seedpod.size]\nprod = "1 MB"', "names 'prod', which is no stage of the Dockerfile"),
    ],
)
def test_a_wrong_budget_is_refused_before_anything_is_built(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setattr("engine.build", lambda *_, **__: pytest.fail("built"))
    monkeypatch.setattr("settings.apply", lambda: None)
    table = text if text.startswith("[") else f"[tool.seedpod]\n{text}"
    pyproject = tomllib.loads(f'[project]\nname = "x"\n{table}\n')
    monkeypatch.setattr("project_file.read", lambda: pyproject)
    Path("Dockerfile").write_text("FROM a AS base\nFROM base AS production\n")
    status, _, _ = run()
    assert told in str(status)


@pytest.mark.parametrize("size", [10**400, "3", 3.5, None])
def test_what_is_no_size_was_not_measured(size: Any) -> None:
    layer = {"digest": "a", "instruction": "RUN", "size": size, "compressed": 1}
    report = {"base": {"size": size, "compressed": 1, "layers": [layer], "distributions": {}}}
    assert sizes.earlier(report) == {}


@pytest.mark.parametrize("text", ["9" * 400 + " MB", "1." + "9" * 400 + " MB"])
def test_a_budget_that_no_number_can_be_is_refused(text: str) -> None:
    with pytest.raises(SessionError, match="is not a size"):
        figures.parse_size(text, "x")


def test_half_of_a_character_can_be_shown() -> None:
    assert sizes.shorten("RUN \ud800").encode() == b"RUN \\ud800"


def test_options_are_those_of_the_program_on_request(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fetched, and takes them all."""
    folders = []

    def fetch(folder: Path) -> None:
        folder.mkdir()
        folders.append(folder)
        program = "import sys, own; own.told(sys.argv[1:])\nsys.exit(3)\n"
        (folder / "explain_size.py").write_text(program)
        (folder / "own.py").write_text("told = print\n")

    monkeypatch.setattr("on_request.fetch", fetch)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert run("--why", "x y", "z")[:2] == (3, "['--why', 'x y', 'z']\n")
    assert not folders[0].exists()
