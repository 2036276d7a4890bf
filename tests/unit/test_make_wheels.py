"""docker/image/make_wheels.py makes what the wheelhouse lacks, in the order of builds, and once."""

import functools
import hashlib
import importlib.util
import io
import json
import shutil
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import make_wheels
import pytest
import wheelhouse
from poetry_lock import Selection
from wheelhouse import WheelhouseError

from tests.unit.locked import locked

MakeHouse = Callable[..., Path]
MakeWheel = Callable[..., Path]

# It has the wheels of a folder, one for each name and version, and notes what it is asked for. A
# file of the folder that is called like a command makes that command fail.
STAND_IN = r"""
import json, os, pathlib, shutil, sys
index, log = map(pathlib.Path, sys.argv[1:3])
command, *arguments = sys.argv[3:]
options = dict(x.partition("=")[::2] for x in arguments if x.startswith("--"))
file = options.pop("--requirement", None)
text = pathlib.Path(file).read_text() if file else ""
lines = text.replace(" \\\n    ", " ").splitlines()
packages = [line.split()[0] for line in lines if "==" in line.split()[0]]
named = [pathlib.Path(x).name for x in arguments if not x.startswith("--")]
with log.open("a") as notes:
    notes.write(json.dumps([command, packages or named, options, lines]) + "\n")
log.with_suffix(".indexes").write_text(os.environ.get("PIP_EXTRA_INDEX_URL", ""))
if (index / command).exists():
    sys.exit("ERROR: not today")
for package in packages:
    print(f"Collecting {package}")
    folder = index / package
    if not folder.exists():
        sys.exit(f"ERROR: No matching distribution found for {package}")
    for wheel in folder.iterdir():
        shutil.copy(wheel, options.get("--dest") or options["--wheel-dir"])
"""
# A plan in which the index has a wheel of everything.
NOTHING: Mapping[str, list[str]] = {
    name: [] for name in ("compile", "build-first", "no-binary", "no-build-isolation")
}
OPTIONS = ["--extra-index-url https://index.example/simple"]


@dataclass
class Pip:
    """A stand-in for pip: the folder with its wheels, and the file with what it was asked for."""

    index: Path
    log: Path

    @property
    def calls(self) -> list[tuple[str, list[str], dict[str, str], list[str]]]:
        """Return of each call the command, packages, options and lines of requirements."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    @property
    def done(self) -> list[str]:
        """Return the commands with the packages that each was for."""
        return [" ".join([command, *packages]) for command, packages, _, _ in self.calls]

    @property
    def indexes(self) -> str:
        """Return the further indexes that the last call was told."""
        return self.log.with_suffix(".indexes").read_text()

    def forget(self) -> None:
        """Begin a new log."""
        self.log.unlink()


@pytest.fixture
def pip(make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Put a stand-in for pip in its place, which has version 1.0 of a few packages."""
    program = tmp_path / "pip.py"
    program.write_text(STAND_IN)
    pip = Pip(tmp_path / "index", tmp_path / "calls")
    command = (sys.executable, "-I", "-S", str(program), str(pip.index), str(pip.log))
    monkeypatch.setattr(make_wheels, "PIP", command)
    for name in ("alpha", "beta", "gamma", "delta"):
        make_wheel(pip.index / f"{name}==1.0", name)
    return pip


@dataclass
class Fill:
    """What fills a wheelhouse, as often as it is called, and adds what was made to it."""

    house: Path
    folder: Path

    def __call__(self, *names: str, **plan: list[str]) -> dict[str, dict[str, Any]]:
        """Return the manifest for version 1.0 of the packages; of ``compile`` no wheel fits."""
        return self.of([f"{name}==1.0" for name in names], **plan)

    def of(self, lines: list[str], **plan: list[str]) -> dict[str, dict[str, Any]]:
        """Return the manifest for packages, as a requirements file has them."""
        packages = locked(*lines, hashes=["sha256:aa"])
        settings = {name.replace("_", "-"): value for name, value in plan.items()}
        self.folder.mkdir(parents=True)
        manifest = make_wheels.fill(
            packages, OPTIONS, {**NOTHING, **settings}, self.house, self.folder
        )
        (self.folder / "manifest.json").write_text(json.dumps(manifest))
        shutil.copytree(self.folder, self.house, dirs_exist_ok=True)
        shutil.rmtree(self.folder)
        return manifest

    def refusal(self, *names: str, **plan: list[str]) -> str:
        """Return why the wheelhouse is not filled, which is a sentence and a remedy."""
        with pytest.raises(WheelhouseError) as error:
            self(*names, **plan)
        message = str(error.value)
        assert message.count(". ") == 1
        assert message.endswith(".")
        assert not self.house.exists()
        return message


@pytest.fixture
def fill(pip: Pip, tmp_path: Path) -> Fill:
    return Fill(tmp_path / "house", tmp_path / "output/platform")


def test_what_has_a_wheel_is_downloaded_at_once_and_never_compiled(fill: Fill, pip: Pip) -> None:
    manifest = fill("alpha", "beta")
    [(command, packages, options, lines)] = pip.calls
    assert (command, packages) == ("download", ["alpha==1.0", "beta==1.0"])
    assert (
        options.items()
        >= {"--only-binary": ":all:", "--no-deps": "", "--require-hashes": ""}.items()
    )
    assert lines == [*OPTIONS, "alpha==1.0 --hash=sha256:aa", "beta==1.0 --hash=sha256:aa"]
    assert {entry["origin"] for entry in manifest.values()} == {"index"}


def test_what_has_none_is_compiled_by_itself_from_what_the_lock_names(fill: Fill, pip: Pip) -> None:
    manifest = fill("alpha", "beta", compile=["beta"])
    assert pip.done == ["download alpha==1.0", "wheel beta==1.0"]
    _, _, options, lines = pip.calls[1]
    assert (
        options.items() >= {"--no-binary": "beta", "--no-deps": "", "--require-hashes": ""}.items()
    )
    assert "--no-build-isolation" not in options
    assert lines == [*OPTIONS, "beta==1.0 --hash=sha256:aa"]
    assert manifest["beta-1.0-py3-none-any.whl"]["origin"] == "built"


def test_the_manifest_tells_what_each_wheel_is(fill: Fill) -> None:
    manifest = fill("alpha")
    path = fill.house / "alpha-1.0-py3-none-any.whl"
    entry = manifest[path.name]
    assert entry == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "origin": "index",
        "seconds": entry["seconds"],
        "size": path.stat().st_size,
        "new": True,
    }
    assert entry["seconds"] >= 0


def test_nothing_is_made_twice(fill: Fill, pip: Pip) -> None:
    names = ("alpha", "beta", "gamma")
    plan = {"compile": ["beta"], "no_build_isolation": ["beta"], "build_first": ["gamma"]}
    first = fill(*names, **plan)
    pip.forget()
    second = fill(*names, **plan)
    assert pip.calls == []
    assert second == {name: {**entry, "new": False} for name, entry in first.items()}


@pytest.mark.parametrize(("compiled", "call"), [([], "download"), (["gamma"], "wheel")])
def test_one_package_more_makes_only_that_one(
    fill: Fill, pip: Pip, compiled: list[str], call: str
) -> None:
    fill("alpha", "beta", compile=["beta"])
    pip.forget()
    manifest = fill("alpha", "beta", "gamma", compile=["beta", *compiled])
    assert pip.done == [f"{call} gamma==1.0"]
    assert [name for name, entry in manifest.items() if entry["new"]] == [
        "gamma-1.0-py3-none-any.whl"
    ]


def test_another_version_is_another_wheel_and_the_old_one_is_no_longer_listed(
    fill: Fill, pip: Pip, make_wheel: MakeWheel
) -> None:
    fill("alpha", "beta")
    pip.forget()
    make_wheel(pip.index / "beta==1.1", "beta", "1.1")
    assert fill.of(["alpha==1.0", "beta==1.1"]).keys() == {
        "alpha-1.0-py3-none-any.whl",
        "beta-1.1-py3-none-any.whl",
    }
    assert pip.done == ["download beta==1.1"]


def test_a_version_that_is_written_in_another_way_is_made_once(
    fill: Fill, pip: Pip, make_wheel: MakeWheel
) -> None:
    make_wheel(pip.index / "alpha==1.01", "alpha", "1.1")
    for new in (True, False):
        assert fill.of(["alpha==1.01"])["alpha-1.1-py3-none-any.whl"]["new"] is new


def test_a_package_that_shall_be_compiled_from_now_on_is_compiled_once(
    fill: Fill, pip: Pip
) -> None:
    fill("alpha")
    pip.forget()
    for _ in range(2):
        manifest = fill("alpha", compile=["alpha"], no_binary=["alpha"])
        assert manifest["alpha-1.0-py3-none-any.whl"]["origin"] == "built"
    assert pip.done == ["wheel alpha==1.0"]


def test_an_empty_lock_makes_nothing(fill: Fill, pip: Pip) -> None:
    assert fill() == {}
    assert pip.calls == []


def test_what_is_built_first_comes_first_in_its_order(fill: Fill, pip: Pip) -> None:
    """The others follow by name; who builds in isolation needs nothing installed here."""
    names = ("alpha", "beta", "gamma", "delta")
    fill(*names, compile=list(names), build_first=["gamma", "beta"])
    assert pip.done == [
        "wheel gamma==1.0",
        "wheel beta==1.0",
        "wheel alpha==1.0",
        "wheel delta==1.0",
    ]


def test_who_builds_without_isolation_finds_installed_what_is_built_first(
    fill: Fill, pip: Pip
) -> None:
    """NumPy before SciPy's setup runs: alpha needs gamma and gamma needs delta."""
    plan = {"build_first": ["delta", "gamma"], "no_build_isolation": ["alpha", "gamma"]}
    fill("alpha", "beta", "gamma", "delta", compile=["alpha", "beta", "gamma", "delta"], **plan)
    assert pip.done == [
        "wheel delta==1.0",
        "install delta-1.0-py3-none-any.whl",
        "wheel gamma==1.0",
        "install gamma-1.0-py3-none-any.whl",
        "wheel alpha==1.0",
        "wheel beta==1.0",
    ]
    unisolated = [x[1] for x in pip.calls if "--no-build-isolation" in x[2]]
    assert unisolated == [["gamma==1.0"], ["alpha==1.0"]]
    installs = [options for command, _, options, _ in pip.calls if command == "install"]
    assert all({"--no-deps", "--no-index"} <= options.keys() for options in installs)


@pytest.mark.parametrize("before", [False, True], ids=["of the index", "of the wheelhouse"])
def test_what_is_built_first_may_be_a_wheel_already(fill: Fill, pip: Pip, before: bool) -> None:
    if before:
        fill("gamma")
        pip.forget()
    plan = {"build_first": ["gamma"], "no_build_isolation": ["alpha"]}
    fill("alpha", "gamma", compile=["alpha"], **plan)
    assert pip.done == [
        *([] if before else ["download gamma==1.0"]),
        "install gamma-1.0-py3-none-any.whl",
        "wheel alpha==1.0",
    ]


def test_nothing_is_installed_for_a_package_that_has_a_wheel(fill: Fill, pip: Pip) -> None:
    fill("alpha", "gamma", build_first=["gamma"], no_build_isolation=["alpha"])
    assert pip.done == ["download alpha==1.0 gamma==1.0"]


def test_what_is_built_first_has_to_be_locked(fill: Fill) -> None:
    plan = {"build_first": ["numpy"], "no_build_isolation": ["alpha"]}
    assert fill.refusal("alpha", compile=["alpha"], **plan) == (
        "build-first names numpy, which is not locked. Add it to a group, then run nox -s lock."
    )


@pytest.mark.parametrize("found", [("alpha", "2.0"), ("beta", "1.0")], ids=" ".join)
@pytest.mark.parametrize("compiled", [[], ["alpha"]], ids=["index", "built"])
def test_a_wheel_of_something_else_is_refused(
    fill: Fill, pip: Pip, make_wheel: MakeWheel, found: tuple[str, str], compiled: list[str]
) -> None:
    shutil.rmtree(pip.index / "alpha==1.0")
    path = make_wheel(pip.index / "alpha==1.0", *found)
    assert fill.refusal("alpha", compile=compiled) == (
        f"{path.name} is not what poetry.lock names. Run nox -s lock."
    )


def tamper(path: Path, name: str, content: str | None) -> None:
    """Replace a file of a wheel, or leave it out, and nothing else."""
    with zipfile.ZipFile(path) as wheel:
        files = {inner: wheel.read(inner).decode() for inner in wheel.namelist()}
    assert files[name] != content
    files |= {name: content} if content is not None else {}
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in files.items():
            if inner != name or content is not None:
                wheel.writestr(inner, text)


@pytest.mark.parametrize("content", ["VERSION = 'evil'\n", None], ids=["changed", "gone"])
@pytest.mark.parametrize("compiled", [[], ["alpha"]], ids=["index", "built"])
def test_a_wheel_that_differs_from_its_own_record_is_refused(
    fill: Fill, pip: Pip, content: str | None, compiled: list[str]
) -> None:
    tamper(pip.index / "alpha==1.0/alpha-1.0-py3-none-any.whl", "alpha.py", content)
    assert fill.refusal("alpha", compile=compiled) == (
        "alpha.py in alpha-1.0-py3-none-any.whl is not what the wheel has recorded. "
        "Delete the wheel and run nox -s docker_wheels."
    )


def test_a_changed_record_is_refused(make_wheel: MakeWheel, tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "alpha")
    make_wheels.check_record(path)
    tamper(path, "alpha-1.0.dist-info/RECORD", f"alpha.py,sha256={'A' * 43},0\n")
    with pytest.raises(WheelhouseError, match=r"^alpha\.py in alpha-1\.0-py3-none-any\.whl is not"):
        make_wheels.check_record(path)


def test_the_record_is_the_wheels_own_and_not_one_of_what_it_bundles(
    make_wheel: MakeWheel, tmp_path: Path
) -> None:
    """As in setuptools, whose _vendor/ has installed packages with records of their own."""
    bundled = {
        f"alpha/_vendor/other-{number}.dist-info/RECORD": "other.py,sha256=AAAA,1\n"
        for number in range(9)
    }
    path = make_wheel(tmp_path, "alpha", files={**bundled, "alpha/__init__.py": ""})
    make_wheels.check_record(path)
    tamper(path, "alpha/__init__.py", "import os\n")
    with pytest.raises(WheelhouseError):
        make_wheels.check_record(path)


UNISOLATED = {"compile": ["alpha"], "build_first": ["beta"], "no_build_isolation": ["alpha"]}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("download", "pip could not download the wheels. Fix what it reported."),
        ("wheel", "alpha==1.0 cannot be compiled. Fix what pip reported."),
        (
            "install",
            "beta-1.0-py3-none-any.whl cannot be installed. Fix what pip reported.",
        ),
    ],
)
def test_where_pip_fails_one_sentence_says_with_what(
    fill: Fill, pip: Pip, command: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """After what pip itself says."""
    (pip.index / command).touch()
    assert fill.refusal("alpha", "beta", **UNISOLATED) == message
    assert "ERROR: not today" in capfd.readouterr().err


@pytest.fixture
def run(pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Return a function that runs the program on two packages and returns what it filled."""
    folders = [tmp_path / name for name in ("facts", "wheelhouse", "made")]
    monkeypatch.setattr(sys, "argv", ["make_wheels.py", *map(str, folders)])
    for name in ("LDFLAGS", "SOURCE_DATE_EPOCH"):
        # Set first, so that it is removed in the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    folders[0].mkdir()
    plan = {**NOTHING, "tag": "cp313-musllinux_1_2_x86_64", "compile": ["beta"]}
    (folders[0] / "wheel-plan.json").write_text(json.dumps(plan))
    packages = locked("alpha==1.0", "beta==1.0", "gamma==1.0 ; sys_platform == 'win32'")
    content = asdict(Selection(OPTIONS, packages))
    (folders[0] / "development.json").write_text(json.dumps(content))

    def run() -> Path:
        make_wheels.main()
        return folders[2]

    return run


def test_the_output_is_the_folder_of_the_platform_and_nothing_else(
    run: Callable[[], Path],
) -> None:
    """It is laid over .wheels on the host."""
    made = run()
    folder = made / "cp313-musllinux_1_2_x86_64"
    names = {f"{name}-1.0-py3-none-any.whl" for name in ("alpha", "beta")}
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == {
        f"{folder.name}/{name}" for name in ("manifest.json", *names)
    }
    assert json.loads((folder / "manifest.json").read_text()).keys() == names


def test_wheels_of_an_earlier_version_are_not_made_again(fill: Fill, pip: Pip) -> None:
    """Whose manifest had another name."""
    first = fill("alpha", "beta")
    (fill.house / "manifest.json").rename(fill.house / "wheels.json")
    pip.forget()
    assert fill("alpha", "beta").keys() == first.keys()
    assert pip.calls == []


def test_a_failure_ends_the_program_with_its_sentence(run: Callable[[], Path], pip: Pip) -> None:
    (pip.index / "wheel").touch()
    with pytest.raises(SystemExit) as error:
        run()
    assert error.value.code == "Wheels: beta==1.0 cannot be compiled. Fix what pip reported."


def test_a_file_at_a_path_is_left_out_because_it_comes_with_the_project(
    fill: Fill, pip: Pip
) -> None:
    [alpha, beta] = locked("alpha==1.0", "beta==1.0")
    packages = [alpha, replace(beta, path="vendor/beta-1.0-py3-none-any.whl")]
    fill.folder.mkdir(parents=True)
    plan = {**NOTHING, "compile": ["beta"]}
    manifest = make_wheels.fill(packages, OPTIONS, plan, fill.house, fill.folder)
    assert manifest.keys() == {"alpha-1.0-py3-none-any.whl"}
    assert pip.done == ["download alpha==1.0"]


def test_pip_logs_in_at_the_indexes_that_the_lock_names(
    run: Callable[[], Path], pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "facts/development.json"
    sources = {"our-index": "https://index.example/simple"}
    content = {**json.loads(file.read_text()), "sources": sources}
    file.write_text(json.dumps(content))
    monkeypatch.setenv("UV_INDEX", "")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://first/simple")
    monkeypatch.setenv("POETRY_HTTP_BASIC_OUR_INDEX_USERNAME", "joe")
    monkeypatch.setenv("POETRY_HTTP_BASIC_OUR_INDEX_PASSWORD", "a b")
    run()
    assert pip.indexes == "https://first/simple https://joe:a%20b@index.example/simple"


real_pip = pytest.mark.skipif(not importlib.util.find_spec("pip"), reason="needs pip")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the folder ``index`` here and return its address: pip tells less of a folder."""
    handler = functools.partial(Quiet, directory=tmp_path / "index")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output/platform"
    folder.mkdir(parents=True)
    return folder


@real_pip
def test_pip_itself_downloads_what_is_listed_and_tells_of_each(
    make_wheel: MakeWheel, server: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_wheels, "PIP", (*make_wheels.PIP, "--isolated", "--no-cache-dir"))
    names = ("alpha", "foo-bar")
    paths = [make_wheel(output.parent.parent / "index", name) for name in names]
    packages = [
        package
        for name, path in zip(names, paths, strict=True)
        for package in locked(f"{name}==1.0", hashes=[f"sha256:{wheelhouse.digest(path)}"])
    ]
    options = ["--no-index", f"--find-links {server}"]
    seconds = make_wheels.fetch(options, packages, output)
    assert {path.name for path in output.iterdir()} == {path.name for path in paths}
    assert set(names) <= seconds.keys()
    bad = locked("alpha==1.0", hashes=[f"sha256:{'0' * 64}"])
    with pytest.raises(WheelhouseError):
        make_wheels.fetch(options, bad, output)


BACKEND = """
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "alpha-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for file, text in (
            ("METADATA", "Metadata-Version: 2.1\\nName: alpha\\nVersion: 1.0\\n"),
            ("WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"),
            ("RECORD", "alpha-1.0.dist-info/RECORD,,\\n"),
        ):
            wheel.writestr(f"alpha-1.0.dist-info/{file}", text)
    return name
"""


@real_pip
@pytest.mark.parametrize("isolated", [True, False], ids=["isolated", "not isolated"])
def test_pip_itself_compiles_a_source_distribution_although_there_is_a_wheel(
    make_wheel: MakeWheel, output: Path, monkeypatch: pytest.MonkeyPatch, isolated: bool
) -> None:
    index = output.parent.parent / "index"
    monkeypatch.setattr(make_wheels, "PIP", (*make_wheels.PIP, "--isolated", "--no-cache-dir"))
    make_wheel(index, "alpha")
    source = index / "alpha-1.0.tar.gz"
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open(source, "w:gz") as archive:
        for name, text in (("pyproject.toml", build), ("backend.py", BACKEND), ("PKG-INFO", "")):
            member = tarfile.TarInfo(f"alpha-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    [package] = locked("alpha==1.0", hashes=[f"sha256:{wheelhouse.digest(source)}"])
    make_wheels.compile_wheel(["--no-index", f"--find-links {index}"], package, isolated, output)
    [made] = output.iterdir()
    with zipfile.ZipFile(made) as wheel:
        assert "alpha.py" not in wheel.namelist()


@pytest.mark.parametrize("record", ["a,b", "a,shake_128=x,1", "a,other=x,1", "\udcff,,"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: str) -> None:
    path = tmp_path / "one-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("a", "")
        wheel.writestr("one-1.0.dist-info/RECORD", record.encode(errors="surrogateescape"))
    with pytest.raises(WheelhouseError, match="cannot be read"):
        make_wheels.check_record(path)


def test_another_file_is_no_wheel(tmp_path: Path) -> None:
    path = tmp_path / "one-1.0-py3-none-any.whl"
    path.write_bytes(b"no archive")
    with pytest.raises(WheelhouseError, match="cannot be read"):
        make_wheels.check_record(path)
