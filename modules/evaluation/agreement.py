"""Boxes of several views merged by agreement: a box that few views found, of those that looked, scores low.

After weighted boxes fusion (Solovyev et al., 2021), with objectness averaged over the views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.boxes import Detection, FloatArray, Label
from utils.settings import choice, number

MERGES = ("nms", "agreement")


@dataclass(frozen=True)
class Agreement:
    """How views are merged by agreement.

    Attributes:
        iou: least overlap of a box with the mean box of the group that it joins.
        floor: pseudo labels: least objectness and least class confidence of a box before merging.
        max_spread: pseudo labels: largest spread (see ``agree``) of a box that is no box to ignore; None for any.
    """

    iou: float = 0.5
    floor: float = 0.05
    max_spread: float | None = None


def agreement_from_config(config: Mapping[str, Any]) -> Agreement | None:
    """Settings of ``tta``; None where NMS merges.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: a value that cannot be, with the name of its key.
    """
    given = Agreement()
    defaults = {"merge": "nms", "merge_iou": given.iou, "merge_floor": given.floor, "max_spread": None}
    tta = {**defaults, **config["tta"]}  # checkpoints of earlier versions lack these keys
    limits = {key: number(tta[key], f"tta.{key}", most=1) for key in ("merge_iou", "merge_floor")}
    spread = None if tta["max_spread"] is None else number(tta["max_spread"], "tta.max_spread")
    if choice(tta["merge"], MERGES, "tta.merge") == "nms":
        return None
    return Agreement(limits["merge_iou"], limits["merge_floor"], spread)


def agree(
    views: Sequence[FloatArray], form: type[Label] | type[Detection], iou: float
) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Merge what several views of a frame found into one box for each group of boxes that mean the same object.

    By falling score (objectness · class confidence) each box joins the group of its class whose mean box it overlaps
    most, or founds one; a group has at most one box of a view. The box of a group has the mean corners and the mean
    class confidence, weighted by score; its objectness is the sum over its boxes divided by the number of views.

    Args:
        views: rows of ``form``, one array for every view that looked at the frame, also where it found nothing.
        form: which rows they are.
        iou: least overlap of a box with the mean box of its group.

    Returns:
        One row for each group, best score first [m, ...], and the spread of each: the standard deviation of its boxes'
        edges relative to width and height, 0 for a single box [m].
    """
    from modules.evaluation.grouping import LEAST_WEIGHT, group_boxes  # numba is loaded only where it is needed

    rows = np.concatenate(views).astype(np.float32)
    view = np.repeat(np.arange(len(views)), [len(part) for part in views])
    corners = np.stack(form.corners(rows), axis=1).astype(np.float64)
    scores = (rows[:, form.OBJECTNESS] * rows[:, form.CLASS_CONFIDENCE]).astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    group = np.empty(len(rows), dtype=np.int64)
    group[order] = group_boxes(corners[order], scores[order], rows[order, form.CLASS_ID], view[order], len(views), iou)

    count = int(group.max(initial=-1)) + 1
    weight = np.maximum(scores, LEAST_WEIGHT)
    whole = np.bincount(group, weight, count)
    mean = np.stack([np.bincount(group, weight * side, count) / whole for side in corners.T], axis=1)
    merged = np.zeros((count, len(form)), dtype=np.float32)
    form.set_corners_(merged, *mean.T)
    merged[:, form.OBJECTNESS] = np.bincount(group, rows[:, form.OBJECTNESS], count) / len(views)
    merged[:, form.CLASS_CONFIDENCE] = np.bincount(group, weight * rows[:, form.CLASS_CONFIDENCE], count) / whole
    merged[group, form.CLASS_ID] = rows[:, form.CLASS_ID]

    size = np.maximum(mean[:, 2:] - mean[:, :2], LEAST_WEIGHT)
    off = (corners - mean[group]) / np.concatenate([size, size], axis=1)[group]
    spread = np.sqrt(np.bincount(group, weight * (off**2).mean(axis=1), count) / whole)
    best = np.argsort(-merged[:, form.OBJECTNESS] * merged[:, form.CLASS_CONFIDENCE], kind="stable")
    return merged[best], spread[best]
