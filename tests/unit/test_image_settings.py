"""docker/host/image_settings.py writes what an image has in the words of Docker and of compose."""

import json
import re
from pathlib import Path
from typing import Any

import image_settings
import pytest
import yaml
from session import SessionError

BEGIN = '# [tool.seedpod.image]: "nox -s lock" writes here what pyproject.toml says there.'
END = "# End of [tool.seedpod.image]."
BEFORE = "# Ours, before.\nFROM base AS shipped"
# Only compose's file is asked for a server that is developed there.
SERVER = "- 127.0.0.1:${PORT:-8000}:8000"
AFTER = f"# Ours: ü, $HOME, \\1 and \\g<0>.\n{SERVER}"
FILES = ("Dockerfile", "docker-compose.yml")
AWKWARD = [
    "",
    "two words",
    'a"b',
    "a'b",
    "$HOME and ${HOME}",
    "back\\slash",
    "\\$HOME",
    "ends with \\",
    '\\"',
    "# no comment",
    "<<EOF",
    "[1]",
    "a=b c=d",
    "`id` $(id)",
    r"\1 \g<0> \n",
    "ünï 日本 😀",
]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a web project whose files have marked lines."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).write_text(marked("an old line"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def develops_no_server(project: Path) -> None:
    """Have a compose file without a server, as that of a command is."""
    path = project / "docker-compose.yml"
    text = path.read_text(encoding="utf-8").replace(SERVER, "none")
    path.write_text(text, encoding="utf-8")


def marked(*lines: str) -> str:
    """Return a file with lines between the two that mark them."""
    return "\n".join([BEFORE, BEGIN, *lines, END, AFTER, ""])


def written(name: str, **settings: Any) -> list[str]:
    """Write the settings and return the marked lines of a file; all others are as they were."""
    before = Path(name).read_text(encoding="utf-8")
    image_settings.write(settings, "shop")
    text = Path(name).read_text(encoding="utf-8")
    assert text.split(f"{BEGIN}\n")[0] == before.split(f"{BEGIN}\n")[0]
    assert text.split(f"\n{END}\n")[1] == before.split(f"\n{END}\n")[1]
    return text.split(f"{BEGIN}\n")[1].split(END)[0].splitlines()


def instructions(**settings: Any) -> dict[str, str]:
    """Return what the Dockerfile's instructions say, each of which is there once."""
    text = "\n".join(written("Dockerfile", **settings)).replace("\\\n", "")
    pairs = [line.split(" ", 1) for line in text.splitlines()]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_a_server_has_a_command_a_port_and_a_health_check() -> None:
    found = instructions()
    assert found.keys() == {"EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert found["EXPOSE"] == "8000"
    # Or that of a base image would take the command.
    assert found["ENTRYPOINT"] == "[]"
    assert json.loads(found["CMD"]) == ["shop"]
    assert "/healthz')" in found["HEALTHCHECK"]


@pytest.mark.usefixtures("develops_no_server")
def test_a_command_has_an_entry_point_and_no_health_check_of_its_base() -> None:
    assert instructions() == {"HEALTHCHECK": "NONE", "ENTRYPOINT": '["shop"]'}


@pytest.mark.usefixtures("develops_no_server")
def test_a_command_with_a_port_is_a_server() -> None:
    found = instructions(port=9000)
    assert found.pop("HEALTHCHECK") == "NONE"
    assert found == {
        "ENV": "PORT=9000",
        "EXPOSE": "9000",
        "ENTRYPOINT": "[]",
        "CMD": '["shop"]',
    }


@pytest.mark.usefixtures("develops_no_server")
def test_what_the_dockerfile_has_does_not_make_it_a_server() -> None:
    Path("Dockerfile").write_text(marked("EXPOSE 9000"), encoding="utf-8")
    assert "CMD" not in instructions()


@pytest.mark.parametrize("kind", ["web", "cli"])
def test_the_answer_or_a_port_that_compose_publishes_makes_a_server(kind: str) -> None:
    """Answers may be in another file, and owners write other lines for the port."""
    Path(".copier-answers.yml").write_text(f"kind: {kind}\n")
    assert "CMD" in instructions()
    path = Path("docker-compose.yml")
    path.write_text(path.read_text(encoding="utf-8").replace(SERVER, "none"), encoding="utf-8")
    assert ("CMD" in instructions()) is (kind == "web")


@pytest.mark.parametrize("line", ["kind: web", "kind: 'web'", "kind: cli", "unkind: web", ""])
def test_without_compose_the_answer_tells_whether_there_is_a_server(line: str) -> None:
    Path("docker-compose.yml").unlink()
    Path(".copier-answers.yml").write_text(f"{line}\n")
    assert ("CMD" in instructions()) is (line.startswith("kind: ") and "cli" not in line)
    assert not Path("docker-compose.yml").exists()


def test_without_compose_a_command_with_a_port_stays_the_same_a_second_time() -> None:
    """The port that is written would tell of a server."""
    Path("docker-compose.yml").unlink()
    original = instructions()
    assert original.keys() == {"HEALTHCHECK", "ENTRYPOINT"}
    first = instructions(port=9000)
    image_settings.check({"port": 9000}, "shop")
    assert instructions(port=9000) == first
    assert instructions() == original


def python_of(check: str) -> tuple[str, str]:
    """Return a health check's options, and its program, which has to be one."""
    options, command = check.split(" CMD ")
    [program, flag, source] = json.loads(command)
    assert (program, flag) == ("python3", "-c")
    compile(source, "check", "exec")
    return options, source


@pytest.mark.parametrize("health", ["/", "/health", "/8000/')", "/a?b=$c&d=%20;(e)*~!"])
@pytest.mark.parametrize("port", [80, 8000, 65535])
def test_the_health_check_asks_the_port_for_the_path(health: str, port: int) -> None:
    path = health.replace("')", "")
    options, source = python_of(instructions(health=path, port=port)["HEALTHCHECK"])
    assert options == "--interval=10s --timeout=3s --start-period=10s"
    assert f'os.environ.get("PORT", {port})' in source
    assert source.endswith(f"}}{path}')")


def test_a_server_may_have_no_health_check() -> None:
    assert instructions(health=False)["HEALTHCHECK"] == "NONE"


@pytest.mark.parametrize("name", ["shop", "other"])
def test_what_is_left_of_the_old_entry_point_is_refused(name: str) -> None:
    """It was the last line before, and merging leaves it above a stage of the owner's own."""
    path = Path("Dockerfile")
    left = f'FROM shipped AS production\nUSER 1\nENTRYPOINT ["{name}"]\n\nFROM a AS b\n'
    # A stage of the owner's own may have one.
    own = 'FROM shipped AS admin\nENTRYPOINT ["shop"]\n'
    path.write_text(f"{marked()}{own}{left}", encoding="utf-8")
    if name == "shop":
        with pytest.raises(SessionError, match=r"^Dockerfile has the entry point of .* Remove "):
            image_settings.write({}, "shop")
        assert 'ENTRYPOINT ["shop"]\n\nFROM' in path.read_text(encoding="utf-8")
    else:
        image_settings.write({}, "shop")


def test_a_default_port_needs_no_variable_and_another_one_is_its_default() -> None:
    assert "ENV" not in instructions()
    # A server that is not the project's own listens on all addresses only if it is told a port.
    assert instructions(port=8000)["ENV"] == "PORT=8000"
    assert instructions(command=["gunicorn"])["ENV"] == "PORT=8000"
    found = instructions(port=9000)
    assert (found["ENV"], found["EXPOSE"]) == ("PORT=9000", "9000")


def unquoted(word: str) -> str:
    """Return what Docker makes of a word in double quotes, which names no variable.

    https://docs.docker.com/reference/dockerfile/#environment-replacement
    """
    inner = re.fullmatch(r'"((?:[^"\\$]|\\["\\$])*)"', word)
    assert inner, word
    return re.sub(r"\\(.)", r"\1", inner[1])


@pytest.mark.parametrize("value", AWKWARD, ids=ascii)
@pytest.mark.parametrize(("key", "name"), [("environment", "ENV"), ("labels", "LABEL")])
def test_a_text_reaches_the_image_as_it_is(value: str, key: str, name: str) -> None:
    variable, word = instructions(**{key: {"NAME": value}})[name].split("=", 1)
    assert variable == "NAME"
    assert unquoted(word) == value


@pytest.mark.parametrize("value", AWKWARD, ids=ascii)
def test_a_word_of_a_command_reaches_the_image_as_it_is(value: str) -> None:
    assert json.loads(instructions(command=["serve", value])["CMD"]) == ["serve", value]


def test_variables_and_labels_are_in_order_whatever_the_order_in_the_file() -> None:
    names = ["B", "A", "C"]
    lines = written("Dockerfile", environment=dict.fromkeys(names, "x"))
    assert [line for line in lines if "ENV" in line] == [f'ENV {name}="x"' for name in "ABC"]


def test_stages_of_files_and_of_a_step_are_built_only_if_something_needs_them() -> None:
    files, step = "COPY --link --from=files /files/ /", "COPY --link --from=step /made/ /"
    assert not {files, step} & {*written("Dockerfile")}
    assert files in written("Dockerfile", data=["/data"])
    assert step in written("Dockerfile", step=["x"], **{"step-output": ["/srv"]})
    Path("rootfs").mkdir()
    Path("rootfs/file").touch()
    assert files in written("Dockerfile")


def test_an_empty_folder_which_git_does_not_keep_needs_no_stage() -> None:
    """Else a checkout elsewhere would be refused, or this one."""
    Path("rootfs/etc").mkdir(parents=True)
    assert not [line for line in written("Dockerfile") if "COPY" in line]


@pytest.mark.parametrize("target", [".", "none"])
def test_a_link_is_a_file_wherever_it_leads(target: str) -> None:
    """Git keeps it, and what it leads to in the image need not be on this machine."""
    Path("rootfs/srv").mkdir(parents=True)
    Path("rootfs/srv/current").symlink_to(target)
    assert "COPY --link --from=files /files/ /" in written("Dockerfile")


def compose_of(**settings: Any) -> dict[str, Any]:
    """Return what compose reads of its lines, variables replaced."""

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        if value == "${PORT:-8000}":
            return "PORT"
        if isinstance(value, str):
            assert "$" not in value.replace("$$", "")
            return value.replace("$$", "$")
        return value

    document: dict[str, Any] = yaml.safe_load("\n".join(written("docker-compose.yml", **settings)))
    return {name: resolved(value) for name, value in document.items()}


def targets(**settings: Any) -> list[str]:
    """Return the folders that compose has in memory."""
    return [mount["target"] for mount in compose_of(**settings)["x-data"]]


def published(port: int) -> list[dict[str, Any]]:
    """Return how compose publishes a port on this machine alone."""
    return [{"host_ip": "127.0.0.1", "published": "PORT", "target": port}]


def test_compose_has_the_port_of_a_server_and_folders_in_memory() -> None:
    assert compose_of() == {"x-ports": published(8000), "x-data": []}
    assert compose_of(port=9000, data=["/data", "/srv/b"]) == {
        "x-ports": published(9000),
        "x-data": [{"type": "tmpfs", "target": "/data"}, {"type": "tmpfs", "target": "/srv/b"}],
    }


@pytest.mark.usefixtures("develops_no_server")
def test_compose_has_the_port_of_a_command_that_has_one() -> None:
    assert compose_of() == {"x-ports": [], "x-data": []}
    assert compose_of(port=9000) == {"x-ports": published(9000), "x-data": []}


def test_each_folder_has_a_line_of_its_own() -> None:
    """A line does not grow beyond what linters take, and a change is one line."""
    lines = written("docker-compose.yml", data=["/data", "/srv/$a"])
    tmpfs = "  - type: tmpfs"
    assert lines[-5:] == [
        "x-data: &data",
        *(tmpfs, '    target: "/data"'),
        *(tmpfs, '    target: "/srv/$$a"'),
    ]


@pytest.mark.parametrize(
    "folder",
    ["/a b", "/a'b", '/a"b', "/a\\b", "/a#b", "/ü 日本", "/😀", "/$HOME", "/${HOME}", "/*&!|>%@"],
    ids=ascii,
)
def test_a_folder_reaches_compose_as_it_is(folder: str) -> None:
    assert targets(data=[folder]) == [folder]


@pytest.mark.parametrize(
    "data", [["/tmp"], ["/data", "/data"], ["/b", "/tmp", "/a", "/b"]], ids=str
)
def test_a_folder_is_named_to_compose_once(data: list[str]) -> None:
    """It mounts nothing twice in the same place, and /tmp is in memory without being named."""
    assert sorted(targets(data=data)) == sorted({*data} - {"/tmp"})


FULL = {
    "command": ["gunicorn", "shop.wsgi"],
    "data": ["/data"],
    "environment": {"A": "\\1 $B"},
    "health": False,
    "labels": {"a.b": "c"},
    "port": 9000,
    "step": ["x"],
    "step-output": ["/srv"],
}


@pytest.mark.parametrize("settings", [{}, FULL], ids=["none", "all"])
def test_a_second_time_nothing_changes(
    settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    image_settings.write(settings, "shop")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*FILES]
    before = [(Path(name).read_bytes(), Path(name).stat().st_mtime_ns) for name in FILES]
    image_settings.write(settings, "shop")
    image_settings.check(settings, "shop")
    assert capsys.readouterr().out == ""
    assert [(Path(name).read_bytes(), Path(name).stat().st_mtime_ns) for name in FILES] == before


def test_what_is_declared_no_more_goes() -> None:
    image_settings.write({}, "shop")
    before = [Path(name).read_bytes() for name in FILES]
    image_settings.write(FULL, "shop")
    image_settings.write({}, "shop")
    assert [Path(name).read_bytes() for name in FILES] == before


@pytest.mark.parametrize("name", FILES)
def test_a_check_refuses_a_file_that_lacks_what_is_declared_and_writes_nothing(name: str) -> None:
    settings = {"port": 9000, "data": ["/data"]}
    image_settings.write(settings, "shop")
    Path(name).write_text(marked("an old line"), encoding="utf-8")
    before = Path(name).read_bytes()
    with pytest.raises(SessionError) as error:
        image_settings.check(settings, "shop")
    told = f"{name} does not have what pyproject.toml says. Run nox -s lock"
    assert str(error.value) == told
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize("settings", [{}, FULL], ids=["none", "all"])
def test_lines_may_end_as_on_windows(settings: dict[str, Any]) -> None:
    """A checkout there changes the ends of all lines, and nothing that is declared."""
    image_settings.write(settings, "shop")
    for name in FILES:
        path = Path(name)
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = [Path(name).read_bytes() for name in FILES]
    image_settings.check(settings, "shop")
    image_settings.write(settings, "shop")
    assert [Path(name).read_bytes() for name in FILES] == before
    image_settings.write({"port": 9001}, "shop")
    image_settings.check({"port": 9001}, "shop")
    windows = [Path(name).read_bytes() for name in FILES]
    assert windows != before
    for name in FILES:
        Path(name).write_text(marked("an old line"), encoding="utf-8")
    image_settings.write({"port": 9001}, "shop")
    assert [Path(name).read_bytes().replace(b"\n", b"\r\n") for name in FILES] == windows


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("settings", [{}, FULL], ids=["none", "all"])
def test_a_file_that_cannot_be_read_is_named(name: str, settings: dict[str, Any]) -> None:
    told = rf"^{re.escape(name)} cannot be (read|used) \(.+\)\. (Save|Move) it .+\.$"
    Path(name).write_bytes(marked("an old line").encode("latin-1"))
    before = [Path(file).read_bytes() for file in FILES]
    for use in (image_settings.check, image_settings.write):
        with pytest.raises(SessionError, match=told):
            use(settings, "shop")
    assert [Path(file).read_bytes() for file in FILES] == before
    Path(name).unlink()
    Path(name).mkdir()
    with pytest.raises(SessionError, match=told):
        image_settings.check(settings, "shop")


BROKEN = {
    "none": f"{BEFORE}\n{AFTER}\n",
    "no end": f"{BEFORE}\n{BEGIN}\n{AFTER}\n",
    "no beginning": f"{BEFORE}\n{END}\n{AFTER}\n",
    "the wrong way round": f"{END}\n{BEFORE}\n{BEGIN}\n",
    "twice": marked("one") + marked("two"),
    "indented": marked("one").replace("# ", "  # "),
    "none at all": "",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_file_without_the_two_lines_is_its_owners_until_something_is_declared(
    name: str, text: str
) -> None:
    Path(name).write_text(text, encoding="utf-8")
    image_settings.write({}, "shop")
    image_settings.check({}, "shop")
    before = [Path(file).read_bytes() for file in FILES]
    for use in (image_settings.check, image_settings.write):
        with pytest.raises(SessionError, match=rf"^{re.escape(name)} lacks the lines for .* Add "):
            use({"port": 9000}, "shop")
    # Not one of them alone, either.
    assert [Path(file).read_bytes() for file in FILES] == before


@pytest.mark.parametrize("settings", [{"port": 9000}, {"data": ["/data"]}], ids=str)
def test_compose_needs_its_two_lines_for_a_port_and_for_data(settings: dict[str, Any]) -> None:
    Path("docker-compose.yml").write_text(BROKEN["none"], encoding="utf-8")
    with pytest.raises(SessionError, match=r"^docker-compose\.yml lacks the lines for "):
        image_settings.write(settings, "shop")


def test_files_need_the_lines_too() -> None:
    image_settings.write({}, "shop")
    Path("Dockerfile").write_text(BROKEN["none"], encoding="utf-8")
    Path("rootfs").mkdir()
    image_settings.check({}, "shop")
    Path("rootfs/file").touch()
    with pytest.raises(SessionError, match=r"^Dockerfile lacks the lines for "):
        image_settings.check({}, "shop")


def test_compose_needs_no_lines_for_what_the_dockerfile_alone_has() -> None:
    path = Path("docker-compose.yml")
    path.write_text(BROKEN["none"], encoding="utf-8")
    settings = {key: value for key, value in FULL.items() if key not in ("data", "port")}
    assert 'LABEL a.b="c"' in written("Dockerfile", **settings)
    image_settings.check(settings, "shop")
    assert path.read_text(encoding="utf-8") == BROKEN["none"]


def test_a_project_without_docker_has_nothing_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    for name in FILES:
        Path(name).unlink()
    image_settings.write(FULL, "shop")
    image_settings.check(FULL, "shop")
    assert capsys.readouterr().out == ""
    assert not [name for name in FILES if Path(name).exists()]


def test_a_file_keeps_its_rights() -> None:
    Path("Dockerfile").chmod(0o600)
    image_settings.write({}, "shop")
    assert Path("Dockerfile").stat().st_mode & 0o777 == 0o600
