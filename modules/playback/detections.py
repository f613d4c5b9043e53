"""Detections to show during playback, of a model that runs along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from modules.playback.sources import EventSource, FrameFormat, Int64Array
from utils.boxes import Detection, class_name
from utils.pictures.boxes import BoxKind, DrawnBox


class FrameDetector(Protocol):
    """A detector that takes one frame at a time and remembers the past."""

    @property
    def classes(self) -> Sequence[str]:
        """Names by class id."""
        ...

    @property
    def representation(self) -> FrameFormat:
        """What its frames look like."""
        ...

    def step(self, given: npt.NDArray[Any], /) -> npt.ArrayLike:
        """Boxes [n, 7] (``Detection``) of a frame uint8 [C, H, W], in camera pixels."""
        ...


class Detections:
    """Detections of a model that walks through a source tick by tick, its state carried along.

    Args:
        detector: fresh, without a past.
        source: what it sees.
        ticks: moments at which it takes a frame, int64 [n], ascending.
        min_score: boxes with a smaller objectness times class confidence are left out.
        names: of the classes; None takes the detector's.
        only: classes whose boxes are shown; None: all.
    """

    def __init__(
        self,
        detector: FrameDetector,
        source: EventSource,
        ticks: Int64Array,
        min_score: float,
        names: Sequence[str] | None = None,
        only: Collection[int] | None = None,
    ) -> None:
        self._detector = detector
        self._source = source
        self._ticks = ticks
        self._next = 0
        self._min_score = min_score
        self._names, self._only = names or detector.classes, only
        self._newest: list[DrawnBox] = []

    def at(self, end_us: int) -> list[DrawnBox]:
        """Run the model up to ``end_us`` and return its newest boxes in camera pixels, the best last.

        Moments must be asked for in order.
        """
        while self._next < len(self._ticks) and self._ticks[self._next] <= end_us:
            rows = self._detector.step(self._source.stack(int(self._ticks[self._next])))
            drawn = drawn_detections(rows, self._names, self._min_score)
            self._newest = [box for box in drawn if self._only is None or box.class_id in self._only]
            self._next += 1
        return self._newest


def drawn_detections(rows: npt.ArrayLike, names: Sequence[str], min_score: float) -> list[DrawnBox]:
    """Detections [n, 7] with at least this score, the best last."""
    rows = np.asarray(rows, dtype=np.float64)
    scores = rows[:, Detection.OBJECTNESS] * rows[:, Detection.CLASS_CONFIDENCE]
    order = [index for index in np.argsort(scores, kind="stable") if scores[index] >= min_score]
    boxes = []
    for index in order:
        x1, y1, x2, y2 = (float(value) for value in rows[index, Detection.CORNERS])
        class_id = int(rows[index, Detection.CLASS_ID])
        score = float(scores[index])
        text = f"{class_name(names, class_id)} {score:.2f}"
        boxes.append(DrawnBox((x1, y1, x2, y2), BoxKind.PREDICTION, class_id, text, score=score))
    return boxes
