"""Known vulnerabilities of what is in an image, from a service or from files.

Both have them in the format of OSV: https://ossf.github.io/osv-schema/, whose page says how
"versions" and "events" are evaluated. The service is that of https://google.github.io/osv.dev/api/.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import project_file
import requests
import settings
import untrusted
from bill import Bill
from cyclonedx.model import XsUri
from cyclonedx.model.impact_analysis import ImpactAnalysisState
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilityReference,
    VulnerabilitySeverity,
    VulnerabilitySource,
)
from packageurl import PackageURL
from session import SessionError
from univers import versions

SERVICE = "https://api.osv.dev"
MOST_QUERIES, SECONDS = 1000, 60
# By the type of a package URL: what OSV calls where it comes from.
ECOSYSTEMS = {"cargo": "crates.io", "pypi": "PyPI"}
COMPARED: dict[str, type[versions.Version]] = {
    "Alpine": versions.AlpineLinuxVersion,
    "Debian": versions.DebianVersion,
    "PyPI": versions.PypiVersion,
    "Ubuntu": versions.DebianVersion,
    "crates.io": versions.SemverVersion,
}
ORDERED = ("ECOSYSTEM", "SEMVER")


@dataclass(frozen=True)
class Subject:
    """What may be vulnerable: a component, by what OSV knows of it."""

    reference: str
    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True)
class Known:
    """A vulnerability of a component, the version without it if there is one, and a reason.

    The reason is of an owner who accepts it, else empty.
    """

    subject: Subject
    advisory: Mapping[str, Any]
    fixed: str
    reason: str

    @property
    def names(self) -> list[str]:
        """Return the name of the advisory and those that it has elsewhere.

        What a distribution calls its own way names the vulnerability as "upstream".
        """
        return [
            self.advisory["id"],
            *_names(self.advisory, "aliases"),
            *_names(self.advisory, "upstream"),
        ]


def subjects(bill: Bill) -> Iterator[Subject]:
    """Yield what is known by package URL; a system package is what its source package is.

    A distribution that comes from elsewhere than the public index is nobody else's business, and
    another one than a public one of its name.
    """
    for reference, part in bill.parts.items():
        purl: PackageURL | None = part.purl
        if purl is None or not purl.version:
            continue
        if purl.type in ECOSYSTEMS and not purl.qualifiers:
            yield Subject(reference, ECOSYSTEMS[purl.type], purl.name, purl.version)
        elif purl.type in ("apk", "deb"):
            known = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
            source, _, version = known.get("upstream", purl.name).partition("@")
            number = known.get("distro", "").rpartition("-")[2]
            release = f"v{'.'.join(number.split('.')[:2])}" if purl.type == "apk" else number
            ecosystem = f"{(purl.namespace or '').title()}:{release}"
            yield Subject(reference, ecosystem, source, version or purl.version)


def known(found: Iterable[Subject], place: str) -> list[Known]:
    """Return the known vulnerabilities; raises SessionError.

    In: a file or a folder with advisories, or the address of a service.
    """
    rules, asked = accepted(), list(dict.fromkeys(found))
    pairs = _ask(asked, place) if "://" in place else _match(asked, Path(place))
    result = []
    for subject, advisory in pairs:
        if not advisory.get("withdrawn"):
            reason = _reason(advisory, rules)
            result.append(Known(subject, advisory, _fixed(subject, advisory), reason))
    return sorted(result, key=lambda x: (x.subject.name, x.advisory["id"], x.subject.reference))


def _reason(advisory: Mapping[str, Any], rules: Mapping[str, str]) -> str:
    """Return why an advisory is accepted; empty if it is not.

    One that is about several vulnerabilities is if all of them are.
    """
    names = [advisory["id"], *_names(advisory, "aliases")]
    upstream = _names(advisory, "upstream")
    if upstream and all(name in rules for name in upstream):
        names += upstream
    return next((rules[name] for name in names if name in rules), "")


def _names(advisory: Mapping[str, Any], key: str) -> list[str]:
    found = advisory.get(key) or []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def accepted() -> dict[str, str]:
    """Return [tool.seedpod.vulnerabilities]: reasons by names; raises SessionError."""
    table = project_file.setting("vulnerabilities")
    if isinstance(table, dict) and all(
        isinstance(reason, str) and reason.strip() for reason in table.values()
    ):
        return dict(table)
    raise SessionError(
        f"[tool.seedpod.vulnerabilities] is {table!r}. Write a reason for each that you accept, "
        'like "CVE-2024-0001" = "the function is never called".'
    )


def add_to(bill: Bill, found: Iterable[Known]) -> None:
    """Add vulnerabilities to a bill."""
    by_name: dict[str, list[Known]] = {}
    for item in found:
        by_name.setdefault(item.advisory["id"], []).append(item)
    for name, items in by_name.items():
        first = items[0]
        place = quote(name, safe="", errors="replace")
        source = VulnerabilitySource(
            name="OSV", url=XsUri(f"https://osv.dev/vulnerability/{place}")
        )
        analysis = VulnerabilityAnalysis(
            state=ImpactAnalysisState.EXPLOITABLE, detail=f"accepted: {first.reason}"
        )
        bill.vulnerabilities.append(
            Vulnerability(
                bom_ref=name,
                id=name,
                source=source,
                description=untrusted.text(first.advisory, "summary"),
                recommendation=f"Update to {first.fixed}." if first.fixed else None,
                references=[
                    VulnerabilityReference(id=alias, source=source) for alias in first.names[1:]
                ],
                ratings=_ratings(first.advisory),
                analysis=analysis if first.reason else None,
                affects=[BomTarget(ref=item.subject.reference) for item in items],
            )
        )


def _ratings(advisory: Mapping[str, Any]) -> list[VulnerabilityRating]:
    specific = advisory.get("database_specific")
    word = str(specific.get("severity", "")).lower() if isinstance(specific, dict) else ""
    word = {"moderate": "medium"}.get(word, word)
    if word not in {x.value for x in VulnerabilitySeverity}:
        return []
    return [VulnerabilityRating(severity=VulnerabilitySeverity(word))]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the advisories in a file of JSON, an archive of such files, or a folder."""
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.suffix in (".json", ".zip"):
                    yield from _read(file)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(".json"):
                        yield from _parse(archive.read(name), path / name)
        else:
            yield from _parse(path.read_bytes(), path)
    # The names in an archive may be in no encoding.
    except (EOFError, RuntimeError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise SessionError(f"{path} cannot be read ({error}). Fetch it again.") from error


def _parse(content: bytes, path: Path) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(content)
    except (RecursionError, ValueError) as error:
        raise SessionError(f"{path} is no JSON ({error}). Name files in OSV's format.") from error
    for advisory in document if isinstance(document, list) else [document]:
        if not _is_advisory(advisory):
            raise SessionError(f"{path} has no advisory as OSV has them. Name files in its format.")
        yield advisory


def _is_advisory(value: Any) -> bool:
    """Tell whether a document has what is read of an advisory, in its form."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return False
    entries = _tables(value, "affected")
    return entries is not None and all(
        _tables(entry, "ranges") is not None
        and isinstance(entry.get("versions") or [], list)
        and all(_tables(part, "events") is not None for part in _tables(entry, "ranges") or [])
        for entry in entries
    )


def _tables(value: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    """Return a list of tables, which may be absent; None if it is something else."""
    found = value.get(key) or []
    is_list = isinstance(found, list) and all(isinstance(x, dict) for x in found)
    return found if is_list else None


def _match(asked: Iterable[Subject], path: Path) -> Iterator[tuple[Subject, dict[str, Any]]]:
    """Yield what is affected by which advisory, and say what no advisory is about."""
    by_name: dict[str, list[Subject]] = {}
    for subject in asked:
        by_name.setdefault(_key(subject.name), []).append(subject)
    seen = set()
    for advisory in _read(path):
        packages = [_package(x) for x in advisory.get("affected") or []]
        seen |= {f"{x.get('ecosystem', '')}:" for x in packages} or {""}
        names = {_key(str(x.get("name", ""))) for x in packages}
        for subject in (x for name in sorted(names) for x in by_name.get(name, [])):
            if any(_affects(entry, subject) for entry in _entries(advisory, subject)):
                yield subject, advisory
    if not seen:
        raise SessionError(
            f"{path} has no advisories. Name a file, an archive or a folder of them."
        )
    for ecosystem in sorted({subject.ecosystem for subject in asked}):
        if not any(name.startswith(f"{ecosystem}:") for name in seen):
            print(f"{path} has no advisory for {ecosystem}: what is from there was not looked up.")


def _key(name: str) -> str:
    """Return a name in which spellings of one package are the same (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _entries(advisory: Mapping[str, Any], subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield what an advisory says of a component's package."""
    for entry in advisory.get("affected") or []:
        package = _package(entry)
        ecosystem = str(package.get("ecosystem", ""))
        # Ubuntu:24.04:LTS is what Ubuntu:24.04 is.
        same = f"{ecosystem}:".startswith(f"{subject.ecosystem}:")
        if same and _key(str(package.get("name", ""))) == _key(subject.name):
            yield entry


def _package(entry: Mapping[str, Any]) -> dict[str, Any]:
    package = entry.get("package")
    return package if isinstance(package, dict) else {}


def _affects(entry: Mapping[str, Any], subject: Subject) -> bool:
    """Tell whether a version is one that an entry lists, or is within one of its ranges."""
    if subject.version in (entry.get("versions") or []):
        return True
    ranges = [x for x in entry.get("ranges") or [] if x.get("type") in ORDERED]
    return any(_within(x.get("events") or [], subject) for x in ranges)


def _within(events: Iterable[Mapping[str, Any]], subject: Subject) -> bool:
    """Tell whether a version is between an event that introduces and one that ends it."""
    own = _version(subject.version, subject)
    named = [(kind, str(text)) for event in events for kind, text in event.items()]
    inside = any(kind == "introduced" and text == "0" for kind, text in named)
    points = [(_version(text, subject), kind) for kind, text in named if text != "0"]
    if own is None or any(point is None for point, _ in points):
        # What cannot be compared is not called safe.
        return True
    for point, kind in sorted(points, key=lambda x: x[0]):
        # Of Alpine's versions the library compares ">=" as texts.
        # https://github.com/aboutcode-org/univers
        if kind == "introduced" and not own < point:
            inside = True
        elif (kind == "fixed" and not own < point) or (kind == "last_affected" and own > point):
            inside = False
    return inside


def _fixed(subject: Subject, advisory: Mapping[str, Any]) -> str:
    """Return the first version after a component's own that is not affected; empty if none is."""
    own = _version(subject.version, subject)
    found = []
    for entry in _entries(advisory, subject):
        for part in entry.get("ranges") or []:
            texts = [str(x["fixed"]) for x in part.get("events") or [] if "fixed" in x]
            if part.get("type") in ORDERED:
                found += [(_version(text, subject), text) for text in texts]
    later = [(point, text) for point, text in found if point and own and point > own]
    return min(later, key=lambda x: x[0], default=(None, ""))[1]


def _version(text: str, subject: Subject) -> Any:
    """Return a version that can be compared with others of its kind; None if it is none."""
    try:
        return COMPARED[subject.ecosystem.partition(":")[0]](text)
    except (KeyError, TypeError, ValueError, versions.InvalidVersion):
        return None


def _ask(asked: list[Subject], service: str) -> Iterator[tuple[Subject, dict[str, Any]]]:
    """Yield what a service says is affected; raises SessionError."""
    session, details = requests.Session(), dict[str, dict[str, Any]]()
    session.verify = settings.certificates() or True
    try:
        for start in range(0, len(asked), MOST_QUERIES):
            part = asked[start : start + MOST_QUERIES]
            for subject, names in _queried(session, part, service):
                for name in names:
                    if name not in details:
                        answer = session.get(f"{service}/v1/vulns/{name}", timeout=SECONDS)
                        answer.raise_for_status()
                        details[name] = next(_parse(answer.content, Path(name)))
                    yield subject, details[name]
    except (
        requests.RequestException,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise SessionError(
            f"{service} does not say what is vulnerable ({error}). Name another service, or a file "
            "with advisories: --vulnerabilities FILE"
        ) from error


def _queried(
    session: requests.Session, asked: list[Subject], service: str
) -> Iterator[tuple[Subject, list[str]]]:
    """Yield components with the names of their advisories; a long answer comes in pages."""
    waiting: list[tuple[Subject, str]] = [(subject, "") for subject in asked]
    while waiting:
        queries: list[Any] = [
            {
                "package": {"ecosystem": subject.ecosystem, "name": subject.name},
                "version": subject.version,
                **({"page_token": page} if page else {}),
            }
            for subject, page in waiting
        ]
        answer = session.post(
            f"{service}/v1/querybatch", json={"queries": queries}, timeout=SECONDS
        )
        answer.raise_for_status()
        results = [x or {} for x in answer.json()["results"]]
        pairs = [*zip((x for x, _ in waiting), results, strict=True)]
        yield from (
            (subject, [x["id"] for x in found.get("vulns") or []]) for subject, found in pairs
        )
        waiting = [
            (subject, found["next_page_token"])
            for subject, found in pairs
            if found.get("next_page_token")
        ]
