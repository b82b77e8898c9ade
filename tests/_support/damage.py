"""Damaged files: what bytes become on bad disks, in broken downloads, or in hands that mean harm."""

import struct
import zlib

from hypothesis import strategies as st

# Numbers that sizes and offsets in headers become.
_EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


@st.composite
def damaged(draw, content):
    """``content`` with one to six of its parts changed, left out, doubled, exchanged; or an end of it missing."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        # Headers and footers are where damage does most.
        place = draw(
            st.one_of(
                st.integers(0, len(data) - 1),
                st.integers(0, min(99, len(data) - 1)),
                st.integers(max(0, len(data) - 300), len(data) - 1),
            )
        )
        kind = draw(st.sampled_from(["bit", "byte", "number", "cut", "leave out", "double", "zero", "random", "move"]))
        length = draw(st.integers(1, 64))
        part = bytes(data[place : place + length])
        if kind == "bit":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            data[place] = draw(st.integers(0, 255))
        elif kind == "number":
            layout = draw(st.sampled_from([">I", "<I", ">H", "<H"]))
            number = draw(st.sampled_from(_EXTREMES)) & (0xFFFFFFFF if layout[1] == "I" else 0xFFFF)
            data[place : place + struct.calcsize(layout)] = struct.pack(layout, number)
        elif kind == "cut":
            del data[place:]
        elif kind == "leave out":
            del data[place : place + length]
        elif kind == "double":
            data[place:place] = part * draw(st.integers(1, 4))
        elif kind == "zero":
            data[place : place + length] = bytes(len(part))
        elif kind == "random":
            data[place : place + length] = draw(st.binary(min_size=1, max_size=64))
        else:
            del data[place : place + length]
            target = draw(st.integers(0, len(data)))
            data[target:target] = part
    return bytes(data)


def with_png_checksums(content):
    """The checksums of a PNG's chunks made right, so that damage gets past them."""
    data, place = bytearray(content), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)
