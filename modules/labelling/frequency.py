"""Thresholds that give unlabelled frames as many boxes of each class as labelled ones have.

After LabelMatch (Chen et al., 2022): few labels tell how often a class occurs; how a detector scores it nothing tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.labelling.selection import BoolArray
from utils.boxes import FloatArray, Label
from utils.errors import UserError

STEPS = 10000
"""Scores are told apart in steps of its inverse, so that what is counted fits into memory, in whatever order."""


@dataclass(frozen=True)
class Frequency:
    """Which frequency of a class is aimed at, as a multiple of that in labelled frames.

    Attributes:
        factor: for labels.
        unsure_factor: for labels and boxes to ignore together; None: no box is to be ignored for its score.
        floor: least objectness and class confidence of a candidate, before views are merged.
    """

    factor: float = 1.0
    unsure_factor: float | None = None
    floor: float = 0.05

    @property
    def aims(self) -> dict[str, float]:
        """What is aimed at by purpose."""
        return {"sure": self.factor, **({} if self.unsure_factor is None else {"unsure": self.unsure_factor})}


@dataclass(frozen=True)
class ProductThresholds:
    """Least objectness · class confidence of a pseudo label.

    Attributes:
        least: one number per class, in whole steps; above 1 for a class that gets no labels.
    """

    least: tuple[float, ...]

    def mask(self, class_id: npt.NDArray[Any], objectness: FloatArray, confidence: FloatArray) -> BoolArray:
        """Mark boxes that reach the threshold of their class; a class without one (ignored boxes) never does."""
        known = class_id < len(self.least)
        limits = np.round(np.array(self.least) * STEPS)[np.where(known, class_id, 0).astype(np.int64)]
        return known & (product_steps(objectness, confidence) >= limits)


class BoxCounts:
    """Boxes of labelled frames, and candidates of the others by their scores, over all sequences.

    Args:
        num_classes: of the dataset.
    """

    def __init__(self, num_classes: int) -> None:
        self.labelled_frames = 0
        self.other_frames = 0
        self.boxes = np.zeros(num_classes, dtype=np.int64)
        self.candidates = np.zeros((num_classes, STEPS + 1), dtype=np.int64)

    def add(self, labelled: Sequence[npt.NDArray[Any]], frames: int, candidates: FloatArray) -> None:
        """Add a sequence.

        Args:
            labelled: records of each frame with ground truth.
            frames: that were looked at and have no ground truth.
            candidates: their merged boxes, label rows [n, 8].
        """
        self.labelled_frames += len(labelled)
        self.other_frames += frames
        for records in labelled:
            known = records["class_id"][records["class_id"] < len(self.boxes)]
            self.boxes += np.bincount(known, minlength=len(self.boxes))
        classes = candidates[:, Label.CLASS_ID].astype(np.int64)
        steps = product_steps(candidates[:, Label.OBJECTNESS], candidates[:, Label.CLASS_CONFIDENCE])
        np.add.at(self.candidates, (classes, steps), 1)

    def thresholds(self, factor: float) -> tuple[float, ...]:
        """Least scores with which the other frames have ``factor`` times the boxes a frame of the labelled ones.

        Raises:
            UserError: no frame with ground truth was counted.
        """
        if not self.labelled_frames:
            raise no_labelled_frames("frequency")
        wanted = factor * self.boxes * self.other_frames / self.labelled_frames
        at_least = np.cumsum(self.candidates[:, ::-1], axis=1)[:, ::-1]
        least = np.where(self.boxes > 0, (at_least > wanted[:, None]).sum(axis=1), STEPS + 1)
        return tuple((least / STEPS).tolist())


def no_labelled_frames(thresholds: str) -> UserError:
    """What is wrong where nothing tells how often a class occurs, or how often a teacher is right."""
    tells = "how often a class occurs" if thresholds == "frequency" else "how often the teacher is right"
    return UserError(
        expected=f"frames with ground truth, whose boxes tell {tells}",
        got="none",
        where=f"model.pseudo_label.thresholds={thresholds}",
        fix="keep ground truth (model.use_gt=true) of some labels, or set model.pseudo_label.thresholds=fixed",
    )


def product_steps(objectness: FloatArray, confidence: FloatArray) -> npt.NDArray[np.int64]:
    """Objectness · class confidence in whole steps, rounded down [n]."""
    return np.floor(objectness.astype(np.float64) * confidence * STEPS).astype(np.int64)
