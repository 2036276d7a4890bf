"""on_request/: what is in an image, byte for byte, how it changed, and why it is there."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import contents
import explain_size
import layers
import project_file
import pytest
import treemap
from contents import DISTRIBUTION, INTERPRETER, NOTHING, SYSTEM_PACKAGE, Image, Owner
from installed_packages import Database
from session import SessionError
from why import Reasons

from tests.unit.conftest import MakeDpkg, elf_bytes
from tests.unit.images import Engine, archive, link
from tests.unit.roots import SITE, Entry, distribution, entry, root

OS = entry("/etc/os-release", b'ID=debian\nVERSION_ID="13"\n')
LIB = "/usr/lib/x86_64-linux-gnu"
STDLIB = "/usr/local/lib/python3.13"
MakeImage = Callable[..., Image]


@pytest.fixture
def make_image(tmp_path: Path, make_dpkg: MakeDpkg) -> MakeImage:
    """Return a function that makes an image of entries, with packages and their files."""

    def make_image(
        *entries: Entry,
        packages: Mapping[str, Mapping[str, str]] | None = None,
        files: Mapping[str, list[str]] | None = None,
    ) -> Image:
        database = make_dpkg(tmp_path / "database", packages or {}, files)
        return Image("x", root(OS, *entries), Database(database), "amd64")

    return make_image


def leaves(entries: list[Any]) -> Iterator[int]:
    """Yield the bytes of all files in a tree as the page has it."""
    for _, content in entries:
        if isinstance(content, list):
            yield from leaves(content)
        else:
            yield content


def data_of(page: str) -> Any:
    found = treemap.DATA.search(page)
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("stored", ["oci", "legacy", "gzip"])
def test_every_byte_of_every_layer_is_in_the_page(
    engine: Engine, make_image: MakeImage, stored: str
) -> None:
    """What is replaced counts twice, a hard link and what marks a removed file not at all."""
    below = archive({"a": bytes(1_000), "opt/b": bytes(20), "opt/c": b"\0" * 7})
    above = archive(
        {
            "a": bytes(300),
            "./opt/.hidden": b"1234",
            "opt/.wh.c": b"",
            "opt/link": link(tarfile.LNKTYPE, "opt/b"),
            "opt/short": link(tarfile.SYMTYPE, "b"),
        }
    )
    # Of the same layer there may be two.
    engine.add("x", below, above, below, stored=stored)
    found = contents.read(make_image())
    [measured] = layers.measure("x")
    assert [layer.size for layer in found.layers] == [layer.size for layer in measured.layers]
    assert found.size == measured.size == 2 * 1_027 + 304
    data = data_of(treemap.page(found))
    sums = [sum(sum(leaves(group[3])) for group in groups) for _, groups in data["layers"]]
    assert sums == [1_027, 304, 1_027]
    assert data["size"] == sum(sums)


def test_a_file_belongs_to_what_has_brought_it(make_image: MakeImage) -> None:
    image = make_image(
        *distribution("click", "8.1", {"click/core.py": b"x"}, ["click/core.py,,"]),
        entry(f"{SITE}/click/__pycache__/core.cpython-313.pyc"),
        entry(f"{SITE}/own.pth"),
        packages={"libssl3": {"Version": "3.5"}, "libpython3.13-stdlib": {}},
        files={
            "libssl3": [f"{LIB}/libssl.so.3"],
            "libpython3.13-stdlib": ["/usr/lib/python3.13/abc.py"],
        },
    )
    click, ssl = Owner(DISTRIBUTION, "click", "8.1"), Owner(SYSTEM_PACKAGE, "libssl3", "3.5")
    stdlib = Owner(SYSTEM_PACKAGE, "libpython3.13-stdlib", "1")
    python = Owner(INTERPRETER, "python", "3.13")
    for path, owner in {
        f"{SITE}/click/core.py": click,
        f"{SITE}/click/__pycache__/core.cpython-313.pyc": click,
        f"{SITE}/own.pth": Owner(NOTHING),
        f"{LIB}/libssl.so.3": ssl,
        # The minimal runtime has records of its own, and bytecode in the place of the source.
        "/var/lib/dpkg/status.d/libssl3": ssl,
        "/usr/lib/python3.13/abc.pyc": stdlib,
        f"{STDLIB}/abc.pyc": python,
        "/usr/local/bin/python3.13": python,
        f"{STDLIB}/site-packages/x.py": Owner(NOTHING),
        "/srv/data": Owner(NOTHING),
    }.items():
        assert image.owner(path) == owner, path


def test_a_folder_that_has_one_folder_alone_is_one_with_it() -> None:
    files = [("/opt/venv/lib/a.py", 3), ("/opt/venv/lib/b/c.py", 4), ("/opt/venv/lib/b/c.py", 1)]
    assert contents.tree(files) == [["opt/venv/lib", [["a.py", 3], ["b", [["c.py", 5]]]]]]


NAMES = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "half \udce4 of a letter",
    'quotes " and \\',
    "line\nend\u2028",
    "<img src=x onerror=alert(1)>",
]


def made(*names: str, size: int = 5) -> contents.Contents:
    files = [contents.File(f"/srv/{name}", size, Owner(NOTHING)) for name in names]
    owned = contents.File("/usr/x", 7, Owner(SYSTEM_PACKAGE, "x", "1"))
    return contents.Contents("shop:production", [contents.Layer("COPY / /", [*files, owned])])


def test_whatever_a_file_is_called_stays_data(tmp_path: Path) -> None:
    page = treemap.page(made(*NAMES), "old", contents.changes({}, made(*NAMES).sizes()))
    template = treemap.TEMPLATE.read_text(encoding="utf-8")
    assert page.isascii() == template.isascii()
    for word in ("<script", "</script", "<!--", "<img"):
        assert page.count(word) == template.count(word), word
    file = tmp_path / "size.html"
    file.write_text(page, encoding="utf-8")
    assert treemap.earlier(file) == ("shop:production", made(*NAMES).sizes())


def test_the_page_is_one_file_that_asks_nobody() -> None:
    text = treemap.TEMPLATE.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"\b(src|href)=\"(?!data:)|url\(|@import|fetch\(|import\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        f"{treemap.START}{treemap.END}",
        f'{treemap.START}{{"format": 1}}{treemap.END}',
        f'{treemap.START}{{"format": 0, "image": "x", "layers": []}}{treemap.END}',
        f'{treemap.START}{{"format": 1, "image": "x", "layers": [["a", [[1, 2]]]]}}{treemap.END}',
        f"{treemap.START}[]{treemap.END}",
    ],
)
def test_a_page_that_cannot_be_read_is_none_to_compare_with(tmp_path: Path, text: str) -> None:
    file = tmp_path / "size.html"
    assert treemap.earlier(file) is None
    file.write_text(text, encoding="utf-8")
    assert treemap.earlier(file) is None


def test_what_changed_is_added_removed_grown_shrunk_or_of_another_version() -> None:
    same = {(DISTRIBUTION, "click"): ("8", 10)}
    before = {
        **same,
        (DISTRIBUTION, "gone"): ("1", 50),
        (DISTRIBUTION, "more"): ("1", 10),
        (SYSTEM_PACKAGE, "less"): ("1", 10),
        (SYSTEM_PACKAGE, "other"): ("1", 10),
    }
    now = {
        **same,
        (NOTHING, "/new"): ("", 60),
        (DISTRIBUTION, "more"): ("2", 17),
        (SYSTEM_PACKAGE, "less"): ("1", 9),
        (SYSTEM_PACKAGE, "other"): ("2", 10),
    }
    assert [(x.name, x.verdict, x.bytes) for x in contents.changes(before, now)] == [
        ("/new", "added", 60),
        ("gone", "removed", -50),
        ("more", "grown", 7),
        ("less", "shrunk", -1),
        ("other", "same size", 0),
    ]
    assert contents.changes(now, now) == []


def test_changes_are_printed_with_both_versions(capsys: pytest.CaptureFixture[str]) -> None:
    before, now = {(DISTRIBUTION, "a"): ("1", 10)}, {(DISTRIBUTION, "a"): ("2", 2_000_010)}
    explain_size.print_changes("x:1", 10, 2_000_010, contents.changes(before, now))
    assert capsys.readouterr().out.splitlines() == [
        "since x:1: 0.0 kB, now 2.0 MB, +2.0 MB",
        "  grown  a 1 → 2  +2.0 MB",
    ]


@pytest.mark.parametrize(
    ("given", "image"),
    [("1.2", "shop:1.2"), ("old:1", "old:1"), ("host/x", "host/x"), ("x@sha256:0", "x@sha256:0")],
)
def test_a_tag_alone_is_one_of_the_project(
    monkeypatch: pytest.MonkeyPatch, given: str, image: str
) -> None:
    monkeypatch.setattr("engine.name", lambda: "shop")
    assert explain_size.image_of(given) == image


@pytest.mark.parametrize(
    "words", [[], ["--why"], ["--html", "--suggest"], ["--why", "x", "--html"]]
)
def test_what_is_asked_is_one_thing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        explain_size.arguments(words)
    assert "usage: nox -s docker_size --" in capsys.readouterr().err


# --- Why something is there ---------------------------------------------------------------------


@pytest.fixture
def reasons(make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Reasons:
    """Return those of an image whose project requires a distribution that needs a library."""
    image = make_image(
        *distribution("shop", "1", metadata="Requires-Dist: web[fast]>=2\n"),
        *distribution(
            "web",
            "2.1",
            metadata='Requires-Dist: core<3\nRequires-Dist: Rust_Ext ; extra == "fast"\n'
            'Requires-Dist: absent ; sys_platform == "win32"\n',
        ),
        *distribution("core", "2.9", metadata="Requires-Dist: rust-ext==1\n"),
        *distribution(
            "rust-ext",
            "1",
            {
                "rust/_rust.so": elf_bytes(
                    ["libone.so.1", "libpq-0a1b2c3d.so.5"], runpath="$ORIGIN/../rust.libs"
                ),
                "rust.libs/libpq-0a1b2c3d.so.5": elf_bytes(),
            },
        ),
        *distribution("left-over", "1"),
        entry(LIB, None),
        entry(f"{LIB}/libone.so.1", None, type=tarfile.SYMTYPE, linkname="libone.so.1.2.3"),
        entry(f"{LIB}/libone.so.1.2.3", elf_bytes(["libtwo.so"])),
        entry(f"{LIB}/libtwo.so", elf_bytes()),
        entry(f"{LIB}/libdrv.so", elf_bytes(["libtwo.so"])),
        entry(f"{LIB}/libfree.so", elf_bytes()),
        entry("/lib", None, type=tarfile.SYMTYPE, linkname="usr/lib"),
        entry(f"{STDLIB}/lib-dynload/_two.so", elf_bytes(["libtwo.so"])),
        packages={
            "libone1": {},
            "libtwo": {"Version": "2.0"},
            "driver": {"Depends": "data | other, libtwo (>= 1)"},
            "data": {},
        },
        files={
            "libone1": [f"{LIB}/libone.so.1", f"{LIB}/libone.so.1.2.3"],
            "libtwo": [f"{LIB}/libtwo.so"],
            "driver": [f"{LIB}/libdrv.so"],
            "data": ["/usr/share/data"],
        },
    )
    pyproject = {
        "project": {"name": "shop"},
        "tool": {"sys": {"debian13": {"dependencies": {"driver": "*"}}}},
    }
    monkeypatch.setattr(project_file, "setting", lambda _: {})
    lock = {"package": [{"name": "Mypy", "groups": ["dev", "docs"]}]}
    return Reasons(image, pyproject, lock)


DRIVER = "[tool.sys.debian13.dependencies] → driver"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        # A distribution, however it is written, by each that requires it.
        (
            "Rust.Ext",
            [
                "  shop → web[fast] (>=2) → core (<3) → rust-ext (==1)",
                "  shop → web[fast] (>=2) → rust-ext",
            ],
        ),
        ("shop", ["  it is the project's own"]),
        (
            "left-over",
            ["  nothing requires it: a step of the build or the base image has installed it"],
        ),
        # A library by the name that is asked for, which is a link, and without its number.
        (
            "libone.so.1",
            ["  shop → web[fast] (>=2) → rust-ext → _rust.so → libone.so.1.2.3"],
        ),
        # One that a wheel brings, which adds a hash to its name.
        (
            "libpq",
            [
                "  shop → web[fast] (>=2) → rust-ext → _rust.so → libpq-0a1b2c3d.so.5",
                "  shop → web[fast] (>=2) → core (<3) → rust-ext (==1)",
                "  shop → web[fast] (>=2) → rust-ext",
            ],
        ),
        (
            "libtwo",
            [
                f"  {DRIVER} → libtwo",
                f"  {DRIVER} → libdrv.so → libtwo.so",
                "  the standard library → _two.so → libtwo.so",
                "  shop → web[fast] (>=2) → rust-ext → _rust.so → libone.so.1.2.3 → libtwo.so",
            ],
        ),
        ("driver", [f"  {DRIVER}"]),
        (f"{LIB}/libfree.so", ["  no file needs it: it may be loaded or run by name"]),
    ],
)
def test_the_chain_that_brings_a_thing_is_named(
    reasons: Reasons, name: str, lines: list[str]
) -> None:
    found = reasons.of(name)
    for line in lines:
        assert line in found
    if name != "libtwo":
        assert found[1:] == lines


def test_what_is_only_locked_or_unknown_is_said(reasons: Reasons) -> None:
    assert reasons.of("mypy") == ["mypy is not in x: it is locked for dev, docs"]
    with pytest.raises(SessionError, match=r"Nothing in x is called libton\. There is .*libtwo"):
        reasons.of("libton")


def test_a_project_without_a_package_requires_what_it_lists(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(
        *distribution("tool", "1", metadata="Requires-Dist: part\n"), *distribution("part", "1")
    )
    monkeypatch.setattr(project_file, "setting", lambda _: {})
    pyproject = {
        "project": {"name": "x", "dependencies": ["tool>=1", "no requirement!"]},
        "tool": {"poetry": {"package-mode": False}},
    }
    assert Reasons(image, pyproject, {}).of("part")[1:] == ["  pyproject.toml → tool (>=1) → part"]


def test_links_in_a_circle_end(make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = [
        entry(f"{LIB}/liba.so", None, type=tarfile.SYMTYPE, linkname="libb.so"),
        entry(f"{LIB}/libb.so", None, type=tarfile.SYMTYPE, linkname="/usr/lib/../lib/loop/x"),
        entry("/usr/lib/loop", None, type=tarfile.SYMTYPE, linkname="loop"),
        entry("/usr/bin/x", elf_bytes(["liba.so"], runpath="/usr/lib/loop:")),
    ]
    monkeypatch.setattr(project_file, "setting", lambda _: {})
    with pytest.raises(SessionError, match="Nothing in x is called liba"):
        Reasons(make_image(*ring), {"project": {"name": "s"}}, {}).of("liba.so")


def test_packages_and_the_linker_of_alpine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is unpacked with the links on the way to it, and nothing leads out of it."""
    installed = (
        "P:musl\nV:1.2\nF:lib\nR:ld-musl-x86_64.so.1\nR:libc.musl-x86_64.so.1\n\n"
        "P:libffi\nV:3.5\nF:usr/lib\nR:libffi.so.8\n"
    )
    files = root(
        entry("/etc/os-release", b"ID=alpine\nVERSION_ID=3.23.6\n"),
        entry("/usr/lib/apk/db", None),
        entry("/usr/lib/apk/db/installed", installed.encode()),
        entry("/lib", None, type=tarfile.SYMTYPE, linkname="usr/lib"),
        entry("/out", None, type=tarfile.SYMTYPE, linkname="/etc"),
        entry("/usr/lib/ld-musl-x86_64.so.1", elf_bytes()),
        entry(
            "/usr/lib/libc.musl-x86_64.so.1",
            None,
            type=tarfile.SYMTYPE,
            linkname="ld-musl-x86_64.so.1",
        ),
        entry("/usr/lib/libffi.so.8", elf_bytes(["libc.musl-x86_64.so.1"])),
        entry(f"{STDLIB}/lib-dynload/_ctypes.so", elf_bytes(["libffi.so.8"])),
    )
    contents.unpack_database(files, tmp_path)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(project_file, "setting", lambda _: {})
    image = Image("x", files, Database(tmp_path), "amd64")
    reasons = Reasons(image, {"project": {"name": "s"}}, {})
    assert reasons.of("musl")[:2] == [
        "musl 1.2 is a system package, 0.2 kB in 1 files",
        "  the standard library → _ctypes.so → libffi.so.8 → ld-musl-x86_64.so.1",
    ]
    assert reasons.of("libffi.so.8")[0].endswith(" is of libffi 3.5, 0.2 kB")
