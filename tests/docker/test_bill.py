"""docker_sbom: everything that is in an image is in its bill, which whoever has the image finds."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.images import Layout
from support.transfer import Registry
from tests.docker.declarations import declare
from tests.docker.projects import Made, Make, Twin

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROGRAM = REPOSITORY / "on_request/sbom.py"
SCANNER = Path(sys.executable).with_name("syft")


def advisory(name: str) -> dict[str, Any]:
    """Return an advisory about a package that the sample has."""
    events = [{"introduced": "0"}, {"fixed": "999"}]
    package = {"ecosystem": "PyPI", "name": "starlette"}
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    return {"id": name, "affected": [{"package": package, "ranges": ranges}]}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as nobody in particular."""
    user = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    command = ["git", *user, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """Commit all of a folder, and return the commit's hash."""
    git(folder, "init", "--quiet", ".")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")
    return git(folder, "rev-parse", "HEAD")


def keys(folder: Path) -> tuple[Path, Path]:
    """Make a private key and its public one."""
    private, public = folder / "owner.pem", folder / "owner.pub"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    show = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(show, check=True)
    return private, public


def bill(project: Made, *arguments: str) -> dict[str, Any]:
    """Run the program as the session does, and return the document that it writes."""
    done = project.run(sys.executable, str(PROGRAM), *arguments, PYTHONPATH="docker/host")
    assert done.returncode == 0, done.stdout
    return read(project)


def read(project: Made) -> dict[str, Any]:
    text = (project.folder / "build/sbom.cdx.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def scanned(project: Made, folder: Path) -> set[tuple[str, str]]:
    """Return names and versions of what an independent scanner finds in production."""
    archive, found = folder / "image.tar", folder / "found.json"
    project.docker("save", f"--output={archive}", f"{project.name}:production")
    scan = [str(SCANNER), "scan", "--quiet", f"docker-archive:{archive}"]
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    command = [*scan, "--output", f"cyclonedx-json={found}"]
    subprocess.run(command, check=True, env=environment, cwd=folder)
    components = json.loads(found.read_text(encoding="utf-8"))["components"]
    return {named(x) for x in components if x["type"] != "file"}


def named(part: dict[str, Any]) -> tuple[str, str]:
    return re.sub(r"[-_.]+", "-", part["name"]).lower(), part.get("version", "")


def listed(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return names and versions in a bill; a source package is an ancestor of its packages."""
    parts = document["components"]
    ancestors = [y for x in parts for y in x.get("pedigree", {}).get("ancestors", [])]
    return {named(x) for x in (*parts, *ancestors)}


def kinds(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the names of what is in a bill, by what the bill says that it is."""
    found: dict[str, set[str]] = {}
    for part in document["components"]:
        [kind] = [x["value"] for x in part["properties"] if x["name"] == "seedpod:kind"]
        found.setdefault(kind, set()).add(part["name"])
    return found


def test_what_a_scanner_finds_is_in_the_bill(built: Make, tmp_path: Path) -> None:
    project = built()
    document = bill(project)
    found = scanned(project, tmp_path)
    assert len(found) > 20
    assert found - listed(document) == set()
    # The scanner sees neither the crates of a wheel nor a file that belongs to no package.
    own = kinds(document)
    assert "pyo3" in own["part of a wheel"]
    assert any(x.endswith("/app.py") for x in own["own file"])
    assert len(own["interpreter"]) == 1


@pytest.fixture(scope="module")
def pushed(
    make: Make, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Made, str]:
    """Return a project that was pushed from a commit, and the name of that for ever.

    Its template is a repository of its own with the programs as they are here.
    """
    source = tmp_path_factory.mktemp("template")
    shutil.copytree(REPOSITORY / "on_request", source / "on_request")
    template = commit(source)
    project = make()
    answers = project.folder / ".copier-answers.yml"
    text = re.sub(r"(?m)^_commit: .*$", f"_commit: {template}", answers.read_text("utf-8"))
    text = re.sub(r"(?m)^_src_path: .*$", f"_src_path: {source}", text)
    answers.write_text(text, encoding="utf-8")
    commit(project.folder)
    project.session("docker_push", f"{registry.address}/team/{project.name}:1")
    name = (project.folder / "build/digest.txt").read_text(encoding="utf-8").strip()
    return project, name


@pytest.mark.proofs
def test_what_was_pushed_has_a_signed_bill(pushed: tuple[Made, str], tmp_path: Path) -> None:
    """The registry is Debian's, which does not know referrers."""
    project, name = pushed
    private, public = keys(tmp_path)
    output = project.session("docker_sbom", "--attach", f"--key={private}")
    document = read(project)
    repository, digest = name.split("@")
    assert document["metadata"]["component"]["version"] == digest
    for file in ("sbom.cdx.json", "provenance.json", "sbom.dsse.json", "provenance.dsse.json"):
        assert f"attached {file}: {repository}@sha256:" in output
    # A second time nothing is other.
    assert project.session("docker_sbom", name, "--attach", f"--key={private}").count(
        "attached"
    ) == output.count("attached")
    assert read(project) == document
    verified = project.session("docker_sbom", f"--verify={name}", f"--key={public}")
    for kind in ("https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1"):
        assert verified.count(f"{name}: {kind} is signed with {public}") == 1
    stated = json.loads((project.folder / "build/provenance.json").read_text(encoding="utf-8"))
    head = git(project.folder, "rev-parse", "HEAD")
    sources = stated["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert sources[0]["digest"] == {"gitCommit": head}
    assert stated["subject"][0]["digest"] == {"sha256": digest.partition(":")[2]}


@pytest.mark.proofs
def test_what_nobody_signed_is_not_verified(pushed: tuple[Made, str], tmp_path: Path) -> None:
    project, name = pushed
    _, public = keys(tmp_path)
    output = project.refused("docker_sbom", f"--verify={name}", f"--key={public}")
    assert re.search(r"has (no signed document|nothing that is signed with)", output)
    output = project.refused("docker_sbom", f"{name.partition('@')[0]}:none")
    assert "The registry has no image" in output


@pytest.mark.proofs
def test_a_known_vulnerability_fails_unless_it_is_accepted(
    built: Make, twin: Twin, tmp_path: Path
) -> None:
    project = twin(built())
    file = tmp_path / "advisories.json"
    file.write_text(json.dumps([advisory("CVE-1"), advisory("CVE-2")]), encoding="utf-8")
    declare(project, '\n[tool.seedpod.vulnerabilities]\nCVE-2 = "never called"\n')
    program = (sys.executable, str(PROGRAM), f"--vulnerabilities={file}")
    done = project.run(*program, PYTHONPATH="docker/host")
    assert done.returncode == 1, done.stdout
    for name, reason in (("CVE-1", "-"), ("CVE-2", "never called")):
        line = rf"^{name} +starlette +[\d.]+ +999 +{reason}$"
        assert re.search(line, done.stdout, flags=re.MULTILINE), done.stdout
    known = read(project)["vulnerabilities"]
    assert [x["id"] for x in known] == ["CVE-1", "CVE-2"]
    assert known[0]["affects"][0]["ref"].startswith("pkg:pypi/starlette@")
    # One that is not accepted fails: without it, nothing does.
    file.write_text(json.dumps([advisory("CVE-2")]), encoding="utf-8")
    assert project.run(*program, PYTHONPATH="docker/host").returncode == 0


LABELS = "org.opencontainers.image."


def test_an_image_says_what_it_is(pushed: tuple[Made, str]) -> None:
    project, _ = pushed
    shown = project.docker(
        "image", "inspect", "--format={{json .Config.Labels}}", f"{project.name}:production"
    )
    labels = json.loads(shown)
    assert labels[f"{LABELS}title"] == project.name
    assert labels[f"{LABELS}base.name"]


# On Alpine a notebook's packages are compiled for long.
KINDS = [
    (kind, layout, runtime)
    for kind in ("cli", "notebook", "tool", "web")
    for layout in Layout
    for runtime in ("minimal", "full")
    if (kind, layout) != ("notebook", Layout.ALPINE)
]


@pytest.mark.proofs
@pytest.mark.parametrize(("kind", "layout", "runtime"), KINDS)
def test_what_a_scanner_finds_is_in_the_bill_of_every_kind(
    make: Make, kind: str, layout: Layout, runtime: str, tmp_path: Path
) -> None:
    answers = {"distribution": "ruff"} if kind == "tool" else {}
    project = make(layout, kind=kind, runtime=runtime, **answers)
    document = bill(project)
    assert scanned(project, tmp_path) - listed(document) == set()
