"""A recording in a file: one pass makes an index of time, then only the pieces that a window touches are decoded.

Memory stays the same whatever the file's length: a few decoded pieces and two numbers for each piece of the index.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.events.problems import bad_value, no_events
from data.events.recording import Recording, recording_name
from data.events.report import RecordingReport, slow_words
from data.events.tidy import ASTRAY_US, BEGINNING, FOLLOWING, MANY, tidy
from data.events.types import Events
from utils.errors import UserError

log = logging.getLogger(__name__)

CHUNK = 1 << 18
"""Events in a piece of a file, at most about twice as many."""

MOST_OUTSIDE = 0.01
"""With more events than this share outside the sensor, the stated size is wrong and the file is refused."""

MOST_BACK = 0.5
"""With more events than this share behind the running maximum, the events are not in order and the file is refused."""

LARGEST = 1 << 12
"""No camera has more rows or columns: an event beyond, of a flipped bit, does not say how large a sensor is."""

_CACHED = 2  # windows in order share one piece; whoever reads ahead holds some too
_KEPT, _BACK, _STEP, _OUTSIDE, _FIRST_OUTSIDE, _FIRST_BACK, _MAX_X, _MAX_Y, _LATEST, _ASTRAY, _FAR, _ON = range(12)


class ChunkSource(ABC):
    """Events of a file as they are, in pieces that can be asked for again in any order after one pass in order.

    Attributes:
        path: the file.
        hw: sensor height and width that the file states, or None.
        likely_hw: what they most likely are if neither the file nor the caller states them, or None.
        num_chunks: pieces in the file.
        note: what else is to be said about the file, or nothing.
        fractions: its times have no unit but fractions, and are taken as seconds; known after the first pass.
    """

    path: Path
    hw: tuple[int, int] | None
    likely_hw: tuple[int, int] | None = None
    num_chunks: int
    note: str = ""
    fractions: bool = False

    @abstractmethod
    def chunk(self, index: int) -> Events:
        """Events of one piece in arrays of the caller's own; the first pass goes in order."""

    @abstractmethod
    def place(self, chunk: int, event: int) -> str:
        """Where an event of a piece lies in the file, in words."""

    def findings(self) -> dict[str, int]:
        """Counts for ``RecordingReport`` that only the decoder knows, after the first pass.

        Raises:
            UserError: they are so bad that the rest cannot be trusted.
        """
        return {}


class ChunkedRecording(Recording):
    """A recording whose events come from a ``ChunkSource``. What was repaired is logged once, here.

    Args:
        source: the file.
        sensor_hw: size if the file states none; None takes the largest coordinates.

    Raises:
        UserError: no events; more than ``MOST_OUTSIDE`` of them outside the sensor or more than ``MOST_BACK`` not in
            order of time; or what the source raises.
    """

    def __init__(self, source: ChunkSource, sensor_hw: tuple[int, int] | None = None) -> None:
        self.name = recording_name(source.path)
        stated = source.hw or sensor_hw or source.likely_hw
        self.size_known = source.hw is not None or (sensor_hw is None and source.likely_hw is not None)
        self._source = source
        self._cache: OrderedDict[int, Events] = OrderedDict()
        self._limit = stated or (LARGEST, LARGEST)
        self._latest = np.full(source.num_chunks, BEGINNING, dtype=np.int64)
        """Largest time up to the end of each piece, ascending: the index of time for the whole file."""
        pieces = self._scan()
        sums = pieces.sum(axis=0)
        self.num_events = int(sums[_KEPT])
        findings = source.findings()
        self._check(pieces, sums)
        largest = pieces[:, [_MAX_Y, _MAX_X]].max(axis=0) + 1
        self.height, self.width = stated or (int(largest[0]), int(largest[1]))
        first = next(index for index in range(source.num_chunks) if pieces[index, _KEPT])
        self.t_first_us, self.t_last_us = int(self._events(first).t[0]), int(self._latest[-1])
        one_sided = self.num_events >= MANY and int(sums[_ON]) in (0, self.num_events)
        if self.num_events >= MANY and self.t_first_us == self.t_last_us:
            raise bad_value(
                source.path,
                "times that go on",
                f"all {self.num_events} events at {self.t_first_us} µs",
                "write whole microseconds or seconds as float64: float32 cannot hold the time of day",
            )
        self.report = RecordingReport(
            times_back=int(sums[_BACK]),
            largest_step_back_us=int(pieces[:, _STEP].max()),
            outside=int(sums[_OUTSIDE]),
            astray=int(sums[_ASTRAY]),
            farthest_astray_us=int(pieces[:, _FAR].max()),
            one_sided=self.num_events if one_sided else 0,
            **findings,
        )
        if source.note:
            log.info("%s: %s", source.path, source.note)
        if source.fractions:
            log.info("%s: times with fractions: taken as seconds", source.path)
        slow = slow_words(self.num_events, self.duration_us, source.fractions)
        if slow is not None:
            log.warning("%s: %s", source.path, slow)
        for line in self.report.warnings():
            log.warning("%s: %s", source.path, line)

    def _scan(self) -> npt.NDArray[np.int64]:
        """Decode all once; statistics of each piece [pieces, 12], see ``tidy``."""
        pieces = np.zeros((self._source.num_chunks, 12), dtype=np.int64)
        for index in range(self._source.num_chunks):
            before = self._latest[index - 1] if index else BEGINNING
            events, pieces[index] = self._decode(index, before)
            self._latest[index] = pieces[index, _LATEST]
            self._remember(index, events)
        return pieces

    def _check(self, pieces: npt.NDArray[np.int64], sums: npt.NDArray[np.int64]) -> None:
        outside, total = int(sums[_OUTSIDE]), int(sums[_KEPT] + sums[_OUTSIDE])
        if total == 0:
            raise no_events(str(self._source.path))
        if outside > MOST_OUTSIDE * total:
            place = self._first_place(pieces, _OUTSIDE, _FIRST_OUTSIDE)
            height, width = self._limit
            raise UserError(
                expected=f"events inside the sensor of {height} rows and {width} columns",
                got=f"{outside} of {total} events outside it, the first {place}",
                where=str(self._source.path),
                fix="give the size of the camera that recorded this (--sensor-hw, dataset.sensor_hw), or check it",
            )
        if sums[_BACK] > MOST_BACK * total:
            place = self._first_place(pieces, _BACK, _FIRST_BACK)
            raise bad_value(
                self._source.path,
                "events in the order of their times",
                f"{int(sums[_BACK])} of {total} events earlier than one before them, the first {place}",
                "sort the events by time, or check the order of the columns",
            )

    def _first_place(self, pieces: npt.NDArray[np.int64], count: int, first: int) -> str:
        chunk = int(np.flatnonzero(pieces[:, count])[0])
        return self._source.place(chunk, int(pieces[chunk, first]))

    def _decode(self, index: int, before: int) -> tuple[Events, npt.NDArray[np.int64]]:
        raw = self._source.chunk(index)
        statistics = np.zeros(12, dtype=np.int64)
        tidy(raw.t, raw.x, raw.y, raw.p, *self._limit, before, self._after(index, raw, before), statistics)
        return raw.slice(0, int(statistics[_KEPT])), statistics

    def _after(self, index: int, raw: Events, before: int) -> npt.NDArray[np.int64]:
        """Times of the first events of the next piece, if this one ends with a step that they must explain."""
        tail = raw.t[-FOLLOWING - 1 :]
        if len(raw) <= FOLLOWING and before != BEGINNING:
            tail = np.append(before, tail)
        if index + 1 == self._source.num_chunks or int(np.diff(tail).max(initial=0)) <= ASTRAY_US:
            return np.zeros(0, dtype=np.int64)
        return self._source.chunk(index + 1).t[:FOLLOWING]

    def _events(self, index: int) -> Events:
        """Events of one piece, in order and inside the sensor; the last few pieces are kept."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        events, _ = self._decode(index, self._latest[index - 1] if index else BEGINNING)
        self._remember(index, events)
        return events

    def _remember(self, index: int, events: Events) -> None:
        self._cache[index] = events
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    def read(self, t0_us: int, t1_us: int) -> Events:
        """Events of the window, decoded."""
        first = int(np.searchsorted(self._latest, t0_us, side="left"))
        last = min(int(np.searchsorted(self._latest, t1_us, side="right")), len(self._latest) - 1)
        parts = [self._events(index).window(t0_us, t1_us) for index in range(first, last + 1)]
        return concatenate([part for part in parts if len(part)])

    def chunks(self) -> Iterator[Events]:
        """All events, piece by piece."""
        for index in range(self._source.num_chunks):
            yield self._events(index)


def concatenate(parts: list[Events]) -> Events:
    """Events one after the other; a single part is not copied."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Events.empty()
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("t", "x", "y", "p")}
    return Events(**columns)
