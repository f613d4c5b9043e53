"""Thresholds from the precision of teachers on labelled frames: the least score from which enough boxes are right.

The teachers have learnt these labels, so their precision on other frames is lower than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.labelling.frequency import STEPS, no_labelled_frames, product_steps
from modules.labelling.selection import BoolArray
from utils.boxes import FloatArray, Label, paired_iou, records_to_rows

IOU = 0.5
"""Least overlap of a right box with a label of its class."""


@dataclass(frozen=True)
class Precision:
    """Which precision on labelled frames is aimed at.

    Attributes:
        target: least share of right boxes among those from the threshold of a class on.
        unsure: the same for boxes to ignore and labels together; None: no box is to be ignored for its score.
        floor: least objectness and class confidence of a candidate, before views are merged.
    """

    target: float = 0.95
    unsure: float | None = None
    floor: float = 0.05

    @property
    def aims(self) -> dict[str, float]:
        """What is aimed at by purpose."""
        return {"sure": self.target, **({} if self.unsure is None else {"unsure": self.unsure})}


class RightBoxes:
    """Boxes found on labelled frames, and how many of them are right, by class and score, over all sequences.

    Args:
        num_classes: of the dataset.
    """

    def __init__(self, num_classes: int) -> None:
        self.frames = 0
        self.found = np.zeros((num_classes, STEPS + 1), dtype=np.int64)
        self.right = np.zeros_like(self.found)

    def add(self, judged: Iterable[tuple[npt.NDArray[Any], FloatArray]]) -> None:
        """Add labelled frames: records of their ground truth, and the merged boxes, label rows [n, 8]."""
        for records, rows in judged:
            self.frames += 1
            classes = rows[:, Label.CLASS_ID].astype(np.int64)
            steps = product_steps(rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE])
            np.add.at(self.found, (classes, steps), 1)
            np.add.at(self.right, (classes, steps), right_boxes(rows, records_to_rows(records)))

    def thresholds(self, least: float) -> tuple[float, ...]:
        """Lowest score of a box of each class from which on at least this share is right; above 1 where there is none.

        Raises:
            UserError: no frame with ground truth was added.
        """
        if not self.frames:
            raise no_labelled_frames("precision")
        found, right = (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (self.found, self.right))
        enough = (self.found > 0) & (right >= least * found)
        lowest = np.where(enough.any(axis=1), enough.argmax(axis=1), STEPS + 1)
        return tuple((lowest / STEPS).tolist())


def right_boxes(rows: FloatArray, truth: FloatArray) -> BoolArray:
    """Mark boxes that lie on a label of their class; each label is for one box, the best scores choose first.

    Args:
        rows: boxes of a frame, label rows [n, 8].
        truth: its labels [m, 8].
    """
    right = np.zeros(len(rows), dtype=bool)
    if not len(truth):
        return right
    boxes, labels = (part[:, Label.XYWH].astype(np.float64) for part in (rows, truth))
    pairs = paired_iou(np.repeat(boxes, len(labels), axis=0), np.tile(labels, (len(boxes), 1)))
    same = rows[:, None, Label.CLASS_ID] == truth[None, :, Label.CLASS_ID]
    overlap = pairs.reshape(same.shape) * same
    for box in np.argsort(-rows[:, Label.OBJECTNESS] * rows[:, Label.CLASS_CONFIDENCE], kind="stable"):
        best = overlap[box].argmax()
        if overlap[box, best] >= IOU:
            right[box], overlap[:, best] = True, 0
    return right
