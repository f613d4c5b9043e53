"""Boxes of one frame in COCO's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.boxes import BBOX_DTYPE
from utils.errors import UserError

_LARGEST_ID = (1 << 32) - 1


def coco_frame(path: Path) -> npt.NDArray[Any]:
    """Annotations of a file that is about one frame.

    Returns:
        ``BBOX_DTYPE`` [N] with time 0; class ids are the category ids of the file.

    Raises:
        UserError: the file is not of this form.
    """
    try:
        annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
        rows = [(*map(float, each["bbox"]), each["category_id"]) for each in annotations]
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise _bad(path, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
    boxes = np.zeros(len(rows), dtype=BBOX_DTYPE)
    for index, row in enumerate(rows):
        if len(row) != 5 or not isinstance(row[4], int) or not 0 <= row[4] <= _LARGEST_ID:
            raise _bad(path, f"annotation {index}: bbox and category_id {row}")
        boxes["x"][index], boxes["y"][index], boxes["w"][index], boxes["h"][index], boxes["class_id"][index] = row
    boxes["class_confidence"] = boxes["objectness"] = 1.0
    return boxes


def _bad(path: Path, got: str) -> UserError:
    return UserError(
        expected="a COCO file: annotations, each with bbox [x, y, w, h] and category_id",
        got=got,
        where=str(path),
        fix="copy the file again",
    )
