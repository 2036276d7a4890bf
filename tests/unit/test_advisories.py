"""on_request/advisories.py finds what is known of an image's parts, in OSV's format."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import advisories
import pytest
import requests
from advisories import Subject
from bill import Bill
from cyclonedx.model.component import Component
from packageurl import PackageURL
from session import SessionError

WEB = Subject("pkg:pypi/web@1.5", "PyPI", "web", "1.5")
LIBC = Subject("pkg:deb/debian/libc6@2.41-1", "Debian:13", "glibc", "2.41-1")
MUSL = Subject("pkg:apk/alpine/musl@1.2.5-r1", "Alpine:v3.23", "musl", "1.2.5-r1")
MUSL9 = Subject("pkg:apk/alpine/musl@1.2.9-r9", "Alpine:v3.23", "musl", "1.2.9-r9")
CRATE = Subject("pkg:cargo/memchr@2.7.4", "crates.io", "memchr", "2.7.4")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project that accepts nothing."""
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    return tmp_path


def accept(name: str, reason: str = "never called") -> None:
    text = f"[project]\nname = 'x'\n[tool.seedpod.vulnerabilities]\n{name} = '{reason}'\n"
    Path("pyproject.toml").write_text(text, encoding="utf-8")


def advisory(subject: Subject, *events: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Return an advisory about a package, with events of a range."""
    kind = "SEMVER" if subject is CRATE else "ECOSYSTEM"
    affected = {
        "package": {"ecosystem": subject.ecosystem, "name": subject.name},
        "ranges": [{"type": kind, "events": list(events)}],
        "versions": fields.pop("versions", []),
    }
    return {"id": "X-1", "affected": [affected], **fields}


def found(subject: Subject, *written: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names and fixed versions of what is known of a package, by these advisories."""
    file = Path("advisories.json")
    file.write_text(json.dumps(written), encoding="utf-8")
    return [(x.advisory["id"], x.fixed) for x in advisories.known([subject], str(file))]


@pytest.mark.parametrize(
    ("subject", "events", "fixed"),
    [
        (WEB, [{"introduced": "0"}, {"fixed": "1.10"}], "1.10"),
        (WEB, [{"introduced": "0"}, {"fixed": "1.5"}], None),
        (WEB, [{"introduced": "1.5"}], ""),
        (WEB, [{"introduced": "1.6"}], None),
        (WEB, [{"introduced": "0"}, {"last_affected": "1.5"}], ""),
        (WEB, [{"introduced": "0"}, {"last_affected": "1.4"}], None),
        # Events come in any order, and there may be several ranges in one.
        (
            WEB,
            [{"fixed": "1.6"}, {"introduced": "1.4"}, {"fixed": "1.0"}, {"introduced": "0"}],
            "1.6",
        ),
        (WEB, [{"fixed": "2"}, {"introduced": "1.6"}, {"fixed": "1.0"}, {"introduced": "0"}], None),
        (LIBC, [{"introduced": "0"}, {"fixed": "2.41-1+deb13u1"}], "2.41-1+deb13u1"),
        (LIBC, [{"introduced": "0"}, {"fixed": "2.41-1~rc1"}], None),
        (LIBC, [{"introduced": "0"}, {"fixed": "1:2.0-1"}], "1:2.0-1"),
        (MUSL, [{"introduced": "0"}, {"fixed": "1.2.5-r10"}], "1.2.5-r10"),
        (MUSL, [{"introduced": "0"}, {"fixed": "1.2.5-r1"}], None),
        (MUSL9, [{"introduced": "0"}, {"fixed": "1.2.9-r10"}], "1.2.9-r10"),
        (MUSL9, [{"introduced": "1.2.9-r9"}, {"fixed": "1.2.10-r0"}], "1.2.10-r0"),
        (MUSL9, [{"introduced": "1.2.9-r10"}], None),
        (CRATE, [{"introduced": "0.0.0-0"}, {"fixed": "2.10.0"}], "2.10.0"),
        # What cannot be compared is not called safe.
        (WEB, [{"introduced": "0"}, {"fixed": "no version"}], ""),
    ],
)
def test_a_version_is_compared_as_its_kind_has_it(
    subject: Subject, events: list[dict[str, str]], fixed: str | None
) -> None:
    expected = [] if fixed is None else [("X-1", fixed)]
    assert found(subject, advisory(subject, *events)) == expected


def test_versions_that_are_listed_are_affected() -> None:
    assert found(WEB, advisory(WEB, versions=["1.4", "1.5"])) == [("X-1", "")]
    assert found(WEB, advisory(WEB, versions=["1.4"])) == []


def test_another_release_another_package_and_what_was_withdrawn_are_not() -> None:
    every = {"introduced": "0"}
    older = Subject("", "Debian:12", "glibc", "")
    assert found(LIBC, advisory(older, every)) == []
    assert found(WEB, advisory(LIBC, every)) == []
    assert found(WEB, advisory(WEB, every, withdrawn="2026-01-01T00:00:00Z")) == []


def test_names_differ_in_case_and_a_release_has_more_words() -> None:
    every = {"introduced": "0"}
    ubuntu = Subject("x", "Ubuntu:24.04", "glibc", "2.39-1")
    long = Subject("", "Ubuntu:24.04:LTS", "Glibc", "")
    assert found(ubuntu, advisory(long, every)) == [("X-1", "")]


def test_spellings_of_one_name_are_the_same() -> None:
    dotted = Subject("", "PyPI", "Oslo.Middle_ware", "")
    plain = Subject("x", "PyPI", "oslo-middle-ware", "1.0")
    assert found(plain, advisory(dotted, {"introduced": "0"})) == [("X-1", "")]


def test_what_no_advisory_is_about_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found(WEB, advisory(LIBC, {"introduced": "0"}))
    assert "has no advisory for PyPI" in capsys.readouterr().out


def test_a_folder_without_advisories_is_no_all_clear(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SessionError, match="has no advisories"):
        advisories.known([WEB], "empty")


def test_archives_and_folders_are_read(folder: Path) -> None:
    one, other = (
        advisory(WEB, {"introduced": "0"}, id=name, aliases=[f"CVE-{name}"]) for name in "AB"
    )
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.writestr("A.json", json.dumps(one))
        archive.writestr("README.md", "no advisory")
    (folder / "all").mkdir()
    (folder / "all/B.json").write_text(json.dumps(other), encoding="utf-8")
    assert [x.names for x in advisories.known([WEB], "all.zip")] == [["A", "CVE-A"]]
    assert [x.names for x in advisories.known([WEB], "all")] == [["B", "CVE-B"]]
    Path("all.zip").rename("all/all.zip")
    assert [x.names[0] for x in advisories.known([WEB], "all")] == ["A", "B"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "1",
        "[1]",
        '{"id": 1}',
        '{"id": "x", "affected": [1]}',
        '{"id": "x", "affected": [{"ranges": ["x"]}]}',
        '{"id": "x", "affected": [{"ranges": [{"events": ["x"]}]}]}',
        '{"id": "x", "affected": [{"versions": 5}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_advisory_is_refused(content: str) -> None:
    Path("advisories.json").write_text(content, encoding="utf-8")
    with pytest.raises(SessionError, match=r"is no JSON|has no advisory"):
        advisories.known([WEB], "advisories.json")


def test_a_damaged_archive_is_refused() -> None:
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.writestr("A.json", json.dumps(advisory(WEB, {"introduced": "0"})) * 100)
    content = Path("all.zip").read_bytes()
    Path("all.zip").write_bytes(content.replace(b"affected", b"effected"))
    with pytest.raises(SessionError, match=r"cannot be read .* Fetch it again"):
        advisories.known([WEB], "all.zip")


@pytest.mark.parametrize("name", ["X-1", "CVE-1"])
def test_one_is_accepted_with_a_reason_by_any_of_its_names(name: str) -> None:
    accept(name)
    Path("a.json").write_text(
        json.dumps(advisory(WEB, {"introduced": "0"}, aliases=["CVE-1"])), encoding="utf-8"
    )
    [item] = advisories.known([WEB], "a.json")
    assert item.reason == "never called"


def test_what_a_distribution_calls_its_own_way_is_accepted_by_all_that_it_is_about() -> None:
    about = {"id": "DSA-1", "upstream": ["CVE-1", "CVE-2"]}
    content = json.dumps(advisory(LIBC, {"introduced": "0"}, **about))
    Path("a.json").write_text(content, encoding="utf-8")
    accept("CVE-1")
    [item] = advisories.known([LIBC], "a.json")
    assert (item.reason, item.names) == ("", ["DSA-1", "CVE-1", "CVE-2"])
    accept("CVE-1", "never called'\nCVE-2 = 'neither")
    [item] = advisories.known([LIBC], "a.json")
    assert item.reason == "never called"


@pytest.mark.parametrize("reason", ["", " "])
def test_one_is_not_accepted_without_a_reason(reason: str) -> None:
    accept("CVE-1", reason)
    with pytest.raises(SessionError, match="Write a reason for each"):
        advisories.accepted()


def test_system_packages_are_looked_up_by_their_source_package() -> None:
    bill = Bill()
    places = {"arch": "amd64", "distro": "debian-13"}
    for name, upstream in (("libc6", "glibc"), ("libgcc-s1", "gcc-14@14.1-2"), ("bash", "")):
        qualifiers = {**places, **({"upstream": upstream} if upstream else {})}
        purl = PackageURL("deb", "debian", name, "1-1", qualifiers)
        bill.add("system package", Component(name=name, version="1-1", purl=purl))
    purl = PackageURL("apk", "alpine", "musl", "1.2-r1", {"distro": "alpine-3.23.1"})
    bill.add("system package", Component(name="musl", version="1.2-r1", purl=purl))
    bill.add("interpreter", Component(name="python", purl=PackageURL("generic", name="python")))
    assert [(x.ecosystem, x.name, x.version) for x in advisories.subjects(bill)] == [
        ("Debian:13", "glibc", "1-1"),
        ("Debian:13", "gcc-14", "14.1-2"),
        ("Debian:13", "bash", "1-1"),
        ("Alpine:v3.23", "musl", "1.2-r1"),
    ]


class Service(BaseHTTPRequestHandler):
    """A stand-in for OSV's service, which does not answer here: pages of one name each."""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results: list[dict[str, Any]] = []
        for query in queries:
            if query["package"]["name"] != "web":
                results.append({})
            elif "page_token" in query:
                results.append({"vulns": [{"id": "B"}]})
            else:
                results.append({"vulns": [{"id": "A"}], "next_page_token": "2"})
        self.answer({} if self.path.startswith("/other/") else {"results": results})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.answer(advisory(WEB, {"introduced": "0"}, {"fixed": "2"}, id=name))

    def answer(self, content: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *values: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    """Serve it, and return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_service_is_asked_for_all_pages(service: str) -> None:
    result = advisories.known([WEB, LIBC], service)
    assert [(x.advisory["id"], x.subject.name, x.fixed) for x in result] == [
        ("A", "web", "2"),
        ("B", "web", "2"),
    ]


def test_a_service_that_does_not_answer_as_osv_does_is_named(service: str) -> None:
    for address in ("http://127.0.0.1:1", f"{service}/other"):
        with pytest.raises(SessionError, match="--vulnerabilities FILE"):
            advisories.known([WEB], address)


def test_an_answer_that_is_too_deep_to_be_read_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = requests.Response()
    answer.status_code, answer.raw = 200, io.BytesIO(b"[" * 100_000)
    monkeypatch.setattr("requests.Session.post", lambda *_, **__: answer)
    with pytest.raises(SessionError, match="--vulnerabilities FILE"):
        advisories.known([WEB], "https://osv.example")


@pytest.mark.parametrize(
    "fields",
    [
        {"aliases": None},
        {"aliases": [1]},
        {"database_specific": "x"},
        {"upstream": 1},
        {"summary": []},
        {"id": "a % \ud800"},
    ],
)
def test_odd_fields_of_an_advisory_are_no_error(fields: dict[str, Any]) -> None:
    assert found(WEB, advisory(WEB, {"introduced": "0"}, **fields)) == [
        (fields.get("id", "X-1"), "")
    ]
    bill = Bill()
    advisories.add_to(bill, advisories.known([WEB], "advisories.json"))
    assert len(bill.vulnerabilities) == 1


def test_a_private_package_is_not_looked_up() -> None:
    bill = Bill()
    for qualifiers in ({}, {"repository_url": "https://index.example/simple"}):
        name = f"shop{len(qualifiers)}"
        purl = PackageURL("pypi", name=name, version="1", qualifiers=qualifiers)
        bill.add("distribution", Component(name=name, version="1", purl=purl))
    assert [x.name for x in advisories.subjects(bill)] == ["shop0"]
