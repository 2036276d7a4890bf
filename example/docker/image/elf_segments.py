"""Keep, of a shared library, what the dynamic linker loads: symbols and debugging data are not.

strip(1) moves what is loaded, and some libraries that were patched when a wheel was made cannot be
loaded afterwards ("ELF load command address/offset not page-aligned"). Here nothing moves within
its page. Source: elf(5).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# Qt 5 reads it of its plugins from the file.
QT_SECTION = b"\0.qtmetadata\0"
PT_LOAD, PT_INTERP = 1, 3
ET_DYN = 3


@dataclass(frozen=True)
class Form:
    """Where the fields are in files of one word size, as positions or as forms of struct."""

    offset: str
    program_headers: int
    section_headers: int
    header_size: int
    counts: int
    segment: str
    # Which of a segment's fields are its offset, its length in the file, and its alignment.
    fields: tuple[int, int, int]


FORMS = {
    1: Form("I", 28, 32, 52, 42, "IIIIIIII", (1, 4, 7)),
    2: Form("Q", 32, 40, 64, 54, "IIQQQQQQ", (2, 5, 7)),
}


def loaded(data: bytes) -> bytes:
    """Return a shared library without what no segment holds; any other file as it is."""
    try:
        return _loaded(data)
    except (struct.error, KeyError, IndexError, OverflowError):
        return data


def _loaded(data: bytes) -> bytes:
    if data[:4] != b"\x7fELF" or QT_SECTION in data:
        return data
    form, order = FORMS[data[4]], "<" if data[5] == 1 else ">"
    [kind] = struct.unpack_from(order + "H", data, 16)
    [start] = struct.unpack_from(order + form.offset, data, form.program_headers)
    size, count = struct.unpack_from(order + "HH", data, form.counts)
    segment, (offset, length, alignment) = struct.Struct(order + form.segment), form.fields
    segments = [list(segment.unpack_from(data, start + size * index)) for index in range(count)]
    loads = [x for x in segments if x[0] == PT_LOAD]
    # A program may have data of its own behind what is loaded, as self-extracting ones do. Memory
    # without bytes in the file would lie beyond its end.
    if (
        kind != ET_DYN
        or any(x[0] == PT_INTERP for x in segments)
        or not all(x[length] for x in loads)
    ):
        return data
    if any(x[offset] + x[length] > len(data) for x in segments):
        return data
    regions = [(x[offset], x[offset] + x[length]) for x in segments if x[length]]
    regions += [(0, form.header_size), (start, start + size * count)]
    page = max([1, *(x[alignment] for x in loads)])
    kept, shifts = bytearray(), list[tuple[int, int]]()
    shift = last = 0
    for begin, end in _merged(regions):
        # An address and its place in the file are the same within a page.
        gap = (begin - last) % page
        shift += begin - last - gap
        kept += data[begin - gap : end]
        shifts.append((begin, shift))
        last = end

    def place(position: int) -> int:
        return position - max(shift for begin, shift in shifts if begin <= position)

    for index, fields in enumerate(segments):
        fields[offset] = place(fields[offset])
        segment.pack_into(kept, place(start) + size * index, *fields)
    struct.pack_into(order + form.offset, kept, form.program_headers, place(start))
    struct.pack_into(order + form.offset, kept, form.section_headers, 0)
    # Sections, whose number and names are the last fields, are for linking and debugging.
    struct.pack_into(order + "HH", kept, form.counts + 6, 0, 0)
    return bytes(kept) if len(kept) < len(data) else data


def _merged(regions: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield regions of a file in their order, those that touch each other as one."""
    first, *rest = sorted(regions)
    begin, end = first
    for another, its_end in rest:
        if another > end:
            yield begin, end
            begin = another
        end = max(end, its_end)
    yield begin, end
