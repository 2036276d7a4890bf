"""What an edit rebuilds: each layer changes for its own cause and for no other."""

import pytest

from tests.docker.projects import Made, Make


@pytest.fixture(scope="module")
def project(make: Make) -> Made:
    """Return a project of this module's own, with its production image built."""
    made = make()
    made.session("docker_prod")
    return made


def changed_layers(project: Made, name: str, old: str, new: str) -> list[int]:
    """Return which layers of the production image an edit changes: 0 is the library's."""
    before = project.layers()
    project.edit(name, old, new)
    project.session("docker_prod")
    after = project.layers()
    assert len(before) == len(after) == 4
    return [index for index in range(4) if before[index] != after[index]]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pyproject.toml", "[tool.ruff]\n", "[tool.ruff]\n# a comment\n"),
        ("pyproject.toml", 'production = "58 MB"', 'production = "59 MB"'),
        ("pyproject.toml", "strict = true", "strict = false"),
        ("README.md", "#", "# Read me:"),
        ("tests/test_app.py", '"""The web', '"""This web'),
    ],
)
def test_what_the_application_does_not_hold_changes_no_layer(
    project: Made, name: str, old: str, new: str
) -> None:
    assert changed_layers(project, name, old, new) == []


def test_a_source_edit_changes_the_application_alone(project: Made) -> None:
    name = next((project.folder / "src").glob("*/app.py")).relative_to(project.folder)
    assert changed_layers(project, str(name), "Say what is running.", "Tell.") == [3]


def test_another_version_changes_the_application_alone(project: Made) -> None:
    assert changed_layers(project, "pyproject.toml", '"0.1.0"', '"0.2.0"') == [3]
    version = project.python(
        "import importlib.metadata as m; print(m.version('" + project.name + "'))"
    )
    assert version == "0.2.0"


def test_another_development_package_changes_no_layer_of_production(project: Made) -> None:
    before = project.layers()
    project.edit(
        "pyproject.toml", '    "pytest>=8.3",\n', '    "iniconfig>=2",\n    "pytest>=8.3",\n'
    )
    project.session("lock")
    project.session("docker_prod")
    assert project.layers() == before


def test_another_package_changes_the_dependencies_and_not_the_interpreter(project: Made) -> None:
    before = project.layers()
    project.edit(
        "pyproject.toml", '    "uvicorn>=0.34",\n', '    "sniffio>=1",\n    "uvicorn>=0.34",\n'
    )
    project.session("lock")
    project.session("docker_prod")
    after = project.layers()
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert project.python("import sniffio; print('there')") == "there"
