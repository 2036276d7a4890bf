"""docker/image/split_facts.py gives each stage what it needs: other edits rebuild nothing."""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import declaration
import match_python
import poetry_lock
import pytest
import select_system
import select_wheels
import split_facts
import wheelhouse

from tests.unit.locked import joined

LOCKS = Path(__file__).parent / "locks"
DOCKERFILE = Path(split_facts.__file__).parent.parent.parent / "Dockerfile.jinja"
FILES = {
    "data.json",
    "development.json",
    "folders.json",
    "image.json",
    "main.json",
    "not-imported.json",
    "own-package.txt",
    "pyproject.toml",
    "requirements-development.txt",
    "requirements-own.txt",
    "step.json",
    "system.json",
    "test-programs.json",
    "test-runs.json",
    "trim.json",
    "wheel-settings.json",
}
# Sessions read these; nothing in an image does.
REQUIREMENTS, OWN = "requirements-development.txt", "requirements-own.txt"
ON_THE_HOST = {
    *("image.json", "not-imported.json", "own-package.txt", "test-runs.json"),
    *(REQUIREMENTS, OWN),
}

Split = Callable[[Path], dict[str, str]]


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    """Return a function that runs the program on a project and returns what it wrote."""

    def split(project: Path) -> dict[str, str]:
        output = tmp_path / "out"
        shutil.rmtree(output, ignore_errors=True)
        monkeypatch.setattr(sys, "argv", ["split_facts.py", str(project), str(output)])
        split_facts.main()
        return {path.name: path.read_text(encoding="utf-8") for path in output.iterdir()}

    return split


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a locked project with several groups that can be edited."""
    return Path(shutil.copytree(LOCKS / "groups", tmp_path / "project"))


def edit(project: Path, old: str, new: str) -> None:
    """Replace a piece of a project's pyproject.toml."""
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_there_is_a_file_for_each_fact(split: Split, project: Path) -> None:
    assert split(project).keys() == FILES


def test_the_stages_find_all_that_they_read_and_read_all_that_is_written(
    split: Split, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stages `metadata` and `selection` make, in the way that the Dockerfile does."""
    split(project)
    facts, chosen = project.parent / "out", project.parent / "chosen"
    monkeypatch.setattr(
        "platform.freedesktop_os_release", lambda: {"ID": "debian", "VERSION_ID": "13"}
    )
    programs: list[tuple[Callable[[], None], list[Path | str]]] = [
        (select_system.main, [facts / "system.json", project, chosen]),
        (match_python.main, ["write", chosen / "system/production/interpreter.json"]),
        (select_wheels.main, [facts, project / "none", project / "paths", chosen]),
    ]
    for program, arguments in programs:
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        program()
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    for stage, output in (("metadata", facts), ("selection", chosen)):
        copied = " ".join(re.findall(rf"^COPY --from={stage} (.*) \S+$", text, flags=re.MULTILINE))
        mounted = re.findall(rf"from={stage},source=([^,\s]+)", text)
        names = (*copied.split(), *mounted)
        named = [output / Path(name).relative_to(f"/{stage}") for name in names]
        assert len(named) > 5
        assert [path for path in named if not path.exists()] == []
        written = {path for path in output.rglob("*") if path.is_file()}
        written -= {facts / name for name in ON_THE_HOST}
        assert {x for x in written if not any(x.is_relative_to(path) for path in named)} == set()


IMAGE = """[tool.seedpod.image]
port = 9000
environment = { B = "2", A = "ü" }
data = ["/data"]
step = ["make"]
step-output = ["/srv/static"]

"""


def test_an_image_without_settings_has_no_data_and_no_step(split: Split, project: Path) -> None:
    files = split(project)
    read = [json.loads(files[f"{name}.json"]) for name in ("image", "data", "step")]
    assert read == [{}, [], {}]


def test_stages_read_of_an_image_what_they_use(split: Split, project: Path) -> None:
    edit(project, "[project]", f"{IMAGE}[project]")
    files = split(project)
    declared = tomllib.loads(IMAGE)["tool"]["seedpod"]["image"]
    assert json.loads(files["image.json"]) == declared
    assert json.loads(files["data.json"]) == ["/data"]
    used = {key: declared[key] for key in ("environment", "step", "step-output")}
    assert json.loads(files["step.json"]) == used


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("port = 9000", "port = 9001", {"image.json"}),
        ("port = 9000", 'health = false\nlabels = { "a" = "b" }', {"image.json"}),
        ('B = "2", A = "ü"', 'A = "ü", B = "2"', set()),
        ('"2"', '"3"', {"image.json", "step.json"}),
        ('["make"]', '["make", "all"]', {"image.json", "step.json"}),
        ("/srv/static", "/srv/other", {"image.json", "step.json"}),
        ('["/data"]', '["/data", "/more"]', {"data.json", "image.json"}),
    ],
)
def test_an_edit_of_an_image_repeats_the_stages_that_use_it(
    split: Split, project: Path, old: str, new: str, changed: set[str]
) -> None:
    edit(project, "[project]", f"{IMAGE}[project]")
    before = split(project)
    edit(project, old, new)
    after = split(project)
    assert {name for name in FILES if after[name] != before[name]} == changed


def test_the_same_input_gives_the_same_files(split: Split, project: Path) -> None:
    assert split(project) == split(project)


def test_development_has_more_than_production_and_all_of_it(split: Split, project: Path) -> None:
    files = split(project)
    main, development = (names(files[f"{name}.json"]) for name in ("main", "development"))
    assert main
    assert main < development


def names(text: str) -> set[str]:
    """Return the names of the packages in a file of locked ones."""
    return {package["name"] for package in json.loads(text)["packages"]}


def test_sessions_install_what_the_development_image_has(split: Split, project: Path) -> None:
    files = split(project)
    (project / "development.json").write_text(files["development.json"])
    read = wheelhouse.read_selection(project / "development.json")
    lines = files[REQUIREMENTS].splitlines()
    assert {line.split("==")[0] for line in lines if "==" in line} == names(
        files["development.json"]
    )
    applying = poetry_lock.requirements_file(read.options, read.packages)
    assert set(applying.splitlines()) <= set(lines)


@pytest.mark.parametrize("declared", ["", "[tool.sys.debian13.groups.x]\nlibpq5 = '~17'\n\n"])
def test_what_is_declared_is_written_as_images_read_it(
    split: Split, project: Path, declared: str
) -> None:
    edit(project, "[project]", f"{declared}[project]")
    sections = declaration.load(tomllib.loads(declared))
    assert declaration.from_facts(json.loads(split(project)["system.json"])) == sections


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[project]", "# a comment\n\n[project]"),
        ("[project]", "[tool.ruff]\nline-length = 99\n\n[project]"),
        ("[project]", "[tool.seedpod.size]\nproduction = '1 MB'\n\n[project]"),
        ("[project]", '[project]\nreadme = "README.md"'),
        ("[project]", "[tool.mypy]\nstrict = true\n[tool.pytest.ini_options]\n\n[project]"),
    ],
    ids=["comment", "ruff", "budget", "readme", "other tools"],
)
def test_an_edit_that_changes_no_installed_file_changes_nothing(
    split: Split, project: Path, old: str, new: str
) -> None:
    before = split(project)
    edit(project, old, new)
    assert split(project) == before


def test_a_new_version_changes_only_what_builds_the_wheel(split: Split, project: Path) -> None:
    before = split(project)
    edit(project, 'version = "', 'version = "9.')
    after = split(project)
    assert {name for name in FILES if before[name] != after[name]} == {"pyproject.toml"}


def test_a_system_package_is_a_fact_of_its_own(split: Split, project: Path) -> None:
    before = split(project)
    edit(project, "[project]", "[tool.sys.debian13.dependencies]\nlibpq5 = '*'\n\n[project]")
    after = split(project)
    assert {name for name in FILES if before[name] != after[name]} == {"system.json"}


def test_extras_of_the_image_are_installed(split: Split, tmp_path: Path) -> None:
    project = Path(shutil.copytree(LOCKS / "extras", tmp_path / "project"))
    before = split(project)
    edit(project, "[project]", '[tool.seedpod]\nextras = ["cli"]\n\n[project]')
    after = split(project)
    for name in ("main.json", "development.json"):
        assert names(after[name]) > names(before[name])
    assert after["pyproject.toml"] == before["pyproject.toml"]


def test_what_to_compile_is_a_fact_of_its_own(split: Split, project: Path) -> None:
    before = split(project)
    none: dict[str, list[str]] = {"build-first": [], "no-binary": [], "no-build-isolation": []}
    assert json.loads(before["wheel-settings.json"]) == none
    wheels = '[tool.seedpod.wheels]\nno-binary = ["lxml", "pillow"]\nbuild-first = ["numpy"]\n\n'
    edit(project, "[project]", f"{wheels}[project]")
    after = split(project)
    assert json.loads(after["wheel-settings.json"]) == {
        **none,
        "no-binary": ["lxml", "pillow"],
        "build-first": ["numpy"],
    }
    assert {name for name in FILES if before[name] != after[name]} == {"wheel-settings.json"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            '[tool.seedpod.wheels]\nno-binaries = ["lxml"]',
            "[tool.seedpod.wheels] has no use for 'no-binaries'. "
            "It takes build-first, no-binary, no-build-isolation.",
        ),
        (
            "[tool.seedpod.wheels]\nno-binary = true",
            'no-binary in [tool.seedpod.wheels] is True. Write a list of names like ["lxml"].',
        ),
        (
            '[tool.seedpod.wheels]\nbuild-first = "numpy"',
            "build-first in [tool.seedpod.wheels] is 'numpy'. "
            'Write a list of names like ["lxml"].',
        ),
        (
            "[tool.seedpod.wheels]\nno-build-isolation = ['scipy', 1]",
            "no-build-isolation in [tool.seedpod.wheels] is ['scipy', 1]. "
            'Write a list of names like ["lxml"].',
        ),
        (
            "[tool.seedpod]\nwheels = ['lxml']",
            "wheels in [tool.seedpod] is ['lxml']. Write a table, [tool.seedpod.wheels].",
        ),
        (
            "[tool.seedpod]\ngroups = ['docs']",
            "[tool.seedpod] has no use for 'groups'. "
            "It takes check, extras, image, platforms, size, test, trim, vulnerabilities, "
            "wheels.",
        ),
        (
            "[tool.seedpod.test]\nprograms = 'sh'",
            "programs in [tool.seedpod.test] is 'sh'. Write a list of names like [\"sh\"].",
        ),
        (
            "[tool.seedpod.test]\nnot-imported = ['shop.windows']",
            "not-imported in [tool.seedpod.test] is ['shop.windows']. "
            'Write modules with a reason for each, like { "shop.windows" = "Windows only" }.',
        ),
        (
            "[tool.seedpod.test.not-imported]\n'shop.windows' = ''",
            "not-imported in [tool.seedpod.test] is {'shop.windows': ''}. "
            'Write modules with a reason for each, like { "shop.windows" = "Windows only" }.',
        ),
        (
            "[tool.seedpod.image]\nport = true",
            "port in [tool.seedpod.image] is True. Write a number from 1 to 65535.",
        ),
    ],
)
def test_settings_that_are_none_are_refused_before_anything_is_built(
    split: Split, project: Path, settings: str, message: str
) -> None:
    edit(project, "[project]", f"{settings}\n\n[project]")
    with pytest.raises(SystemExit) as error:
        split(project)
    assert error.value.code == f"Settings: {message}"
    assert not (project.parent / "out").exists()


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("[tools.sys.debian13.dependencies]\nlibpq5 = '*'", "has [tools.sys]"),
        ("[tool.sys.debian13]", "[tool.sys.debian13] is empty"),
        ("[tool.sys.debian13.dependencies]\nlibpq5 = 17", "The version of libpq5"),
    ],
)
def test_a_wrong_declaration_is_refused_before_anything_is_built(
    split: Split, project: Path, declared: str, problem: str
) -> None:
    """For whatever release it is: on the host nobody knows that of the image."""
    edit(project, "[project]", f"{declared}\n\n[project]")
    with pytest.raises(SystemExit) as error:
        split(project)
    assert str(error.value).startswith("System packages: ")
    assert problem in str(error.value)
    assert not (project.parent / "out").exists()


def test_a_lock_that_does_not_fit_is_refused_in_a_sentence(split: Split, project: Path) -> None:
    edit(project, "dependencies = [", 'dependencies = ["left-pad",')
    with pytest.raises(SystemExit) as error:
        split(project)
    assert "nox -s lock" in str(error.value)
    assert not (project.parent / "out").exists()


def test_a_project_without_a_lock_is_refused_in_a_sentence(split: Split, project: Path) -> None:
    (project / "poetry.lock").unlink()
    with pytest.raises(SystemExit) as error:
        split(project)
    assert "nox -s lock" in str(error.value)


def relocate(project: Path, name: str, kind: str, url: str, commit: str = "") -> None:
    """Lock a package from another source than an index."""
    lock = project / "poetry.lock"
    text = lock.read_text(encoding="utf-8")
    end = text.index("\n[[package]]", text.index(f'name = "{name}"'))
    lines = [f'type = "{kind}"', f'url = "{url}"']
    lines += [f'resolved_reference = "{commit}"'] if commit else []
    source = "\n".join(["\n[package.source]", *lines, ""])
    lock.write_text(f"{text[:end]}{source}{text[end:]}", encoding="utf-8")


def test_without_path_dependencies_sessions_install_the_project_after_the_packages(
    split: Split, project: Path
) -> None:
    files = split(project)
    assert files[OWN] == f"-e {project.as_uri()}\n"
    assert json.loads(files["folders.json"]) == {"main": [], "development": []}


def test_a_commit_is_installed_with_the_project_because_it_has_no_hash(
    split: Split, project: Path
) -> None:
    before = split(project)
    relocate(project, "click", "git", "https://code.example/click.git", "0a1b")
    after = split(project)
    [own, commit] = after[OWN].splitlines()
    assert own == f"-e {project.as_uri()}"
    assert commit.startswith("click @ git+https://code.example/click.git@0a1b")
    assert "click==" not in after[REQUIREMENTS]
    assert after["own-package.txt"] == before["own-package.txt"]


@pytest.mark.parametrize(
    ("name", "production"), [("click", True), ("pytest", False)], ids=["production", "development"]
)
def test_a_folder_is_built_for_those_who_need_it(
    split: Split, project: Path, name: str, production: bool
) -> None:
    """Sessions install it as they install the project, so that edits are seen at once."""
    relocate(project, name, "directory", "../our libs/ü")
    edit(project, "package-mode = false", "")
    files = split(project)
    assert files["own-package.txt"] == "paths"
    folders = json.loads(files["folders.json"])
    paths = {key: [folder["path"] for folder in found] for key, found in folders.items()}
    assert paths == {
        "main": ["../our libs/ü"] if production else [],
        "development": ["../our libs/ü"],
    }
    folder = project.parent / "our libs/ü"
    assert files[OWN] == f"-e {project.as_uri()}\n-e {folder.as_uri()}\n"
    assert " " not in folder.as_uri()
    assert f"{name}==" not in files[REQUIREMENTS]


def test_a_folder_that_nothing_would_install_is_refused(split: Split, project: Path) -> None:
    """Folders are installed with the project's own package, and here is none."""
    relocate(project, "click", "directory", "../our libs/click")
    with pytest.raises(
        SystemExit, match=r"our libs/click is a path dependency on a folder, .* Name a "
    ):
        split(project)


def test_a_folder_for_another_platform_is_installed_there_alone(
    split: Split, project: Path
) -> None:
    relocate(project, "colorama", "directory", "../colours")
    edit(project, "package-mode = false", "")
    [_, line] = split(project)[OWN].splitlines()
    assert line.startswith(f"colorama @ {(project.parent / 'colours').as_uri()} ; ")
    assert "indows" in line or "win32" in line


def test_sessions_install_a_file_from_where_it_is_by_its_hash(split: Split, project: Path) -> None:
    relocate(project, "click", "file", "our wheels/click.whl")
    files = split(project)
    assert files["own-package.txt"] == "paths"
    [line] = [x for x in joined(files[REQUIREMENTS]) if x.startswith("click")]
    assert line.startswith(f"click @ {(project / 'our wheels/click.whl').as_uri()}")
    assert " --hash=sha256:" in line
    assert files[OWN] == f"-e {project.as_uri()}\n"


def test_main_alone_decides_about_production(split: Split, project: Path) -> None:
    """What cannot be installed for development is said to whoever installs that."""
    relocate(project, "pytest", "git", "ssh://git@code.example/pytest.git", "0a1b")
    files = split(project)
    main, development = (json.loads(files[f"{x}.json"]) for x in ("main", "development"))
    assert main["refused"] == ""
    assert "takes pytest from ssh://git@code.example/pytest.git, for " in development["refused"]
    assert development["packages"] == main["packages"]
