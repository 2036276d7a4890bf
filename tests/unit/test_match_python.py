"""docker/image/match_python.py stops a build whose environment would not run in its image."""

import json
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path

import match_python
import pytest

Image = Callable[..., None]
MakeElf = Callable[..., Path]
Run = Callable[[str], None]

FACTS = {
    "C library": "glibc",
    "Python": "3.13",
    "prefix": "/usr/local",
    "release": "debian13",
    "name in the catalogue": "none",
}
ALPINE = {"ID": "alpine", "VERSION_ID": "3.23.6"}
DEBIAN = {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}


def test_variants_of_one_image_do_not_differ() -> None:
    assert match_python.difference(FACTS, dict(FACTS)) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [("C library", "musl"), ("Python", "3.12"), ("prefix", "/usr"), ("release", "debian12")],
)
def test_what_differs_is_named_with_both_values_and_a_remedy(name: str, other: str) -> None:
    assert match_python.difference(FACTS, {**FACTS, name: other}) == (
        f"The {name} of the image that builds is {FACTS[name]}, and of the one that runs {other}. "
        "Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image."
    )


def test_two_images_of_a_catalogue_are_a_pair_or_refused() -> None:
    """The builder of another variant has headers of libraries that the image which runs lacks."""
    plain, database = ({**FACTS, "name in the catalogue": f"3.13-debian13-{x}"} for x in "ab")
    assert match_python.difference(plain, plain) is None
    assert match_python.difference(database, plain) == (
        "The name in the catalogue of the image that builds is 3.13-debian13-b, and of the one "
        "that runs 3.13-debian13-a. Take both from what nox -s use prints in the catalogue for one "
        "name."
    )
    assert match_python.difference(database, FACTS)


@pytest.fixture
def image(make_elf: MakeElf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """Return a function that puts the program into an image, by default the official one."""

    def image(
        linker: str = "/lib64/ld-linux-x86-64.so.2",
        version: str = "3.13.2",
        prefix: str = "/usr/local",
        release: dict[str, str] = DEBIAN,
    ) -> None:
        python = make_elf(tmp_path / linker.strip("/") / "python3.13", interpreter=linker)
        (tmp_path / "python3").unlink(missing_ok=True)
        (tmp_path / "python3").symlink_to(python)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
        monkeypatch.setattr(sys, "base_prefix", prefix)
        monkeypatch.setattr(platform, "python_version_tuple", lambda: tuple(version.split(".")))
        monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)

    return image


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command of the program on one file."""

    def run(command: str) -> None:
        file = tmp_path / "facts.json"
        monkeypatch.setattr(sys, "argv", ["match_python.py", command, str(file)])
        match_python.main()

    return run


def test_the_facts_are_those_of_the_image(image: Image) -> None:
    image()
    assert match_python.facts() == FACTS
    image("/lib/ld-musl-x86_64.so.1", version="3.14.0", release=ALPINE)
    assert match_python.facts() == {
        "C library": "musl",
        "Python": "3.14",
        "prefix": "/usr/local",
        "release": "alpine3-23",
        "name in the catalogue": "none",
    }


def test_a_prefix_that_is_a_link_is_where_it_leads(image: Image, tmp_path: Path) -> None:
    """Of two images one may have the link and the other the folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    image(prefix=str(tmp_path / "link"))
    assert match_python.facts()["prefix"] == str(tmp_path / "real")


def test_what_was_written_in_an_image_fits_it(
    image: Image, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    image()
    run("write")
    run("check")
    # Another correction of the same Python, and of the same release, changes nothing.
    image(version="3.13.9")
    run("check")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"linker": "/lib/ld-musl-x86_64.so.1"}, "C library"),
        ({"version": "3.12.9"}, "Python"),
        ({"prefix": "/usr"}, "prefix"),
        ({"release": ALPINE}, "release"),
    ],
)
def test_another_image_is_refused(image: Image, run: Run, other: dict[str, str], name: str) -> None:
    image()
    run("write")
    image(**other)
    with pytest.raises(SystemExit) as error:
        run("check")
    assert re.fullmatch(
        rf"Interpreter: The {name} of the image that builds is \S+, and of the one that runs \S+\. "
        r"Let BUILDER_IMAGE and PYTHON_IMAGE be variants of one image\.",
        str(error.value.code),
    )


def test_of_several_differences_the_c_library_is_named(image: Image, run: Run) -> None:
    """It is the most telling one."""
    image()
    run("write")
    image("/lib/ld-musl-x86_64.so.1", "3.12.1", "/usr", ALPINE)
    with pytest.raises(SystemExit, match="The C library of the image that builds is glibc, and"):
        run("check")


def test_the_file_is_the_same_for_the_same_image(image: Image, run: Run, tmp_path: Path) -> None:
    """The step that checks it is repeated when the file changes."""
    contents = set()
    for version in ("3.13.2", "3.13.3"):
        image(version=version)
        run("write")
        contents.add((tmp_path / "facts.json").read_text())
    [content] = contents
    assert json.loads(content) == FACTS
