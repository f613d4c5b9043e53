"""Recordings whose file holds the columns t, x, y, p as arrays; checks each value that an event cannot have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.chunked import CHUNK, ChunkSource
from data.events.polarity import PolarityCodes
from data.events.problems import bad_value
from data.events.types import Events

NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us", "time_us", "timestamp_us"),
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
"""What the four columns may be called, in lower case."""

Rows = Callable[[int, int], Mapping[str, npt.NDArray[Any]]]

_LARGEST = (1 << 16) - 1
_LAST_US = (1 << 62) - 1


def find_columns(names: Iterable[str]) -> dict[str, str]:
    """Which of the names are the columns t, x, y, p; a column that is not there is left out.

    >>> find_columns(["x", "y", "Polarity", "timestamp"])
    {'t': 'timestamp', 'x': 'x', 'y': 'y', 'p': 'Polarity'}
    """
    by_lower = {name.lower(): name for name in names}
    found = {column: [by_lower[name] for name in known if name in by_lower] for column, known in NAMES.items()}
    return {column: given[0] for column, given in found.items() if given}


def require_columns(path: Path, names: Iterable[str]) -> dict[str, str]:
    """As ``find_columns``; UserError if one is missing."""
    names = list(names)
    found = find_columns(names)
    missing = [column for column in NAMES if column not in found]
    if missing:
        raise bad_value(
            path,
            "arrays of one length named t, x, y, p",
            f"{', '.join(names) or 'nothing'}: {', '.join(missing)} missing",
            "write the events with these names (t in µs, p 0 or 1)",
        )
    return found


def require_numbers(path: Path, dtypes: Mapping[str, np.dtype[Any]]) -> None:
    """UserError if a column is not made of real numbers (objects, text, complex)."""
    for name, dtype in dtypes.items():
        if dtype.kind not in "iufb":
            raise bad_value(path, f"numbers in {name}", f"{name} of type {dtype}", "write the column as numbers")


def one_length(path: Path, lengths: Mapping[str, int]) -> int:
    """The length that all columns share; UserError if they differ."""
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{name} of length {length}" for name, length in lengths.items())
        raise bad_value(path, "arrays of one length named t, x, y, p", got, "write the columns again")
    return next(iter(lengths.values()), 0)


class ColumnSource(ChunkSource):
    """Pieces of four columns.

    Times with fractions are taken as seconds, whole ones as microseconds; the first piece decides.

    Args:
        path: the file, for messages.
        rows: the columns t, x, y, p of events ``start`` to ``stop`` (exclusive).
        num_events: how many there are.
        hw: sensor size that the file states, or None.
        t_offset_us: what is added to each time.
        cut_bytes: see ``RecordingReport``.
        fractions: see ``ChunkSource``, where ``rows`` are in microseconds already.
    """

    def __init__(
        self,
        path: Path,
        rows: Rows,
        num_events: int,
        hw: tuple[int, int] | None,
        t_offset_us: int = 0,
        cut_bytes: int = 0,
        fractions: bool = False,
    ) -> None:
        self.path, self.hw = path, hw
        self._rows, self._num_events, self._t_offset_us = rows, num_events, t_offset_us
        self._cut_bytes = cut_bytes
        self._polarity = PolarityCodes(path)
        self.num_chunks = -(-num_events // CHUNK)
        self._seconds: bool | None = None
        self.fractions = fractions

    def chunk(self, index: int) -> Events:
        """Events of one piece."""
        first = index * CHUNK
        columns = self._rows(first, min(first + CHUNK, self._num_events))
        t = self._times(np.asarray(columns["t"]), first)
        if self._t_offset_us:
            t += self._t_offset_us
        polarity = self._finite("p", np.asarray(columns["p"]), first)
        return Events(
            t=t,
            x=self._coordinates("x", np.asarray(columns["x"]), first),
            y=self._coordinates("y", np.asarray(columns["y"]), first),
            p=self._polarity.on(polarity),
        )

    def place(self, chunk: int, event: int) -> str:
        """The event's number."""
        return f"number {chunk * CHUNK + event}"

    def findings(self) -> dict[str, int]:
        """What was cut off."""
        return {"cut_bytes": self._cut_bytes}

    def _finite(self, name: str, values: npt.NDArray[Any], first: int) -> npt.NDArray[Any]:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            at = int(np.flatnonzero(~np.isfinite(values))[0])
            raise bad_value(self.path, "finite numbers", f"{name} = {values[at]} of event number {first + at}")
        return values

    def _times(self, values: npt.NDArray[Any], first: int) -> npt.NDArray[np.int64]:
        values = self._finite("t", values, first)
        if values.dtype.kind == "f":
            if self._seconds is None:
                self._seconds = self.fractions = bool((values != np.floor(values)).any())
            values = np.rint(values * 1e6 if self._seconds else values)
        wrong = (
            (values < -_LAST_US) | (values > _LAST_US) if values.dtype.kind in "uf" or values.itemsize == 8 else None
        )
        if wrong is not None and wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise bad_value(self.path, "times that fit 62 bits", f"t = {values[at]} of event number {first + at}")
        return values.astype(np.int64)

    def _coordinates(self, name: str, values: npt.NDArray[Any], first: int) -> npt.NDArray[np.uint16]:
        if values.dtype in (np.uint8, np.uint16):
            return values.astype(np.uint16)
        values = self._finite(name, values, first)
        wrong = (values < 0) | (values > _LARGEST)
        if values.dtype.kind == "f":
            wrong |= values != np.floor(values)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise bad_value(
                self.path,
                "whole coordinates between 0 and 65535",
                f"{name} = {values[at]} of event number {first + at}",
                "check the order of the columns: t, x, y, p",
            )
        return values.astype(np.uint16)
