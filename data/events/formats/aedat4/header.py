"""The head of an AEDAT4 file, checked before a decoder that is not ours trusts it.

Behind the line ``#!AER-DAT4.0`` stand the size of a FlatBuffers table in 4 bytes and the table (identifier ``IOHE``):
compression, position of the table of packets, and an XML text that names the streams.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from data.events.formats.aedat4 import flatbuffers
from data.events.problems import damaged

MAGIC = b"#!AER-DAT4.0\r\n"
_LARGEST_HEADER = 1 << 24
_COMPRESSION_FIELD, _END_FIELD, _XML_FIELD = range(3)


@dataclass(frozen=True)
class Head:
    """What the head of a file says.

    Attributes:
        compression: code of the packets' compression.
        text: the XML.
        streams: number and type (EVTS, BBOX, ...) of each stream, in the order of the file.
        offset: byte at which the packets begin.
        end: byte at which they end, -1 for the end of the file.
    """

    compression: int
    text: bytes
    streams: dict[int, str]
    offset: int
    end: int


def read_head(path: Path) -> Head:
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
        root = flatbuffers.follow(table, 0)
        text = flatbuffers.text(table, root, _XML_FIELD)
        if table[4:8] != b"IOHE" or not text.isascii() or not text.startswith(b"<"):
            raise ValueError("no description of the streams")
        if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
            raise ValueError("control characters")
        return Head(
            compression=_number(table, root, "<i", _COMPRESSION_FIELD, 0),
            text=text,
            streams=_streams(text),
            offset=len(start) + size,
            end=_number(table, root, "<q", _END_FIELD, -1),
        )
    except (ValueError, struct.error, ElementTree.ParseError) as error:
        raise damaged(path, f"header at byte {len(start)}: {error}") from error


def write_head(head: Head, kept: Callable[[int], bool]) -> bytes:
    """The head of a file that holds only some of the streams; its packets end with the file.

    Args:
        head: of the file with all streams.
        kept: whether a stream stays, by its number.
    """
    root = _parse(head.text)
    for parent in list(root.iter("node")):
        for node in list(parent):
            if _kind(node) is not None and not kept(int(node.get("name", ""))):
                parent.remove(node)
    text = ElementTree.tostring(root) + b"\0"
    table = struct.pack("<I4s6x5HiiIq4x", 24, b"IOHE", 10, 24, 4, 12, 8, 10, head.compression, 16, -1)
    table += struct.pack("<I", len(text) - 1) + text
    return MAGIC + struct.pack("<I", len(table)) + table


def _parse(text: bytes) -> ElementTree.Element:
    if re.search(rb"<!\w", text):
        raise ValueError("definitions of its own in the XML")
    return ElementTree.fromstring(text)  # noqa: S314 - without definitions nothing in it can grow


def _streams(text: bytes) -> dict[int, str]:
    kinds = ((node.get("name", ""), _kind(node)) for node in _parse(text).iter("node"))
    streams = {int(name): kind for name, kind in kinds if kind is not None}
    if not streams:
        raise ValueError("no description of the streams")
    return streams


def _kind(node: ElementTree.Element) -> str | None:
    """The type of the stream that an element describes, None if it describes none."""
    return next((attr.text or "" for attr in node.findall("attr") if attr.get("key") == "typeIdentifier"), None)


def _number(table: bytes, root: int, form: str, number: int, default: int) -> int:
    where = flatbuffers.field(table, root, number)
    return default if where is None else int(flatbuffers.at(table, form, where))
