"""docker/image/select_sources.py takes what a wheel is made of, and names what is not there."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import select_sources
from package_metadata import PackageError

POETRY = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
Select = Callable[[str], set[str]]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a build context with more than a wheel needs."""
    folder = tmp_path / "context"
    for name in (
        *(".wheels/one.whl", "docker/image/elf.py", "poetry.lock", "pyproject.toml", "sys.lock"),
        *("LICENSE", "LICENSES/MIT.txt", "README.md", "app/__init__.py", "data/one.txt"),
        *("src/shop/__init__.py", "src/shop/Grüße an alle.txt", "tests/test_shop.py"),
        *("app/__pycache__/x.pyc", "app/x.pyo"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "src/shop/link").symlink_to("__init__.py")
    return folder


@pytest.fixture
def select(context: Path, tmp_path: Path) -> Select:
    """Return a function that selects what a pyproject.toml asks for, and returns the files."""

    def select(pyproject: str) -> set[str]:
        output = tmp_path / "out"
        select_sources.select(context, tomllib.loads(pyproject), output)
        found = (path for path in output.rglob("*") if not path.is_dir())
        return {path.relative_to(output).as_posix() for path in found}

    return select


def test_what_the_context_has_of_the_package_is_taken(select: Select, tmp_path: Path) -> None:
    """Licences and folders that the owner has let in; not the tests, and nothing that is ours."""
    assert select(POETRY) == {
        *("LICENSE", "LICENSES/MIT.txt", "app/__init__.py", "data/one.txt"),
        *("src/shop/__init__.py", "src/shop/Grüße an alle.txt", "src/shop/link"),
    }
    assert (tmp_path / "out/src/shop/link").readlink() == Path("__init__.py")


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ('[project]\nreadme = "README.md"', "README.md"),
        ('[project]\nreadme = { file = "README.md", content-type = "text/plain" }', "README.md"),
        ('[tool.setuptools.dynamic]\nreadme = { file = ["README.md"] }', "README.md"),
        ('[tool.poetry]\npackages = [{ include = "tests" }]', "tests/test_shop.py"),
    ],
)
def test_a_readme_and_tests_are_taken_where_they_are_named(
    select: Select, declared: str, name: str
) -> None:
    assert name in select(declared)


@pytest.mark.parametrize(
    ("declared", "text", "field", "line"),
    [
        ('project]\nlicense-files = ["COPYING"]', "COPYING", "project.license-files", "!COPYING"),
        ('project]\nlicense = { file = "L.txt" }', "L.txt", "project.license.file", "!L.txt"),
        (
            'tool.poetry]\npackages = [{ include = "shop" }]',
            *("shop", "tool.poetry.packages", "!shop"),
        ),
        (
            'tool.poetry]\npackages = [{ include = "till", from = "lib" }]',
            *("lib/till", "tool.poetry.packages", "!lib"),
        ),
        (
            'tool.poetry]\ninclude = [{ path = "sql/*.sql", format = ["sdist", "wheel"] }]',
            *("sql/*.sql", "tool.poetry.include", "!sql"),
        ),
        (
            'tool.poetry]\ninclude = [{ path = "alembic.ini", format = "wheel" }]',
            *("alembic.ini", "tool.poetry.include", "!alembic.ini"),
        ),
        ('tool.poetry]\nbuild = "make.py"', "make.py", "tool.poetry.build", "!make.py"),
        (
            'tool.poetry.scripts]\nx = { reference = "bin/x.sh", type = "file" }',
            *("bin/x.sh", "tool.poetry.scripts.*.reference", "!bin"),
        ),
        (
            'tool.hatch.build.targets.wheel.force-include]\n"assets" = "shop/assets"',
            *("assets", "tool.hatch.build.targets.wheel.force-include.**", "!assets"),
        ),
        (
            'tool.hatch.build.targets.wheel]\ninclude = ["/conf/*.toml"]',
            *("/conf/*.toml", "tool.hatch.build.targets.wheel.include", "!conf"),
        ),
        (
            'tool.setuptools.dynamic]\nversion = { file = "RELEASE" }',
            *("RELEASE", "tool.setuptools.dynamic.*.file", "!RELEASE"),
        ),
        (
            'tool.setuptools.packages.find]\nwhere = ["python"]',
            *("python", "tool.setuptools.packages.find.where", "!python"),
        ),
        (
            'tool.uv.build-backend]\nmodule-root = "lib"',
            *("lib", "tool.uv.build-backend.module-root", "!lib"),
        ),
        (
            f'tool.hatch.build]\ninclude = ["{"x" * 300}"]',
            *("x" * 300, "tool.hatch.build.include", f"!{'x' * 300}"),
        ),
        (
            'tool.hatch.build]\ninclude = ["**conf", "/x**/y"]',
            *("**conf", "tool.hatch.build.include", "!**conf"),
        ),
        (
            f'tool.setuptools]\npackage-dir = {{ "" = "{"x" * 300}" }}',
            *("x" * 300, "tool.setuptools.package-dir.*", f"!{'x' * 300}"),
        ),
    ],
)
def test_what_is_declared_and_not_there_is_named_with_what_to_add(
    select: Select, declared: str, text: str, field: str, line: str
) -> None:
    with pytest.raises(PackageError) as error:
        select(f"[{declared}")
    assert str(error.value) == (
        f"{text} is named by {field} in pyproject.toml, and not in the build context. "
        f"Add {line} to .dockerignore if it exists, else correct the name."
    )


@pytest.mark.parametrize(
    "declared",
    [
        'project]\nlicense-files = ["LICEN[CS]E*", "LICENSES/*"]',
        'project]\nlicense = { text = "MIT" }',
        'tool.poetry]\npackages = [{ include = "shop", from = "src" }, { include = "app" }]',
        'tool.poetry]\npackages = [{ include = "none", format = "sdist" }]',
        # Poetry packs these into source distributions alone.
        'tool.poetry]\ninclude = ["CHANGELOG.md", { path = "docs/*" }]',
        'tool.poetry]\ninclude = [{ path = "data/**/*.txt", format = ["wheel"] }]',
        'tool.hatch.build.targets.wheel]\ninclude = ["*.txt", "/src"]',
        'tool.uv.build-backend]\nmodule-root = ""',
        'tool.setuptools]\npackage-dir = { "" = "src" }',
    ],
)
def test_what_is_there_or_for_source_distributions_is_no_fault(
    select: Select, declared: str
) -> None:
    select(f"[{declared}")


def test_the_output_has_the_part_of_pyproject_that_building_needs(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = context / "pyproject.toml"
    part.write_text(f'[project]\nname = "shop"\n{POETRY}[tool.ruff]\nline-length = 88\n')
    monkeypatch.setattr(sys, "argv", ["", *map(str, (context, tmp_path / "out"))])
    select_sources.main()
    kept = tomllib.loads((tmp_path / "out/pyproject.toml").read_text())
    assert kept["project"] == {"name": "shop"}
    assert "ruff" not in kept["tool"]


def test_an_error_is_a_sentence(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = context / "pyproject.toml"
    part.write_text('[project]\nname = "shop"\nlicense-files = ["COPYING"]')
    monkeypatch.setattr(sys, "argv", ["", *map(str, (context, tmp_path / "out"))])
    with pytest.raises(SystemExit, match=r"^Package: COPYING is named by "):
        select_sources.main()


@pytest.mark.parametrize(
    "tables",
    [
        '[tool.poetry]\ninclude = [{ path = "src/shop/*.so", format = "wheel" }]\n'
        'build = "build.py"',
        '[tool.hatch.build.targets.wheel]\ninclude = ["src/shop/_version.py"]\n'
        "[tool.hatch.build.hooks.vcs]\n",
    ],
)
def test_what_a_build_makes_need_not_be_there_before(
    select: Select, context: Path, tables: str
) -> None:
    (context / "build.py").touch()
    select(tables)


def test_other_backends_see_the_readme_and_licences(select: Select) -> None:
    """A setup.py may read it, though nothing in pyproject.toml says so."""
    assert "README.md" in select('[build-system]\nrequires = ["setuptools"]')


def test_what_is_outside_the_project_is_refused(select: Select) -> None:
    with pytest.raises(PackageError, match=r"is outside the project's folder\. Move it there\."):
        select('[tool.hatch.build.targets.wheel.force-include]\n"../shared" = "shop/shared"')


def test_a_pattern_that_only_the_backend_knows_is_not_judged(select: Select) -> None:
    select('[tool.poetry]\ninclude = [{ path = "data/**.txt", format = "wheel" }]')


@pytest.mark.parametrize(
    "text",
    ["[tool]\npoetry.packages = [{ from = 1 }]", "[tool]\nsetuptools = 1", "[tool]\npoetry = 'x'"],
)
def test_what_has_another_form_than_it_should_is_refused(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (context / "pyproject.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["program", str(context), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="Write a "):
        select_sources.main()
