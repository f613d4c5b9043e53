"""Detections of the model as box records."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.boxes import BBOX_DTYPE


def detections_to_boxes(detections: npt.NDArray[np.floating[Any]], t_us: int) -> npt.NDArray[Any]:
    """Turn rows x1, y1, x2, y2, objectness, class confidence, class into ``BBOX_DTYPE`` records.

    ``class_confidence`` is the class score alone, by which the Prophesee protocol ranks.

    Args:
        detections: [n, 7], pixels.
        t_us: time of the frame in microseconds, given to every box.
    """
    boxes = np.zeros(len(detections), dtype=BBOX_DTYPE)
    boxes["t"] = t_us
    boxes["x"], boxes["y"] = detections[:, 0], detections[:, 1]
    boxes["w"], boxes["h"] = detections[:, 2] - detections[:, 0], detections[:, 3] - detections[:, 1]
    boxes["objectness"], boxes["class_confidence"] = detections[:, 4], detections[:, 5]
    boxes["class_id"] = detections[:, 6]
    return boxes
