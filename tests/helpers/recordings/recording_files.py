"""Recordings for tests: random events, and encoders of formats that the project itself only reads."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from data.events.types import Events

FIELDS = ("t", "x", "y", "p")

OUT_INFO = """<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
{streams}</node></dv>
"""
STREAM = """<node name="{number}" path="/mainloop/Recorder/outInfo/{number}/">
<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">{kind}</attr>
<node name="info" path="/mainloop/Recorder/outInfo/{number}/info/">
<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr></node></node>
"""


def random_events(n: int, height: int = 20, width: int = 30, seed: int = 0, t_max: int = 1_000_000) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, t_max, n))
    return Events.from_arrays(t, rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n))


@st.composite
def ordered_events(draw: st.DrawFn, longest_gap: int = 1 << 25, width: int = 1280, height: int = 720) -> Events:
    """Events in order, many of them at one time, in one row and side by side, so that vectors appear."""
    gaps = st.sampled_from((0, 0, 0, 0, 1, 63, 64, 4095, 4096)) | st.integers(0, longest_gap)
    rows = st.lists(st.tuples(gaps, st.integers(0, height - 1), st.integers(0, width - 1), st.booleans()), max_size=12)
    start = draw(st.integers(0, (1 << 24) - 1))
    t, x, y, p = [], [], [], []
    for gap, row, column, polarity in draw(rows):
        start += gap
        columns = draw(st.lists(st.integers(column, min(column + 40, width - 1)), min_size=1, max_size=20))
        columns = sorted(columns) if draw(st.booleans()) else columns
        x += columns
        t += [start] * len(columns)
        y += [row] * len(columns)
        p += [polarity] * len(columns)
    return Events.from_arrays(t, x, y, p)


def assert_same(left: Events, right: Events) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


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
        for name in FIELDS:
            rows[name] = getattr(events, name)
        body = struct.pack("<I4s2x3HiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(events)) + rows.tobytes()
        packet = struct.pack("<I", len(body)) + body
        out += struct.pack("<ii", number, len(packet)) + packet
    return out
