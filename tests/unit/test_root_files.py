"""docker/host/root_files.py finds what no image of an application should have."""

import importlib.util
import tarfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import root_files
from root_files import Finding
from session import SessionError

from tests.unit.roots import DATE, SITE, Entry, distribution, entry, root

SOURCE = b"print('hello')\n"


def bytecode(date: int = DATE, size: int = len(SOURCE)) -> bytes:
    """Return the head of bytecode that is bound to the date and the size of its source."""
    fields = (0, date, size)
    return importlib.util.MAGIC_NUMBER + b"".join(x.to_bytes(4, "little") for x in fields)


# As CPython 3.13 has it, and what its importlib.util.source_hash(SOURCE) returns.
MAGIC_3_13 = (3571).to_bytes(2, "little") + b"\r\n"
HASHES_3_13 = {SOURCE: "07a048f7d2d8e9d3", b"another": "3fc42e1cd2461c48"}


def hashed(source: bytes = SOURCE, magic: bytes = importlib.util.MAGIC_NUMBER) -> bytes:
    """Return the head of bytecode that is bound to the hash of its source."""
    is_own = magic == importlib.util.MAGIC_NUMBER
    found = importlib.util.source_hash(source) if is_own else bytes.fromhex(HASHES_3_13[source])
    return magic + (3).to_bytes(4, "little") + found


MODULE, CACHED = "/usr/lib/python3.13/x.py", "/usr/lib/python3.13/__pycache__/x.cpython-313.pyc"
FINE = [
    entry("/etc/passwd", b"root:x:0:0::/:\napp:x:65532:0::/:\n"),
    entry("/etc/group", b"root:x:0:\nmail:x:8:\n"),
    entry("/tmp", None, mode=0o1777),
    entry("/data", None, mode=0o1777),
    entry("/var/mail", None, mode=0o2775, gid=8),
    entry("/home/app/x", uid=65532),
    entry("/usr/bin/python3", mode=0o755),
    entry("/usr/bin/ldconfig", mode=0o755),
    entry("/usr/share/doc/gcc"),
    entry("/var/lib/apt/lists/lock"),
    entry("/app/.env.example"),
    entry(MODULE, SOURCE),
    entry(CACHED, bytecode()),
    entry(f"{SITE}/numpy/include/arrayobject.h"),
    entry("/usr/bin/ld.so", mode=0o755),
    # The locked packages bring what they bring.
    entry(f"{SITE}/jedi/stdlib/ensurepip/__init__.pyi"),
    entry(
        f"{SITE}/bleach/_vendor/html5lib-1.1.dist-info/METADATA", b"Name: html5lib\nVersion: 1\n"
    ),
    entry("/opt/venv/bin/cmake", mode=0o755),
    *distribution("shop", "1.0"),
    *distribution("Six.Seven", "2024.01", {"six/seven.py": SOURCE}),
    *distribution("pip", "26.0"),
]
LOCKED = {"six-seven": "2024.1", "pip": "26.0", "folder": ""}
FINE += distribution("folder", "0.1.dev3")


def found(*more: Entry, tests: Path = Path("none")) -> list[Finding]:
    """Return what is found in a file system that is fine but for these entries."""
    return [*root_files.findings(root(*FINE, *more), LOCKED, "shop", ["/data"], tests)]


def test_an_image_as_it_should_be_is_fine() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        ("setuid", entry("/usr/bin/su", mode=0o4755)),
        ("setuid", entry("/usr/bin/write", mode=0o2755)),
        ("setuid", entry("/ping", pax_headers={root_files.CAPABILITY: "\1"})),
        ("writable", entry("/srv/x", mode=0o666)),
        ("writable", entry("/srv", None, mode=0o777)),
        ("writable", entry("/srv", None, mode=0o1777)),
        ("writable", entry("/data/x", mode=0o666)),
        ("owner", entry("/srv/x", uid=1000)),
        ("owner", entry("/srv/x", gid=1000)),
        ("installers", entry("/usr/local/bin/pip3.13", mode=0o755)),
        ("installers", entry("/usr/local/bin/uv", mode=0o755)),
        ("installers", entry("/usr/lib/python3.13/ensurepip/__init__.py")),
        ("installers", entry("/usr/share/python-wheels/pip-26-py3-none-any.whl")),
        ("compilers", entry("/usr/bin/x86_64-linux-gnu-gcc-14", mode=0o755)),
        ("compilers", entry("/usr/bin/cc", mode=0o755)),
        ("compilers", entry("/usr/lib/llvm-19/bin/clang", mode=0o755)),
        ("installers", entry("/opt/conda/bin/conda", mode=0o755)),
        ("compilers", entry("/usr/bin/ld.bfd", mode=0o755)),
        ("compilers", entry("/usr/libexec/gcc/x86_64-linux-gnu/14/cc1plus", mode=0o755)),
        ("headers", entry("/usr/include/zlib.h")),
        ("headers", entry("/usr/local/include/python3.13/Python.h")),
        ("caches", entry("/root/.cache/uv/x")),
        ("caches", entry("/var/lib/apt/lists/archive_Packages")),
        ("caches", entry("/var/cache/apk/APKINDEX.tar.gz")),
        ("caches", entry("/app/.mypy_cache/x")),
        ("private", entry("/app/.git", None)),
        ("private", entry("/app/.env")),
        ("private", entry("/app/.env.production")),
        ("private", entry("/root/.netrc")),
        ("private", entry("/app/pip.env")),
        ("private", entry("/root/.ssh/id_ed25519")),
        ("bytecode", entry("/srv/__pycache__/gone.cpython-313.pyc", bytecode())),
        ("records", entry(f"{SITE}/six/seven.py", SOURCE + b"#")),
        ("packages", distribution("other", "1.0")[0]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].name,
)
def test_what_is_wrong_is_found_by_its_check(check: str, wrong: Entry) -> None:
    told = {finding.check for finding in found(wrong)}
    # What is not locked has no list of files here, either.
    assert told - ({"records"} if check == "packages" else set()) == {check}


@pytest.mark.parametrize(
    ("head", "is_wrong"),
    [
        (bytecode(date=DATE + 1), True),
        (bytecode(size=3), True),
        (b"cut short", True),
        (hashed(), False),
        (hashed(b"another"), True),
        # Of another Python, which has another key for it.
        (hashed(magic=MAGIC_3_13), False),
        (hashed(b"another", magic=MAGIC_3_13), True),
        # Of one whose hash cannot be made here.
        ((3439).to_bytes(2, "little") + b"\r\n" + hashed(b"another")[4:], False),
    ],
)
def test_bytecode_is_compared_with_its_source(head: bytes, is_wrong: bool) -> None:
    problems = [x.check for x in found(entry(CACHED, head))]
    assert problems == (["bytecode"] if is_wrong else [])


@pytest.mark.parametrize(
    ("locked", "problem"),
    [
        ({"six-seven": "2024.2"}, "six-seven is 2024.01, and 2024.2 is locked"),
        ({"attrs": "25.1"}, "attrs is missing, and 25.1 is locked"),
    ],
)
def test_a_package_is_there_in_the_version_that_is_locked(
    locked: dict[str, str], problem: str
) -> None:
    wrong = [*root_files.packages(root(*FINE), {**LOCKED, **locked}, "shop")]
    assert [f"{x.subject} {x.problem}" for x in wrong] == [problem]


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.0-RC.1", "1.0rc1"), ("v1.0", "1.0"), ("2024.01.2", "2024.1.2"), ("1.0", "1.0.0")],
)
def test_a_version_may_be_spelled_in_several_ways(one: str, other: str) -> None:
    assert root_files.canonical(one) == root_files.canonical(other)


def test_the_projects_own_package_is_there() -> None:
    missing = [*root_files.packages(root(*FINE), LOCKED | {"shop": "1.0"}, "store")]
    assert [(x.check, x.subject) for x in missing] == [("packages", "store")]


def test_names_of_users_are_read_through_links() -> None:
    link = entry("/etc/passwd", type=tarfile.SYMTYPE, linkname="../usr/lib/passwd")
    there = root(link, entry("/usr/lib/passwd", b"app:x:65532:0::/:\n"))
    assert there.numbers("/etc/passwd") == {0, 65532}


def test_a_file_that_is_listed_and_missing_is_found() -> None:
    wrong = found(*distribution("folder", "0.1.dev3", record=["gone.py,sha256=x,1"]))
    assert [(x.check, x.subject) for x in wrong] == [("records", f"{SITE}/gone.py")]


def test_tests_of_the_project_are_found_by_their_content_wherever_they_are(tmp_path: Path) -> None:
    content = b"def test_that_something_holds() -> None: ..."
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_bytes(content)
    (tmp_path / "tests/__init__.py").write_bytes(b"")
    wrong = found(entry("/srv/renamed.txt", content), entry("/srv/empty"), tests=tmp_path / "tests")
    assert [(x.check, x.subject) for x in wrong] == [("tests", "/srv/renamed.txt")]


def test_every_name_of_a_file_with_several_is_looked_at() -> None:
    link = entry("/usr/bin/first", type=tarfile.LNKTYPE, linkname="usr/bin/second")
    files = dict(root(entry("/usr/bin/second", b"x"), link).files())
    assert {path: x.size for path, x in files.items()} == {
        "/usr/bin/first": 1,
        "/usr/bin/second": 1,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "passwd"},
        {"type": tarfile.SYMTYPE, "linkname": ".."},
        {"type": tarfile.LNKTYPE, "linkname": "none"},
        {"type": tarfile.DIRTYPE},
    ],
    ids=["itself", "folder", "nothing", "is a folder"],
)
def test_without_a_file_of_users_only_root_has_a_name(fields: dict[str, Any]) -> None:
    assert root(entry("/etc/passwd", **fields)).numbers("/etc/passwd") == {0}


def test_a_number_that_no_user_has_is_none() -> None:
    assert root(entry("/etc/passwd", b"x:x:" + b"9" * 5_000)).numbers("/etc/passwd") == {0}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_what_a_package_says_of_itself_is_in_a_file(kind: bytes) -> None:
    path = f"{SITE}/x-1.dist-info/METADATA"
    assert root(entry(path, type=kind, linkname="none")).distributions == {}


@pytest.mark.parametrize("name", ["", "Name: /", "Name: é"])
def test_a_package_without_a_name_is_called_as_its_folder(name: str) -> None:
    metadata = f"{name}\nVersion: 1\n".encode()
    found = root(entry(f"{SITE}/x_y-1.dist-info/METADATA", metadata)).distributions
    assert [*found] == ["x-y-1-dist-info"]


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("shop.py,shake_128=x,1", "is not what"),
        ("a" * 200_000, "no list of files"),
        ("shop.py\r,sha256=x,1", "is missing, and"),
    ],
    ids=["hash", "long", "line end"],
)
def test_a_list_of_files_may_be_damaged(record: str, told: str) -> None:
    files = root(*distribution("shop", "1.0", {"shop.py": SOURCE}, [record]))
    assert told in next(root_files.records(files)).problem


def test_a_version_may_have_any_number_of_digits() -> None:
    assert root_files.canonical("1" * 5_000) == root_files.canonical("0" + "1" * 5_000 + ".0")


def test_an_archive_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("root_files.docker", lambda *_: "id")
    monkeypatch.setattr("root_files.compose.removed", lambda _: nullcontext())

    def export(command: tuple[str, ...]) -> None:
        Path(command[2].partition("=")[2]).write_bytes(b"no archive")

    monkeypatch.setattr("root_files.client.run", export)
    with (
        pytest.raises(SessionError, match="exports of shop cannot be read"),
        root_files.exported("shop", "x"),
    ):
        pass
