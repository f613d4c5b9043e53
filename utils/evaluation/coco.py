"""COCO average precision of windows of boxes, computed by hotcoco."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from utils.evaluation.library import hotcoco
from utils.evaluation.windows import Windows

Floats = npt.NDArray[np.float64]

METRICS: tuple[str, ...] = ("AP", "AP_50", "AP_75", "AP_S", "AP_M", "AP_L")
"""AP over IoU .50:.95, at .50, at .75, and for small (< 32² px), medium and large (> 96² px) labels."""

MAX_DETECTIONS = 100
"""Detections of a window and class that count, best scores first."""
_ALMOST_ONE = 1 / (1 + np.finfo(np.float64).eps)
"""What one hit and no false alarm give in pycocotools, which never divides by zero; more boxes round it away."""
_CROP = {"AP": (None, 0), "AP_50": (0, 0), "AP_75": (5, 0), "AP_S": (None, 1), "AP_M": (None, 2), "AP_L": (None, 3)}


class Boxes(NamedTuple):
    """Boxes of one class, by columns.

    Attributes:
        window: number of each box's window, int64 [N].
        xywh: corner and sides in pixels, float64 [N, 4].
        score: what ranks detections, float64 [N].
    """

    window: npt.NDArray[np.int64]
    xywh: Floats
    score: Floats

    @property
    def area(self) -> Floats:
        """Square pixels [N]."""
        return self.xywh[:, 2] * self.xywh[:, 3]


Backend = Callable[[Boxes, Boxes], Floats]
"""From labels and detections of a class to its precision [10 IoU, 101 recall, 4 sizes], -1 without labels of the size;
of equal scores the earlier detection ranks higher."""


def by_hotcoco(labels: Boxes, detections: Boxes) -> Floats:
    """Precision over recall by hotcoco, which takes columns and gives the figures of pycocotools."""
    library = hotcoco()
    windows, ones = np.union1d(labels.window, detections.window).tolist(), np.ones(len(labels.window), np.int64)
    gt = library.COCO.from_arrays(
        [{"id": window} for window in windows],
        [{"id": 1, "name": "1"}],
        labels.window,
        ones,
        labels.xywh,
        area=labels.area,
    )
    rows = (detections.window, detections.xywh, detections.score, np.ones(len(detections.window)))
    evaluation = library.COCOeval(gt, gt.load_res(np.column_stack(rows)), "bbox")
    evaluation.params.max_dets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, 0, :, 0]  # [IoU, recall, class, size, limit]
    return np.where(precision == _ALMOST_ONE, 1.0, precision)


def average_precision(
    windows: Windows, scores: Floats, num_classes: int, backend: Backend = by_hotcoco
) -> npt.NDArray[np.float64]:
    """Return the six ``METRICS`` as rows: [1 + num_classes, 6], first over all classes, then class by class.

    An entry is −1 where no label falls into the size range (COCO's convention). Without any window or detection
    all entries are 0, as in the Prophesee toolbox.

    Args:
        windows: labels and detections; boxes of a class outside 0..num_classes−1 are left out.
        scores: ranking score of every detection [len(windows.dt)].
        num_classes: number of classes.
        backend: what computes precision over recall.
    """
    if windows.count == 0 or len(windows.dt) == 0:
        return np.zeros((1 + num_classes, len(METRICS)))
    ones = np.ones(len(windows.gt))
    by_class = []
    for class_id in range(num_classes):
        labels = boxes_of_class(windows.gt, windows.gt_window, ones, class_id)
        by_class.append(backend(labels, best_boxes(boxes_of_class(windows.dt, windows.dt_window, scores, class_id))))
    precision = np.stack(by_class, axis=2)  # [IoU, recall, class, size]
    rows = [precision, *(precision[:, :, k : k + 1] for k in range(num_classes))]
    return np.array([[_mean(row, *_CROP[name]) for name in METRICS] for row in rows])


def boxes_of_class(boxes: npt.NDArray[Any], window: npt.NDArray[np.int64], scores: Floats, class_id: int) -> Boxes:
    """Columns of the boxes of a class, in their order."""
    mine = np.flatnonzero(boxes["class_id"] == class_id)
    boxes = boxes[mine]
    sides = np.stack([boxes[name].astype(np.float64) for name in ("x", "y", "w", "h")], axis=1)
    return Boxes(window[mine].astype(np.int64), sides, scores[mine])


def best_boxes(boxes: Boxes) -> Boxes:
    """Those that count, in the order in which they were."""
    if np.bincount(boxes.window).max(initial=0) <= MAX_DETECTIONS:
        return boxes
    order = np.lexsort((-boxes.score, boxes.window))
    window = boxes.window[order]
    rank = np.arange(len(window)) - np.searchsorted(window, window)
    kept = np.sort(order[rank < MAX_DETECTIONS])
    return Boxes(boxes.window[kept], boxes.xywh[kept], boxes.score[kept])


def _mean(precision: Floats, iou_index: int | None, area_index: int) -> float:
    values = precision[..., area_index] if iou_index is None else precision[iou_index, ..., area_index]
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0
