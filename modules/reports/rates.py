"""Curves of an evaluation from its matches: precision, recall, F1, calibration, confusion, sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modules.reports.matches import Array, Matches
from utils.pictures.plots import Values

AREAS = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))
"""Sizes as in COCO, square pixels."""


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 [n] of the detections from each threshold on, thresholds falling."""

    threshold: Values
    precision: Values
    recall: Values
    f1: Values

    def best(self) -> int | None:
        """Place of the largest F1, None without detections."""
        return int(self.f1.argmax()) if len(self.f1) else None


def rates(matches: Matches, class_id: int | None = None) -> Rates:
    """Rates of a class, or of all together."""
    own = slice(None) if class_id is None else matches.class_id == class_id
    labels = len(matches.label_class) if class_id is None else int((matches.label_class == class_id).sum())
    score, right = matches.score[own].astype(np.float64), matches.right[own]
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(right[order])
    last = np.append(score[1:] != score[:-1], True)[: len(score)]  # equal scores come together
    count, hits, score = np.flatnonzero(last) + 1, hits[last], score[last]
    precision, recall = hits / count, hits / max(labels, 1)
    return Rates(score, precision, recall, 2 * hits / np.maximum(count + labels, 1))


def confusion(matches: Matches, classes: int, threshold: float) -> Values:
    """Labels by true class against found class [classes + 1, classes + 1], the last ones are background.

    Detections from ``threshold`` on count; whichever class they are of, each takes one label at IoU 0.5.
    """
    side, shown = classes + 1, matches.score >= threshold
    true = np.where(matches.true_class[shown] < 0, classes, matches.true_class[shown]).astype(np.int64)
    missed = matches.label_any < max(threshold, 0)
    places = [true * side + matches.class_id[shown], matches.label_class[missed].astype(np.int64) * side + classes]
    return np.bincount(np.concatenate(places), minlength=side * side).reshape(side, side).astype(np.float64)


def calibration(score: Array, right: Array) -> tuple[Values, Values, Values]:
    """Mean score, share that is right, and count, in tenths of the score that hold any."""
    tenth = np.clip((score * 10).astype(np.int64), 0, 9)
    count = np.bincount(tenth, minlength=10).astype(np.float64)
    means = [np.bincount(tenth, weights=values, minlength=10) / np.maximum(count, 1) for values in (score, right)]
    held = count > 0
    return means[0][held], means[1][held], count[held]


def size_rows(matches: Matches, threshold: float) -> list[tuple[str, int, float | None, float | None]]:
    """Size, labels, recall, and precision of the detections of that size, from a threshold on, in per cent."""
    rows = []
    for name, least, most in AREAS:
        labels = (matches.label_area >= least) & (matches.label_area < most)
        found = (matches.area >= least) & (matches.area < most) & (matches.score >= threshold)
        recall = 100 * float((matches.label_score[labels] >= max(threshold, 0)).mean()) if labels.any() else None
        precision = 100 * float(matches.right[found].mean()) if found.any() else None
        rows.append((name, int(labels.sum()), recall, precision))
    return rows
