"""docker/image/elf_segments.py keeps of a shared library what is loaded, as it is loaded."""

import dataclasses
import itertools
import random
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import elf
import elf_segments
import pytest

from tests.unit.conftest import elf_bytes

LOAD, INTERP, NOTE, PHDR, TLS = 1, 3, 4, 6, 7
EXECUTABLE, SHARED = 2, 3
PAGE = 0x1000
GCC, STRIP, READELF = map(shutil.which, ("gcc", "strip", "readelf"))

MACHINES = [(bits, order) for bits in (32, 64) for order in ("<", ">")]
machines = pytest.mark.parametrize(
    ("bits", "order"), MACHINES, ids=[f"{x}-{'little' if y == '<' else 'big'}" for x, y in MACHINES]
)


@dataclass(frozen=True)
class Segment:
    """An entry of the program headers, without what is the same in all of them."""

    offset: int
    address: int
    length: int
    kind: int = LOAD
    alignment: int = PAGE
    memory: int = 0  # More than what is in the file.


def header_of(bits: int) -> tuple[str, int, int]:
    """Return the form of the header behind its identity, its size, and that of a segment."""
    return ("HHIQQQIHHHHHH", 64, 56) if bits == 64 else ("HHIIIIIHHHHHH", 52, 32)


def library(
    segments: Sequence[Segment],
    behind: bytes = b"symbols" * 99,
    *,
    bits: int = 64,
    order: str = "<",
    kind: int = SHARED,
    table: int | None = None,
) -> bytes:
    """Return an ELF file with these segments; what none of them has is text like symbols.

    In: what is behind them, and where the program headers are if not behind the header.
    """
    form, size, entry = header_of(bits)
    table = table or size
    end = max([table + entry * len(segments), *(x.offset + x.length for x in segments)])
    data = bytearray(b"symbols!" * (end // 8 + 1))[:end]
    for number, segment in enumerate(segments, 1):
        inside = random.Random(number).randbytes(segment.length)
        data[segment.offset : segment.offset + segment.length] = inside
    identity = bytes([0x7F, *b"ELF", bits // 32, 1 if order == "<" else 2, 1]).ljust(16, b"\0")
    names = 29 if behind else 0
    counts = (size, entry, len(segments), 64, names + 1, names)
    fields = (kind, 62, 1, 0, table, end if behind else 0, 0, *counts)
    data[:size] = identity + struct.pack(order + form, *fields)
    for index, x in enumerate(segments):
        held = x.length + x.memory
        if bits == 64:
            wide = (x.kind, 5, x.offset, x.address, x.address, x.length, held, x.alignment)
            packed = struct.pack(order + "IIQQQQQQ", *wide)
        else:
            narrow = (x.kind, x.offset, x.address, x.address, x.length, held, 5, x.alignment)
            packed = struct.pack(order + "IIIIIIII", *narrow)
        data[table + index * entry : table + (index + 1) * entry] = packed
    return bytes(data) + behind


@dataclass(frozen=True)
class Read:
    """What the dynamic linker reads of a file, read in another way than the program does it."""

    table: int
    sections: tuple[int, int, int]
    segments: tuple[Segment, ...]
    contents: tuple[bytes, ...]  # Of each segment, without the headers, which have to change.


def read(data: bytes) -> Read:
    bits, order = data[4] * 32, "<" if data[5] == 1 else ">"
    form, size, entry = header_of(bits)
    _, _, _, _, table, sections, _, _, _, count, _, number, names = struct.unpack_from(
        order + form, data, 16
    )
    found = []
    for index in range(count):
        own = "IIQQQQQQ" if bits == 64 else "IIIIIIII"
        fields = struct.unpack_from(order + own, data, table + entry * index)
        if bits == 64:
            kind, _, offset, address, _, length, held, alignment = fields
        else:
            kind, offset, address, _, length, held, _, alignment = fields
        found.append(Segment(offset, address, length, kind, alignment, held - length))
    masked = bytearray(data)
    masked[:size] = bytes(size)
    masked[table : table + entry * count] = bytes(entry * count)
    contents = tuple(bytes(masked[x.offset : x.offset + x.length]) for x in found)
    return Read(table, (sections, number, names), tuple(found), contents)


def trimmed(data: bytes) -> Read:
    """Return what is loaded of a file after the program, which has to be as it was before."""
    new = elf_segments.loaded(data)
    assert len(new) <= len(data)
    before, after = read(data), read(new)
    assert after.contents == before.contents
    for old, one in zip(before.segments, after.segments, strict=True):
        assert dataclasses.replace(one, offset=old.offset) == old
        if one.kind == LOAD:
            assert one.offset % one.alignment == one.address % one.alignment
            assert one.offset + one.length <= len(new)
    assert elf_segments.loaded(new) == new
    return after


@machines
def test_what_is_behind_all_segments_is_left_out(bits: int, order: str) -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x300, 0x1300, 0x123)]
    data = library(segments, bits=bits, order=order)
    assert len(elf_segments.loaded(data)) == 0x423
    assert trimmed(data).segments == tuple(segments)


@machines
def test_the_file_says_that_it_has_no_sections(bits: int, order: str) -> None:
    data = library([Segment(0, 0, 0x300)], bits=bits, order=order)
    assert all(read(data).sections)
    assert trimmed(data).sections == (0, 0, 0)


@machines
@pytest.mark.parametrize("alignment", [0x1000, 0x4000, 0x10000])
def test_what_is_between_segments_is_left_out_in_whole_pages(
    bits: int, order: str, alignment: int
) -> None:
    """As of a library that patchelf gave a new segment: an address fits its place in the file."""
    far = 7 * alignment + 0x470
    segments = [
        Segment(0, 0, 0x1230, alignment=alignment),
        Segment(far, far + 3 * alignment, 0x99, alignment=alignment),
    ]
    data = library(segments, bits=bits, order=order)
    last = trimmed(data).segments[-1]
    assert last.offset < 0x1230 + alignment
    assert (far - last.offset) % alignment == 0
    assert len(elf_segments.loaded(data)) == last.offset + 0x99


def test_less_than_a_page_between_segments_stays() -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x1200, 0x2200, 0x100)]
    assert trimmed(library(segments)).segments == tuple(segments)


def test_the_largest_alignment_decides() -> None:
    """A shift by a page of one segment could tear another one from its address."""
    segments = [
        Segment(0, 0, 0x300, alignment=0x1000),
        Segment(0x5000, 0x5000, 0x100, alignment=0x4000 // 4),
        Segment(0x2A000, 0x3A000, 0x100, alignment=0x10000),
    ]
    after = trimmed(library(segments))
    assert [x.offset % 0x10000 for x in after.segments] == [0, 0x5000, 0xA000]
    assert after.segments[-1].offset == 0xA000


@machines
def test_program_headers_at_the_end_stay_with_the_segment_they_are_in(
    bits: int, order: str
) -> None:
    table = 0x9000
    size = header_of(bits)[2] * 3
    segments = [
        Segment(table, 0x19000, size, PHDR, 8),
        Segment(0, 0, 0x1500),
        Segment(table, 0x19000, size + 0x40),
    ]
    after = trimmed(library(segments, bits=bits, order=order, table=table))
    assert after.table == after.segments[0].offset == after.segments[2].offset == 0x2000


@machines
def test_program_headers_that_no_segment_has_stay(bits: int, order: str) -> None:
    """The linker reads them from the file, wherever they are."""
    data = library([Segment(0, 0, 0x1500)], bits=bits, order=order, table=0x9010)
    after = trimmed(data)
    assert after.table == 0x2010
    assert len(elf_segments.loaded(data)) == 0x2010 + header_of(bits)[2]


def test_segments_within_others_move_with_them() -> None:
    """A note and what is read only are parts of what is loaded."""
    segments = [
        Segment(0, 0, 0x1500),
        Segment(0x400, 0x400, 0x20, NOTE, 4),
        Segment(0x8800, 0xA800, 0x500),
        Segment(0x8900, 0xA900, 0x100, 0x6474E552, 1),
    ]
    assert [x.offset for x in trimmed(library(segments)).segments] == [0, 0x400, 0x1800, 0x1900]


def test_a_segment_that_is_not_loaded_stays_too() -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x5008, 0, 0x20, NOTE, 4)]
    data = library(segments)
    assert len(elf_segments.loaded(data)) == 0x1028
    trimmed(data)


def test_a_later_address_may_come_first_in_the_file() -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x9000, 0x4000, 0x80), Segment(0x5000, 0x7000, 0x80)]
    assert [x.offset for x in trimmed(library(segments)).segments] == [0, 0x2000, 0x1000]


def test_segments_without_bytes_in_the_file_may_say_any_place() -> None:
    """The stack, and what threads begin with as zeros."""
    segments = [
        Segment(0, 0, 0x300),
        Segment(0, 0, 0, 0x6474E551, 16),
        Segment(0x5F00, 0x8F00, 0, TLS, 8, memory=64),
        Segment(0x6000, 0x9000, 0x80, memory=0x2000),
    ]
    assert [x.offset for x in trimmed(library(segments)).segments][::3] == [0, 0x1000]


def test_a_library_with_nothing_else_stays_as_it_is() -> None:
    data = library([Segment(0, 0, 0x300), Segment(0x300, 0x1300, 0x100)], behind=b"")
    assert elf_segments.loaded(data) == data


def random_libraries() -> Iterator[bytes]:
    """Yield libraries whose segments lie in any order, with anything between them."""
    for number in range(200):
        chance = random.Random(number)
        alignment = chance.choice([0x1000, 0x4000])
        offset, address, segments = 0, 0, []
        for _ in range(chance.randint(1, 6)):
            length = chance.randint(0x200, 3 * alignment)
            segments.append(Segment(offset, address, length, alignment=alignment))
            offset += length + chance.choice([0, chance.randint(0, 5 * alignment)])
            address += length
            address += (offset - address) % alignment + alignment * chance.randint(1, 3)
        bits, order = chance.choice(MACHINES)
        chance.shuffle(segments)
        behind = chance.randbytes(chance.randint(0, 999))
        yield library(segments, behind, bits=bits, order=order)


def test_whatever_lies_between_segments_what_is_loaded_is_the_same() -> None:
    """No file gets longer, and a second time changes nothing."""
    count = 0
    for data in random_libraries():
        trimmed(data)
        count += len(elf_segments.loaded(data)) < len(data)
    assert count > 100


@machines
def test_a_program_stays_as_it_is(bits: int, order: str) -> None:
    """It may read what is behind its segments, as those do that unpack themselves."""
    segments = [Segment(0, 0, 0x300), Segment(0x200, 0x200, 0x20, INTERP, 1)]
    data = library(segments, bits=bits, order=order)
    assert elf_segments.loaded(data) == data


@machines
@pytest.mark.parametrize("kind", [0, 1, EXECUTABLE, 4])
def test_what_is_no_shared_library_stays_as_it_is(bits: int, order: str, kind: int) -> None:
    """Object files, programs for a fixed address, and dumps of memory."""
    data = library([Segment(0, 0, 0x300)], bits=bits, order=order, kind=kind)
    assert elf_segments.loaded(data) == data


@machines
def test_a_library_with_memory_that_has_no_bytes_in_the_file_stays_as_it_is(
    bits: int, order: str
) -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x5000, 0x9000, 0, memory=0x100)]
    data = library(segments, bits=bits, order=order)
    assert elf_segments.loaded(data) == data


@machines
def test_a_plugin_of_qt_stays_as_it_is(bits: int, order: str) -> None:
    """Qt 5 opens only files that have a section of this name, and reads it from the file."""
    names = b"\0.shstrtab\0.text\0.qtmetadata\0"
    data = library([Segment(0, 0, 0x300)], behind=b"symbols" + names, bits=bits, order=order)
    assert elf_segments.loaded(data) == data


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x7f", b"\x7fELF", b"\x7fELF\x02", b"\x7fELF" + bytes(99), b"MZ" * 99),
        *(b"/* GNU ld script */ GROUP(libc.so.6)", b"\x7fELF\x03\x01" + bytes(99)),
    ],
    ids=ascii,
)
def test_anything_else_stays_as_it_is(data: bytes) -> None:
    assert elf_segments.loaded(data) == data


@machines
def test_a_library_that_ends_within_its_segments_stays_as_it_is(bits: int, order: str) -> None:
    data = library([Segment(0, 0, 0x300), Segment(0x300, 0x1300, 0x80)], bits=bits, order=order)
    for length in range(0x380):
        assert elf_segments.loaded(data[:length]) == data[:length], length


@machines
def test_a_library_that_ends_within_its_last_segment_stays_as_it_is(bits: int, order: str) -> None:
    """Also when there is something to leave out before that."""
    data = library([Segment(0, 0, 0x300), Segment(0x5000, 0x6000, 0x80)], bits=bits, order=order)
    for length in range(0x5000, 0x5080):
        assert elf_segments.loaded(data[:length]) == data[:length], length


@machines
def test_a_damaged_file_is_no_reason_to_stop(bits: int, order: str) -> None:
    segments = [Segment(0, 0, 0x300), Segment(0x5000, 0x6000, 0x80)]
    data = library(segments, bits=bits, order=order)
    _, size, entry = header_of(bits)
    for position, value in itertools.product(range(4, size + 2 * entry), (0, 0x7F, 0xFF)):
        damaged = data[:position] + bytes([value]) + data[position + 1 :]
        assert len(elf_segments.loaded(damaged)) <= len(data), (position, value)


@machines
def test_what_a_library_needs_is_read_as_before(tmp_path: Path, bits: int, order: str) -> None:
    data = elf_bytes(["liba.so.1", "libb.so"], runpath="$ORIGIN/lib", bits=bits, order=order)
    (tmp_path / "old.so").write_bytes(data + b"symbols" * 99)
    (tmp_path / "new.so").write_bytes(elf_segments.loaded(data + b"symbols" * 99))
    assert (tmp_path / "new.so").stat().st_size == len(data)
    assert described(tmp_path / "new.so") == described(tmp_path / "old.so")


def described(path: Path) -> elf.Elf:
    """Return what elf.py reads of a file, without where it is."""
    found = elf.read(path)
    assert found is not None
    return dataclasses.replace(found, path=Path())


def ask(path: Path) -> str:
    """Load a library in a process of its own, and return its answer."""
    code = (
        "import ctypes, sys\nfound = ctypes.CDLL(sys.argv[1])\n"
        "found.name.restype = ctypes.c_char_p\nprint(found.answer(), found.name().decode())"
    )
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


SOURCE = r"""
#include <math.h>
#include <string.h>
static __thread int own = 40;
static int zeros[5000];
static const char *const names[] = {"one", "two"};
static char name_[64];
__attribute__((constructor)) static void begin(void) { zeros[4999] = 1; }
int answer(void) { return own + zeros[4999] + (int)sqrt((double)zeros[4999]); }
const char *name(void) { return strcat(strcpy(name_, names[1]), names[0]); }
"""


@pytest.mark.skipif(not GCC, reason="needs gcc to make a library")
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-Wl,-z,relro,-z,now"],
        ["-Wl,-z,noseparate-code"],
        ["-Wl,-z,max-page-size=65536"],
        ["-Wl,--build-id", "-Wl,--hash-style=both", "-Wl,-rpath,$ORIGIN/lib"],
        ["-gz", "-O2", "-fno-omit-frame-pointer"],
    ],
    ids=" ".join,
)
def test_a_library_that_gcc_makes_is_smaller_and_gives_the_same_answer(
    tmp_path: Path, options: list[str]
) -> None:
    source, old, new = (tmp_path / name for name in ("answer.c", "old.so", "new.so"))
    source.write_text(SOURCE)
    command = [str(GCC), "-g3", "-shared", "-fPIC", *options, "-o", str(old), str(source), "-lm"]
    subprocess.run(command, check=True)
    new.write_bytes(elf_segments.loaded(old.read_bytes()))
    assert ask(new) == ask(old) == "42 twoone\n"
    assert new.stat().st_size < old.stat().st_size
    assert described(new) == described(old)
    assert elf_segments.loaded(new.read_bytes()) == new.read_bytes()
    trimmed(old.read_bytes())


@pytest.mark.skipif(not (GCC and STRIP), reason="needs gcc and strip to compare with")
def test_a_library_is_not_larger_than_strip_makes_it(tmp_path: Path) -> None:
    source, old = tmp_path / "answer.c", tmp_path / "old.so"
    source.write_text(SOURCE)
    subprocess.run([str(GCC), "-g3", "-shared", "-fPIC", "-o", old, source, "-lm"], check=True)
    subprocess.run([str(STRIP), "-o", tmp_path / "stripped.so", old], check=True)
    new = elf_segments.loaded(old.read_bytes())
    assert len(new) <= (tmp_path / "stripped.so").stat().st_size


@pytest.mark.skipif(not (GCC and READELF), reason="needs gcc and readelf")
def test_readelf_finds_no_fault_in_what_is_left(tmp_path: Path) -> None:
    source, old, new = (tmp_path / name for name in ("answer.c", "old.so", "new.so"))
    source.write_text(SOURCE)
    subprocess.run([str(GCC), "-g3", "-shared", "-fPIC", "-o", old, source, "-lm"], check=True)
    new.write_bytes(elf_segments.loaded(old.read_bytes()))
    command = [str(READELF), "--wide", "--dynamic", "--notes", "--use-dynamic"]
    old_text, new_text = (
        subprocess.run([*command, path], check=True, capture_output=True, text=True)
        for path in (old, new)
    )
    assert (old_text.stderr, new_text.stderr) == ("", "")
    entries = [re.findall(r"^ 0x\w+ \(.*", x.stdout, re.MULTILINE) for x in (old_text, new_text)]
    assert len(entries[0]) > 10
    assert entries[1] == entries[0]


def extension_modules() -> list[Path]:
    """Return some extension modules of the running interpreter."""
    return sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_[a-d]*.so"))


@pytest.mark.parametrize("module", extension_modules(), ids=lambda path: path.name)
def test_the_extension_modules_of_python_can_be_imported_as_before(
    tmp_path: Path, module: Path
) -> None:
    new = tmp_path / module.name
    new.write_bytes(elf_segments.loaded(module.read_bytes()))
    trimmed(module.read_bytes())
    code = (
        "import sys, importlib.util as u\n"
        "spec = u.spec_from_file_location(*sys.argv[1:])\n"
        "module = u.module_from_spec(spec)\nspec.loader.exec_module(module)\nprint(module.__file__)"
    )
    command = [sys.executable, "-c", code, module.name.partition(".")[0], str(new)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{new}\n", "")
