"""Prophesee ``.dat`` files (header version 1 and 2; event types 0 and 12).

A file is a header of text lines that start with ``%``, one byte event type, one byte event size (8), then events
of two little-endian 32-bit words: the time in microseconds, and x, y and polarity packed into the other.
Event type 0 (old 2D events) and 12 (contrast detection) pack alike: 14 bits x, 14 bits y, 4 bits polarity; files of
header version 1 use 9, 8 and 1 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.chunked import CHUNK, ChunkSource
from data.events.types import Events
from utils.atomic import atomic_path
from utils.errors import UserError

RECORD = np.dtype([("t", "<u4"), ("word", "<u4")])
EVENT_TYPES = (0, 12)
_MAX_HEADER_BYTES = 1 << 16
_MOST_DIGITS = 18
_HALF_CLOCK, _CLOCK = 1 << 31, 1 << 32


@dataclass(frozen=True)
class DatHeader:
    """What the head of a ``.dat`` file says.

    Attributes:
        height, width: sensor size in pixels, None where the file does not say.
        version: header version (1 or 2).
        event_type: 0 or 12.
        data_offset: byte at which events start.
        num_events: events in the file.
        t0_us: what is to be added to all times, microseconds (``% T0`` of faery).
    """

    height: int | None
    width: int | None
    version: int
    event_type: int
    data_offset: int
    num_events: int
    t0_us: int = 0


def _bad(path: Path, expected: str, got: str) -> UserError:
    return UserError(
        expected=expected, got=got, where=str(path), fix="check that the file is a complete Prophesee .dat download"
    )


def _split_header(path: Path, head: bytes) -> tuple[dict[str, str], int]:
    """The ``% Key value`` lines of the head and the offset behind them."""
    fields: dict[str, str] = {}
    position = 0
    while head[position : position + 1] == b"%":
        end = head.find(b"\n", position)
        if end < 0:
            raise _bad(path, "header lines that end with a newline", "a header line without an end")
        words = head[position + 1 : end].decode("latin-1").strip().split(None, 1)
        if words:
            fields[words[0].lower()] = words[1].strip() if len(words) > 1 else ""
        position = end + 1
    return fields, position


def _number(path: Path, fields: dict[str, str], key: str) -> int | None:
    text = fields.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1 << 14):
        raise _bad(path, f"a whole number from 1 to 16384 after '% {key.capitalize()}'", repr(text))
    return int(text)


def read_dat_header(path: Path | str) -> DatHeader:
    """Read and check the head of a ``.dat`` file.

    Raises:
        UserError: the file is missing, empty, truncated or not of this format.
    """
    path = Path(path)
    if not path.is_file():
        raise _bad(path, "a .dat file", "no such file")
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(_MAX_HEADER_BYTES)
    fields, position = _split_header(path, head)
    version = _number(path, fields, "version")
    if len(head) < position + 2 or position == 0:
        got = "an empty file" if size == 0 else f"{size} bytes without it"
        raise _bad(path, "a text header ('% ...' lines) followed by event type and event size", got)
    event_type, event_size = head[position], head[position + 1]
    if event_type not in EVENT_TYPES or event_size != RECORD.itemsize:
        raise _bad(path, "event type 0 or 12 and event size 8", f"event type {event_type} and event size {event_size}")
    rest = size - position - 2
    if rest % RECORD.itemsize:
        got = f"{rest} bytes of events, the last one begun at byte {size - rest % RECORD.itemsize}: the file is cut off"
        raise _bad(path, "a whole number of 8-byte events", got)
    return DatHeader(
        height=_number(path, fields, "height"),
        width=_number(path, fields, "width"),
        version=2 if version is None else version,
        event_type=event_type,
        data_offset=position + 2,
        num_events=rest // RECORD.itemsize,
        t0_us=_time_offset(path, fields),
    )


def _time_offset(path: Path, fields: dict[str, str]) -> int:
    text = fields.get("t0", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise _bad(path, "a whole number of microseconds after '% T0'", repr(text[:40]))
    return int(text)


def map_records(path: Path | str, header: DatHeader) -> npt.NDArray[Any]:
    """Events as a read-only memory map of ``RECORD`` [N]."""
    if header.num_events == 0:
        return np.zeros(0, dtype=RECORD)
    return np.memmap(path, dtype=RECORD, mode="r", offset=header.data_offset, shape=(header.num_events,))


def decode(records: npt.NDArray[Any], version: int = 2, t0_us: int = 0) -> Events:
    """Unpack ``RECORD`` [N] into events. 32-bit times go on from ``t0_us`` (they wrap after 71 minutes)."""
    words = np.ascontiguousarray(records["word"])
    x_bits, y_bits = (14, 14) if version >= 2 else (9, 8)
    return Events(
        t=records["t"].astype(np.int64) + t0_us,
        x=(words & ((1 << x_bits) - 1)).astype(np.uint16),
        y=((words >> x_bits) & ((1 << y_bits) - 1)).astype(np.uint16),
        p=((words >> (x_bits + y_bits)) & 1).astype(np.uint8),
    )


def read_dat(path: Path | str) -> Events:
    """Read all events of a ``.dat`` file.

    Raises:
        UserError: see ``read_dat_header``.
    """
    header = read_dat_header(path)
    return decode(map_records(path, header), header.version, header.t0_us)


class DatSource(ChunkSource):
    """Pieces of a ``.dat`` file. Times go on where the 32-bit clock runs over (a step back of more than 35 minutes).

    Raises:
        UserError: see ``read_dat_header``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._header = read_dat_header(self.path)
        height, width = self._header.height, self._header.width
        self.hw = None if height is None or width is None else (height, width)
        self.num_chunks = -(-self._header.num_events // CHUNK)
        self._clocks = [(0, 0)]  # before each piece: last time as it stands in the file, and how often it ran over

    def chunk(self, index: int) -> Events:
        """Events of one piece."""
        first = index * CHUNK
        count = min(CHUNK, self._header.num_events - first)
        offset = self._header.data_offset + first * RECORD.itemsize
        records = np.fromfile(self.path, dtype=RECORD, count=count, offset=offset)
        if len(records) < count:
            raise _bad(self.path, f"{self._header.num_events} events, as there were", "a file that became shorter")
        words = records.view(np.uint32)
        t, y, p = np.empty(count, np.int64), np.empty(count, np.uint16), np.empty(count, np.uint8)
        x = np.empty(count, np.uint16)
        clock = _decode(words, *((14, 14) if self._header.version >= 2 else (9, 8)), *self._clocks[index], t, x, y, p)
        if index + 1 == len(self._clocks):
            self._clocks.append(clock)
        t += self._header.t0_us
        return Events(t=t, x=x, y=y, p=p)

    def place(self, chunk: int, event: int) -> str:
        """The event's byte."""
        return f"at byte {self._header.data_offset + (chunk * CHUNK + event) * RECORD.itemsize}"

    def findings(self) -> dict[str, int]:
        """How often the clock ran over."""
        return {"wraps": self._clocks[-1][1]}


@njit(cache=True, nogil=True)
def _decode(
    words: npt.NDArray[Any],
    x_bits: int,
    y_bits: int,
    last: Any,
    wraps: int,
    t: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    p: npt.NDArray[Any],
) -> tuple[int, int]:
    """Unpack pairs of words uint32 [2N] into the columns; returns the clock behind them, see ``DatSource``."""
    x_mask, y_mask = np.uint32((1 << x_bits) - 1), np.uint32((1 << y_bits) - 1)
    y_from, p_from = np.uint32(x_bits), np.uint32(x_bits + y_bits)
    for i in range(t.size):  # without branches, so that the processor does several at once
        word = words[2 * i + 1]
        t[i] = np.int64(words[2 * i]) + wraps * _CLOCK
        x[i] = word & x_mask
        y[i] = (word >> y_from) & y_mask
        p[i] = (word >> p_from) & np.uint32(1)
    runs_over = t.size == 0 or abs(t[0] - last - wraps * _CLOCK) > _HALF_CLOCK
    for i in range(1, t.size):
        runs_over |= abs(t[i] - t[i - 1]) > _HALF_CLOCK
    if not runs_over:
        return int(t[-1]) - wraps * _CLOCK, wraps
    for i in range(t.size):
        time = np.int64(words[2 * i])
        alone = False
        if last - time > _HALF_CLOCK:
            wraps += 1
        elif wraps > 0 and time - last > _HALF_CLOCK:
            wraps -= 1
        elif time - last > _HALF_CLOCK and i + 1 < t.size and time - np.int64(words[2 * i + 2]) > _HALF_CLOCK:
            alone = True  # far ahead of both neighbours: it says nothing about the clock
        if not alone:
            last = time
        t[i] = time + wraps * _CLOCK
    return last, wraps


def write_dat(path: Path | str, events: Events, height: int, width: int) -> None:
    """Write events as a ``.dat`` file of header version 2, event type 12; the file appears whole.

    Raises:
        UserError: a coordinate does not fit the sensor, a time is negative or beyond 32 bits.
    """
    path = Path(path)
    if len(events):
        t_min, t_max = int(events.t.min()), int(events.t.max())
        if t_min < 0 or t_max >= 1 << 32:
            raise _bad(path, "event times in 0 .. 2^32 - 1 µs", f"{t_min} .. {t_max}")
        x_max, y_max = int(events.x.max()), int(events.y.max())
        if x_max >= min(width, 1 << 14) or y_max >= min(height, 1 << 14):
            raise _bad(path, f"events inside {width}x{height} (at most 16384)", f"x up to {x_max}, y up to {y_max}")
    records = np.empty(len(events), dtype=RECORD)
    records["t"] = events.t
    records["word"] = (
        events.x.astype(np.uint32) | (events.y.astype(np.uint32) << 14) | ((events.p > 0).astype(np.uint32) << 28)
    )
    head = f"% Data file containing CD events.\n% Version 2\n% Height {height}\n% Width {width}\n"
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        handle.write(head.encode("ascii") + bytes((12, RECORD.itemsize)))
        records.tofile(handle)
