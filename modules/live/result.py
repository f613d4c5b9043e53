"""What a detector finds in one window: boxes with scores and names, a picture of them, and the plain array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.playback.detections import drawn_detections
from modules.playback.painting import Moment, Painter, usual_scale
from modules.playback.sequence import event_counts
from utils.boxes import Detection, class_name
from utils.errors import UserError
from utils.pictures.drawing import THEMES, Image, exposure
from utils.settings import choice, number

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """Boxes of one window. Its length is their number; it is iterated over and indexed as ``to_array()`` is.

    Attributes:
        rows: float32 [n, 7], see ``to_array``.
        classes: names by class id.
        frame: what the detector saw, [C, H, W].
        hw: height and width of the picture that the boxes lie on, in their pixels.
        time_us: end of the window on the recording's clock; None where the detector was given no recording.
        window_us: length of the window, None where it is not known.
    """

    rows: FloatArray
    classes: Sequence[str]
    frame: npt.NDArray[Any]
    hw: tuple[int, int]
    time_us: int | None = None
    window_us: float | None = None

    @property
    def boxes(self) -> FloatArray:
        """Left, top, right and bottom [n, 4], in the detector's ``pixels``."""
        return self.rows[:, Detection.CORNERS]

    @property
    def scores(self) -> FloatArray:
        """Objectness times class confidence [n]."""
        return self.rows[:, Detection.OBJECTNESS] * self.rows[:, Detection.CLASS_CONFIDENCE]

    @property
    def class_ids(self) -> npt.NDArray[np.int64]:
        """Classes by number [n]."""
        return self.rows[:, Detection.CLASS_ID].astype(np.int64)

    @property
    def names(self) -> list[str]:
        """Classes by name [n]."""
        return [class_name(self.classes, class_id) for class_id in self.class_ids.tolist()]

    def to_array(self) -> FloatArray:
        """All of it, float32 [n, 7]: x1, y1, x2, y2, objectness, class confidence, class."""
        return self.rows

    @property
    def shape(self) -> tuple[int, int]:
        """Of ``to_array()``: n, 7."""
        return len(self.rows), len(Detection)

    def plot(self, scale: float | None = None, theme: str = "dark", min_score: float = 0.0) -> Image:
        """Picture of the window's events with the boxes, RGB uint8 [H, W, 3].

        Args:
            scale: 2 doubles the size; None enlarges cameras of few pixels.
            theme: one of ``utils.pictures.drawing.THEMES``.
            min_score: boxes with a smaller score are left out.

        Raises:
            UserError: no such theme, or a scale that is no size.
        """
        choice(theme, THEMES, "theme")
        if scale is not None and not number(scale, "scale"):
            raise UserError(expected="a number above 0", got=repr(scale), where="scale", fix="leave it out, or give 2")
        number(min_score.item() if isinstance(min_score, np.number) else min_score, "min_score")
        scale = scale or usual_scale(self.hw[1])
        height, width = (max(round(side * scale), 2) for side in self.hw)
        return Painter(THEMES[theme], self.hw).paint(self.moment(min_score), height, width)

    def moment(self, min_score: float = 0.0) -> Moment:
        """The window's events, and the boxes with at least this score."""
        counts = event_counts(self.frame)
        return Moment(counts, drawn_detections(self.rows, self.classes, min_score), 0.0, exposure(counts))

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {score:.2f}" for name, score in zip(self.names, self.scores, strict=True))
        return f"Found({found or 'nothing'}{'' if self.time_us is None else f'; time_us={self.time_us}'})"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.rows, dtype=dtype) if copy else np.asarray(self.rows, dtype=dtype)
