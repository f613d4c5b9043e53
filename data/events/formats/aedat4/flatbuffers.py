"""Reading FlatBuffers tables without trusting their offsets: each function raises ValueError or ``struct.error``."""

from __future__ import annotations

import struct


def at(data: bytes, form: str, offset: int) -> int | float:
    """A number of one ``struct`` format."""
    if offset < 0:
        raise ValueError("an offset leads out of it")
    return struct.unpack_from(form, data, offset)[0]


def _whole(data: bytes, form: str, offset: int) -> int:
    return int(at(data, form, offset))


def follow(data: bytes, offset: int) -> int:
    """Where the reference at an offset leads; the root table is where that at 0 leads."""
    return offset + _whole(data, "<I", offset)


def field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table lies, None if it is left out."""
    vtable = table - _whole(data, "<i", table)
    entry = vtable + 4 + 2 * number
    if entry + 2 > vtable + _whole(data, "<H", vtable):
        return None
    distance = _whole(data, "<H", entry)
    return table + distance if distance else None


def text(data: bytes, table: int, number: int) -> bytes:
    """A string field."""
    where = field(data, table, number)
    if where is None:
        raise ValueError("a field is missing")
    start = follow(data, where)
    length = _whole(data, "<I", start)
    if start + 4 + length > len(data):
        raise ValueError("an offset leads out of it")
    return data[start + 4 : start + 4 + length]


def tables(data: bytes, table: int, number: int) -> list[int]:
    """Where the tables of a vector of tables lie; none if the field is left out."""
    where = field(data, table, number)
    if where is None:
        return []
    start = follow(data, where)
    count = _whole(data, "<I", start)
    if start + 4 + 4 * count > len(data):
        raise ValueError("an offset leads out of it")
    return [follow(data, start + 4 + 4 * index) for index in range(count)]
