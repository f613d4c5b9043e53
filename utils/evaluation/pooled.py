"""Precision, recall and average precision over the detections of all frames pooled, in the manner of YOLO's tables.

Beside COCO's figures for comparison with tables of that kind. A detection takes the label of its class that it overlaps
most, if no detection before it took that one and the overlap is above the threshold; detections of a frame come in the
order that they are given in. Average precision is the area under the envelope of precision, drawn straight between its
points from (recall 0, precision 1) to (1, 0) and read at 101 recalls. Precision and recall are those at the
confidence at which F1, mean over the classes, is highest, at the smallest threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.evaluation.windows import Windows

FIGURES: tuple[str, ...] = ("P", "R", "AP_50", "AP")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)

Floats = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]


def pooled_figures(windows: Windows, scores: Floats, classes: Sequence[str]) -> dict[str, float]:
    """``P``, ``R``, ``AP_50`` and ``AP`` over the classes with labels, and each again with ``_<class>`` behind.

    −1 stands for a class without labels.

    Args:
        windows: labels and detections.
        scores: what ranks detections [len(windows.dt)].
        classes: names.
    """
    rows, curves = {}, {}
    for class_id, name in enumerate(classes):
        labels = int(np.count_nonzero(windows.gt["class_id"] == class_id))
        rows[name] = [-1.0] * len(FIGURES)
        if labels:
            mine = np.flatnonzero(windows.dt["class_id"] == class_id)
            hits = _hits(windows, mine, class_id)
            order = np.argsort(-scores[mine], kind="stable")
            curves[name] = (scores[mine][order], hits[order], labels)
    best = _best_confidence([(scores, hits[:, 0], labels) for scores, hits, labels in curves.values()])
    for name, (ranked, hits, labels) in curves.items():
        areas = [average_precision(column, labels) for column in hits.T]
        rows[name] = [*precision_recall(ranked, hits[:, 0], labels, best), areas[0], float(np.mean(areas))]
    known = [rows[name] for name in curves] or [[-1.0] * len(FIGURES)]
    figures: dict[str, float] = dict(zip(FIGURES, np.mean(known, axis=0).tolist(), strict=True))
    for name, row in rows.items():
        figures |= {f"{figure}_{name}": value for figure, value in zip(FIGURES, row, strict=True)}
    return figures


def average_precision(hits: Hits, labels: int) -> float:
    """Area under the envelope of precision over recall.

    >>> round(average_precision(np.array([True, True]), 2), 3), average_precision(np.array([], bool), 2)
    (0.995, 0.0)
    """
    if not len(hits):
        return 0.0
    found = np.cumsum(hits)
    recall = np.concatenate(([0.0], found / labels, [1.0]))
    precision = np.concatenate(([1.0], found / np.arange(1, len(hits) + 1), [0.0]))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.trapezoid(np.interp(_RECALLS, recall, envelope), _RECALLS))


def precision_recall(ranked: Floats, hits: Hits, labels: int, confidence: float) -> tuple[float, float]:
    """Precision (0 without a detection) and recall of the detections of at least a confidence; ``ranked`` descends."""
    count = int(np.searchsorted(-ranked, -confidence, side="right"))
    found = int(hits[:count].sum())
    return (found / count if count else 0.0), found / labels


def _best_confidence(curves: list[tuple[Floats, Hits, int]]) -> float:
    """The confidence of the highest mean F1 over the classes; of equal ones the highest."""
    candidates = np.unique(np.concatenate([ranked for ranked, _, _ in curves] or [np.zeros(0)]))[::-1]
    if not len(candidates):
        return np.inf
    total = np.zeros(len(candidates))
    for ranked, hits, labels in curves:
        count = np.searchsorted(-ranked, -candidates, side="right")
        found = np.concatenate(([0], np.cumsum(hits)))[count]
        total += 2 * found / (count + labels)  # F1 = 2 TP / (detections + labels)
    return float(candidates[np.argmax(total)])


def _hits(windows: Windows, mine: npt.NDArray[np.int64], class_id: int) -> Hits:
    """Whether each detection of a class is right, bool [n, thresholds]."""
    labels = np.flatnonzero(windows.gt["class_id"] == class_id)
    hits = np.zeros((len(mine), len(THRESHOLDS)), bool)
    window_of_label, window = windows.gt_window[labels], windows.dt_window[mine]
    for number in np.unique(window):
        detections = np.flatnonzero(window == number)
        there = labels[slice(*np.searchsorted(window_of_label, [number, number + 1]))]
        if not len(there):
            continue
        overlap = _overlap(windows.dt[mine[detections]], windows.gt[there])
        best = overlap.argmax(axis=1)
        enough = overlap.max(axis=1)[:, None] > THRESHOLDS
        taken = np.zeros((len(there), len(THRESHOLDS)), bool)
        for detection, label, above in zip(detections, best, enough, strict=True):
            hits[detection] = above & ~taken[label]
            taken[label] |= above
    return hits


def _overlap(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Floats:
    """IoU [n, m] of boxes with x, y, w, h."""
    sides = []
    for corner, size in (("x", "w"), ("y", "h")):
        low, high = one[corner].astype(np.float64)[:, None], (one[corner] + one[size]).astype(np.float64)[:, None]
        low = np.maximum(low, other[corner])
        sides.append(np.maximum(np.minimum(high, other[corner] + other[size]) - low, 0))
    shared = sides[0] * sides[1]
    areas = (one["w"] * one["h"]).astype(np.float64)[:, None] + other["w"] * other["h"]
    return shared / np.maximum(areas - shared, 1e-9)
