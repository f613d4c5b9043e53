"""Boxes of a recording, checked before anything is made of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.bbox import read_bbox_npy
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError

log = logging.getLogger(__name__)


def read_raw_boxes(path: Path) -> npt.NDArray[Any]:
    """Boxes of a file in the order of time, ``BBOX_DTYPE`` [N]; none if there is no file.

    Boxes of one time keep their order. A file that is not in order is put in order, with a warning.

    Raises:
        UserError: the file is no box file, or a box has a number that is not finite, a negative size or time.
    """
    if not path.is_file():
        return np.zeros(0, dtype=BBOX_DTYPE)
    boxes = read_bbox_npy(path)
    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h")])
    finite = np.asarray(np.isfinite(numbers).all(axis=0))
    _refuse(path, boxes, ~finite, "finite numbers for x, y, w and h")
    _refuse(path, boxes, (boxes["w"] < 0) | (boxes["h"] < 0), "sizes of at least 0")
    _refuse(path, boxes, boxes["t"] < 0, "times of at least 0 µs")
    steps_back = int(np.count_nonzero(np.diff(boxes["t"]) < 0))
    if steps_back:
        log.warning("%s: boxes out of order (time steps back %d times), put in order", path, steps_back)
        boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    return boxes


def _refuse(path: Path, boxes: npt.NDArray[Any], bad: npt.NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        index = int(np.argmax(bad))
        row = ", ".join(f"{name}={boxes[name][index]}" for name in ("t", "x", "y", "w", "h", "class_id"))
        raise UserError(
            expected=f"boxes with {expected}",
            got=f"{int(bad.sum())} of {len(boxes)} without, the first is box {index}: {row}",
            where=str(path),
            fix="correct or remove these boxes",
        )
