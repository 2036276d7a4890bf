"""docker/image/install_application.py installs the own package, or says what a backend refuses."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import install_application
import path_dependencies
import pytest
from package_metadata import PackageError

PLAIN = """
[project]
name = "shop"
version = "1.0"
[build-system]
requires = ["poetry-core>=2"]
build-backend = "poetry.core.masonry.api"
[tool.poetry]
packages = [{ include = "shop", from = "src" }]
"""
# In the place of "online uv build": it notes how it was called, and makes a wheel or none.
STAND_IN = """#!{python}
import os, sys, zipfile
from pathlib import Path
names = {names!r}
Path({notes!r}).write_text(str([sys.argv[1:], {{x: os.environ.get(x) for x in names}}]))
print(os.environ.get("SAYS", ""), file=sys.stderr)
out = next(x for x in sys.argv if x.startswith("--out-dir=")).partition("=")[2]
if os.environ.get("MAKES"):
    with zipfile.ZipFile(Path(out, "shop-1.0-py3-none-any.whl"), "w") as archive:
        archive.writestr(os.environ["MAKES"], "")
sys.exit(0 if os.environ.get("MAKES") else 2)
"""
Build = Callable[..., Path]
Folder = dict[str, str]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a function that builds a project and returns a folder.

    It has the wheels that are installed and, in ``requirements.txt``, what they are installed for.
    """

    def install(wheels: Path, requirements: list[str], output: Path) -> None:
        shutil.copytree(wheels, output)
        (output / "requirements.txt").write_text("\n".join(requirements))

    def build(
        pyproject: str,
        kind: str = "other",
        main: Iterable[Folder] = (),
        development: Iterable[Folder] = (),
    ) -> Path:
        sources, output = tmp_path / "sources", tmp_path / "wheel"
        (sources / "src/shop").mkdir(parents=True, exist_ok=True)
        (sources / "src/shop/__init__.py").touch()
        (sources / "LICENCE").touch()
        (sources / "pyproject.toml").write_text(pyproject)
        (tmp_path / "folders.json").write_text(
            json.dumps({"main": [*main], "development": [*development]})
        )
        more = ("folders.json", "paths", "built") if kind == "other" else ()
        arguments = [kind, str(sources), str(output), *(str(tmp_path / name) for name in more)]
        monkeypatch.setattr(sys, "argv", ["", *arguments])
        # The program goes there itself.
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(install_application, "install", install)
        install_application.main()
        return output

    return build


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in for uv first on the path; return the file where it notes its calls."""
    file, program = tmp_path / "notes", tmp_path / "bin/online"
    program.parent.mkdir()
    text = STAND_IN.format(
        python=sys.executable, names=install_application.VERSIONS, notes=str(file)
    )
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("MAKES", "shop/__init__.py")
    return file


def test_poetry_core_builds_without_a_network(build: Build, notes: Path) -> None:
    output = build(PLAIN)
    [wheel] = output.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {"shop/__init__.py", "shop-1.0.dist-info/licenses/LICENCE"} < {*archive.namelist()}
    assert not notes.exists()


def test_another_way_than_the_dockerfiles_is_asked_for(build: Build) -> None:
    with pytest.raises(SystemExit, match=r"^Package: .* --build-arg OWN_PACKAGE=other, or"):
        build(PLAIN.replace("poetry.core.masonry.api", "hatchling.build"), "simple")


def test_a_wheel_that_needs_a_later_zip_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shop.py", "")
    content = path.read_bytes()
    # The version that is needed to extract a file, in the directory at the end.
    place = content.index(b"PK\1\2") + 6
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(PackageError, match=r"^The wheel of shop cannot be read"):
        install_application.check(tmp_path, "shop")


def test_a_simple_project_has_what_let_its_folders_be_copied_no_more(
    build: Build, tmp_path: Path
) -> None:
    for folder in ("src", "LICENSES"):
        (tmp_path / "sources" / folder).mkdir(parents=True)
        (tmp_path / "sources" / folder / "tools.txt").touch()
    [wheel] = build(PLAIN, "simple").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "tools.txt" in name]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"poetry-core>=2"', '"poetry-core<2"'),
        ('"poetry-core>=2"', '"poetry-core", "cython"'),
        ("poetry.core.masonry.api", "hatchling.build"),
        ("[tool.poetry]", '[tool.poetry]\nbuild = "build.py"'),
    ],
)
def test_anything_else_is_installed_for_the_build(
    build: Build, notes: Path, old: str, new: str
) -> None:
    build(PLAIN.replace(old, new))
    assert notes.read_text().startswith("[['uv', 'build', '--wheel', ")


def test_a_version_is_told_to_every_backend_that_would_ask_git(
    build: Build, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLICATION_VERSION", "4.5")
    build(PLAIN.replace("poetry.core.masonry.api", "hatchling.build"))
    assert notes.read_text().count("'4.5'") == len(install_application.VERSIONS)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[tool.poetry]", "[tool.poetry]\npackage-mode = false", "is not possible in non-package"),
        ('include = "shop"', 'include = "shops"', "shops does not contain any element"),
        ('version = "1.0"', "", "version"),
    ],
)
def test_what_poetry_core_refuses_it_says_itself(
    build: Build, old: str, new: str, told: str
) -> None:
    with pytest.raises(SystemExit) as error:
        build(PLAIN.replace(old, new))
    assert str(error.value).startswith("Package: poetry-core says: ")
    assert told in str(error.value)
    assert ". Correct pyproject.toml, let its files in by a line" in str(error.value)


def test_tracebacks_are_shown_of_the_owners_script_alone() -> None:
    frames = (
        'Traceback (most recent call last):\n  File "{}", line 1, in <module>\n    x()\n    ~^^\n'
    )
    error = "ValueError: no\n"
    output = f"begins\n{frames.format('/cache/hatchling/build.py')}{error}ends\n"
    shown = install_application.without_tracebacks(output, Path("/build"))
    assert shown == f"begins\n{error}ends\n"
    output = f"begins\n{frames.format('/build/build.py')}{error}ends\n"
    assert install_application.without_tracebacks(output, Path("/build")) == output


UV = """error: Failed to build `/build`
  cause: {}
  cause: {}

hint: Build failures usually indicate a problem with the package or the build environment
"""
FAILED = UV.format("The build backend returned an error", "Call to `hatchling.build` failed")


@pytest.mark.parametrize(
    ("said", "told", "remedy"),
    [
        (
            f"Traceback:\n  File x\nValueError: Unable to find a folder.\n\nMore.\n{FAILED}",
            "ValueError: Unable to find a folder",
            "Correct pyproject.toml, let its files in",
        ),
        (
            f"gcc -c x.c\nerror: command 'gcc' failed: No such file or directory\n{FAILED}",
            "error: command 'gcc' failed: No such file or directory",
            "Correct pyproject.toml, let its files in",
        ),
        (
            f"LookupError: setuptools-scm was unable to detect version for /build.\n{FAILED}",
            "LookupError: setuptools-scm was unable to detect version for /build",
            "Name the version in APPLICATION_VERSION",
        ),
        (
            f"RuntimeError: Unable to detect version control system. Not installed: X.\n{FAILED}",
            "RuntimeError: Unable to detect version control system. Not installed: X",
            "Name the version in APPLICATION_VERSION",
        ),
        (
            UV.format(
                "No solution found when resolving", "hatchling was not found in the registry"
            ),
            "hatchling was not found in the registry",
            "Correct pyproject.toml, let its files in",
        ),
        ("", "nothing", "Correct pyproject.toml, let its files in"),
    ],
)
@pytest.mark.usefixtures("notes")
def test_what_a_backend_refuses_it_says_itself(
    build: Build, monkeypatch: pytest.MonkeyPatch, said: str, told: str, remedy: str
) -> None:
    """As uv 0.13 prints it."""
    monkeypatch.setenv("MAKES", "")
    monkeypatch.setenv("SAYS", said)
    with pytest.raises(SystemExit) as error:
        build(PLAIN.replace("poetry.core.masonry.api", "hatchling.build"))
    assert str(error.value).startswith(f"Package: hatchling.build says: {told}. {remedy}")


def test_a_wheel_without_a_module_is_refused(
    build: Build, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As setuptools makes one of a folder that the build context lacks."""
    monkeypatch.setenv("MAKES", "shop-1.0.dist-info/METADATA")
    with pytest.raises(SystemExit, match=r"^Package: The wheel of shop has no module\. Add "):
        build(PLAIN.replace("poetry.core.masonry.api", "setuptools.build_meta"))


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """Return the folder with what was collected: a library for production, one for tests."""
    found = {}
    for name in ("shared", "testing"):
        folder = tmp_path / "libs" / name
        (folder / "src" / name).mkdir(parents=True)
        (folder / "src" / name / "__init__.py").touch()
        (folder / "pyproject.toml").write_text(PLAIN.replace("shop", name))
        found[f"../libs/{name}"] = folder
    path_dependencies.copy(found, "shop", tmp_path / "paths")
    return tmp_path / "paths"


def folder(name: str, marker: str = "") -> Folder:
    """Return a path dependency as folders.json has it."""
    return {"name": name, "version": "1.0", "marker": marker, "path": f"../libs/{name}"}


def wheels(folder: Path) -> set[str]:
    """Return the names of what the wheels in a folder are of."""
    return {path.name.partition("-")[0] for path in folder.glob("*.whl")}


@pytest.mark.usefixtures("collected")
def test_path_dependencies_are_installed_with_the_package(build: Build, notes: Path) -> None:
    elsewhere = folder("windows", "sys_platform == 'win32'")
    output = build(PLAIN, main=[folder("shared", "python_version > '3'"), elsewhere])
    assert wheels(output) == {"shop", "shared"}
    assert (output / "requirements.txt").read_text() == "shop\nshared"
    assert not notes.exists()


@pytest.mark.usefixtures("collected")
def test_what_only_development_needs_is_left_for_it(build: Build, tmp_path: Path) -> None:
    output = build(PLAIN, main=[folder("shared")], development=[folder("testing")])
    built = tmp_path / "built"
    assert wheels(built) == {"testing"}
    assert (built / "requirements.txt").read_text() == "testing\n"
    assert wheels(output) == {"shop", "shared"}


def test_without_path_dependencies_nothing_is_left_to_be_installed(
    build: Build, tmp_path: Path
) -> None:
    build(PLAIN)
    assert not [*(tmp_path / "built").iterdir()]


def test_a_library_of_another_backend_has_the_version_that_is_locked(
    build: Build, notes: Path, collected: Path
) -> None:
    """Also one that has but a setup.py."""
    file = collected / "libs/shared/pyproject.toml"
    file.write_text(PLAIN.replace("poetry.core.masonry.api", "hatchling.build"))
    build(PLAIN, main=[{**folder("shared"), "version": "4.5"}])
    assert f"{collected / 'libs/shared'}'" in notes.read_text()
    assert notes.read_text().count("'4.5'") == len(install_application.VERSIONS)
    file.unlink()
    notes.unlink()
    shutil.rmtree(collected.parent / "wheel")
    build(PLAIN, main=[folder("shared")])
    assert notes.exists()


def test_a_library_that_cannot_be_built_is_named(build: Build, collected: Path) -> None:
    (collected / "libs/shared/src/shared/__init__.py").unlink()
    with pytest.raises(SystemExit) as error:
        build(PLAIN, main=[folder("shared")])
    said = "Package: Of the path dependency ../libs/shared, poetry-core says: "
    assert str(error.value).startswith(said)


def test_a_library_that_was_not_collected_is_named(build: Build) -> None:
    with pytest.raises(SystemExit, match=r"^Package: This build lacks the path dependency \.\./li"):
        build(PLAIN, main=[folder("shared")])


def test_uv_installs_what_was_built_and_asks_nobody(
    program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = program("uv", {"install": ""})
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/venv")
    lock = tmp_path / "application/opt/venv/.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    install_application.install(tmp_path, ["shop", "shared"], tmp_path / "application")
    assert (tmp_path / "requirements.txt").read_text() == "shop\nshared\n"
    [call] = calls.read_text().splitlines()
    assert " --no-deps --no-index " in call
    assert f" --prefix={lock.parent} " in call
    assert not lock.exists()


def test_a_backend_that_makes_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(PackageError, match="cannot be read"):
        install_application.check(tmp_path, "shop")
