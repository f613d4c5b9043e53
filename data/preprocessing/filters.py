"""Which raw boxes are kept (RVT's filters, in RVT's order)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data.box_files.classes import KEY as CLASS_NAMES_KEY
from data.preprocessing.classes import map_classes
from data.preprocessing.config import PreprocessConfig
from data.sequences.account import OTHER_CLASS, OUTSIDE, SMALL, UNUSABLE, WIDE
from utils.boxes import IGNORE_LABEL, LEFT_OUT_CLASS, usable_boxes
from utils.errors import UserError

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
    """As ``filter_boxes``, and how many boxes each filter dropped, in order.

    Raises:
        UserError: boxes of a class that the dataset does not have, see ``PreprocessConfig.num_raw_classes``.
    """
    mapped = boxes if cfg.class_ids is None else map_classes(boxes, cfg.class_ids)
    unmapped, boxes = len(boxes) - len(mapped), mapped
    if cfg.num_raw_classes is None and cfg.num_classes is not None:
        ids, counts = np.unique(boxes["class_id"], return_counts=True)
        numbered = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        refuse_unknown(numbered, cfg.num_classes, "class ids", cfg.classes)
    steps: dict[str, Callable[[Boxes], Boxes]] = {
        UNUSABLE: lambda rows: rows[usable_boxes(rows)],
        OTHER_CLASS: lambda rows: keep_classes(rows, cfg.num_raw_classes),
        OUTSIDE: lambda rows: crop_to_frame(rows, cfg.sensor_hw),
        SMALL: lambda rows: drop_small(rows, cfg.min_diag, cfg.min_side),
    }
    if split in cfg.max_width_splits:
        steps[WIDE] = lambda rows: drop_wide(rows, 9 * cfg.sensor_hw[1] // 10)
    dropped: dict[str, int] = {}
    for reason, step in steps.items():
        before = len(boxes)
        boxes = step(boxes)
        dropped[reason] = before - len(boxes)
    dropped[OTHER_CLASS] += unmapped
    return boxes, dropped


def refuse_unknown(counts: dict[int, int], num_classes: int, where: str, classes: Sequence[str] = ()) -> None:
    """Refuse class ids that the dataset has no name for.

    Args:
        counts: boxes of each class id.
        num_classes: names that there are.
        where: for the message.
        classes: the names, if they are known, for what helps against ids from 1.

    Raises:
        UserError: there are such ids; all ids with their counts.
    """
    counts = {class_id: count for class_id, count in counts.items() if class_id != LEFT_OUT_CLASS}
    if not any(num_classes <= class_id != IGNORE_LABEL for class_id in counts):
        return
    from_one = set(counts) - {IGNORE_LABEL} == set(range(1, num_classes + 1))
    named = ",".join(f"{number}:{name}" for number, name in enumerate(classes, start=1))
    say_so = f"add '++{CLASS_NAMES_KEY}={{{named}}}' to the command, or " if named else ""
    shift = f"ids start at 1: {say_so}subtract 1 from each, "
    shift += "or all classes but the last are called by the next one's name; or "
    raise UserError(
        expected=f"class ids from 0 to {num_classes - 1}, one for each of dataset.classes",
        got="ids " + ", ".join(f"{class_id} ({count} boxes)" for class_id, count in sorted(counts.items())),
        where=where,
        fix=(shift if from_one else "") + "name all classes in dataset.classes, in the order of their ids; "
        "to drop ids on purpose, set dataset.preprocessing.num_raw_classes to how many are kept",
    )


def keep_classes(boxes: Boxes, num_classes: int | None) -> Boxes:
    """Boxes of class id 0 .. num_classes − 1 (None: of all but those to be left out), a copy."""
    return boxes[boxes["class_id"] < (LEFT_OUT_CLASS if num_classes is None else num_classes)]


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
