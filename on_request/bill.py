"""A bill of materials of an image, as CycloneDX has it: https://cyclonedx.org/docs/1.6/json/."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.vulnerability import Vulnerability
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion

VERSION = SchemaVersion.V1_6
# Says of each component which of these it is: a bill is also read by people.
KIND = "seedpod:kind"
KINDS = {
    "operating system": "operating system",
    "interpreter": "interpreter",
    "distribution": "distributions",
    "bundled library": "libraries bundled in them",
    "part of a wheel": "parts that their wheels list",
    "system package": "system packages",
    "own file": "own files",
}


@dataclass
class Bill:
    """What is in an image: components by their reference, and what each of them needs."""

    parts: dict[str, Component] = field(default_factory=dict)
    needs: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    vulnerabilities: list[Vulnerability] = field(default_factory=list)

    def add(self, kind: str, part: Component, needed_by: str = "", reference: str = "") -> str:
        """Add a component, unless one with its reference is there; return the reference.

        By default it is the package URL, of a file its path.
        """
        reference = reference or str(part.purl or part.name)
        if reference not in self.parts:
            part.bom_ref.value = reference
            part.properties.add(Property(name=KIND, value=kind))
            self.parts[reference] = part
        if needed_by:
            self.needs[needed_by].add(reference)
        return reference

    def of(self, kind: str) -> Iterator[Component]:
        """Yield the components of a kind."""
        for part in self.parts.values():
            if Property(name=KIND, value=kind) in part.properties:
                yield part

    def as_json(self, image: Component, made: datetime, version: str) -> str:
        """Return the document: the same text for the same image.

        In: the image, whose version is its digest; when it was made; the version of the template.
        """
        bom = Bom(components=self.parts.values(), vulnerabilities=self.vulnerabilities)
        bom.metadata.component = image
        bom.metadata.timestamp = made
        bom.metadata.tools.components.add(
            Component(type=ComponentType.APPLICATION, name="seedpod", version=version)
        )
        bom.serial_number = uuid5(NAMESPACE_URL, str(image.purl or image.version))
        needed = {reference for found in self.needs.values() for reference in found}
        bom.register_dependency(image, [x for name, x in self.parts.items() if name not in needed])
        for name, references in self.needs.items():
            found = (self.parts[x] for x in sorted(references) if x in self.parts)
            bom.register_dependency(self.parts[name], found)
        text: str = make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=1)
        return f"{text}\n"


def sha256(digest: str) -> HashType:
    """Return a hash; its digest is in hexadecimal digits."""
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def licences(names: Iterable[str]) -> list[License]:
    """Return licences by what a package says of itself: names, identifiers or one expression."""
    make, declared = LicenseFactory(), LicenseAcknowledgement.DECLARED
    found = [
        make.make_from_string(x, license_acknowledgement=declared) for x in dict.fromkeys(names)
    ]
    if len(found) == 1:
        return found
    # A document may have one expression, or any number of others.
    return [make.make_with_name(x.value) if isinstance(x, LicenseExpression) else x for x in found]
