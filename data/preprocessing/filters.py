"""Which raw boxes are kept (RVT's filters, in RVT's order)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from data.preprocessing.config import PreprocessConfig

Boxes = npt.NDArray[Any]


def filter_boxes(boxes: Boxes, cfg: PreprocessConfig, split: str) -> Boxes:
    """Keep known classes, crop to the field of view, drop small and (in training) frame-wide boxes.

    Args:
        boxes: ``BBOX_DTYPE`` [N], x and y top-left.
        cfg: sizes and classes.
        split: ``train``, ``val`` or ``test``.

    Returns:
        ``BBOX_DTYPE`` [n], the order kept, a copy.
    """
    return filter_and_count(boxes, cfg, split)[0]


def filter_and_count(boxes: Boxes, cfg: PreprocessConfig, split: str) -> tuple[Boxes, dict[str, int]]:
    """As ``filter_boxes``, and how many boxes each filter dropped, in order."""
    steps: dict[str, Callable[[Boxes], Boxes]] = {
        "other class": lambda rows: keep_classes(rows, cfg.num_raw_classes),
        "outside": lambda rows: crop_to_frame(rows, cfg.sensor_hw),
        "small": lambda rows: drop_small(rows, cfg.min_diag, cfg.min_side),
    }
    if split in cfg.max_width_splits:
        steps["wide"] = lambda rows: drop_wide(rows, 9 * cfg.sensor_hw[1] // 10)
    dropped: dict[str, int] = {}
    for reason, step in steps.items():
        before = len(boxes)
        boxes = step(boxes)
        dropped[reason] = before - len(boxes)
    return boxes, dropped


def keep_classes(boxes: Boxes, num_classes: int | None) -> Boxes:
    """Boxes of class id 0 .. num_classes − 1, a copy."""
    return boxes.copy() if num_classes is None else boxes[boxes["class_id"] < num_classes]


def crop_to_frame(boxes: Boxes, hw: tuple[int, int]) -> Boxes:
    """Clip the corners to [0, W − 1] × [0, H − 1] and drop what is then empty; float32 like the originals."""
    height, width = hw
    left, top = np.clip(boxes["x"], 0, width - 1), np.clip(boxes["y"], 0, height - 1)
    right = np.clip(boxes["x"] + boxes["w"], 0, width - 1)
    bottom = np.clip(boxes["y"] + boxes["h"], 0, height - 1)
    out = boxes.copy()
    out["x"], out["y"], out["w"], out["h"] = left, top, right - left, bottom - top
    return out[(out["w"] > 0) & (out["h"] > 0)]


def drop_small(boxes: Boxes, min_diag: float, min_side: float) -> Boxes:
    """Boxes with a diagonal of at least ``min_diag`` and sides of at least ``min_side`` pixels."""
    width, height = boxes["w"], boxes["h"]
    large = (width**2 + height**2 >= min_diag**2) & (width >= min_side) & (height >= min_side)
    return boxes[large]


def drop_wide(boxes: Boxes, max_width: float) -> Boxes:
    """Boxes of at most ``max_width`` pixels: wider ones are artefacts of the ego vehicle in Prophesee's data."""
    return boxes[boxes["w"] <= max_width]
