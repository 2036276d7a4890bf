"""docker/host/catalogue.py: which images a target means, which digests are kept and printed."""

import json
import os
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import client
import pytest
import settings
from session import SessionError

import catalogue

TABLE = """
repository = "registry.example.com/our/python"
pythons = ["3.13"]
[bases.debian13]
image = "python:{python}-slim-trixie"
[variants.plain]
[variants.database.size.debian13]
base = "150 MB"
"""
PLAIN, DATABASE = "3.13-debian13-plain", "3.13-debian13-database"
REPOSITORY = "registry.example.com/our/python"

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a catalogue, in which the programs run."""
    (tmp_path / "catalogue.toml").write_text(TABLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # The program beside those that it shares, as in a catalogue.
    root = Path(__file__).parent.parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root / "template/docker/image"))
    monkeypatch.setattr(settings, "apply", lambda: None)
    for name in ("BUILDX_BAKE_ENTITLEMENTS_FS", *settings.CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    for name in settings.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command, and returns what it prints or ends with."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["catalogue.py", *arguments])
        try:
            catalogue.main()
        except SystemExit as error:
            return str(error.code)
        return capsys.readouterr().out

    return run


def targets(*named: str) -> list[str]:
    """Return the targets of the images that are meant."""
    return [*catalogue.images(catalogue.load(), *named)]


def test_a_target_is_an_image_or_a_group() -> None:
    every = [f"3-13-debian13-{x}{y}" for x in ("plain", "database") for y in ("", "-builder")]
    assert targets() == targets("default") == targets("debian13") == every
    assert targets("plain") == every[:2]
    assert targets("3-13-debian13-database-builder") == every[3:]
    assert targets("plain", "3-13-debian13-plain") == every[:2]
    with pytest.raises(SessionError, match=r"makes no data-base. Close to it is database\."):
        targets("data-base")


def test_the_bake_file_has_nothing_of_this_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/our authority.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example")
    command = catalogue.bake_command(catalogue.load(), "plain")
    assert "--set=*.secrets=id=ca.pem,src=/etc/our authority.pem" in command
    # Without its value, which others on this machine would see.
    assert "--set=*.args.HTTPS_PROXY" in command
    assert os.environ["BUILDX_BAKE_ENTITLEMENTS_FS"] == "0"
    text = (folder / "build/docker-bake.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert "authority" not in text
    assert json.loads(text)["group"]["default"]


def digest(number: int) -> str:
    """Return a digest."""
    return f"sha256:{number:064x}"


@dataclass
class Engine:
    """A mock of the engine: the content of each image, and what was pushed."""

    contents: dict[str, int] = field(default_factory=dict)
    checked: bool = True
    commands: list[list[str]] = field(default_factory=list)

    def run(self, command: list[str], **_: object) -> None:
        """Build or push; the digest of an image is that of its content, times ten."""
        self.commands.append(command)
        for option in command:
            if option.startswith("--metadata-file="):
                pushed = [word for word in command if not word.startswith("-")][3:]
                found = {
                    target: {"containerimage.digest": digest(10 * self.contents.get(target, 1))}
                    for target in pushed
                }
                Path(option.partition("=")[2]).write_text(json.dumps(found))

    def check(self, *targets: str) -> None:
        """End the program if the images are not as they should be."""
        if not self.checked:
            sys.exit(1)

    def content(self, name: str) -> str:
        """Return the content of an image by its whole name."""
        return digest(self.contents.get(name.rpartition(":")[2].replace(".", "-"), 1))

    @property
    def pushed(self) -> list[str]:
        """Return the targets of the last push."""
        command = next(x for x in reversed(self.commands) if "--push" in x)
        return [word for word in command if not word.startswith("-")][3:]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine with all images."""
    found = Engine()
    monkeypatch.setattr(client, "run", found.run)
    monkeypatch.setattr(catalogue, "builds_in_engine", lambda: True)
    monkeypatch.setattr(catalogue, "check", found.check)
    monkeypatch.setattr(catalogue, "content", found.content)
    return found


def kept(folder: Path) -> dict[str, str]:
    """Return the digests that are kept, by tag."""
    content = tomllib.loads((folder / "digests.toml").read_text(encoding="utf-8"))
    return {tag: entry["digest"] for tag, entry in content["images"].items()}


def test_what_was_pushed_is_pushed_again_only_when_its_content_differs(
    engine: Engine, folder: Path, run: Run
) -> None:
    assert "digests.toml has changed. Commit it." in run("push")
    assert engine.pushed == targets()
    assert kept(folder) == dict.fromkeys(
        (f"{x}{y}" for x in (PLAIN, DATABASE) for y in ("", "-builder")), digest(10)
    )
    before = (folder / "digests.toml").read_bytes()
    count = len(engine.commands)
    assert "No image differs" in run("push", "--pull", "--no-cache")
    [build] = engine.commands[count:]
    assert build[-2:] == ["--pull", "--no-cache"]
    assert (folder / "digests.toml").read_bytes() == before
    engine.contents["3-13-debian13-database"] = 2
    assert f"{DATABASE} is new: {digest(20)}" in run("push")
    assert engine.pushed == ["3-13-debian13-database"]
    assert [tag for tag, text in kept(folder).items() if text == digest(20)] == [DATABASE]


def test_a_pair_is_pushed_whole(engine: Engine, folder: Path, run: Run) -> None:
    run("push", "3-13-debian13-database-builder")
    assert engine.pushed == targets("database")


def test_an_image_has_a_second_tag_that_stays_with_its_content(engine: Engine, run: Run) -> None:
    run("push", "plain")
    tags = [x for x in engine.commands[-1] if x.startswith("--set=3-13-debian13-plain.tags=")]
    assert [tag.rpartition(":")[2] for tag in tags] == [PLAIN, f"{PLAIN}-{0:012x}"]


def test_what_is_wrong_is_not_pushed(engine: Engine, folder: Path, run: Run) -> None:
    engine.checked = False
    run("push")
    assert not any("--push" in command for command in engine.commands)
    assert not (folder / "digests.toml").exists()


def test_digests_that_cannot_be_read_are_named_before_anything_is_built(
    engine: Engine, folder: Path, run: Run
) -> None:
    (folder / "digests.toml").write_text("<<<<<<< ours\n", encoding="utf-8")
    assert "digests.toml cannot be read" in run("push")
    assert engine.commands == []


def test_another_repository_has_nothing_yet(engine: Engine, folder: Path, run: Run) -> None:
    """What was pushed elsewhere is not there."""
    run("push")
    (folder / "catalogue.toml").write_text(TABLE.replace("our/python", "new"), encoding="utf-8")
    run("push", "plain")
    assert kept(folder).keys() == {PLAIN, f"{PLAIN}-builder"}


def test_what_the_table_no_longer_has_is_no_longer_kept(
    engine: Engine, folder: Path, run: Run
) -> None:
    run("push")
    table = TABLE.replace("[variants.plain]", "")
    (folder / "catalogue.toml").write_text(table, encoding="utf-8")
    run("push")
    assert kept(folder).keys() == {DATABASE, f"{DATABASE}-builder"}


def test_a_pair_is_printed_by_digest(engine: Engine, run: Run) -> None:
    assert run("use") == "Nothing has been pushed yet. Run nox -s push"
    run("push", "plain")
    assert run("use") == f"{PLAIN}\n"
    image = f"{REPOSITORY}:{PLAIN}{{}}-{0:012x}@{digest(10)}\n"
    assert run("use", PLAIN) == (
        f"PYTHON_IMAGE={image.format('')}BUILDER_IMAGE={image.format('-builder')}"
    )
    assert run("use", DATABASE) == f"digests.toml has no {DATABASE}. Run nox -s use -- {PLAIN}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repository =", "digests.toml cannot be read"),
        ('repository = "x"\nimages = 5', "digests.toml cannot be read"),
        ("[images]\na = 5\na-builder = 6\n", "digests.toml cannot be read"),
    ],
)
def test_digests_that_cannot_be_read_are_a_sentence(
    text: str, message: str, folder: Path, run: Run
) -> None:
    (folder / "digests.toml").write_text(text, encoding="utf-8")
    assert message in run("use")


def test_a_budget_that_is_none_is_refused_before_anything_is_built(folder: Path, run: Run) -> None:
    (folder / "catalogue.toml").write_text(TABLE.replace("150 MB", "150"), encoding="utf-8")
    assert run("bake").startswith("[variants.database.size] in catalogue.toml has '150', which is")


@pytest.mark.parametrize("command", ["bake", "check", "push"])
def test_podman_builds_no_catalogue(
    monkeypatch: pytest.MonkeyPatch, folder: Path, run: Run, command: str
) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    assert run(command).startswith(f"{command} does not work with Podman. Run it with Docker")
