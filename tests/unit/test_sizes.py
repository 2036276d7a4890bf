"""docker/sizes.py measures every stage and holds it against its budget."""

import gzip
import hashlib
import io
import json
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sizes

Run = Callable[..., tuple[str | int | None, str, str]]

MOCK = """#!{python}
# A mock of the docker client: it answers from images.json, and no engine is involved.
import json, pathlib, shutil, sys
folder = pathlib.Path({folder!r})
arguments = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(arguments[0] + "\\n")
images = json.loads((folder / "images.json").read_text())
name = next((word for word in arguments if word in images), None)
if name is None or arguments[0] in images[name].get("fails", []):
    sys.exit("Error (from a mock of docker): No such image")
image = images[name]
if arguments[:2] == ["image", "inspect"]:
    layers = json.dumps(image["layers"])
    print({{"{{{{.Size}}}}": image["size"], "{{{{json .RootFS.Layers}}}}": layers}}[arguments[3]])
elif arguments[0] == "history":
    for instruction, size in image["history"]:
        print(json.dumps({{"CreatedBy": instruction, "Size": str(size)}}))
elif arguments[0] == "run":
    print(json.dumps(image["distributions"]))
elif arguments[0] == "save":
    shutil.copyfileobj(open(folder / image["archive"], "rb"), sys.stdout.buffer)
"""


class Engine:
    """What the mock of docker knows."""

    def __init__(self, folder: Path) -> None:
        """Put the mock into a folder."""
        self.folder = folder
        self.images: dict[str, dict[str, Any]] = {}
        program = folder / "docker"
        program.write_text(MOCK.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)

    def add(self, name: str, size: int, *layers: bytes, stored: str = "oci", **more: Any) -> None:
        """Add an image with these layers, kept as the engine's image store keeps them."""
        digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        archive = self.folder / f"{name.replace(':', '-')}.tar"
        with tarfile.open(archive, "w") as tar:
            for layer in layers:
                blob = gzip.compress(layer, mtime=0) if stored == "containerd" else layer
                digest = hashlib.sha256(blob).hexdigest()
                path = f"{digest}/layer.tar" if stored == "legacy" else f"blobs/sha256/{digest}"
                entry = tarfile.TarInfo(path)
                entry.size = len(blob)
                tar.addfile(entry, io.BytesIO(blob))
            configuration = tarfile.TarInfo("manifest.json")
            tar.addfile(configuration)
        self.images[name] = {
            "size": size,
            "layers": digests,
            "archive": archive.name,
            "history": [],
            "distributions": {},
            **more,
        }
        (self.folder / "images.json").write_text(json.dumps(self.images))

    @property
    def calls(self) -> list[str]:
        """Return what the mock was asked for."""
        return (self.folder / "calls").read_text().split()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine that the program finds on its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Engine(folder)


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
        Path("pyproject.toml").write_text(text)
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
    assert sizes.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "58", "MB", "58 MiB", "58 mb", "-1 MB", "1.2.3 MB", ". MB", "1,5 MB", "58 MB!", 58]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(sizes.SizeError, match=r"is not a size.*58 MB"):
        sizes.parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 kB"), (999, "1.0 kB"), (1_000_000, "1.0 MB"), (56_123_456, "56.1 MB")],
)
def test_sizes_are_shown_as_docker_shows_them(size: int, text: str) -> None:
    assert sizes.show_size(size) == text


@pytest.mark.parametrize(("size", "text"), [(-1_500, "-1.5 kB"), (-2_000_000, "-2.0 MB")])
def test_a_loss_is_shown_like_a_growth(size: int, text: str) -> None:
    assert sizes.show_size(size) == text


def test_the_table_shows_every_stage(engine: Engine, run: Run) -> None:
    engine.add("x:base", 10_000_000, b"base" * 999)
    engine.add("x:test", 40_000_000, b"base" * 999, b"test" * 99)
    engine.add("x:production", 12_345_678, b"base" * 999, b"app" * 9)
    status, out, _ = run(
        "base=x:base", "test=x:test", "production=x:production", test="40 MB", production="20 MB"
    )
    assert status == 0
    rows = [line.split() for line in out.splitlines()[:4]]
    assert out.splitlines()[0].split("  ")[0] == "stage"
    assert rows[0][-2:] == ["change", "verdict"]
    compressed = f"{len(zlib.compress(b'base' * 999)) / 1e3:.1f}"
    assert rows[1] == ["base", "10.0", "MB", "0.0", "kB", compressed, "kB", "-", "-", "-"]
    assert rows[2][:5] == ["test", "40.0", "MB", "30.0", "MB"]
    # A stage as large as its budget is within it.
    assert rows[2][-4:] == ["40.0", "MB", "-", "ok"]
    assert rows[3][:5] == ["production", "12.3", "MB", "2.3", "MB"]
    assert rows[3][-4:] == ["20.0", "MB", "-", "ok"]


@pytest.mark.parametrize("stored", ["oci", "legacy", "containerd"])
def test_compressed_sizes_are_those_of_the_layers(engine: Engine, run: Run, stored: str) -> None:
    """Whichever way an engine keeps images: Docker 23 to 28, and 29 with containerd's store."""
    layers = [bytes(range(256)) * 400, b"x" * 5000]
    engine.add("x:base", 9, *layers, stored=stored)
    status, _, _ = run("base=x:base")
    assert status == 0
    [measured] = [stage["compressed"] for stage in read_report().values()]
    expected = sum(len(zlib.compress(layer)) for layer in layers)
    assert expected * 0.9 < measured < expected * 1.1 + 100


def read_report() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path("build/sizes.json").read_text())
    return report


def test_a_layer_that_was_measured_once_is_not_read_again(engine: Engine, run: Run) -> None:
    engine.add("x:base", 9, b"base")
    engine.add("x:production", 9, b"base", b"app")
    _, first, _ = run("base=x:base", "production=x:production")
    saved = engine.calls.count("save")
    _, second, _ = run("base=x:base", "production=x:production")
    assert engine.calls.count("save") == saved
    assert [line.split()[:7] for line in first.splitlines()[1:3]] == [
        line.split()[:7] for line in second.splitlines()[1:3]
    ]


def test_a_damaged_cache_is_measured_again(engine: Engine, run: Run, tmp_path: Path) -> None:
    engine.add("x:base", 9, b"base")
    (tmp_path / "cache/seedpod").mkdir(parents=True)
    (tmp_path / "cache/seedpod/layers.json").write_text('{"sha256:1234": 1')
    assert run("base=x:base")[0] == 0


def test_the_largest_layers_and_distributions_are_listed(engine: Engine, run: Run) -> None:
    history = [
        ("COPY --link --from=dependencies /opt/venv /opt/venv # buildkit", 19_000_000),
        ("ENV PATH=/opt/venv/bin", 0),
        ("RUN |1 HOST_UID=1000 /bin/sh -c echo 1 # buildkit", 2_000),
        ("/bin/sh -c #(nop) ADD file:1 in / ", 77_000_000),
        *((f"COPY {number}", 3_000_000) for number in range(9)),
    ]
    distributions = {"fastapi": 1_200_000, "uvicorn": 700_000}
    engine.add("x:base", 9, b"base")
    engine.add("x:production", 9, b"app", history=history, distributions=distributions)
    _, out, _ = run("base=x:base", "production=x:production")
    _, layers, packages = out.split("\n\n")
    lines = layers.splitlines()
    assert lines[0] == "largest layers of production"
    assert lines[1].split() == ["ADD", "file:1", "in", "/", "77.0", "MB"]
    assert lines[2].startswith("  COPY --link --from=dependencies /opt/venv /opt/venv  ")
    assert len(lines) == 1 + 8
    assert "ENV" not in layers
    assert packages.splitlines() == [
        "largest distributions in production",
        "  fastapi    1.2 MB",
        "  uvicorn  700.0 kB",
    ]


def test_what_grew_since_the_last_time_is_named(engine: Engine, run: Run) -> None:
    engine.add("x:base", 9, b"base")
    before = {"fastapi": 1_000_000, "gone": 5, "same": 7_000, "smaller": 9_000}
    engine.add("x:production", 5_000_000, b"app", distributions=before)
    _, out, _ = run("base=x:base", "production=x:production")
    assert "grown" not in out
    after = {"fastapi": 1_500_000, "new": 3_000, "same": 7_000, "smaller": 8_000}
    engine.add("x:production", 6_200_000, b"app", distributions=after)
    _, out, _ = run("base=x:base", "production=x:production")
    assert out.splitlines()[2].split()[-3:] == ["1.2", "MB", "-"]
    assert out.split("grown in production\n")[1].splitlines() == [
        "  fastapi  500.0 kB",
        "  new        3.0 kB",
    ]


def test_over_budget_fails_names_the_stage_and_keeps_the_baseline(engine: Engine, run: Run) -> None:
    """What grew stays visible until it is mended: the report of the last good state is kept."""
    engine.add("x:base", 9, b"base")
    engine.add("x:test", 2_000_000, b"test", distributions={"pytest": 1_000})
    engine.add("x:production", 5_000_000, b"app")
    arguments = ["base=x:base", "test=x:test", "production=x:production"]
    run(*arguments, test="3 MB", production="6 MB")
    good = read_report()
    engine.add("x:test", 4_000_000, b"test", distributions={"pytest": 900_000})
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
    engine.add("x:base", 9, b"base")
    engine.add("x:test", 2_000_000, b"test", distributions={"pytest": 1_000})
    engine.add("x:production", 5_000_000, b"app")
    arguments = ["base=x:base", "test=x:test", "production=x:production"]
    run(*arguments, test="3 MB")
    engine.add("x:test", 4_000_000, b"test", distributions={"pytest": 1_000, "numpy": 1_999_000})
    _, out, _ = run(*arguments, test="3 MB")
    grown = out.split("grown in test\n")[1].splitlines()
    assert grown[0].split() == ["numpy", "2.0", "MB"]
    assert not any("pytest" in line for line in grown)


@pytest.mark.parametrize("budget", ["3 MB", "1 MB"])
def test_what_was_printed_is_in_a_file_too(engine: Engine, run: Run, budget: str) -> None:
    """Within budget and over it: there a reader needs it most."""
    engine.add("x:base", 9, b"base")
    engine.add("x:production", 2_000_000, b"app", distributions={"app": 1_000})
    _, out, _ = run("base=x:base", "production=x:production", production=budget)
    assert out.startswith("stage ")
    assert Path("build/sizes.txt").read_text(encoding="utf-8") == out


def test_all_stages_over_budget_are_named(engine: Engine, run: Run) -> None:
    for stage in ("base", "test", "production"):
        engine.add(f"x:{stage}", 2_000_000, stage.encode())
    status, out, _ = run(
        "base=x:base", "test=x:test", "production=x:production", test="1 MB", production="1 MB"
    )
    assert status == 1
    assert "Over budget: test, production." in out


def test_a_project_without_budgets_is_measured_all_the_same(engine: Engine, run: Run) -> None:
    engine.add("x:base", 9, b"base")
    assert run("base=x:base")[0] == 0


def test_a_budget_that_is_no_size_is_refused(engine: Engine, run: Run) -> None:
    engine.add("x:base", 9, b"base")
    status, _, _ = run("base=x:base", base="much")
    assert str(status).startswith("[tool.seedpod.size] in pyproject.toml has 'much'")


def test_an_image_that_is_not_there_is_named_by_docker(engine: Engine, run: Run) -> None:
    engine.add("x:base", 9, b"base")
    status, _, _ = run("base=x:base", "production=x:production")
    assert "docker image failed" in str(status)
    assert "No such image" in str(status)


def test_an_image_that_cannot_be_read_is_a_sentence_and_no_traceback(
    engine: Engine, run: Run
) -> None:
    engine.add("x:base", 9, b"base", fails=["save"])
    status, _, _ = run("base=x:base")
    assert "docker save failed" in str(status)


def test_a_machine_without_docker_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, _ = run("base=x:base")
    assert status == "The program docker is not installed. Install Docker 23 or later."


@pytest.mark.parametrize("arguments", [[], ["production=x:production"], ["x:base"], ["--help"]])
def test_wrong_arguments_get_a_usage_line(run: Run, arguments: list[str]) -> None:
    status, _, _ = run(*arguments)
    assert str(status).startswith("Usage: python docker/sizes.py base=IMAGE")
