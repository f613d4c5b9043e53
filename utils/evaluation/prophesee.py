"""Detection evaluation by the Prophesee automotive protocol (Perot et al., NeurIPS 2020), as RVT and LEOD use it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from utils.boxes import BBOX_DTYPE, to_bbox_array
from utils.errors import UserError
from utils.evaluation.coco import METRICS, Backend, average_precision, by_hotcoco
from utils.evaluation.pooled import pooled_figures
from utils.evaluation.recordings import Recordings, by_recording
from utils.evaluation.windows import Windows, gather_windows, protocol_mask

logger = logging.getLogger(__name__)

Score = Literal["class", "product"]
BoxArray = npt.NDArray[Any]


class PropheseeEvaluator:
    """Collects labels and detections frame by frame (or recording by recording) and computes COCO figures.

    The protocol: boxes at t ≤ ``skip_us`` and boxes that are too small are dropped, labels and detections alike;
    every label time forms a window of ``±time_tol_us``; a window without labels does not count, and the figures of a
    class look only at windows with a label of that class. Beside them, under names that begin with ``strict_``, stand
    figures in which every frame counts that was added, with all its false positives: also those that were looked at and
    hold no box, whose boxes are all filtered away, or, for a class, are of other classes. (Frames between labels, which
    nobody looked at, are not added and count nowhere.)

    Args:
        classes: class names, in the order of their ids.
        height: frame height in pixels, full resolution.
        width: frame width in pixels, full resolution.
        min_diag: smallest diagonal in pixels at full resolution (Gen1 30, 1Mpx 60).
        min_side: smallest side in pixels at full resolution (Gen1 10, 1Mpx 20).
        skip_us: boxes at or before this time do not count.
        time_tol_us: half width of a window, inclusive.
        downsampled: boxes are in frames of half resolution; the size limits are halved.
        score: what ranks detections under the plain names: ``class`` confidence alone (the protocol, and published
            numbers) or its ``product`` with objectness. Figures of the other score carry its name in front.
        backend: what computes precision over recall.
        pooled: also the figures of ``utils.evaluation.pooled``, under names that begin with ``pooled_``.

    Raises:
        UserError: no class, an unknown score, or a negative limit.
    """

    def __init__(
        self,
        classes: Sequence[str],
        height: int,
        width: int,
        min_diag: float,
        min_side: float,
        skip_us: int = 500_000,
        time_tol_us: int = 50_000,
        downsampled: bool = False,
        score: Score = "class",
        backend: Backend = by_hotcoco,
        pooled: bool = False,
    ) -> None:
        _check(len(classes) > 0, "at least one class name", "none", "dataset.classes")
        _check(score in ("class", "product"), "class or product", str(score), "evaluation.score")
        for name, value in (("min_diag", min_diag), ("min_side", min_side), ("time_tol_us", time_tol_us)):
            _check(value >= 0, "a number ≥ 0", str(value), f"evaluation.{name}")
        self.classes = tuple(classes)
        self.frame_hw = (height // 2, width // 2) if downsampled else (height, width)
        self.min_diag = min_diag / 2 if downsampled else min_diag
        self.min_side = min_side / 2 if downsampled else min_side
        self.skip_us = skip_us
        self.time_tol_us = time_tol_us
        self.score: Score = score
        self.backend = backend
        self.pooled = pooled
        self.counted = dict.fromkeys(self.classes, 0)
        self.reset()

    def reset(self) -> None:
        """Forget all boxes."""
        self._gt: list[BoxArray] = []
        self._dt: list[BoxArray] = []
        self._has_objectness = True

    def __len__(self) -> int:
        """Return the number of frames (or recordings) added so far."""
        return len(self._gt)

    def add(self, gt: Sequence[BoxArray], dt: Sequence[BoxArray]) -> None:
        """Add frames (or whole recordings): labels and detections, one structured array [n] each, t in microseconds.

        Boxes of any dialect that ``to_bbox_array`` reads; x, y is the top-left corner. Detections with a number that
        is not finite are dropped with a warning.

        Raises:
            UserError: the two lists differ in length, or the score needs an objectness that detections lack.
        """
        _check(len(gt) == len(dt), f"{len(gt)} arrays of detections, one per array of labels", str(len(dt)), "add")
        for labels, detections in zip(gt, dt, strict=True):
            if "objectness" not in (detections.dtype.names or ()):
                self._has_objectness = False
                _check(self.score == "class", "detections with objectness", "none", "evaluation.score=product")
            self._gt.append(to_bbox_array(labels))
            self._dt.append(to_bbox_array(detections))
        added = slice(len(self._dt) - len(dt), None)
        if not _finite(_concatenate(self._dt[added])).all():
            self._dt[added] = [_only_finite(detections) for detections in self._dt[added]]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all boxes as four flat arrays, for gathering over processes; ``merge`` takes them back."""
        return {
            "gt": _concatenate(self._gt),
            "gt_n": np.array([len(a) for a in self._gt], dtype=np.int64),
            "dt": _concatenate(self._dt),
            "dt_n": np.array([len(a) for a in self._dt], dtype=np.int64),
            "has_objectness": np.array(self._has_objectness),
        }

    def merge(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add the frames of another evaluator's ``state``."""
        self._gt += np.split(state["gt"], np.cumsum(state["gt_n"])[:-1]) if len(state["gt_n"]) else []
        self._dt += np.split(state["dt"], np.cumsum(state["dt_n"])[:-1]) if len(state["dt_n"]) else []
        self._has_objectness &= bool(state["has_objectness"])

    def compute(self, *, extra: bool = True) -> dict[str, float]:
        """Return the figures by name: ``AP AP_50 AP_75 AP_S AP_M AP_L``, and each again with ``_<class>`` behind.

        With ``extra`` also the strict figures (``strict_AP`` …: every added frame counts) and those of the other
        ranking score (``product_AP`` or ``class_AP``, and so on), the latter only when detections have objectness.
        −1 means that no label falls into the size range; without any detection all figures are 0. ``counted`` tells
        from then on how many labels of each class counted; figures of a class without any say nothing.
        """
        gt, dt = _concatenate(self._gt), _concatenate(self._dt)
        protocol = self._windows(gt, dt, strict=False)
        counts = np.bincount(protocol.gt["class_id"], minlength=len(self.classes)).tolist()
        self.counted = dict(zip(self.classes, counts, strict=True))
        figures = self._protocol_figures(protocol, self.score)
        if extra:
            strict = self._windows(gt, dt, strict=True)
            figures |= _named("strict_", self._strict_figures(strict, self.score))
            if self.pooled:
                figures |= _named("pooled_", pooled_figures(strict, _scores(strict.dt, self.score), self.classes))
            for other in self._others():
                figures |= _named(f"{other}_", self._protocol_figures(protocol, other))
                figures |= _named(f"strict_{other}_", self._strict_figures(strict, other))
        return figures

    def by_recording(self, recordings: Sequence[str]) -> Recordings:
        """Match what was added once, for the plain figures of any choice of recordings.

        Args:
            recordings: name of the recording of each frame that was added.
        """
        _check(len(recordings) == len(self), f"{len(self)} names, one per frame", str(len(recordings)), "by_recording")
        windows = self._windows(_concatenate(self._gt), _concatenate(self._dt), strict=False)
        scores = {"": _scores(windows.dt, self.score)}
        scores |= {f"{other}_": _scores(windows.dt, other) for other in self._others()}
        return by_recording(windows, recordings, scores, self.classes)

    def _others(self) -> tuple[Score, ...]:
        """Scores by which detections can be ranked as well."""
        others: tuple[Score, ...] = ("product",) if self.score == "class" else ("class",)
        return others if self._has_objectness else ()

    def _windows(self, gt: BoxArray, dt: BoxArray, *, strict: bool) -> Windows:
        gt_item = np.repeat(np.arange(len(self._gt)), [len(a) for a in self._gt])
        dt_item = np.repeat(np.arange(len(self._dt)), [len(a) for a in self._dt])
        times = None
        if strict:
            # A frame without a single label has the time of its detections.
            unlabelled = ~np.isin(dt_item, gt_item)
            items = np.concatenate([gt_item, dt_item[unlabelled]])
            times = np.stack([items, np.concatenate([gt["t"], dt["t"][unlabelled]])], axis=1)
            times = times[times[:, 1] > self.skip_us]
        gt_keep = self._mask(gt) & (gt["class_id"] < len(self.classes))
        dt_keep = self._mask(dt)
        return gather_windows(gt[gt_keep], gt_item[gt_keep], dt[dt_keep], dt_item[dt_keep], self.time_tol_us, times)

    def _mask(self, boxes: BoxArray) -> npt.NDArray[np.bool_]:
        return protocol_mask(boxes, self.skip_us, self.min_diag, self.min_side)

    def _protocol_figures(self, windows: Windows, score: Score) -> dict[str, float]:
        figures = dict(zip(METRICS, self._precision(windows, score, len(self.classes))[0].tolist(), strict=True))
        for class_id, name in enumerate(self.classes):
            part = windows.of_class(class_id, only_with_labels=True)
            for boxes in (part.gt, part.dt):  # copies of this class alone
                boxes["class_id"] = 0
            row = self._precision(part, score, 1)[0]
            figures |= {f"{metric}_{name}": value for metric, value in zip(METRICS, row.tolist(), strict=True)}
        return figures

    def _precision(self, windows: Windows, score: Score, count: int) -> npt.NDArray[np.float64]:
        return average_precision(windows, _scores(windows.dt, score), count, self.backend)

    def _strict_figures(self, windows: Windows, score: Score) -> dict[str, float]:
        rows = self._precision(windows, score, len(self.classes)).tolist()
        figures = dict(zip(METRICS, rows[0], strict=True))
        for name, row in zip(self.classes, rows[1:], strict=True):
            figures |= {f"{metric}_{name}": value for metric, value in zip(METRICS, row, strict=True)}
        return figures


def _scores(boxes: BoxArray, score: Score) -> npt.NDArray[np.float64]:
    confidence = boxes["class_confidence"].astype(np.float64)
    return confidence if score == "class" else confidence * boxes["objectness"]


def _named(prefix: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {prefix + name: value for name, value in figures.items()}


def _concatenate(arrays: Sequence[BoxArray]) -> BoxArray:
    # NumPy compares the fields of every pair of structured arrays; bytes are put together in a tenth of the time.
    return np.frombuffer(bytearray().join(a.tobytes() for a in arrays), dtype=BBOX_DTYPE)


def _finite(boxes: BoxArray) -> npt.NDArray[np.bool_]:
    finite = np.ones(len(boxes), dtype=bool)
    for name in ("x", "y", "w", "h", "class_confidence", "objectness"):
        finite &= np.isfinite(boxes[name])
    return finite


def _only_finite(boxes: BoxArray) -> BoxArray:
    finite = _finite(boxes)
    if not finite.all():
        logger.warning("dropped %d detections with numbers that are not finite", int((~finite).sum()))
    return boxes[finite]


def _check(condition: bool, expected: str, got: str, where: str) -> None:
    if not condition:
        raise UserError(expected=expected, got=got, where=where, fix="correct this value")
