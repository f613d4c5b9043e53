"""Which merged boxes become labels, which become boxes to ignore, and which go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.boxes import IGNORE_LABEL, FloatArray, Label, ScoreLimits, rows_above

BoolArray = npt.NDArray[np.bool_]


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
