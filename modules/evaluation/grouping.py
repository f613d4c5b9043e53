"""The loop of merging by agreement, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from modules.tracking.kernel import iou as overlap_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LEAST_WEIGHT = 1e-9
"""Of a box with score 0 in the mean of its group."""


@numba.njit(cache=True)
def group_boxes(
    corners: FloatArray,
    scores: FloatArray,
    classes: npt.NDArray[np.float32],
    views: IntArray,
    num_views: int,
    iou: float,
) -> Any:
    """Give every box a group of boxes of its class, one of a view at most.

    Args:
        corners: x0, y0, x1, y1 of boxes by falling score [n, 4].
        scores: weights of the mean box of a group [n].
        classes: [n].
        views: 0 ... ``num_views`` - 1 [n].
        num_views: that looked at the frame.
        iou: least overlap of a box with the mean box of its group.

    Returns:
        Group of every box, numbered as they are founded [n].
    """
    count = len(corners)
    group = np.full(count, -1, dtype=np.int64)
    mean, weight, founder = np.zeros((count, 4)), np.zeros(count), np.zeros(count, dtype=np.int64)
    has = np.zeros((count, num_views), dtype=np.bool_)
    founded = 0
    for box in range(count):
        best, best_overlap = founded, iou
        for other in range(founded):
            if has[other, views[box]] or classes[founder[other]] != classes[box]:
                continue
            overlap = overlap_of(corners[box], mean[other])
            if overlap > 0 and overlap >= best_overlap and (best == founded or overlap > best_overlap):
                best, best_overlap = other, overlap
        if best == founded:
            founder[founded] = box
            founded += 1
        share = max(scores[box], LEAST_WEIGHT)
        weight[best] += share
        mean[best] += (corners[box] - mean[best]) * (share / weight[best])
        has[best, views[box]] = True
        group[box] = best
    return group
