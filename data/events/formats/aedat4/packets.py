"""Packets of an AEDAT4 file: a stream's number and a size, then a FlatBuffers table behind its size, compressed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import h5py
import hdf5plugin
import numpy as np

from data.events.formats.aedat4.header import Head
from data.events.problems import damaged

_LZ4 = (1, 2)
_ZSTANDARD = (3, 4)
_LARGEST = 1 << 24
"""Bytes of a packet; one with a thousand boxes has less than 100 kB."""


def packets(path: Path, file: IO[bytes], head: Head, wanted: int) -> Iterator[tuple[int, bytes]]:
    """Packets of one stream as they are in the file; the last one may be cut off.

    Raises:
        UserError: a packet has no size.
    """
    file.seek(head.offset)
    while head.end < 0 or file.tell() < head.end:
        start = file.read(8)
        if len(start) < 8:
            return
        number, size = struct.unpack("<ii", start)
        if size < 0:
            raise damaged(path, f"a packet of {size} bytes at byte {file.tell() - 8}")
        if number == wanted:
            yield number, file.read(size)
        else:
            file.seek(size, 1)


def unpack(packet: bytes, compression: int) -> bytes:
    """A packet's content: the table behind its size.

    Raises:
        ValueError, IndexError, struct.error, OSError, RuntimeError: the packet is damaged.
    """
    if compression in _LZ4:
        packet = _lz4(packet)
    elif compression in _ZSTANDARD:
        packet = _zstandard(packet)
    return packet[4:]


def _lz4(frame: bytes) -> bytes:
    """A frame of LZ4: blocks that go on where those before end."""
    if frame[:4] != b"\x04\x22\x4d\x18":
        raise ValueError("no frame of LZ4")
    flags = frame[4]
    block_sum = 4 if flags & 0x10 else 0
    position = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    out = bytearray()
    while size := struct.unpack_from("<I", frame, position)[0]:
        size, plain = size & 0x7FFFFFFF, size >> 31
        block = frame[position + 4 : position + 4 + size]
        if plain:
            out += block
        else:
            _lz4_block(block, out)
        position += 4 + size + block_sum
    return bytes(out)


def _lz4_block(block: bytes, out: bytearray) -> None:
    """Append what a block says: literal bytes, then a repetition of earlier ones, and so on."""
    i = 0
    while i < len(block):
        token = block[i]
        count, i = _lz4_length(block, i + 1, token >> 4)
        out += block[i : i + count]
        i += count
        if i >= len(block):
            return
        distance = block[i] | block[i + 1] << 8
        count, i = _lz4_length(block, i + 2, token & 15)
        count += 4
        if not 0 < distance <= len(out) or len(out) + count > _LARGEST:
            raise ValueError("a repetition of nothing")
        repeated = bytes(out[len(out) - distance :][:count])
        out += (repeated * (count // len(repeated) + 1))[:count]


def _lz4_length(block: bytes, i: int, count: int) -> tuple[int, int]:
    more = 255 if count == 15 else 0
    while more == 255:
        more = block[i]
        count, i = count + more, i + 1
    return count, i


def _zstandard(frame: bytes) -> bytes:
    """A frame of Zstandard, by the decoder that HDF5 has at hand: the frame is a chunk of an array in memory."""
    flags = frame[4]
    single = flags >> 5 & 1
    bytes_of_size = (single, 2, 4, 8)[flags >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(frame[start : start + bytes_of_size], "little") + (256 if bytes_of_size == 2 else 0)
    if frame[:4] != b"\x28\xb5\x2f\xfd" or not 0 < size <= _LARGEST:
        raise ValueError("no frame of Zstandard that states its size")
    with h5py.File("packet", "w", driver="core", backing_store=False) as file:
        array = file.create_dataset("packet", (size,), np.uint8, chunks=(size,), **hdf5plugin.Zstd())
        array.id.write_direct_chunk((0,), frame)
        return array[:].tobytes()
