"""Owners edit their projects: an update keeps what they wrote and brings what is new beside it."""

import tomllib
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import yaml

from tests.conftest import git
from tests.update.history import FIRST, PRESENT, History, conflicts


@dataclass(frozen=True)
class Edit:
    """Text that goes into a file, before or in place of other text, at its end, or as all of it."""

    name: str
    path: str
    text: str
    before: str = ""
    instead: str = ""
    whole: bool = False

    def make(self, project: Path) -> None:
        """Change the file as its owner does."""
        path = project / self.path
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if self.whole:
            new = self.text
        elif self.before or self.instead:
            place = self.before + self.instead
            assert old.count(place) == 1
            new = old.replace(place, self.text + self.before)
        else:
            new = old + self.text
        path.write_text(new, encoding="utf-8")

    def kept(self, project: Path) -> bool:
        """Return whether the file still says what its owner wrote."""
        text = (project / self.path).read_text(encoding="utf-8")
        return text == self.text if self.whole else text.count(self.text) == 1


SESSION = '''@nox.session(venv_backend="none")
def {name}(session: nox.Session) -> None:
    """Do what only this project does."""
    session.run("true")


'''
SERVICE = """
  mail:
    image: axllent/mailpit:v1.27
    ports:
      - 127.0.0.1:8025:8025
"""
EDITS = (
    Edit("dependency", "pyproject.toml", '    "rich>=13",\n', before='    "uvicorn>='),
    Edit("group", "pyproject.toml", '    "pytest-cov>=6",\n', before="]\n\n[build-system]"),
    Edit("budget", "pyproject.toml", 'wheels = "900 MB"\n', before="\n[tool.mypy]"),
    Edit(
        "system package",
        "pyproject.toml",
        '[tool.sys.debian13.dependencies]\nlibpq5 = "*"\n\n',
        before="[tool.mypy]",
    ),
    Edit("service", "docker-compose.yml", SERVICE, before="\n# Read while the image is built"),
    Edit("override", "docker-compose.override.yml", f"services:{SERVICE}", whole=True),
    Edit(
        "session",
        "noxfile.py",
        SESSION.format(name="mine"),
        before='@nox.session(venv_backend="none")\ndef lock(',
    ),
    Edit("local session", "noxfile_local.py", SESSION.format(name="own"), whole=True),
    Edit("readme", "README.md", "# What it is\n\nNothing of the template is left.\n", whole=True),
    Edit("ignored file", ".gitignore", "data/\n"),
    Edit("image content", ".dockerignore", "!data/\n"),
    Edit("hook", ".pre-commit-config.yaml", "  - repo: local\n    hooks: []\n"),
    Edit("application", "src/myapp/app.py", "app = None\n", whole=True),
    Edit("entry", "src/myapp/__main__.py", "def main() -> None:\n    ...\n", whole=True),
    Edit("own module", "src/myapp/own.py", "X = 1\n", whole=True),
    Edit("own test", "tests/test_own.py", "def test_it() -> None:\n    ...\n", whole=True),
)
# What most owners write first, each beside lines that the template has changed since.
COMMON = (
    Edit("dependency", "pyproject.toml", '    "rich>=13",\n', before="]\n\n[project.scripts]"),
    Edit("first of a group", "pyproject.toml", '    "black>=24",\n', before='    "httpx2>=2",\n'),
    Edit("budget", "pyproject.toml", 'production = "90 MB"', instead='production = "58 MB"'),
    Edit("line length", "pyproject.toml", "line-length = 88", instead="line-length = 100"),
    Edit("table at the end", "pyproject.toml", "\n[tool.coverage.run]\nbranch = true\n"),
    Edit("service", "docker-compose.yml", SERVICE, before="\n# Read while the image is built"),
    Edit("session at the end", "noxfile.py", "\n\n" + SESSION.format(name="last").rstrip() + "\n"),
)
STAGE = Edit("stage", "Dockerfile", "\n# With a debugger.\nFROM development AS debugger\n")
DELETED = ("tests/test_app.py", ".yamllint.yaml")


@pytest.fixture(scope="session")
def edited(
    history: History, version: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """Return a project with all edits, updated and finished, and what the program said."""
    project = history.project(tmp_path_factory.mktemp("edited"), version)
    for edit in EDITS:
        edit.make(project)
    for name in DELETED:
        (project / name).unlink()
    history.commit(project)
    history.update(project)
    return project, history.finish(project)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_is_kept_without_a_conflict(edited: tuple[Path, str], edit: Edit) -> None:
    project, _ = edited
    assert [place for place in conflicts(project) if place.startswith(edit.path)] == []
    assert edit.kept(project)


def test_a_stage_at_the_end_conflicts_once_with_the_entry_point_that_was_the_last_line(
    history: History, version: str, tmp_path: Path
) -> None:
    """It is kept. There is room above the last stage since, which plain builds make."""
    project = history.project(tmp_path / "project", version)
    last = (project / "Dockerfile").read_text(encoding="utf-8").splitlines()[-1].split()[0]
    STAGE.make(project)
    history.commit(project)
    history.update(project)
    places = {place.split(":")[0] for place in conflicts(project)}
    assert places == ({"Dockerfile"} if last == "ENTRYPOINT" else set())
    assert STAGE.kept(project)


def test_edits_beside_the_template_s_own_are_merged_by_key_and_said(
    history: History, version: str, tmp_path: Path
) -> None:
    project = history.project(tmp_path, version)
    for edit in COMMON:
        edit.make(project)
    history.commit(project)
    history.update(project)
    met = {place.split(":")[0] for place in conflicts(project)}
    said = history.finish(project)
    assert {f"merged, with your edits: {name}" for name in met} <= set(said.splitlines())
    assert conflicts(project) == []
    assert [edit.name for edit in COMMON if not edit.kept(project)] == []
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["ruff"]["extend-exclude"] == ["noxfile.py"]
    compile((project / "noxfile.py").read_text(encoding="utf-8"), "noxfile.py", "exec")


@pytest.mark.parametrize("edit", [COMMON[2], COMMON[-1]], ids=lambda edit: edit.path)
def test_what_is_written_between_update_and_finish_is_kept(
    history: History, tmp_path: Path, edit: Edit
) -> None:
    project = history.project(tmp_path, FIRST)
    edit.make(project)
    history.commit(project)
    history.update(project)
    path = project / edit.path
    text = path.read_text(encoding="utf-8") + "# Mine, too.\n"
    path.write_text(text, encoding="utf-8")
    assert "merged" not in history.finish(project)
    assert path.read_text(encoding="utf-8") == text
    assert conflicts(project)


@pytest.mark.parametrize("name", DELETED)
def test_what_its_owner_deleted_stays_deleted(edited: tuple[Path, str], name: str) -> None:
    assert not (edited[0] / name).exists()


def test_with_all_edits_there_is_no_conflict_and_every_file_parses(
    edited: tuple[Path, str],
) -> None:
    project, said = edited
    assert conflicts(project) == []
    assert "updated" not in said
    tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    for name in ("docker-compose.yml", ".pre-commit-config.yaml"):
        yaml.safe_load((project / name).read_text(encoding="utf-8"))
    compile((project / "noxfile.py").read_text(encoding="utf-8"), "noxfile.py", "exec")


@pytest.mark.parametrize("name", ["Dockerfile", "noxfile.py"])
def test_a_line_that_both_changed_ends_in_a_conflict_that_names_file_and_line(
    history: History, tmp_path: Path, name: str
) -> None:
    project = history.project(tmp_path, FIRST)
    number, theirs = changed_line(project / name, history.original(PRESENT) / name)
    lines = (project / name).read_text(encoding="utf-8").splitlines()
    mine = f"# Mine: {lines[number]}"
    lines[number] = mine
    (project / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    history.commit(project)
    history.update(project)
    merged = (project / name).read_text(encoding="utf-8").splitlines()
    begin, end = (
        merged.index(marker) + 1 for marker in ("<<<<<<< before updating", ">>>>>>> after updating")
    )
    places = conflicts(project)
    assert f"{name}:{begin}: leftover conflict marker" in places
    assert f"{name}:{end}: leftover conflict marker" in places
    assert name in places
    assert f"UU {name}" in git(project, "status", "--short").splitlines()
    assert {place.split(":")[0] for place in places} == {name}
    # Nothing is lost: both sides stand in the file.
    assert mine in merged[begin:end]
    assert theirs in merged[begin:end]


def changed_line(old: Path, new: Path) -> tuple[int, str]:
    """Return the index of the first line that a version replaced, and what it became."""
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (old, new))
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return next((start, after[first]) for kind, start, _, first, _ in changes if kind == "replace")
