"""The head of an AEDAT4 file, checked before a decoder that is not ours trusts it.

Behind the line ``#!AER-DAT4.0`` stand the size of a FlatBuffers table in 4 bytes and the table (identifier ``IOHE``):
compression, position of the table of packets, and an XML text that names the streams.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from data.events.problems import damaged

MAGIC = b"#!AER-DAT4.0\r\n"
_LARGEST_HEADER = 1 << 24
_XML_FIELD = 2


def check_header(path: Path) -> None:
    """Check that all offsets of the header lie inside it and that its XML is plain.

    Raises:
        UserError: the header is damaged, with the byte.
    """
    with path.open("rb") as handle:
        start = handle.read(len(MAGIC) + 4)
        if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 4:
            raise damaged(path, f"the line {MAGIC.decode().strip()} and a header size, got {start[:18]!r} at byte 0")
        size = int.from_bytes(start[-4:], "little")
        table = handle.read(min(size, _LARGEST_HEADER))
    if not 8 <= size == len(table):
        raise damaged(path, f"the header of {size} bytes, announced at byte {len(MAGIC)}, is not there whole")
    try:
        text = _string(table, _XML_FIELD)
        streams = re.findall(rb'<attr key="typeIdentifier"', text)
        if table[4:8] != b"IOHE" or not text.isascii() or not text.startswith(b"<") or not streams:
            raise ValueError("no description of the streams")
        if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
            raise ValueError("control characters")
    except (ValueError, struct.error) as error:
        raise damaged(path, f"header at byte {len(start)}: {error}") from error


def _string(table: bytes, field: int) -> bytes:
    """A string field of a FlatBuffers root table; ValueError if an offset leads out of it."""
    root = _at(table, "<I", 0)
    vtable = root - _at(table, "<i", root)
    entry = vtable + 4 + 2 * field
    if entry + 2 > vtable + _at(table, "<H", vtable):
        raise ValueError("a field is missing")
    where = root + _at(table, "<H", entry)
    start = where + _at(table, "<I", where)
    length = _at(table, "<I", start)
    if start + 4 + length > len(table):
        raise ValueError("an offset leads out of it")
    return table[start + 4 : start + 4 + length]


def _at(table: bytes, form: str, offset: int) -> int:
    if offset < 0:
        raise ValueError("an offset leads out of it")
    return struct.unpack_from(form, table, offset)[0]
