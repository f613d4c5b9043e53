"""Events that can only be read from front to end, copied to a temporary file from which any piece can be read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.types import Events

ROW = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


class Spill:
    """A temporary file of 13 bytes an event, in the folder for temporary files (``TMPDIR``).

    It has no name, so nothing is left behind however the program ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="events-")  # noqa: SIM115 - lives as long as the recording
        self.num_events = 0

    def append(self, events: Events) -> None:
        """Add events at the end."""
        rows = np.empty(len(events), dtype=ROW)
        for name in ("t", "x", "y", "p"):
            rows[name] = getattr(events, name)
        self._file.write(rows.tobytes())
        self.num_events += len(events)

    def rows(self, start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
        """Columns t, x, y, p of events ``start`` to ``stop`` (exclusive)."""
        self._file.seek(start * ROW.itemsize)
        rows = np.frombuffer(self._file.read((stop - start) * ROW.itemsize), dtype=ROW)
        return {name: rows[name] for name in ("t", "x", "y", "p")}
