"""Declarations that cannot be met: one sentence on what is wrong, and nothing is lost or built."""

import pytest

from tests.docker.projects import Made, Twin

SECTION = "[tool.sys.debian13.dependencies]"


def refusal(project: Made, session: str) -> str:
    """Return the last thing that a session says before Nox ends."""
    lines = [x for x in project.refused(session).splitlines() if not x.startswith("nox > ")]
    return lines[-1]


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (
            "tool.sys.debian13",
            "tool.sys.debian12",
            "The base image is debian13, and pyproject.toml declares system packages for debian12 "
            "only. Add [tool.sys.debian13.dependencies], with what [tool.sys.debian12] lists by "
            "that release's names, or choose another base image.",
        ),
        (
            "libmagic1t64 =",
            "libmagic1 =",
            "[tool.sys.debian13] in pyproject.toml names libmagic1, which the archive does not "
            "have. Name one of the packages that provide it: libmagic1t64.",
        ),
        (
            "libmagic1t64 =",
            'libjpg62-turbo = "*"\nlibmagic1t64 =',
            "[tool.sys.debian13] in pyproject.toml names libjpg62-turbo, which the archive does "
            "not have. Close to it are libjpeg62-turbo",
        ),
        (
            f'{SECTION}\nlibjpeg62-turbo = ">=1"',
            f'{SECTION}\nlibjpeg62-turbo = "9.9"',
            "[tool.sys.debian13] in pyproject.toml asks for libjpeg62-turbo 9.9, and the archive "
            "has ",
        ),
    ],
    ids=["no section", "provided by another", "unknown package", "unknown version"],
)
def test_what_the_image_alone_can_tell_ends_the_session_and_the_last_good_image_stays(
    declared: Made, twin: Twin, old: str, new: str, sentences: str
) -> None:
    project = twin(declared)
    before = project.layers()
    project.edit("pyproject.toml", old, new)
    said = refusal(project, "docker_prod")
    assert said.startswith(f"System packages: {sentences}")
    assert said.endswith(".")
    assert project.layers() == before


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("[tool.sys]", "[tools.sys]", "pyproject.toml has [tools.sys], which nothing reads."),
        (
            "[tool.sys]",
            "[tool.sys.Debian13.dependencies]\n[tool.sys]",
            "[tool.sys.Debian13] and [tool.sys.debian13] are for the same release.",
        ),
        ("[tool.sys]", "[tool.sys.debian11]\n[tool.sys]", "[tool.sys.debian11] is empty."),
        ("[tool.sys]", "[tool.sys.dependencies]\n[tool.sys]", "[tool.sys.dependencies] names no"),
        ('strace = "*"', "strace = 6", "The version of strace in [tool.sys.debian13."),
        ('strace = "*"', 'strace = "1 && id"', "The version of strace in [tool.sys.debian13."),
        ('strace = "*"', '"strace;id" = "*"', "'strace;id', which is no package name."),
        ('strace = "*"', '"$(id)" = "*"', "'$(id)', which is no package name."),
        ('strace = "*"', '"--help" = "*"', "'--help', which is no package name."),
    ],
)
def test_what_no_image_has_to_tell_is_refused_before_anything_is_built(
    declared: Made, twin: Twin, old: str, new: str, part: str
) -> None:
    project = twin(declared)
    project.edit("pyproject.toml", old, new)
    output = project.refused("docker_prod")
    (said,) = [line for line in output.splitlines() if line.startswith("System packages: ")]
    assert part in said
    assert "[internal] load build definition" not in output


@pytest.mark.parametrize("session", ["docker_dev", "docker_test", "sys_check", "sys_lock"])
def test_every_session_that_builds_ends_with_the_same_sentence(
    declared: Made, twin: Twin, session: str
) -> None:
    project = twin(declared)
    project.edit("pyproject.toml", "[tool.sys]", "[tools.sys]")
    said = "System packages: pyproject.toml has [tools.sys], which nothing reads. Write [tool.sys]."
    assert refusal(project, session) == said
