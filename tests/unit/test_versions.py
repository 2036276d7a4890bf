"""docker/image/versions.py chooses what an archive has and constraints allow, or says why not."""

from collections.abc import Mapping

import pytest
import versions
from package_managers import ManagerError

from tests.unit.managers import Archive

DECLARED = "[tool.sys.debian13] in pyproject.toml"


def refusal(packages: Mapping[str, str], source: str = DECLARED) -> str:
    """Return why packages are not installed: a problem and a remedy."""
    with pytest.raises(ManagerError) as error:
        versions.choose(Archive(), packages, source)
    message = str(error.value)
    assert message.startswith(source)
    assert ". " in message
    return message.removeprefix(source)


def test_the_best_version_that_fits_is_chosen() -> None:
    assert versions.choose(Archive(), {"libpq5": "*"}, DECLARED) == {"libpq5": "17.6-1"}
    assert versions.choose(Archive(), {"libpq5": "17.5-1"}, DECLARED) == {"libpq5": "17.5-1"}


def test_what_is_installed_and_fits_stays() -> None:
    packages = {"libc6": "*", "libxml2": "2.12", "tzdata": "2025b"}
    assert versions.choose(Archive(), packages, DECLARED) == {}
    # Newer ones are a matter of the base image, unless they are asked for.
    assert versions.choose(Archive(), {"libxml2": "*"}, DECLARED) == {}
    assert versions.choose(Archive(), {"libxml2": "2.14"}, DECLARED) == {"libxml2": "2.14"}


def test_the_lists_are_fetched_first() -> None:
    archive = Archive()
    versions.choose(archive, {"libpq5": "*"}, DECLARED)
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
