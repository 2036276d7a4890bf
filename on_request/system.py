"""The operating system's packages and the interpreter in an image.

Sources: deb-control(5), https://wiki.alpinelinux.org/wiki/Apk_spec, and
https://github.com/package-url/purl-spec; "upstream" of a package URL is what scanners call the
package of the source.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bill import Bill, licences
from cyclonedx.model.component import Component, ComponentType, Pedigree
from packageurl import PackageURL
from paths import release, text
from root_files import Root

STATUS = re.compile(r"/var/lib/dpkg/status(\.d/[^/]+(?<!\.md5sums))?")
APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
INTERPRETER = re.compile(
    r"/usr/(local/)?(bin/python|lib/libpython)(?P<version>3\.\d+)t?(\.so\.1\.0)?"
)
# https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
LICENCE = re.compile(r"^License: *(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """An installed package; of what it needs, each entry lists names that satisfy it."""

    kind: str
    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    licences: tuple[str, ...] = ()


def add_to(bill: Bill, root: Root) -> None:
    """Add the operating system, its packages and the interpreter of an image to a bill."""
    system = release(root)
    name, version = system.get("ID", "linux"), system.get("VERSION_ID", "")
    bill.add(
        "operating system",
        Component(
            type=ComponentType.OPERATING_SYSTEM,
            name=name,
            version=version,
            description=system.get("PRETTY_NAME"),
        ),
    )
    _add_packages(bill, root, name, version)
    for version in sorted(interpreters(root)):
        bill.add("interpreter", _interpreter(version))


def packages(root: Root) -> Iterator[Package]:
    """Yield the installed packages, of dpkg or of apk."""
    for path in root.entries:
        if STATUS.fullmatch(path):
            yield from _dpkg(root, path)
    for path in APK:
        yield from _apk(text(root, path))


def interpreters(root: Root) -> set[str]:
    """Return the versions of the Pythons in an image, as their programs have them.

    As https://github.com/anchore/syft recognises them, whose programs and libraries keep the
    version as a text of its own.
    """
    found = set()
    for path, _ in root.files():
        if name := INTERPRETER.fullmatch(path):
            minor = re.escape(name["version"].encode())
            versions = re.findall(rb"\x00(%b\.\d+[\w+]*)\x00" % minor, root.read(path))
            found |= {version.decode() for version in versions}
    return found


def _add_packages(bill: Bill, root: Root, system: str, version: str) -> None:
    found = [*packages(root)]
    references, providers = {}, dict[str, str]()
    for package in found:
        upstream = package.source
        if package.source_version != package.version:
            upstream += f"@{package.source_version}"
        purl = PackageURL(
            package.kind,
            namespace=system,
            name=package.name,
            version=package.version,
            qualifiers={
                "arch": package.architecture,
                "distro": f"{system}-{version}",
                **({"upstream": upstream} if upstream != package.name else {}),
            },
        )
        part = Component(
            name=package.name,
            version=package.version,
            purl=purl,
            licenses=licences(package.licences or _copyright(root, package.name)),
        )
        source = Component(
            name=package.source,
            version=package.source_version,
            purl=PackageURL(
                package.kind,
                namespace=system,
                name=package.source,
                version=package.source_version,
                qualifiers={"arch": "source", "distro": f"{system}-{version}"},
            ),
        )
        part.pedigree = Pedigree(ancestors=[source])
        references[package.name] = bill.add("system package", part)
        for name in (package.name, *package.provides):
            providers.setdefault(name, package.name)
    for package in found:
        for entry in package.needs:
            name = next((providers[x] for x in entry if x in providers), package.name)
            if name != package.name:
                bill.needs[references[package.name]].add(references[name])


def _interpreter(version: str) -> Component:
    return Component(
        type=ComponentType.PLATFORM,
        name="python",
        version=version,
        purl=PackageURL("generic", name="python", version=version),
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        licenses=licences(["PSF-2.0"]),
    )


def _dpkg(root: Root, path: str) -> Iterator[Package]:
    for stanza in text(root, path).strip().split("\n\n"):
        found = re.findall(r"^(\S+): (.*(?:\n .*)*)", stanza, flags=re.MULTILINE)
        fields: dict[str, str] = {field: value.strip() for field, value in found}
        # A stanza of status.d is of what is there. What is not configured has its files, too.
        state = fields.get("Status", "installed").rpartition(" ")[2]
        if fields.get("Package") and state not in ("not-installed", "config-files"):
            source, _, rest = (fields.get("Source") or fields["Package"]).partition(" ")
            needs = f"{fields.get('Pre-Depends', '')}, {fields.get('Depends', '')}"
            yield Package(
                "deb",
                fields["Package"],
                fields.get("Version", ""),
                fields.get("Architecture", ""),
                source,
                rest.strip("() ") or fields.get("Version", ""),
                tuple(tuple(_names(entry, "|")) for entry in needs.split(",") if entry.strip()),
                tuple(_names(fields.get("Provides", ""), ",")),
            )


def _apk(text: str) -> Iterator[Package]:
    for stanza in filter(None, text.strip().split("\n\n")):
        fields: dict[str, str] = dict(re.findall(r"^([A-Za-z]):(.*)", stanza, flags=re.MULTILINE))
        needs = (re.split(r"[<>=~]", x, maxsplit=1)[0] for x in fields.get("D", "").split())
        provides = (re.split(r"[<>=~]", x, maxsplit=1)[0] for x in fields.get("p", "").split())
        if fields.get("P"):
            yield Package(
                "apk",
                fields["P"],
                fields.get("V", ""),
                fields.get("A", ""),
                fields.get("o") or fields["P"],
                fields.get("V", ""),
                tuple((name,) for name in needs if not name.startswith("!")),
                tuple(provides),
                (fields["L"],) if fields.get("L") else (),
            )


def _names(entry: str, separator: str) -> Iterator[str]:
    """Yield the names in a list of relationships: NAME[:ARCHITECTURE] [(RELATION VERSION)]."""
    for part in entry.split(separator):
        if part.strip():
            yield re.split(r"[\s:(]", part.strip(), maxsplit=1)[0]


def _copyright(root: Root, name: str) -> Iterable[str]:
    """Return the licences that the file of a Debian package names; none of a free text."""
    found = text(root, f"/usr/share/doc/{name}/copyright")
    return [x.strip() for x in LICENCE.findall(found)] if "Format:" in found else []
