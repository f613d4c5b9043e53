"""Which merged boxes become labels, which become boxes to ignore, and which go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.boxes import IGNORE_LABEL, FloatArray, Label, ScoreLimits, rows_above
from utils.errors import UserError
from utils.thresholds import Thresholds, per_class

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ScoreThresholds:
    """Scores above which a detection becomes a pseudo label, per class.

    Attributes:
        objectness: one number per class.
        class_confidence: one number per class.

    Raises:
        UserError: the two differ in length, or a number lies outside [0, 1].
    """

    objectness: tuple[float, ...]
    class_confidence: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values in (("obj_thresh", self.objectness), ("cls_thresh", self.class_confidence)):
            if len(values) != len(self.objectness) or not all(0 <= value <= 1 for value in values):
                raise UserError(
                    expected=f"{len(self.objectness)} numbers in [0, 1], one per class",
                    got=str(list(values)),
                    where=f"model.pseudo_label.{name}",
                    fix="give one number for all classes, or a list with one per class",
                )

    @classmethod
    def of(
        cls,
        objectness: Thresholds,
        class_confidence: Thresholds,
        class_to_number: Sequence[int],
        classes: Sequence[str] = (),
    ) -> ScoreThresholds:
        """Build thresholds from one number for all classes, one per class or kind of class, or numbers by name.

        Args:
            objectness: number or numbers.
            class_confidence: number or numbers.
            class_to_number: which of the numbers belongs to each class, for lists shorter than the classes.
            classes: their names.

        Raises:
            UserError: a list of another length, or other names.

        >>> ScoreThresholds.of(0.5, [0.6, 0.3], [1, 1, 0])
        ScoreThresholds(objectness=(0.5, 0.5, 0.5), class_confidence=(0.3, 0.3, 0.6))
        """
        index, key = list(class_to_number), "model.pseudo_label."
        return cls(
            per_class(objectness, index, f"{key}obj_thresh", classes),
            per_class(class_confidence, index, f"{key}cls_thresh", classes),
        )

    def everywhere(self, least: float) -> ScoreThresholds:
        """One number for both scores of all these classes."""
        return ScoreThresholds(*((least,) * len(self.objectness),) * 2)

    def or_less(self, other: ScoreThresholds) -> ScoreThresholds:
        """The smaller of both thresholds for each class and score."""
        return ScoreThresholds(
            tuple(map(min, self.objectness, other.objectness)),
            tuple(map(min, self.class_confidence, other.class_confidence)),
        )

    def mask(self, class_id: npt.NDArray[Any], objectness: FloatArray, confidence: FloatArray) -> npt.NDArray[np.bool_]:
        """Mark boxes above both thresholds of their class; a class without thresholds (ignored boxes) never passes."""
        known = class_id < len(self.objectness)
        index = np.where(known, class_id, 0).astype(np.int64)
        limits = np.array([self.objectness, self.class_confidence], dtype=np.float32)[:, index]
        return known & (objectness > limits[0]) & (confidence > limits[1])


@dataclass(frozen=True)
class Selection:
    """Chooses labels among merged boxes.

    Attributes:
        sure: what a label passes.
        unsure: what a box passes that is to be ignored in training, if it is no label; None: there are none.
    """

    sure: ScoreLimits
    unsure: ScoreLimits | None = None

    def __call__(self, rows: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Mark the boxes that stay, and those of them that are to be ignored.

        Args:
            rows: label rows [n, 8].
        """
        sure = rows_above(rows, self.sure)
        stay = sure | (rows[:, Label.CLASS_ID] == IGNORE_LABEL)
        if self.unsure is not None:
            stay |= rows_above(rows, self.unsure)
        return stay, stay & ~sure
