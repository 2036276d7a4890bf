"""Which files a project receives, and how much of them is a template."""

import re
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import figures
import pytest
import yaml
from declaration import load, release
from jinja2 import Environment, nodes

from support.images import default_reference
from tests.render.combinations import Renderer
from tests.render.questions import Answers, asked, services

Copy = Callable[..., Path]

ALWAYS = {
    ".copier-answers.yml",
    ".dockerignore",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".yamllint.yaml",
    "Dockerfile",
    "README.md",
    "docker-compose.yml",
    "docker/README.md",
    "docker/bin/online.sh",
    "docker/bin/run_poetry.py",
    "docker/host/behaviour.py",
    "docker/host/causes.py",
    "docker/host/check.py",
    "docker/host/client.py",
    "docker/host/compose.py",
    "docker/host/engine.py",
    "docker/host/figures.py",
    "docker/host/hooks.py",
    "docker/host/image_settings.py",
    "docker/host/interrupts.py",
    "docker/host/labels.py",
    "docker/host/layers.py",
    "docker/host/merge.py",
    "docker/host/on_request.py",
    "docker/host/progress.py",
    "docker/host/project_file.py",
    "docker/host/pins.py",
    "docker/host/platforms.py",
    "docker/host/podman.py",
    "docker/host/push.py",
    "docker/host/reproducible.py",
    "docker/host/root_files.py",
    "docker/host/session.py",
    "docker/host/settings.py",
    "docker/host/sizes.py",
    "docker/host/summary.py",
    "docker/host/system_packages.py",
    "docker/host/template.py",
    "docker/host/wheels.py",
    "docker/image/arrange_files.py",
    "docker/image/assemble_library.py",
    "docker/image/assemble_minimal.py",
    "docker/image/build_environment.py",
    "docker/image/compile_bytecode.py",
    "docker/image/compiled_modules.py",
    "docker/image/declaration.py",
    "docker/image/elf.py",
    "docker/image/elf_segments.py",
    "docker/image/errors.py",
    "docker/image/extend_ctypes.py",
    "docker/image/file_tree.py",
    "docker/image/find_package.py",
    "docker/image/import_modules.py",
    "docker/image/imported_names.py",
    "docker/image/index_logins.py",
    "docker/image/install_locked.py",
    "docker/image/install_system.py",
    "docker/image/installation.py",
    "docker/image/installed_packages.py",
    "docker/image/library_folders.py",
    "docker/image/loaded_by_name.py",
    "docker/image/make_wheels.py",
    "docker/image/match_python.py",
    "docker/image/package_managers.py",
    "docker/image/package_metadata.py",
    "docker/image/path_dependencies.py",
    "docker/image/poetry_lock.py",
    "docker/image/project_settings.py",
    "docker/image/propose_versions.py",
    "docker/image/prove_imports.py",
    "docker/image/report_system.py",
    "docker/image/resolve_system.py",
    "docker/image/run_step.py",
    "docker/image/select_system.py",
    "docker/image/select_wheels.py",
    "docker/image/set_dates.py",
    "docker/image/split_facts.py",
    "docker/image/standard_library.py",
    "docker/image/uv_records.py",
    "docker/image/versions.py",
    "docker/image/trim_environment.py",
    "docker/image/wheelhouse.py",
    "docker/poetry.txt",
    "docker/ruff.toml",
    "docker/stdlib-exclude.txt",
    "docker/tools.txt",
    "noxfile.py",
    "pyproject.toml",
}
# Where something is developed, and with a package of its own.
DEVELOPED = {".devcontainer/devcontainer.json", "docker/image/assemble_test.py"}
PACKAGED = DEVELOPED | {
    ".vscode/launch.json",
    "docker-compose.debug.yml",
    "docker-compose.network.yml",
    "docker-compose.watch.yml",
    "docker/bin/wait_for.py",
    "docker/image/install_application.py",
    "docker/image/select_sources.py",
    "docker/template_update.py",
    "docker/updates.py",
    "src/myapp/__init__.py",
    "src/myapp/__main__.py",
    "src/myapp/py.typed",
}
BY_KIND = {
    "web": PACKAGED | {"src/myapp/app.py", "tests/test_app.py"},
    "cli": PACKAGED | {"src/myapp/cli.py", "tests/test_cli.py"},
    "tool": {"docker/bin/init.py"},
    "notebook": DEVELOPED
    | {
        "notebooks/iris.ipynb",
        "rootfs/etc/jupyter/jupyter_server_config.py",
        "rootfs/etc/jupyter/labconfig/default_setting_overrides.json",
        "tests/test_notebooks.py",
    },
}
BY_SERVICE = {
    "postgres": {"src/myapp/notes.py", "src/myapp/settings.py"},
    "redis": {"src/myapp/settings.py", "src/myapp/visits.py"},
}
BY_CI = {
    "github": {".github/workflows/ci.yml", "renovate.json"},
    "gitlab": {".gitlab-ci.yml", "renovate.json"},
    "none": set[str](),
}
# The official image of each base, and its release as docker/image/declaration.py finds it in there.
TAGS = {"alpine": "python:{}-alpine3.23", "debian": "python:{}-slim-trixie"}
RELEASES = {
    "alpine": release({"ID": "alpine", "VERSION_ID": "3.23.6"}),
    "debian": release({"ID": "debian", "VERSION_ID": "13"}),
}
MANIFESTS = {"authority/kustomization", "kustomization", "migration", "worker"}
BY_MANIFEST = {"web": {"service", "web"}, "cli": {"schedule"}}
BY_LICENSE = {"MIT": {"LICENSE"}, "Apache-2.0": {"LICENSE"}, "proprietary": set[str]()}


def files(folder: Path) -> set[str]:
    """Return the paths of all files in ``folder``, git's own left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != ".git"}


def expected_files(answers: Answers) -> set[str]:
    """Return the paths of the files that a project made from these answers has."""
    chosen = ALWAYS | BY_KIND[answers["kind"]] | BY_CI[answers["ci"]]
    if "license" in answers:
        chosen |= BY_LICENSE[answers["license"]]
    if answers.get("deploy") == "kubernetes":
        names = MANIFESTS | BY_MANIFEST[answers["kind"]]
        chosen |= {f"kubernetes/{name}.yaml" for name in names}
    return chosen.union(*(BY_SERVICE[name] for name in services(answers)))


def test_a_project_holds_these_files_and_no_others(project: Path, answers: Answers) -> None:
    assert files(project) == expected_files(answers)


def test_defaults_need_no_answer(copy: Copy, tmp_path: Path) -> None:
    assert files(copy(tmp_path / "myapp")) == ALWAYS | BY_KIND["web"] | BY_LICENSE["MIT"]


def test_the_licence_names_the_author(copy: Copy, tmp_path: Path) -> None:
    project = copy(tmp_path / "myapp", license="MIT", author="Ada Lovelace <ada@example.com>")
    assert "Copyright (c) Ada Lovelace\n" in (project / "LICENSE").read_text(encoding="utf-8")


def test_a_licence_is_declared_and_its_file_is_packed(
    project: Path, answers: dict[str, str]
) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if answers["license"] == "proprietary":
        assert metadata["license"] == "LicenseRef-Proprietary"
        assert "license-files" not in metadata
    else:
        assert metadata["license"] == answers["license"]
        assert metadata["license-files"] == ["LICENSE"]


def test_the_choices_reach_the_image(project: Path, answers: dict[str, str]) -> None:
    lines = (project / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert f"ARG PYTHON_IMAGE={TAGS[answers['base']].format(answers['python_version'])}" in lines
    assert "ARG BUILDER_IMAGE=${PYTHON_IMAGE}" in lines
    assert f"ARG RUNTIME={answers['runtime']}" in lines
    assert ("EXPOSE 8000" in lines) == (answers["kind"] == "web")


def test_every_python_on_every_base_has_its_image_and_no_other_file_names_it(
    renderer: Renderer, tmp_path: Path, questions: dict[str, Any]
) -> None:
    """An image that the registry does not have would show only at the owner's first build."""
    bases = questions["base"]["choices"].values()
    assert TAGS.keys() == RELEASES.keys() == set(bases)
    for base, version in product(bases, questions["python_version"]["choices"]):
        project = tmp_path / f"{base}-{version}"
        renderer.write({"base": base, "python_version": version}, project)
        found = {
            name: re.findall(r"\bpython:\S+|[^\s=]*(?:-slim|trixie|alpine\d+\.)\S*", text)
            for name in files(project)
            if (text := (project / name).read_text(encoding="utf-8"))
        }
        tag = TAGS[base].format(version)
        assert {name: tags for name, tags in found.items() if tags} == {"Dockerfile": [tag]}
        assert default_reference(project / "Dockerfile") == tag


def test_system_packages_are_shown_for_the_release_of_the_base(
    project: Path, answers: dict[str, str]
) -> None:
    """They would be refused for any other: the image has this release."""
    release = RELEASES[answers["base"]]
    for name in ("pyproject.toml", "README.md"):
        text = (project / name).read_text(encoding="utf-8")
        tables = re.findall(r"^(?:# )?(\[tool\.sys\.[^\]]+\])", text, flags=re.MULTILINE)
        assert {table.split(".")[2] for table in tables} == {release}, name
        assert {table.rstrip("]").split(".")[3] for table in tables} >= {
            "dependencies",
            "dev-dependencies",
        }
        others = {*RELEASES.values()} - {release}
        assert not [other for other in others if other in text], name


def test_the_example_of_system_packages_is_one_that_is_taken(
    project: Path, answers: dict[str, str]
) -> None:
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    shown = re.sub(r"^# (?=\[tool\.sys|\S+ = )", "", text, flags=re.MULTILINE)
    section = load(tomllib.loads(shown))[RELEASES[answers["base"]]]
    assert section.run
    assert section.build
    readme = (project / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", readme, flags=re.DOTALL)
    assert load(tomllib.loads(example)).keys() == {RELEASES[answers["base"]]}


def test_each_base_and_runtime_has_a_budget_of_its_own(renderer: Renderer, tmp_path: Path) -> None:
    """A minimal image is smaller than any whole one, and with musl smaller than with glibc."""
    budgets = {}
    for runtime, base in product(("minimal", "full"), ("alpine", "debian")):
        project = tmp_path / f"{runtime}-{base}"
        renderer.write({"base": base, "runtime": runtime}, project)
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)["tool"]["seedpod"]["size"]
        budgets[runtime, base] = figures.parse_size(table["production"], "here")
    assert list(budgets.values()) == sorted(set(budgets.values()))


def test_the_readme_says_what_the_image_is_made_from(
    project: Path, answers: dict[str, str]
) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"\b(Alpine|Debian)\b", readme)}
    assert named == {answers["base"]}
    assert f"`{answers['runtime']}` runtime" in readme


def test_wheels_made_here_reach_a_build_and_no_repository(project: Path) -> None:
    assert "!.wheels/" in (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ".wheels/" in (project / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_nothing_of_the_template_language_is_left(template: Path, project: Path) -> None:
    static = {
        re.sub(r"\{%.*?%\}", "", path)
        for path in files(template / "template")
        if not path.endswith(".jinja")
    }
    for name in files(project):
        assert not re.search(r"[{}%]|\.jinja", name)
        if name not in static:
            text = (project / name).read_text(encoding="utf-8")
            if name in BY_CI["github"]:
                text = re.sub(r"\$\{\{.*?\}\}", "", text)
            assert not re.search(r"\{\{|\{%|\{#|%\}", text), name


def test_a_static_file_arrives_as_it_is(template: Path, project: Path) -> None:
    names = [name for name in files(template / "template") if not re.search(r"\.jinja$|\{", name)]
    there = [name for name in names if (project / name).exists()]
    assert len(there) > len(names) / 2
    for name in there:
        source = template / "template" / name
        assert (project / name).read_bytes() == source.read_bytes(), name
        assert (project / name).stat().st_mode == source.stat().st_mode, name


def test_only_a_file_whose_text_depends_on_an_answer_is_a_template(
    template: Path, questions: dict[str, Any]
) -> None:
    environment = Environment()
    # What copier knows beside the questions: the answers as a whole.
    variables = {*questions, "_copier_answers"}
    for path in sorted((template / "template").rglob("*.jinja")):
        tree = environment.parse(path.read_text(encoding="utf-8"))
        assert {node.name for node in tree.find_all(nodes.Name)} & variables, path.name


def test_template_tags_stand_on_lines_of_their_own(template: Path) -> None:
    for path in sorted((template / "template").rglob("*.jinja")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "{%" in line:
                assert re.fullmatch(r"\s*\{% .* %\}", line), (path.name, line)


def test_file_names_can_be_checked_out_on_windows(template: Path) -> None:
    for name in files(template / "template"):
        assert not re.search(r'[<>:"|?*\\]', name), name


def test_no_file_without_a_final_newline_and_none_with_trailing_space(project: Path) -> None:
    for name in files(project):
        text = (project / name).read_text(encoding="utf-8")
        assert not text or text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not re.search(r"[ \t]$", text, flags=re.MULTILINE), name


def lines_of(*paths: Path) -> int:
    """Return the number of lines of files."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def test_what_an_owner_has_to_read_stays_short(
    draft: Copy, template: Path, questions: dict[str, Any], tmp_path: Path
) -> None:
    """The figures of the default project; whoever raises one says in the changelog what for."""
    project = draft(tmp_path / "myapp")
    for kind in questions["kind"]["choices"].values():
        assert len([x for x in questions.values() if asked(x, kind)]) <= 12, kind
    programs = [path for path in (project / "docker").rglob("*") if path.is_file()]
    assert len(sessions(project)) <= 20
    assert lines_of(project / "noxfile.py") <= 200
    assert lines_of(project / "pyproject.toml") <= 100
    assert lines_of(project / "Dockerfile") <= 484
    assert lines_of(*programs) <= 12_279
    assert lines_of(template / "copier.yml") <= 351


def test_a_copy_runs_no_program_and_loads_no_code(template: Path) -> None:
    settings = {
        name
        for name in yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
        if name.startswith("_")
    }
    assert not settings & {"_tasks", "_jinja_extensions", "_migrations", "_external_data"}


def test_the_answers_file_keeps_every_answer(
    project: Path, answers: dict[str, str], questions: dict[str, Any]
) -> None:
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    known = {name for name, question in questions.items() if asked(question, answers["kind"])}
    assert stored.keys() == {"_src_path", *known}
    chosen = {"services": services(answers)} if "services" in answers else {}
    assert stored.items() >= {**answers, **chosen}.items()


def test_the_answers_file_names_the_version(copy: Copy, tmp_path: Path) -> None:
    """Of a repository with a tag; the projects above are copies of a folder."""
    project = copy(tmp_path / "myapp")
    stored = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert stored["_commit"] == "1.2.3"


def test_the_message_names_sessions_that_exist(
    copy: Copy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = copy(tmp_path / "my place" / "myapp", quiet=False)
    message = capfd.readouterr().err.split("myapp is ready in ")[1]
    assert message.startswith(str(project))
    named = set(re.findall(r"nox -s (\w+)", message))
    assert named
    assert named <= sessions(project)


def test_the_readme_names_sessions_that_exist(project: Path) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"nox -s (\w+)", readme)) == sessions(project)


def sessions(project: Path) -> set[str]:
    """Return the names of a project's sessions."""
    noxfile = (project / "noxfile.py").read_text(encoding="utf-8")
    return set(re.findall(r"^@nox\.session.*\ndef (\w+)\(", noxfile, flags=re.MULTILINE))
