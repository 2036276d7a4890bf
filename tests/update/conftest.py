"""One repository of the template's versions, and the projects that the tests of updates share."""

from pathlib import Path

import pytest

from tests.update.history import History, Isolate, gather, releases


@pytest.fixture(scope="session")
def history(
    working_tree: Path, isolated: Isolate, tmp_path_factory: pytest.TempPathFactory
) -> History:
    """Return the template with all its versions, the working tree being the newest."""
    folder = tmp_path_factory.mktemp("history")
    return History(
        gather(working_tree, folder / "template", isolated, releases()), folder, isolated
    )


@pytest.fixture(scope="session", params=list(releases()))
def version(request: pytest.FixtureRequest) -> str:
    """Go through the versions from which projects are updated."""
    tag: str = request.param
    return tag
