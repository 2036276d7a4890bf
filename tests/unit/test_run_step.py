"""docker/image/run_step.py runs a step of the owner's own, and keeps what it declares."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_step
import set_dates

PROGRAM = Path(run_step.__file__)


@pytest.fixture(autouse=True)
def common() -> Iterator[None]:
    """Have the usual rights of new files, as builds have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def python(code: str) -> list[str]:
    """Return a command that runs code."""
    return [sys.executable, "-c", code]


def run(tmp_path: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the program as the Dockerfile does."""
    file = tmp_path / "step.json"
    file.write_text(json.dumps({name.replace("_", "-"): value for name, value in settings.items()}))
    command = [sys.executable, str(PROGRAM), str(file), str(tmp_path / "made")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_a_command_makes_is_kept_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "srv"
    code = (
        "import os, pathlib; p = pathlib.Path(os.environ['OUT'], 'a'); p.mkdir(parents=True); "
        "(p / 'b').write_text(os.environ['OUT']); print('told')"
    )
    environment = {"OUT": str(output)}
    done = run(tmp_path, step=python(code), step_output=[str(output)], environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "told\n"
    made = tmp_path / "made" / output.relative_to("/")
    assert (made / "a/b").read_text() == str(output)


def test_a_variable_of_the_image_comes_before_that_of_a_build(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAME", "build")
    monkeypatch.setenv("OTHER", "build")
    code = "import os; print(os.environ['NAME'], os.environ['OTHER'])"
    run_step.run(python(code), {"NAME": "image $OTHER"})
    assert capfd.readouterr().out == "image $OTHER build\n"


@pytest.mark.parametrize("word", ["two words", "$HOME", 'a"b', "*", "ü", ";"], ids=ascii)
def test_no_shell_reads_a_word(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.argv[1].encode())"
    run_step.run([*python(code), word], {})
    assert capfd.readouterr().out == word


@pytest.mark.parametrize("status", [1, 3, 255])
def test_a_command_that_fails_ends_the_build_with_its_status(tmp_path: Path, status: int) -> None:
    done = run(tmp_path, step=python(f"raise SystemExit({status})"), step_output=["/srv"])
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("Step: ")
    assert message.endswith(f" ends with status {status}. Fix what it reported.")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, step=["none at all", "x"], step_output=["/srv"])
    assert done.returncode == 1
    assert done.stderr == (
        "Step: 'none at all' x cannot be run (No such file or directory). "
        "Correct step in [tool.seedpod.image].\n"
    )


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    with pytest.raises(run_step.StepError, match=r"text cannot be run \(Permission denied\)\."):
        run_step.run([str(tmp_path / "text")], {})


@pytest.mark.parametrize("is_file", [False, True])
def test_a_folder_that_a_step_has_not_made_is_named(tmp_path: Path, is_file: bool) -> None:
    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    if is_file:
        (root / "srv/static").touch()
    with pytest.raises(run_step.StepError) as error:
        run_step.keep(["/srv/static"], root, tmp_path / "made")
    assert str(error.value) == (
        "The step has not made /srv/static. Correct step-output in [tool.seedpod.image]."
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root file system with what a step made, for its user alone."""
    root = tmp_path / "root"
    (root / "srv/ü static/css").mkdir(parents=True)
    (root / "srv/ü static/css/a.css").write_text("a")
    (root / "srv/ü static/run").write_text("#!/bin/sh")
    (root / "srv/ü static/link").symlink_to("css/a.css")
    (root / "srv/ü static/nowhere").symlink_to("/none")
    (root / "srv/other").mkdir()
    (root / "srv/ü static/run").chmod(0o700)
    (root / "srv/ü static/css/a.css").chmod(0o600)
    (root / "srv/ü static/css").chmod(0o700)
    return root


def found(folder: Path) -> set[str]:
    """Return the paths of all that is in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_only_folders_that_are_named_are_kept_and_all_can_read_them(
    root: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    run_step.keep(["/srv/ü static"], root, made)
    inner = made / "srv/ü static"
    assert found(made / "srv") == {"ü static", *(f"ü static/{x}" for x in found(inner))}
    assert found(inner) == {"css", "css/a.css", "link", "nowhere", "run"}
    rights = {
        name: stat.S_IMODE((inner / name).stat().st_mode) for name in found(inner) - {"nowhere"}
    }
    assert rights == {"css": 0o755, "css/a.css": 0o644, "link": 0o644, "run": 0o744}


def test_folders_above_have_the_rights_that_they_have_in_the_image(
    root: Path, tmp_path: Path
) -> None:
    (root / "srv").chmod(0o1777)
    run_step.keep(["/srv/ü static/css"], root, tmp_path / "made")
    assert stat.S_IMODE((tmp_path / "made/srv").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "made/srv/ü static/css").stat().st_mode) == 0o755


def test_links_stay_links(root: Path, tmp_path: Path) -> None:
    run_step.keep(["/srv/ü static"], root, tmp_path / "made")
    inner = tmp_path / "made/srv/ü static"
    links = {name: str((inner / name).readlink()) for name in ("link", "nowhere")}
    assert links == {"link": "css/a.css", "nowhere": "/none"}


@pytest.mark.parametrize(
    "folders",
    [
        ["/srv/ü static", "/srv", "/srv/ü static"],
        ["/srv", "/srv/ü static/css"],
        ["/srv", "/srv"],
        ["/srv/ü static/css", "/srv/other", "/srv/ü static"],
    ],
    ids=ascii,
)
def test_folders_within_one_another_are_kept_once(
    root: Path, tmp_path: Path, folders: list[str]
) -> None:
    """With their links, which cannot be made twice."""
    made = tmp_path / "made"
    run_step.keep(folders, root, made)
    assert found(made / "srv") == found(root / "srv")


def test_a_name_that_begins_like_another_is_not_within_it(root: Path, tmp_path: Path) -> None:
    (root / "srv/other-2").mkdir()
    run_step.keep(["/srv/other", "/srv/other-2"], root, tmp_path / "made")
    assert found(tmp_path / "made/srv") == {"other", "other-2"}


def test_all_has_one_date(root: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    run_step.keep(["/srv"], root, made)
    assert {path.lstat().st_mtime for path in (made, *made.rglob("*"))} == {set_dates.EPOCH}
