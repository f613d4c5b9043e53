"""Boxes that an AEDAT4 file holds beside its events (streams of type BBOX)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.formats.aedat4 import flatbuffers
from data.events.formats.aedat4.header import MAGIC, read_head
from data.events.formats.aedat4.packets import packets, unpack
from data.events.problems import damaged
from utils.boxes import BBOX_DTYPE

_BOXES = "BBOX"
_TIME, _LEFT, _TOP, _RIGHT, _BOTTOM, _CONFIDENCE, _LABEL = range(7)


def holds_boxes(path: Path) -> bool:
    """An AEDAT4 file with a stream of boxes."""
    with path.open("rb") as handle:
        known = handle.read(len(MAGIC)) == MAGIC
    return known and _BOXES in read_head(path).streams.values()


def read_aedat4_boxes(path: Path) -> tuple[npt.NDArray[Any], list[str]]:
    """Boxes of the first stream of boxes, in the order of the file.

    Returns:
        ``BBOX_DTYPE`` [N] (camera pixels, t in µs on the clock of the events; class ids are all 0), and the label of
        each box.

    Raises:
        UserError: the file is damaged.
    """
    head = read_head(path)
    wanted = min((number for number, kind in head.streams.items() if kind == _BOXES), default=-1)
    rows: list[tuple[float, ...]] = []
    labels: list[str] = []
    with path.open("rb") as file:
        for _, packet in packets(path, file, head, wanted):
            try:
                table = unpack(packet, head.compression)
                for box in flatbuffers.tables(table, flatbuffers.follow(table, 0), 0):
                    rows.append(_row(table, box))
                    labels.append(flatbuffers.text(table, box, _LABEL).decode("utf-8"))
            except (ValueError, IndexError, struct.error, OSError, RuntimeError) as error:
                raise damaged(path, f"boxes after number {len(labels)}: {error}") from error
    boxes = np.zeros(len(rows), dtype=BBOX_DTYPE)
    columns = ("t", "x", "y", "w", "h", "class_confidence")
    with np.errstate(over="ignore"):  # what float32 cannot hold has no finite size
        for name, values in zip(columns, zip(*rows, strict=True), strict=False):
            boxes[name] = values
    boxes["objectness"] = 1
    return boxes, labels


def _row(table: bytes, box: int) -> tuple[float, ...]:
    """Time, left, top, width, height, confidence; a number that is left out is 0."""
    places = [flatbuffers.field(table, box, number) for number in range(_LABEL)]
    forms = ["<q", *["<f"] * 5]
    values = [
        0 if place is None else flatbuffers.at(table, form, place) for form, place in zip(forms, places, strict=True)
    ]
    return (
        values[_TIME],
        values[_LEFT],
        values[_TOP],
        values[_RIGHT] - values[_LEFT],
        values[_BOTTOM] - values[_TOP],
        values[_CONFIDENCE],
    )
