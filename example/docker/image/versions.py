"""Choose versions of system packages: those that the archive has and that constraints allow."""

import difflib
from collections.abc import Mapping

from declaration import LOCK
from package_managers import Known, Manager, ManagerError


def choose(manager: Manager, packages: Mapping[str, str], source: str) -> dict[str, str]:
    """Return a version for every package that has to be installed or changed.

    In: constraints by package name, and where they stand. An installed version that fits stays.
    Raises ManagerError for the first package or version that is not available.
    """
    manager.update()
    known = manager.known(packages.keys())
    chosen = {}
    for name, constraint in sorted(packages.items()):
        if name not in known:
            raise ManagerError(_unknown(manager, name, source))
        there = known[name]
        versions = [*([there.installed] if there.installed else []), *there.versions]
        fitting = [version for version in versions if manager.matches(version, constraint)]
        if not fitting:
            raise ManagerError(_unserved(name, constraint, there, source))
        chosen[name] = fitting[0]
    return {name: version for name, version in chosen.items() if version != known[name].installed}


def _unknown(manager: Manager, name: str, source: str) -> str:
    problem = f"{source} names {name}, which the archive does not have."
    if source == LOCK:
        return f"{problem} Run nox -s sys_lock."
    providers = manager.providers(name)
    if providers:
        return f"{problem} Name one of the packages that provide it: {', '.join(providers[:9])}."
    near = difflib.get_close_matches(name, manager.names(), n=3)
    hint = f"Close to it are {', '.join(near)}." if near else "Correct the name."
    return f"{problem} {hint}"


def _unserved(name: str, constraint: str, there: Known, source: str) -> str:
    remedy = "Run nox -s sys_lock" if source == LOCK else "Change the version"
    served = ", ".join(there.versions)
    return f"{source} asks for {name} {constraint}, and the archive has {served}. {remedy}."
