"""Write Prophesee RAW files: EVT 2.0, EVT 2.1 and EVT 3.0. They are for tests, benchmarks and conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.formats.evt_header import WORD_BYTES
from data.events.types import Events
from utils.atomic import atomic_path
from utils.errors import UserError

Array = npt.NDArray[Any]

_VERSIONS = {"EVT2": "2.0", "EVT2.1": "2.1", "EVT3": "3.0"}
_CLOCK_BITS = {"EVT2": 34, "EVT2.1": 34, "EVT3": 24}
_COLUMNS = 32
_FEWEST_IN_VECTOR = 5  # a vector of EVT3 takes four words


def write_evt(path: Path | str, events: Events, height: int, width: int, kind: str = "EVT3") -> None:
    """Write events in time order as a RAW file; the file appears whole.

    Args:
        path: usually ``<name>.raw``.
        events: times not stepping back, from 0 to 16.7 s (EVT3) or 4.7 h (others); EVT3 goes on behind that.
        height, width: sensor size, at most 2048.
        kind: ``EVT2``, ``EVT2.1`` or ``EVT3``. EVT2.1 and EVT3 write runs of events of one row, time and polarity as
            vectors of 32 columns. As cameras do, EVT3 tells the time of every 4096 µs, also in silence: other readers
            count the turns of its clock only if they see both ends of it.

    Raises:
        UserError: an event that the format cannot hold.
    """
    _check(Path(path), events, height, width, kind)
    encode = {"EVT2": _encode_evt2, "EVT2.1": _encode_evt21, "EVT3": _encode_evt3}[kind]
    room = 4 * len(events) + 1
    if kind == "EVT3" and len(events):
        room += int((events.t[-1] >> 12) - (events.t[0] >> 12))
    words = np.empty(room, dtype=f"<u{WORD_BYTES[kind]}")
    count = encode(events.t, events.x, events.y, events.p, words)
    tag = {"EVT2": "EVT2", "EVT2.1": "EVT21;endianness=little", "EVT3": "EVT3"}[kind]
    head = (
        f"% evt {_VERSIONS[kind]}\n% format {tag};height={height};width={width}\n% geometry {width}x{height}\n% end\n"
    )
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        handle.write(head.encode("ascii"))
        words[:count].tofile(handle)


def _check(path: Path, events: Events, height: int, width: int, kind: str) -> None:
    if not len(events):
        return
    clock = 1 << _CLOCK_BITS[kind]
    ends = int(events.t[0]), int(events.t[-1])
    problem = None
    if (np.diff(events.t) < 0).any():
        problem = "times that step back"
    elif ends[0] < 0 or ends[0] >= clock or (kind != "EVT3" and ends[1] >= clock):
        problem = f"times from {ends[0]} to {ends[1]} µs"
    elif int(events.x.max()) >= min(width, 1 << 11) or int(events.y.max()) >= min(height, 1 << 11):
        problem = f"x up to {events.x.max()}, y up to {events.y.max()}"
    if problem:
        raise UserError(
            expected=f"events in order, inside {width}x{height} (at most 2048), beginning in 0 .. {clock - 1} µs",
            got=problem,
            where=str(path),
            fix=f"shift, sort or crop the events before writing {kind}",
        )


@njit(cache=True, nogil=True)
def _encode_evt2(t: Array, x: Array, y: Array, p: Array, words: Array) -> int:
    n, high = 0, -1
    for i in range(t.size):
        if t[i] >> 6 != high:
            high = t[i] >> 6
            words[n] = 8 << 28 | high
            n += 1
        words[n] = np.int64(p[i] > 0) << 28 | (t[i] & 0x3F) << 22 | np.int64(x[i]) << 11 | np.int64(y[i])
        n += 1
    return n


@njit(cache=True, nogil=True)
def _run(t: Array, x: Array, y: Array, p: Array, i: int, columns: int) -> int:
    """Events from ``i`` on that share time, row and polarity and go right within ``columns`` of the first."""
    j = i + 1
    while (
        j < t.size
        and t[j] == t[i]
        and y[j] == y[i]
        and (p[j] > 0) == (p[i] > 0)
        and x[j] > x[j - 1]
        and np.int64(x[j]) - np.int64(x[i]) < columns
    ):
        j += 1
    return j - i


@njit(cache=True, nogil=True)
def _encode_evt21(t: Array, x: Array, y: Array, p: Array, words: Array) -> int:
    n, high, i = 0, -1, 0
    while i < t.size:
        if t[i] >> 6 != high:
            high = t[i] >> 6
            words[n] = np.uint64(8 << 28 | high) << np.uint64(32)
            n += 1
        base = np.int64(x[i]) & ~(_COLUMNS - 1)
        length = _run(t, x, y, p, i, base + _COLUMNS - np.int64(x[i]))
        upper = np.int64(p[i] > 0) << 28 | (t[i] & 0x3F) << 22 | base << 11 | np.int64(y[i])
        mask = 0
        for j in range(i, i + length):
            mask |= 1 << (np.int64(x[j]) - base)
        words[n] = np.uint64(upper) << np.uint64(32) | np.uint64(mask)
        n += 1
        i += length
    return n


@njit(cache=True, nogil=True)
def _encode_evt3(t: Array, x: Array, y: Array, p: Array, words: Array) -> int:
    n, high, low, row, i = 0, -1, -1, -1, 0
    while i < t.size:
        while t[i] >> 12 != high:
            high = t[i] >> 12 if high < 0 else high + 1
            words[n] = 8 << 12 | high & 0xFFF
            n, low = n + 1, -1
        if t[i] & 0xFFF != low:
            low = t[i] & 0xFFF
            words[n] = 6 << 12 | low
            n += 1
        if y[i] != row:
            row = np.int64(y[i])
            words[n] = row
            n += 1
        base = np.int64(x[i]) & ~(_COLUMNS - 1)
        length = _run(t, x, y, p, i, base + _COLUMNS - np.int64(x[i]))
        polarity = np.int64(p[i] > 0) << 11
        if length < _FEWEST_IN_VECTOR:
            words[n] = 2 << 12 | polarity | np.int64(x[i])
            n, i = n + 1, i + 1
            continue
        mask = 0
        for j in range(i, i + length):
            mask |= 1 << (np.int64(x[j]) - base)
        words[n] = 3 << 12 | polarity | base
        words[n + 1] = 4 << 12 | mask & 0xFFF
        words[n + 2] = 4 << 12 | (mask >> 12) & 0xFFF
        words[n + 3] = 5 << 12 | mask >> 24
        n, i = n + 4, i + length
    return n
