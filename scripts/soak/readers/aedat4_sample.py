"""A small AEDAT4 file, a format that the project itself only reads."""

from __future__ import annotations

import struct

import numpy as np

from data.events.types import Events

OUT_INFO = """<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
{streams}</node></dv>
"""
STREAM = """<node name="{number}" path="/mainloop/Recorder/outInfo/{number}/">
<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">{kind}</attr>
<node name="info" path="/mainloop/Recorder/outInfo/{number}/info/">
<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr></node></node>
"""


def aedat4_bytes(packets: list[tuple[int, Events]], streams: list[tuple[int, str, int, int]]) -> bytes:
    """An AEDAT4 file without compression.

    Args:
        packets: stream number and events of each packet.
        streams: number, type (EVTS, FRME, ...), height and width of each stream.
    """
    nodes = "".join(STREAM.format(number=n, kind=kind, height=h, width=w) for n, kind, h, w in streams)
    text = OUT_INFO.format(streams=nodes).encode() + b"\0"
    table = struct.pack("<I4s6x5HiiIq4x", 24, b"IOHE", 10, 24, 4, 12, 8, 10, 0, 16, -1)
    table += struct.pack("<I", len(text) - 1) + text
    out = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(table)) + table
    for number, events in packets:
        rows = np.zeros(len(events), dtype=[("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("pad", "3u1")])
        for name in ("t", "x", "y", "p"):
            rows[name] = getattr(events, name)
        body = struct.pack("<I4s2x3HiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(events)) + rows.tobytes()
        packet = struct.pack("<I", len(body)) + body
        out += struct.pack("<ii", number, len(packet)) + packet
    return out
