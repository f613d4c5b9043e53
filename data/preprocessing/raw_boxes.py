"""Boxes of a recording, checked before anything is made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.boxes import BBOX_DTYPE, usable_boxes
from utils.errors import UserError

log = logging.getLogger(__name__)


def read_raw_boxes(path: Path, read: Callable[[Path], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Boxes of a file in the order of time, ``BBOX_DTYPE`` [N]; none if there is no file. ``read`` reads them.

    Boxes of one time keep their order. A file that is not in order is put in order, with a warning. Boxes that are no
    finite numbers or have no size are warned of; the filters drop and count them.

    Raises:
        UserError: the file is no box file, no box of it can be used, or one has a negative time.
    """
    if not path.exists():
        return np.zeros(0, dtype=BBOX_DTYPE)
    boxes = read(path)
    bad = ~usable_boxes(boxes)
    if bad.all():
        _refuse(path, boxes, bad, "finite numbers for x, y, w and h, and a size above 0")
    elif bad.any():
        log.warning("%s: boxes without finite numbers or size, to be dropped: %s", path, _words(boxes, bad))
    _refuse(path, boxes, boxes["t"] < 0, "times of at least 0 µs")
    steps_back = int(np.count_nonzero(np.diff(boxes["t"]) < 0))
    if steps_back:
        log.warning("%s: boxes out of order (time steps back %d times), put in order", path, steps_back)
        boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    return boxes


def _refuse(path: Path, boxes: npt.NDArray[Any], bad: npt.NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        raise UserError(
            expected=f"boxes with {expected}",
            got=_words(boxes, bad),
            where=str(path),
            fix="correct or remove these boxes",
        )


def _words(boxes: npt.NDArray[Any], bad: npt.NDArray[np.bool_]) -> str:
    index = int(np.argmax(bad))
    row = ", ".join(f"{name}={boxes[name][index]}" for name in ("t", "x", "y", "w", "h", "class_id"))
    return f"{int(bad.sum())} of {len(boxes)} without, the first is box {index}: {row}"
