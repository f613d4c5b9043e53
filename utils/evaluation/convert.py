"""Detections of the model as box records."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from utils.boxes import FloatArray, detections_to_rows, rows_to_records


def detections_to_boxes(detections: FloatArray, t_us: int) -> npt.NDArray[Any]:
    """Turn detections into ``BBOX_DTYPE`` records.

    ``class_confidence`` is the class score alone, by which the Prophesee protocol ranks.

    Args:
        detections: rows [n, 7] (``Detection``), pixels.
        t_us: time of the frame in microseconds, given to every box.
    """
    boxes = rows_to_records(detections_to_rows(detections))
    boxes["t"] = t_us
    return boxes
