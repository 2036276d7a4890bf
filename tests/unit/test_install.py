"""docker/install.py installs all that a list names, or says in words why nothing is installed."""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import install
import managers
import pytest
from managers import Known, Manager, ManagerError, Package

Run = Callable[[object], None]
DECLARED = "[tool.sys.debian13] in pyproject.toml"


class Archive(Manager):
    """A package manager with an archive of a few packages; it notes what it does."""

    known_packages: Mapping[str, Known] = {
        "libc6": Known("2.41-12", ("2.41-12",)),
        "libpq5": Known(None, ("17.6-1", "17.5-1")),
        "libxml2": Known("2.12", ("2.14", "2.12")),
        "tzdata": Known("2025b", ()),
    }

    def __init__(self) -> None:
        """Look for no programs."""
        self.done: list[object] = []

    def update(self) -> None:
        self.done.append("update")

    def known(self, names: Collection[str]) -> dict[str, Known]:
        return {name: self.known_packages[name] for name in names if name in self.known_packages}

    def names(self) -> Iterable[str]:
        return self.known_packages.keys()

    def providers(self, name: str) -> list[str]:
        return {"libz-dev": ["zlib1g-dev"], "awk": [f"awk{x}" for x in range(20)]}.get(name, [])

    def matches(self, version: str, constraint: str) -> bool:
        return constraint in ("*", version)

    def install(self, versions: Mapping[str, str]) -> None:
        self.done.append(versions)

    def resolve(self, versions: Mapping[str, str]) -> list[Package]:
        raise NotImplementedError

    def date(self) -> str | None:
        raise NotImplementedError

    def owner(self, library: str) -> str | None:
        raise NotImplementedError


def refusal(packages: Mapping[str, str], source: str = DECLARED) -> str:
    """Return why packages are not installed: a problem and a remedy."""
    with pytest.raises(ManagerError) as error:
        install.choose(Archive(), packages, source)
    message = str(error.value)
    assert message.startswith(source)
    assert ". " in message
    return message.removeprefix(source)


def test_the_best_version_that_fits_is_chosen() -> None:
    assert install.choose(Archive(), {"libpq5": "*"}, DECLARED) == {"libpq5": "17.6-1"}
    assert install.choose(Archive(), {"libpq5": "17.5-1"}, DECLARED) == {"libpq5": "17.5-1"}


def test_what_is_installed_and_fits_stays() -> None:
    packages = {"libc6": "*", "libxml2": "2.12", "tzdata": "2025b"}
    assert install.choose(Archive(), packages, DECLARED) == {}
    # Newer ones are a matter of the base image, unless they are asked for.
    assert install.choose(Archive(), {"libxml2": "*"}, DECLARED) == {}
    assert install.choose(Archive(), {"libxml2": "2.14"}, DECLARED) == {"libxml2": "2.14"}


def test_the_lists_are_fetched_first() -> None:
    archive = Archive()
    install.choose(archive, {"libpq5": "*"}, DECLARED)
    assert archive.done == ["update"]


def test_a_package_that_does_not_exist_is_refused_with_the_nearest_names() -> None:
    assert refusal({"libpq4": "*"}) == (
        " names libpq4, which the archive does not have. Close to it are libpq5."
    )


def test_a_package_like_no_other_is_refused_with_a_remedy() -> None:
    assert refusal({"qqqq": "*"}).endswith("does not have. Correct the name.")


def test_a_name_that_others_provide_is_refused_with_their_names() -> None:
    assert refusal({"libz-dev": "*"}).endswith(
        " Name one of the packages that provide it: zlib1g-dev."
    )
    assert refusal({"awk": "*"}).count("awk") == 10


def test_a_version_that_is_not_served_is_refused_with_those_that_are() -> None:
    assert refusal({"libpq5": "16.1-1"}) == (
        " asks for libpq5 16.1-1, and the archive has 17.6-1, 17.5-1. Change the version."
    )


@pytest.mark.parametrize("packages", [{"libpq5": "16.1-1"}, {"libpq4": "17.5-1"}])
def test_a_pin_that_is_not_served_any_more_is_refused_with_its_name(
    packages: dict[str, str],
) -> None:
    message = refusal(packages, "sys.lock")
    assert next(iter(packages)) in message
    assert message.endswith(". Run nox -s sys_lock.")


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Return the package manager of the image that the program runs in."""
    found = Archive()
    monkeypatch.setattr(managers, "of_this_image", lambda: found)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the program on the content of a list."""

    def run(content: object) -> None:
        path = tmp_path / "packages.json"
        path.write_text(json.dumps(content))
        monkeypatch.setattr(sys, "argv", ["install.py", str(path)])
        install.main()

    return run


def test_all_are_installed_at_once(run: Run, archive: Archive) -> None:
    run({"source": DECLARED, "packages": {"libpq5": "*", "libxml2": "2.14", "libc6": "*"}})
    assert archive.done == ["update", {"libpq5": "17.6-1", "libxml2": "2.14"}]


def test_nothing_is_installed_if_one_package_is_refused(run: Run, archive: Archive) -> None:
    with pytest.raises(SystemExit) as error:
        run({"source": "sys.lock", "packages": {"libpq5": "17.6-1", "libxml2": "9"}})
    assert archive.done == ["update"]
    assert error.value.code == (
        "System packages: sys.lock asks for libxml2 9, and the archive has 2.14, 2.12. "
        "Run nox -s sys_lock."
    )


def test_an_empty_list_needs_no_package_manager_and_no_network(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    run({})


def test_where_all_is_installed_nothing_is_done(run: Run, archive: Archive) -> None:
    run({"source": DECLARED, "packages": {"libc6": "*"}})
    assert archive.done == ["update"]


def test_an_image_without_a_package_manager_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SystemExit) as error:
        run({"source": DECLARED, "packages": {"libpq5": "*"}})
    assert error.value.code == (
        "System packages: The base image has neither apt nor apk. "
        "Choose one that is made from Debian or Alpine."
    )
