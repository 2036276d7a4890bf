"""docker/image/path_dependencies.py collects path dependencies, inside of a project and outside."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import path_dependencies
import pytest
from package_metadata import PackageError


def write(folder: Path, **paths: str) -> Path:
    """Write a project with a module, which depends on these paths; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'{name} = {{ path = "{path}" }}\n' for name, path in paths.items()]
    text = "".join(["[tool.poetry.dependencies]\n", *lines])
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "module.py").touch()
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, path_dependencies.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def printed(*arguments: str | Path) -> str:
    """Run the program and return what it prints."""
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: str | Path) -> str:
    """Run the program, which refuses, and return its sentences."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Package: \S.*\. [A-Z].*\n", done.stderr)
    return done.stderr


def files(folder: Path) -> set[str]:
    """Return the paths of the files in a folder, but for the list of paths."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found} - {path_dependencies.PATHS}


# --- What is named -----------------------------------------------------------------------------

GROUPS = """
[project]
dependencies = ["none @ https://files.example/none.whl", "one"]
[tool.poetry.dependencies]
python = "^3.13"
one = { path = "../one", develop = true }
several = [{ path = "a.whl", platform = "linux" }, { path = "b.whl" }, { version = "1" }]
other = { git = "https://code.example/other.git" }
[tool.poetry.dev-dependencies]
old = { path = "../old" }
[tool.poetry.group.test.dependencies]
two = { path = "libs/two" }
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
three = { path = "libs/three" }
"""


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (False, ["../one", "a.whl", "b.whl"]),
        (True, ["../one", "a.whl", "b.whl", "../old", "libs/two", "libs/three"]),
    ],
)
def test_paths_are_named_in_tables_of_poetry(groups: bool, expected: list[str]) -> None:
    assert [*path_dependencies.named(tomllib.loads(GROUPS), groups=groups)] == expected


@pytest.mark.parametrize("text", ["", '[project]\nname = "x"', "[tool.poetry.group.test]"])
def test_a_project_without_any_names_none(text: str) -> None:
    assert [*path_dependencies.named(tomllib.loads(text), groups=True)] == []


def test_dependencies_of_dependencies_are_found_from_where_they_are(tmp_path: Path) -> None:
    """Each once, also if two name each other, or the project; their groups do not matter."""
    project = write(tmp_path / "services/shop", shared="../../libs/shared", own="./libs/own/")
    write(project / "libs/own", shared="../../../../libs/shared", shop="../..")
    shared = write(tmp_path / "libs/shared", base="../base")
    with (shared / "pyproject.toml").open("a") as file:
        file.write('[tool.poetry.group.test.dependencies]\nnone = { path = "../none" }\n')
    write(tmp_path / "libs/base", shared="../shared")
    found = path_dependencies.collect(project, lambda path: project / path)
    assert found.keys() == {"libs/own", "../../libs/shared", "../../libs/base"}
    folders = {project / "libs/own", shared, tmp_path / "libs/base"}
    assert {path.resolve() for path in found.values()} == folders


@pytest.mark.parametrize("path", ["/srv/shared", "C:/shared"])
def test_a_path_of_one_machine_is_refused(tmp_path: Path, path: str) -> None:
    project = write(tmp_path / "shop", shared=path)
    with pytest.raises(PackageError, match=f"^The path dependency {path} is on one machine only"):
        path_dependencies.collect(project, lambda path: project / path)


@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b"\xff"])
def test_a_dependency_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    project = write(tmp_path / "shop", shared="../shared")
    file = write(tmp_path / "shared") / "pyproject.toml"
    file.write_bytes(content)
    with pytest.raises(PackageError, match=r"shared/pyproject\.toml cannot be read \("):
        path_dependencies.collect(project, lambda path: project / path)


# --- What is copied ----------------------------------------------------------------------------


def copied(found: dict[str, Path], output: Path, folder: str = "shop") -> set[str]:
    """Copy what was found and return the paths of the files."""
    path_dependencies.copy(found, folder, output)
    return files(output)


def test_files_and_folders_are_where_the_project_sees_them(tmp_path: Path) -> None:
    folder, wheel = write(tmp_path / "a folder"), tmp_path / "x-1.0-py3-none-any.whl"
    wheel.touch()
    output = tmp_path / "out"
    names = copied({"../../libs/ü": folder, "wheels/x.whl": wheel}, output, "services/shop")
    assert names == {"libs/ü/module.py", "libs/ü/pyproject.toml", "services/shop/wheels/x.whl"}
    assert path_dependencies.collected("../../libs/ü", output) == output / "libs/ü"
    place = path_dependencies.collected("./wheels/x.whl", output)
    assert place == output / "services/shop/wheels/x.whl"


def test_what_is_made_of_sources_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "shared")
    for name in (
        *(".git/HEAD", ".mypy_cache/x", ".nox/x", ".ruff_cache/x", ".tox/x", ".venv/x"),
        *(".wheels/x.whl", "a/__pycache__/module.pyc", "a/old.pyo", "a/node_modules/x.js"),
        *("a/module.py", "a/.hidden", "b/git"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    names = copied({"shared": folder}, tmp_path / "out", ".")
    kept = ("pyproject.toml", "module.py", "a/module.py", "a/.hidden", "b/git")
    assert names == {f"shared/{name}" for name in kept}


def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "shared")
    (folder / "link.py").symlink_to("module.py")
    (folder / "broken").symlink_to("nowhere")
    (folder / "run.sh").touch(0o755)
    assert copied({"shared": folder}, tmp_path / "out", ".") >= {"shared/broken"}
    output = tmp_path / "out/shared"
    assert (output / "link.py").readlink() == Path("module.py")
    assert os.access(output / "run.sh", os.X_OK)


def test_one_dependency_may_be_within_another(tmp_path: Path) -> None:
    outer = write(tmp_path / "libs")
    inner = write(outer / "inner")
    names = copied({"../libs/inner": inner, "../libs": outer}, tmp_path / "out")
    assert {"libs/module.py", "libs/inner/module.py"} < names


def test_where_nothing_was_collected_the_build_says_how_it_would_be(tmp_path: Path) -> None:
    """A stage that is not asked for has an empty folder."""
    path_dependencies.copy({}, "shop", tmp_path / "none")
    for output in (tmp_path, tmp_path / "none"):
        with pytest.raises(PackageError) as error:
            path_dependencies.collected("../shared", output)
        assert str(error.value).startswith("This build lacks the path dependency ../shared. ")
        assert "--build-arg OWN_PACKAGE=paths" in str(error.value)


# --- As a session calls it ---------------------------------------------------------------------


@pytest.fixture
def services(tmp_path: Path) -> list[Path]:
    """Return two services of a repository, which share a library that needs another.

    The second has the first as a dependency, too, and a file of its own.
    """
    root = tmp_path / "our Shöp"
    first = write(root / "services/first one", shared="../../libs/gemeinsam für alle")
    second = write(
        root / "services/zweiter",
        shared="../../libs/gemeinsam für alle",
        first="../first one",
        wheel="vendor/x-1.0-py3-none-any.whl",
    )
    (second / "vendor").mkdir()
    (second / "vendor/x-1.0-py3-none-any.whl").touch()
    write(root / "libs/gemeinsam für alle", base="../base")
    write(root / "libs/base")
    write(root / "libs/unused")
    return [first, second]


def sources(*folders: str) -> set[str]:
    """Return the paths of the files that ``write`` makes in folders."""
    return {f"{folder}/{name}" for folder in folders for name in ("module.py", "pyproject.toml")}


LIBRARIES = ("libs/gemeinsam für alle", "libs/base")


def test_services_take_the_library_that_they_share_and_what_that_needs(
    services: list[Path], tmp_path: Path
) -> None:
    first, second = services
    assert printed(first, tmp_path / "out 1") == "services/first one"
    assert files(tmp_path / "out 1") == sources(*LIBRARIES)
    assert printed(second, tmp_path / "out 2") == "services/zweiter"
    assert files(tmp_path / "out 2") == sources(*LIBRARIES, "services/first one")


def test_what_a_session_collects_a_build_finds(services: list[Path], tmp_path: Path) -> None:
    """With the service's own files, which only the first context has."""
    second, root, output = services[1], tmp_path / "root", tmp_path / "paths"
    folder = printed(second, root).strip()
    assert printed(second, output, root, folder) == ""
    wheel = "vendor/x-1.0-py3-none-any.whl"
    own = f"services/zweiter/{wheel}"
    assert files(output) == {*sources(*LIBRARIES, "services/first one"), own}
    assert json.loads((output / "paths.json").read_text(encoding="utf-8")) == {
        "../../libs/base": "libs/base",
        "../../libs/gemeinsam für alle": "libs/gemeinsam für alle",
        "../first one": "services/first one",
        wheel: own,
    }


def test_a_session_may_be_where_the_project_is(
    services: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(services[0])
    assert printed(".", tmp_path / "out") == "services/first one"


def test_a_library_may_be_beside_the_project_or_around_it(tmp_path: Path) -> None:
    project = write(tmp_path / "root/shop", beside="../beside")
    write(tmp_path / "root/beside")
    assert printed(project, tmp_path / "out 1") == "shop"
    assert files(tmp_path / "out 1") == sources("beside")
    write(project, around="..")
    write(tmp_path / "root")
    assert printed(project, tmp_path / "out 2") == "root/shop"
    assert {"root/pyproject.toml", "root/beside/module.py"} < files(tmp_path / "out 2")


@pytest.mark.parametrize("paths", [{}, {"own": "libs/own"}], ids=["none", "inside"])
def test_where_nothing_is_outside_nothing_is_printed_or_copied(
    tmp_path: Path, paths: dict[str, str]
) -> None:
    project = write(tmp_path / "shop", **paths)
    write(project / "libs/own")
    (tmp_path / "out").mkdir()
    assert printed(project, tmp_path / "out") == ""
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../libs/none", "The path dependency ../libs/none does not exist. Correct it in "),
        ("libs/none", "The path dependency libs/none does not exist. Correct it in "),
        ("/srv/shared", "The path dependency /srv/shared is on one machine only. Write its "),
    ],
)
def test_a_session_refuses_what_is_not_there(tmp_path: Path, path: str, said: str) -> None:
    project = write(tmp_path / "shop", shared=path)
    assert refused(project, tmp_path / "out").startswith(f"Package: {said}")
    assert not (tmp_path / "out").exists()


# --- In a build --------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a build context, beside a repository that has more."""
    context = write(tmp_path / "context", own="libs/own", shared="../../libs/shared")
    write(context / "libs/own")
    for folder in ("empty", "root/services/shop", "root/libs"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "root/libs/shared")
    return context


def test_a_build_takes_each_from_the_context_that_has_it(context: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert printed(context, output, tmp_path / "root", "services/shop") == ""
    assert files(output) == sources("services/shop/libs/own", "libs/shared")


def test_without_any_outside_a_build_needs_no_other_context(context: Path, tmp_path: Path) -> None:
    write(context, own="libs/own")
    assert printed(context, tmp_path / "out", tmp_path / "empty", "project") == ""
    assert files(tmp_path / "out") == sources("project/libs/own")


def test_a_build_without_path_dependencies_collects_none(tmp_path: Path) -> None:
    write(tmp_path / "context")
    (tmp_path / "empty").mkdir()
    assert printed(tmp_path / "context", tmp_path / "out", tmp_path / "empty", "project") == ""
    assert files(tmp_path / "out") == set()


def test_what_dockerignore_hides_is_told_from_what_is_outside(
    context: Path, tmp_path: Path
) -> None:
    write(context, own="vendor/own")
    said = refused(context, tmp_path / "out", tmp_path / "root", "services/shop")
    assert "The path dependency vendor/own is not in the build context. Add !vendor to " in said


@pytest.mark.parametrize(
    ("root", "folder"),
    [
        ("empty", "project"),
        ("root", "project"),
        ("root", "shop"),
        ("root", "shop/services/more"),
        ("root/services", "shop"),
    ],
)
def test_a_build_without_the_right_context_says_which_it_needs(
    context: Path, tmp_path: Path, root: str, folder: str
) -> None:
    said = refused(context, tmp_path / "out", tmp_path / root, folder)
    assert "The path dependency ../../libs/shared is outside of the build context. " in said
    assert "--build-context local=../.. --build-arg PROJECT_FOLDER=FOLDER/NAME" in said


@pytest.mark.parametrize(
    ("path", "outside"),
    [("..", True), ("../x", True), ("..x/y", False), ("x/y", False), (".", False)],
)
def test_outside_is_what_a_first_step_leads_out_to(path: str, outside: bool) -> None:
    assert path_dependencies.is_outside(path) is outside


def test_a_folder_in_another_one_comes_with_it(
    tmp_path: Path,
) -> None:
    inner = tmp_path / "libs/inner"
    inner.mkdir(parents=True)
    (inner / "link").symlink_to("nowhere")
    found = {"../libs/inner": inner, "../libs": tmp_path / "libs"}
    path_dependencies.copy(found, "shop", tmp_path / "out")
    assert (tmp_path / "out/libs/inner/link").is_symlink()


@pytest.mark.parametrize("table", ["dependencies", "optional-dependencies.more"])
def test_what_poetry_add_writes_is_refused_with_what_to_write(tmp_path: Path, table: str) -> None:
    """It is the path of one machine, though the lock has the one from the project."""
    direct = "our.lib[x] @ file:///home/joe/lib ; python_version > '3'"
    text = f'[project]\n{table} = ["rich", "{direct}"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(PackageError) as error:
        path_dependencies.collect(tmp_path, path_dependencies.on_this_machine(tmp_path))
    assert str(error.value).startswith("The path of our.lib, file:///home/joe/lib, is on one ")
    assert str(error.value).endswith('our.lib = { path = "../our.lib" }')


def test_a_path_from_here_in_a_group_is_one(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "shop/pyproject.toml").write_text('[dependency-groups]\ndev = ["lib @ ../lib"]\n')
    locate = path_dependencies.on_this_machine(tmp_path / "shop")
    assert [*path_dependencies.collect(tmp_path / "shop", locate)] == ["../lib"]


@pytest.mark.parametrize("repository", [False, True], ids=["folder", "repository"])
def test_secrets_and_what_git_ignores_are_not_collected(tmp_path: Path, repository: bool) -> None:
    library = tmp_path / "lib"
    for name in ("src/lib.py", "pip.env", ".env", "notes.txt", "sub/kept.py", "data/big.bin"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).touch()
    (library / ".gitignore").write_text("notes.txt\ndata/\n")
    if repository:
        subprocess.run(["git", "init", "--quiet", str(library)], check=True)
        subprocess.run(["git", "-C", str(library), "add", "src", "pip.env"], check=True)
        subprocess.run(["git", "init", "--quiet", str(library / "sub")], check=True)
        subprocess.run(["git", "-C", str(library / "sub"), "add", "."], check=True)
    path_dependencies.copy({"../lib": library}, "shop", tmp_path / "out")
    found = {str(x.relative_to(tmp_path / "out/lib")) for x in (tmp_path / "out/lib").rglob("*.*")}
    ignored = set() if repository else {"notes.txt", "data/big.bin"}
    assert found == {".gitignore", "src/lib.py", "sub/kept.py"} | ignored


def test_what_cannot_be_copied_is_named(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    os.mkfifo(tmp_path / "lib/pipe")
    with pytest.raises(PackageError, match=r"\.\./lib cannot be copied .*pipe.* Remove that file"):
        path_dependencies.copy({"../lib": tmp_path / "lib"}, "shop", tmp_path / "out")


@pytest.mark.timeout(10)
def test_a_long_requirement_takes_no_longer() -> None:
    requirement = "a" * 200_000
    assert [
        *path_dependencies.named({"project": {"dependencies": [requirement]}}, groups=True)
    ] == []


@pytest.mark.parametrize("path", ["x" * 300, "a\0b"], ids=["long", "null"])
def test_a_path_that_no_file_can_have_does_not_exist(tmp_path: Path, path: str) -> None:
    for locate in (
        path_dependencies.on_this_machine(tmp_path),
        path_dependencies.in_a_build(tmp_path, tmp_path, "."),
    ):
        with pytest.raises(PackageError, match="The path dependency"):
            locate(path)
