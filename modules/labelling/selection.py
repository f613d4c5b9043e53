"""Which merged boxes become labels, which become boxes to ignore, and which go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from utils.boxes import IGNORE_LABEL, FloatArray, Label

BoolArray = npt.NDArray[np.bool_]


class Limits(Protocol):
    """Least scores by class, e.g. ``ScoreThresholds``."""

    def mask(self, class_id: npt.NDArray[Any], objectness: FloatArray, confidence: FloatArray) -> BoolArray:
        """Mark the boxes above them, [n]."""
        ...


@dataclass(frozen=True)
class Selection:
    """Chooses labels among merged boxes.

    Attributes:
        sure: what a label passes.
        unsure: what a box passes that is to be ignored in training, if it is no label; None: there are none.
        max_spread: a label whose views differ by more is to be ignored; None for any.
    """

    sure: Limits
    unsure: Limits | None = None
    max_spread: float | None = None

    def __call__(self, rows: FloatArray, spread: npt.NDArray[np.float64]) -> tuple[BoolArray, BoolArray]:
        """Mark the boxes that stay, and those of them that are to be ignored.

        Args:
            rows: label rows [n, 8].
            spread: of each, see ``agree`` [n].
        """
        scores = rows[:, Label.CLASS_ID], rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE]
        sure = self.sure.mask(*scores)
        stay = sure | (rows[:, Label.CLASS_ID] == IGNORE_LABEL)
        if self.unsure is not None:
            stay |= self.unsure.mask(*scores)
        steady = True if self.max_spread is None else spread <= self.max_spread
        return stay, stay & ~(sure & steady)
