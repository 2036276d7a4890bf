"""The stages beside production: tests run in one, development happens in another."""

import shutil

from tests.docker.projects import Made, Make


def test_the_tests_run_in_the_image_against_the_installed_package(fresh: Made) -> None:
    package = next((fresh.folder / "src").iterdir()).name
    fresh.edit(
        "tests/test_app.py",
        "client = TestClient(app)",
        "import sys\n\nimport fastapi\n\nclient = TestClient(app)\n\n\n"
        "def test_where() -> None:\n"
        f'    assert "site-packages" in sys.modules["{package}.app"].__file__\n'
        '    assert fastapi.__file__.startswith("/opt/venv/")',
    )
    assert "3 passed" in fresh.session("docker_test")
    assert "1 passed" in fresh.session("docker_test", "-k", "index")


def test_a_failing_test_fails_the_session(fresh: Made) -> None:
    fresh.edit("tests/test_app.py", "== 200", "== 500")
    assert "1 failed" in fresh.refused("docker_test")


def test_the_development_image_has_the_locked_tools_and_poetry(fresh: Made) -> None:
    fresh.session("docker_dev")
    run = ("run", "--rm", "--user=12345:12345", f"{fresh.name}:development")
    assert fresh.docker(*run, "poetry", "--version").startswith("Poetry (version 2")
    assert fresh.docker(*run, "pytest", "--version").startswith("pytest")


def test_nothing_that_serves_development_reaches_production(make: Make) -> None:
    """Without all of it, production has the same layers, byte for byte."""
    project = make(services="[postgres, redis]")
    project.session("docker_prod")
    before = project.layers()
    for name in (".devcontainer", ".vscode"):
        shutil.rmtree(project.folder / name)
    for path in (*project.folder.glob("docker-compose*.yml"), project.folder / ".env.example"):
        path.unlink()
    (project.folder / "docker/bin/wait_for.py").unlink()
    project.edit("pyproject.toml", '    "debugpy>=1.8",\n', "")
    project.session("lock")
    project.session("docker_prod")
    assert project.layers() == before
