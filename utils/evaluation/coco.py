"""COCO average precision of windows of boxes, computed by faster-coco-eval."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from utils.boxes import paired_iou
from utils.evaluation.windows import Windows

METRICS: tuple[str, ...] = ("AP", "AP_50", "AP_75", "AP_S", "AP_M", "AP_L")
"""AP over IoU .50:.95, at .50, at .75, and for small (< 32² px), medium and large (> 96² px) labels."""

_MAX_DETECTIONS = 100  # per window and class, as in COCO
_CROP = {"AP": (None, 0), "AP_50": (0, 0), "AP_75": (5, 0), "AP_S": (None, 1), "AP_M": (None, 2), "AP_L": (None, 3)}


@dataclass(frozen=True)
class CocoBackend:
    """A library with the programming interface of pycocotools.

    Attributes:
        boxes: from a COCO dictionary to the library's ``COCO`` object.
        evaluation: from labels and detections, such objects both, to its ``COCOeval``.
    """

    boxes: Callable[[dict[str, Any]], Any]
    evaluation: Callable[[Any, Any], Any]


class _AllBoxes(COCO):
    """Boxes that all take part: handed out as they are, which saves the library's search by image and class."""

    def createIndex(self) -> None:
        """Images and classes by number; boxes need no index."""
        self.imgs = {entry["id"]: entry for entry in self.dataset["images"]}
        self.cats = {entry["id"]: entry for entry in self.dataset["categories"]}
        self.anns, self.imgToAnns, self.catToImgs = {}, {}, {}

    def getAnnIds(self, *_: Any, **__: Any) -> range:  # type: ignore[override]
        """Numbers of all boxes."""
        return range(1, len(self.dataset["annotations"]) + 1)

    def loadAnns(self, ids: Any = None) -> list[dict[str, Any]]:
        """All boxes."""
        return self.dataset["annotations"]


class _Evaluation(COCOeval_faster):
    """Takes the overlaps of all windows from one computation instead of a call for each window and class."""

    def evaluate(self) -> None:
        """Match detections with labels."""
        gt, dt = (part.dataset["columns"] for part in (self.cocoGt, self.cocoDt))
        self._overlaps = overlaps(gt, dt, max(self.params.maxDets))
        super().evaluate()

    def computeIoU(self, imgId: int, catId: int) -> Any:
        """Overlaps of a window's detections of a class, best score first, with its labels."""
        return self._overlaps.get((imgId, catId), [])


FASTER_COCO_EVAL = CocoBackend(_AllBoxes, lambda gt, dt: _Evaluation(gt, dt, iouType="bbox"))


def average_precision(
    windows: Windows,
    scores: npt.NDArray[np.float64],
    num_classes: int,
    backend: CocoBackend = FASTER_COCO_EVAL,
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
    with _no_garbage_collection():
        gt = backend.boxes(_coco_dict(windows, None, num_classes))
        dt = backend.boxes(_coco_dict(windows, scores, num_classes))
        evaluation = backend.evaluation(gt, dt)
        evaluation.params.maxDets = [_MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
        precision = np.asarray(evaluation.eval["precision"])[..., 0]  # [IoU, recall, class, area]
        del gt, dt, evaluation  # before garbage is looked for again
    rows = [precision, *(precision[:, :, k : k + 1] for k in range(num_classes))]
    return np.array([[_mean(row, *_CROP[name]) for name in METRICS] for row in rows])


def overlaps(
    gt: tuple[npt.NDArray[Any], ...], dt: tuple[npt.NDArray[Any], ...], max_detections: int
) -> dict[tuple[int, int], list[list[float]]]:
    """IoU of all detections with all labels of the same window and class.

    Args:
        gt: columns of the labels: window [N], class [N], x, y, w, h in float64 [N, 4], area [N], score [N].
        dt: the same of the detections [M].
        max_detections: detections of a window and class that count, best scores first.

    Returns:
        [detections, labels] by window and class, where there are both: detections by falling score, labels in order.
    """
    gt_key, dt_key = (np.stack(columns[:2], axis=1) for columns in (gt, dt))
    keys, group = np.unique(np.concatenate([gt_key, dt_key]), axis=0, return_inverse=True)
    gt_group, dt_group = np.split(group.reshape(-1), [len(gt_key)])
    labels, detections = np.argsort(gt_group, kind="stable"), np.lexsort((-dt[4], dt_group))
    gt_group, dt_group = gt_group[labels], dt_group[detections]
    rank = np.arange(len(dt_group)) - np.searchsorted(dt_group, dt_group)
    detections, dt_group = detections[rank < max_detections], dt_group[rank < max_detections]

    first = np.searchsorted(gt_group, dt_group)
    count = np.searchsorted(gt_group, dt_group, side="right") - first
    begin = np.cumsum(count) - count  # of each detection's overlaps
    row = np.repeat(np.arange(len(detections)), count)
    a, b = dt[2][detections[row]], gt[2][labels[np.arange(len(row)) - begin[row] + first[row]]]
    iou = paired_iou(a, b)

    starts = np.flatnonzero(np.diff(dt_group, prepend=-1))
    stops = np.append(starts[1:], len(dt_group))
    both = count[starts] > 0
    starts, stops = starts[both], stops[both]
    return {
        (window, category): iou[at : at + (stop - start) * width].reshape(stop - start, width).tolist()
        for (window, category), start, stop, width, at in zip(
            keys[dt_group[starts]].tolist(),
            starts.tolist(),
            stops.tolist(),
            count[starts].tolist(),
            begin[starts].tolist(),
            strict=True,
        )
    }


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Python would look through the dictionaries of all boxes again and again while they are made; none is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _mean(precision: npt.NDArray[np.float64], iou_index: int | None, area_index: int) -> float:
    values = precision[..., area_index] if iou_index is None else precision[iou_index, ..., area_index]
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def _coco_dict(windows: Windows, scores: npt.NDArray[np.float64] | None, num_classes: int) -> dict[str, Any]:
    boxes, window = (windows.gt, windows.gt_window) if scores is None else (windows.dt, windows.dt_window)
    known = np.flatnonzero(boxes["class_id"] < num_classes)
    boxes, window = boxes[known], window[known]
    sides = [boxes[name].astype(np.float64) for name in ("x", "y", "w", "h")]
    ranks = np.ones(len(known)) if scores is None else scores[known]
    columns = (window + 1, boxes["class_id"].astype(np.int64) + 1, np.stack(sides, axis=1), sides[2] * sides[3], ranks)
    annotations = [
        {
            "id": index,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "area": area,
            "iscrowd": 0,
            "score": score,
        }
        for index, (image, category, box, area, score) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    ]
    return {
        "info": {},
        "images": [{"id": i} for i in range(1, windows.count + 1)],
        "categories": [{"id": i, "name": str(i)} for i in range(1, num_classes + 1)],
        "annotations": annotations,
        "columns": columns,
    }
