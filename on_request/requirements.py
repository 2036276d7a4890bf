"""The distributions in an image's environment: their files, and which of them requires which.

Source: https://packaging.python.org/en/latest/specifications/core-metadata/
"""

import email
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from email.message import Message

from packaging.markers import (
    Environment,
    UndefinedComparison,
    UndefinedEnvironmentName,
    default_environment,
)
from packaging.requirements import InvalidRequirement, Requirement
from root_files import Root, normalise

SITE = re.compile(r"/opt/venv/lib/python(?P<version>3\.\d+)/site-packages/")
# As os.uname() has what an engine calls amd64.
MACHINES = {"386": "i686", "amd64": "x86_64", "arm": "armv7l", "arm64": "aarch64"}


class Installed:
    """What the distributions in the root file system of an image say of themselves."""

    def __init__(self, root: Root, architecture: str) -> None:
        """Take the files, and the architecture as engines call it."""
        self._root = root
        self.metadata = {
            name: header(root.read(f"{folder}/METADATA"))
            for name, (_, folder) in root.distributions.items()
        }
        self.files = {name: [*self._recorded(name)] for name in root.distributions}
        found = (x["version"] for x in map(SITE.match, root.entries) if x)
        self.python = next(found, "3")
        self._environment = self._markers(architecture)

    def needed(self, wanted: Iterable[Requirement] = ()) -> Iterator[tuple[str, str, Requirement]]:
        """Yield the names of two distributions of which the first one requires the second, and how.

        In: what a project without a distribution of its own requires, under an empty name.
        """
        waiting: list[tuple[str, str]] = [(name, "") for name in self.metadata]
        seen = set(waiting)

        def follow(name: str, requirement: Requirement) -> Iterator[tuple[str, str, Requirement]]:
            needed = normalise(requirement.name)
            if needed in self.metadata:
                yield name, needed, requirement
                new = {(needed, normalise(x)) for x in requirement.extras} - seen
                seen.update(new)
                waiting.extend(new)

        for requirement in wanted:
            if self._applies(requirement):
                yield from follow("", requirement)
        while waiting:
            name, extra = waiting.pop()
            for requirement in self._requirements(name, extra):
                yield from follow(name, requirement)

    def _requirements(self, name: str, extra: str) -> Iterator[Requirement]:
        for written in self.metadata[name].get_all("Requires-Dist") or []:
            requirement = parsed(str(written))
            if requirement and self._applies(requirement, extra):
                yield requirement

    def _applies(self, requirement: Requirement, extra: str = "") -> bool:
        environment = {**self._environment, "extra": extra}
        with suppress(UndefinedComparison, UndefinedEnvironmentName):
            return requirement.marker is None or requirement.marker.evaluate(environment)
        return False

    def _markers(self, architecture: str) -> Mapping[str, str]:
        """Return what markers of requirements ask for: of the image, not of this machine."""
        own: Environment = default_environment()
        return {
            **{key: str(value) for key, value in own.items()},
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": MACHINES.get(architecture, architecture),
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def _recorded(self, name: str) -> Iterator[str]:
        """Yield the files that a distribution lists, as far as they are there."""
        folder = self._root.distributions[name][1]
        for row in self._root.recorded(folder) or []:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(folder), *row[:1]))
            if self._root.file(path):
                yield path


def parsed(text: str) -> Requirement | None:
    """Return a requirement; None for what is none."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def header(content: bytes) -> Message:
    """Return the fields of a file like METADATA."""
    return email.message_from_string(content.decode(errors="replace"))
