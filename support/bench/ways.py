"""The ways of making an image that are compared, and the applications that they make images of."""

from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).with_name("peers")


@dataclass(frozen=True)
class Way:
    """A way of making an image: Seedpod's, or the Dockerfile of a peer."""

    name: str
    title: str
    dockerfile: str | None = None  # the stem of a file in peers/
    runtime: str = "minimal"  # of Seedpod
    lock: str = "requirements.txt"  # what it installs, as well as poetry.lock
    given: tuple[tuple[str, str], ...] = ()  # a build argument, and the stage that makes its image
    own_backend: bool = False  # uv's build backend in place of poetry-core

    @property
    def is_peer(self) -> bool:
        """Tell whether this is what Seedpod is compared with."""
        return self.dockerfile is not None


UV_IMAGE = (("UV_IMAGE", "uv"),)
_WAYS = (
    Way("seedpod", "Seedpod", lock="poetry.lock"),
    Way("seedpod-full", "Seedpod, full runtime", runtime="full", lock="poetry.lock"),
    Way("uv-given", "uv given", "uv-given", lock="uv.lock", given=UV_IMAGE),
    Way("uv-installed", "uv by pip", "uv-installed", lock="uv.lock"),
    Way(
        "uv-backend",
        "uv given, own backend",
        "uv-given",
        lock="uv.lock",
        given=UV_IMAGE,
        own_backend=True,
    ),
    Way("poetry-one-stage", "Poetry, one stage", "poetry-one-stage", lock="poetry.lock"),
    Way("poetry-multi-stage", "Poetry, two stages", "poetry-multi-stage", lock="poetry.lock"),
    Way("poetry-export", "poetry export", "poetry-export", lock="poetry.lock"),
    Way("docker-init", "pip, one stage", "docker-init"),
    Way("pip-user", "pip --user, two stages", "pip-user"),
    Way("fat-builder", "pip, fat builder", "fat-builder", given=(("FAT_IMAGE", "fat"),)),
    Way(
        "distroless",
        "pip, distroless",
        "distroless",
        given=(("DISTROLESS_IMAGE", "distroless"),),
    ),
)
WAYS = {way.name: way for way in _WAYS}
POETRY_WAYS = tuple(name for name in WAYS if name.startswith("poetry-"))
UV_WAYS = ("uv-given", "uv-installed")


@dataclass(frozen=True)
class Application:
    """What images are made of: answers to the template, and what is declared beyond them."""

    name: str
    title: str
    kind: str
    dependencies: tuple[str, ...] = ()
    compiled: tuple[str, ...] = ()  # packages of which no wheel is taken


def many(count: int) -> tuple[str, ...]:
    """Return so many of the packages that are listed in packages.txt."""
    names = Path(__file__).with_name("packages.txt").read_text(encoding="utf-8").split()
    return tuple(names[:count])


_APPLICATIONS = (
    Application("web", "a web application", "web"),
    Application("cli", "a command", "cli"),
    Application("data", "a command with numpy and pandas", "cli", ("numpy>=2.2", "pandas>=2.3")),
    Application("locked-150", "a web application with 150 locked packages", "web", many(129)),
    Application(
        "compiled",
        "a command with three compiled packages",
        "cli",
        ("markupsafe>=3", "msgpack>=1.1", "wrapt>=1.17"),
        ("markupsafe", "msgpack", "wrapt"),
    ),
)
APPLICATIONS = {application.name: application for application in _APPLICATIONS}
