"""docker/image/arrange_files.py gives an image files of the project as they are."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import arrange_files
import pytest
import set_dates

PROGRAM = Path(arrange_files.__file__)

Arrange = Callable[..., Path]


@pytest.fixture(autouse=True)
def common() -> Iterator[None]:
    """Have the usual rights of new files, as builds have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """Return a root file system with what lets the Dockerfile copy it."""
    folder = tmp_path / "rootfs"
    folder.mkdir()
    (folder / "arrange_files.py").touch()
    for name, mode in {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "srv": 0o755}.items():
        (tmp_path / "image" / name).mkdir(parents=True)
        (tmp_path / "image" / name).chmod(mode)
    return folder


@pytest.fixture
def arrange(rootfs: Path) -> Arrange:
    """Return a function that arranges the root file system, and returns the result."""

    def arrange(*data: str) -> Path:
        output = rootfs.parent / "files"
        arrange_files.arrange(rootfs, [*data], output, rootfs.parent / "image")
        return output

    return arrange


def add(path: Path, text: str = "", mode: int = 0o600) -> None:
    """Write a file with these rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def rights(path: Path) -> int:
    """Return a file's rights."""
    return stat.S_IMODE(path.stat().st_mode)


def found(folder: Path) -> set[str]:
    """Return the paths of all that is in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_project_without_files_has_none(arrange: Arrange) -> None:
    assert found(arrange()) == set()


def test_files_stay_where_they_are_and_can_be_read_by_all(rootfs: Path, arrange: Arrange) -> None:
    add(rootfs / "etc/shop/ü settings.ini", "a = 1")
    add(rootfs / "usr/local/bin/run", "#!/bin/sh", 0o700)
    add(rootfs / "srv/odd", mode=0o4711)
    (rootfs / "etc/shop").chmod(0o700)
    output = arrange()
    assert (output / "etc/shop/ü settings.ini").read_text() == "a = 1"
    assert rights(output / "etc/shop/ü settings.ini") == 0o644
    assert rights(output / "usr/local/bin/run") == rights(output / "srv/odd") == 0o755
    folders = [output, *(path for path in output.rglob("*") if path.is_dir())]
    assert {rights(folder) for folder in folders} == {0o755}


def test_links_stay_links(rootfs: Path, arrange: Arrange) -> None:
    (rootfs / "etc").mkdir()
    (rootfs / "etc/zone").symlink_to("/usr/share/none")
    output = arrange()
    assert (output / "etc/zone").readlink() == Path("/usr/share/none")


def test_all_has_one_date(rootfs: Path, arrange: Arrange) -> None:
    add(rootfs / "etc/a")
    output = arrange("/data")
    assert {path.stat().st_mtime for path in (output, *output.rglob("*"))} == {set_dates.EPOCH}


def test_folders_of_data_are_for_any_user_and_those_above_them_are_not(arrange: Arrange) -> None:
    output = arrange("/data", "/srv/shop/ü up loads")
    assert rights(output / "data") == rights(output / "srv/shop/ü up loads") == 0o1777
    assert rights(output / "srv") == 0o755
    assert rights(output / "srv/shop") == 0o755


def test_folders_of_data_may_have_files_and_be_in_each_other(
    rootfs: Path, arrange: Arrange
) -> None:
    add(rootfs / "data/first")
    output = arrange("/data", "/data/inner", "/data")
    assert rights(output / "data") == rights(output / "data/inner") == 0o1777
    assert rights(output / "data/first") == 0o644


@pytest.mark.parametrize(("name", "mode"), [("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)])
def test_a_folder_that_the_image_has_keeps_its_rights(
    rootfs: Path, arrange: Arrange, name: str, mode: int
) -> None:
    add(rootfs / name / "a/file")
    output = arrange(f"/{name}/data")
    assert rights(output / name) == mode
    assert rights(output / name / "a") == 0o755
    assert rights(output / name / "data") == 0o1777


def test_a_file_may_have_any_name(rootfs: Path, arrange: Arrange) -> None:
    add(rootfs / "tools.txt")
    assert found(arrange()) == {"tools.txt"}


@pytest.mark.parametrize("name", ["bin", "lib", "lib64", "sbin", "var/run"])
def test_a_folder_in_the_place_of_a_link_is_refused(
    rootfs: Path, arrange: Arrange, name: str
) -> None:
    add(rootfs / name / "file")
    with pytest.raises(arrange_files.FilesError) as error:
        arrange()
    told = (
        "would replace a link of the image. Move what is there, programs to rootfs/usr/local/bin."
    )
    assert str(error.value) == f"rootfs/{name} {told}"


@pytest.mark.parametrize(("name", "folder"), [("data", "/data"), ("srv", "/srv/shop")])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_in_the_place_of_a_folder_of_data_is_refused(
    rootfs: Path, arrange: Arrange, name: str, folder: str, is_link: bool
) -> None:
    if is_link:
        (rootfs / name).symlink_to("none")
    else:
        add(rootfs / name)
    with pytest.raises(arrange_files.FilesError) as error:
        arrange("/other", folder)
    told = "is no folder, and data in [tool.seedpod.image] names it as one. Remove either."
    assert str(error.value) == f"rootfs{folder} {told}"


def run(rootfs: Path, data: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the program as the Dockerfile does."""
    file = rootfs.parent / "data.json"
    file.write_text(json.dumps(data))
    command = [sys.executable, str(PROGRAM), str(rootfs), str(file), str(rootfs.parent / "files")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_reads_what_is_declared(rootfs: Path) -> None:
    assert run(rootfs, ["/data"]).returncode == 0
    assert found(rootfs.parent / "files") == {"data"}


def test_without_anything_declared_there_is_an_empty_folder(rootfs: Path) -> None:
    assert run(rootfs, []).returncode == 0
    assert found(rootfs.parent / "files") == set()


def test_the_program_ends_with_what_is_wrong(rootfs: Path) -> None:
    add(rootfs / "bin/file")
    done = run(rootfs, [])
    assert done.returncode == 1
    assert done.stderr.startswith("Files: rootfs/bin would replace a link of the image. Move ")
    assert "Traceback" not in done.stderr
    assert not (rootfs.parent / "files").exists()


def test_the_program_ends_with_a_file_in_the_place_of_a_folder(rootfs: Path) -> None:
    add(rootfs / "data")
    done = run(rootfs, ["/data"])
    assert done.returncode == 1
    assert done.stderr.startswith("Files: rootfs/data is no folder, and data in ")
    assert "Traceback" not in done.stderr
