"""From detections to label rows: plausible sizes and least scores (LEOD)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from utils.boxes import Detection, FloatArray, ScoreLimits, detections_to_rows

MIN_SIDE = 5
"""Pseudo labels with a smaller side (pixels of the representation) are dropped."""


def crop_boxes(corners: FloatArray, frame_hw: tuple[int, int]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Clip corners x1, y1, x2, y2 [n, 4] to the frame and mark the boxes of a plausible size.

    Returns:
        Clipped corners [n, 4], and which have both sides ≥ ``MIN_SIDE`` and a width of at most nine tenths.
    """
    height, width = frame_hw
    clipped = np.clip(corners, 0, np.array([width - 1, height - 1] * 2, dtype=np.float32)).astype(np.float32)
    x0, y0, x1, y1 = Detection.corners(clipped)
    w, h = x1 - x0, y1 - y0
    return clipped, (w >= MIN_SIDE) & (h >= MIN_SIDE) & (w <= 9 * width // 10)


def detections_to_labels(
    detections: FloatArray, thresholds: ScoreLimits, frame_hw: tuple[int, int]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Keep confident detections of a plausible size as label rows with t = 0.

    Args:
        detections: rows [n, 7] (``Detection``), of one or of many frames.
        thresholds: scores, exclusive.
        frame_hw: size of the representation, pixels.

    Returns:
        Label rows [m, 8], and which of the n detections they are.
    """
    corners, plausible = crop_boxes(detections[:, Detection.CORNERS], frame_hw)
    class_id, objectness = detections[:, Detection.CLASS_ID], detections[:, Detection.OBJECTNESS]
    keep = plausible & thresholds.mask(class_id, objectness, detections[:, Detection.CLASS_CONFIDENCE])
    kept = detections[keep]
    kept[:, Detection.CORNERS] = corners[keep]
    return detections_to_rows(kept), keep
