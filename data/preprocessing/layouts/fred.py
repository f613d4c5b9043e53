"""FRED's folders as unpacked: ``NAME/Event/events.raw``, and boxes in text, ``time: x1, y1, x2, y2, id`` in a line.

Times are seconds, corners pixels of the event camera. The interpolated boxes, which have an identity each, are taken
before those of ``coordinates.txt``, which have none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.recording import Recording
from data.preprocessing.layouts.base import SequenceFolders
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError

COLUMNS = ("time", "x1", "y1", "x2", "y2", "id")
"""Of a file without a line that names them; the identity may be missing."""

_LAST_S = 1e9

TIME_HIGH_US = 1 << 12
"""Prophesee's reader counts from the first high word of time of a stream, of which EVT3 has one every so many µs."""


class Fred(SequenceFolders):
    """Drones: one class, 0."""

    def read_boxes(self, path: Path) -> npt.NDArray[Any]:
        """Boxes of a text; the columns are found by name where a first line names them.

        Raises:
            UserError: the file cannot be read, lacks a column, or a line is not of numbers.
        """
        try:
            lines = [line for line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line[1].strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(str(path), " ".join(str(error).split())) from error
        names = COLUMNS
        if lines and _words(lines[0][1])[0].isidentifier():
            names = tuple(_words(lines.pop(0)[1].lower()))
        if missing := [name for name in COLUMNS[:5] if name not in names]:
            raise _bad(f"{path}, line 1", f"columns {', '.join(names)}: {', '.join(missing)} missing")
        rows = np.asarray([_numbers(path, *line, names) for line in lines], dtype=np.float64).reshape(-1, 5)
        boxes = np.zeros(len(rows), dtype=BBOX_DTYPE)
        seconds, left, top, right, bottom = rows.T
        boxes["t"] = np.rint(seconds * 1e6)
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = left, top, right - left, bottom - top
        boxes["class_confidence"] = boxes["objectness"] = 1.0
        return boxes

    def clock_us(self, recording: Recording) -> int:
        """Boxes count from the start of the stream, whatever the camera's clock said then."""
        return recording.t_first_us // TIME_HIGH_US * TIME_HIGH_US


def _words(line: str) -> list[str]:
    return re.split(r"\s*[:,;]\s*|\s+", line.strip())


def _numbers(path: Path, number: int, line: str, names: tuple[str, ...]) -> list[float]:
    """Time and corners of a line."""
    by_name = dict(zip(names, _words(line), strict=False))
    try:
        values = [float(by_name[name]) for name in COLUMNS[:5]]
    except (KeyError, ValueError):
        values = [np.nan]
    if not 0 <= values[0] < _LAST_S:
        raise _bad(f"{path}, line {number}", repr(line[:80]))
    return values


def _bad(where: str, got: str) -> UserError:
    return UserError(
        expected="a line for each box: time in seconds, x1, y1, x2, y2 in pixels, and an identity if there is one",
        got=got,
        where=where,
        fix="correct the line, or unpack the file again",
    )


LAYOUT = Fred("Event/events.raw", ["interpolated_coordinates.txt", "coordinates.txt"])
