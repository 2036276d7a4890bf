"""A package manager without a system: what programs ask of one, and what they make it do."""

from collections.abc import Collection, Iterable, Mapping

from package_managers import Known, Manager, Package


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

    def builder(self, kind: str, name: str) -> str | None:
        raise NotImplementedError
