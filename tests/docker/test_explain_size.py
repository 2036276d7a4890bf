"""docker_size looks into production: a page with all of it, why it is there, what could go."""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import contents
import pytest
import treemap
from contents import DISTRIBUTION, NOTHING, Contents, File, Layer, Owner

from tests.conftest import REPOSITORY
from tests.docker.projects import Made, Make, Twin

PROGRAM = REPOSITORY / "on_request/explain_size.py"
PAGE = "build/size.html"


def asked(project: Made, *options: str) -> str:
    """Run the program as the session does, and return what it prints behind the builds."""
    folders = ("docker/host", str(PROGRAM.parent))
    done = project.run(sys.executable, str(PROGRAM), *options, PYTHONPATH=":".join(folders))
    assert done.returncode == 0, done.stdout
    # The builds write to the same terminal.
    return re.sub(r"(?m)^(#\d+ .*|docker build .*|)\n", "", done.stdout)


def measured(project: Made, tag: str = "production") -> dict[str, object]:
    """Return what docker/host/layers.py says of an image, which docker_size counts by."""
    program = (sys.executable, "docker/host/layers.py", f"{project.name}:{tag}")
    [found] = json.loads(project.run(*program).stdout).values()
    return dict(found)


@pytest.mark.proofs
def test_the_page_has_every_byte_of_every_layer(built: Make) -> None:
    project = built()
    told = asked(project, "--html")
    assert told.splitlines()[-1] == (project.folder / PAGE).as_uri()
    data = treemap.DATA.search((project.folder / PAGE).read_text(encoding="utf-8"))
    assert data
    found = treemap.earlier(project.folder / PAGE)
    assert found
    image = measured(project)
    assert sum(size for _, size in found[1].values()) == image["size"]
    assert json.loads(data[1])["size"] == image["size"]
    # Little of it belongs to nothing: files of users and links, time stamps, certificates.
    unknown = sum(size for (kind, _), (_, size) in found[1].items() if kind == NOTHING)
    assert unknown < 1_000_000
    # Nothing has changed since, and everything is other than the base image.
    assert "since the last build/size.html" in asked(project, "--since")
    assert re.search(
        r"added +fastapi ", asked(project, "--since", project.variables["PYTHON_IMAGE"])
    )


def test_distributions_and_libraries_have_the_chain_that_brings_them(built: Make) -> None:
    """As the lock, and readelf, say it."""
    project = built()
    lock = tomllib.loads((project.folder / "poetry.lock").read_text(encoding="utf-8"))
    versions = {x["name"]: x["version"] for x in lock["package"]}
    told = asked(project, "--why", "starlette", "pydantic-core", "libssl.so.3", "libffi", "mypy")
    assert f"starlette {versions['starlette']} is a distribution" in told
    assert re.search(rf"(?m)^  {project.name} → fastapi \(>=0\.\d+\) → starlette \(.+\)$", told)
    chain = rf"  {project.name} → fastapi .+ → pydantic .+ → pydantic-core \(=="
    assert re.search(rf"(?m)^{chain}{versions['pydantic-core']}\)$", told)
    assert re.search(r"(?m)^  the standard library → _ssl\S+\.so → libssl\.so\.3$", told)
    assert re.search(r"(?m)^  the standard library → _ctypes\S+\.so → libffi\.so\.\S+$", told)
    assert f"mypy is not in {project.name}:production: it is locked for dev" in told


@pytest.mark.proofs
def test_what_is_suggested_saves_to_the_byte_what_it_says(built: Make, twin: Twin) -> None:
    project = twin(built())
    before = (project.folder / "pyproject.toml").read_bytes()
    told = asked(project, "--suggest")
    assert (project.folder / "pyproject.toml").read_bytes() == before
    found = re.search(r"(?m)^\d+ modules of .+ ([\d,]+) bytes$", told)
    assert found
    lines = re.findall(r"(?m)^  (\S+)$", told.partition("docker/stdlib-exclude.txt\n")[2])
    assert {"sqlite3/*", "dbm/*"} <= {*lines}
    exclude = project.folder / "docker/stdlib-exclude.txt"
    with exclude.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines if "/" in line or line.endswith(".py")))
    size = measured(project)["size"]
    project.session("docker_prod")
    saved = int(found[1].replace(",", ""))
    assert measured(project)["size"] == int(str(size)) - saved
    # The tests run without what is gone.
    project.session("docker_test")


@pytest.mark.proofs
def test_a_person_finds_a_file_among_many_with_the_keyboard(
    built: Make, browser: str, tmp_path: Path
) -> None:
    """In Chromium without a network, light and dark, with names that are meant to do harm."""
    project = built()
    files = [
        File(f"/opt/dist{n % 150}/sub{n % 37}/module_{n}.py", 97 * n + 1, owner(n % 150))
        for n in range(30_000)
    ]
    harm = "<img src=x onerror=alert(1)>"
    files += [File(f"/srv/{harm}{n}", 5_000_000, owner(0)) for n in range(3)]
    files += [File("/srv/\udce4</script>", 1, Owner(NOTHING))]
    many = Contents("x:production", [Layer("COPY /environment/ /", files)])
    page = treemap.page(many, harm, contents.changes({}, many.sizes()))
    (tmp_path / "size.html").write_text(page, encoding="utf-8")
    (tmp_path / "names.json").write_text(json.dumps(["module_29999.py", many.size]))
    tmp_path.chmod(0o777)
    view = ("run", "--rm", "--network=none", f"--volume={tmp_path}:/pictures")
    python = ("--entrypoint=/opt/browser/bin/python", browser, "/view_size.py", "/pictures")
    print(project.docker(*view, *python))
    assert (tmp_path / "dark.png").stat().st_size > 20_000
    # That of a real image.
    asked(project, "--html")
    shutil.copy(project.folder / PAGE, tmp_path / "size.html")
    size = measured(project)["size"]
    (tmp_path / "names.json").write_text(json.dumps(["libcrypto.so.3", size]))
    print(project.docker(*view, *python))


def owner(number: int) -> Owner:
    return Owner(DISTRIBUTION, f"dist{number}", "1.0")
