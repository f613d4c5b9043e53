"""Collects detections of labelled frames, merges test-time views, and hands them to the Prophesee evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from modules.evaluation.agreement import Agreement
from modules.evaluation.views import merge_views
from modules.processes.gather import gather_arrays, share_figures
from utils.boxes import BBOX_DTYPE, Detection, FloatArray
from utils.evaluation.convert import detections_to_boxes
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.evaluation.recordings import Recordings

FrameKey = tuple[str, int]
BoxArray = npt.NDArray[Any]


@dataclass
class DetectionCollector:
    """Detections and labels by (sequence, frame), until an evaluation is due.

    With ``keep``, the frames of the last evaluation stay in ``kept`` on the first process, for its report: labels and
    merged detections of each. Views are merged by NMS, or by ``agreement``.
    """

    views: dict[FrameKey, list[FloatArray]] = field(default_factory=dict)
    labels: dict[FrameKey, BoxArray] = field(default_factory=dict)
    times: dict[FrameKey, int] = field(default_factory=dict)
    keep: bool = False
    kept: list[tuple[FrameKey, tuple[BoxArray, BoxArray]]] = field(default_factory=list)
    agreement: Agreement | None = None

    def add_detections(self, key: FrameKey, detections: Tensor, mirrored_in: int | None = None) -> None:
        """Add one view of a frame, [n, 7]; ``mirrored_in`` gives the width of a frame that was mirrored."""
        rows = detections.detach().cpu().float().numpy()
        if mirrored_in is not None:
            rows = rows.copy()
            Detection.mirror_(rows, mirrored_in)
        self.views.setdefault(key, []).append(rows)

    def add_labels(self, key: FrameKey, labels: BoxArray, t_us: int) -> None:
        """Add the ground truth of a frame, structured array [n].

        Args:
            key: the frame.
            labels: its boxes; none is a frame that was looked at and holds nothing.
            t_us: time of the frame in microseconds, used when there is no box that tells it.
        """
        self.labels[key] = labels
        self.times[key] = int(labels["t"][0]) if len(labels) else t_us

    def clear(self) -> None:
        """Forget everything."""
        self.views.clear()
        self.labels.clear()
        self.times.clear()

    def compute(
        self, evaluator: PropheseeEvaluator, nms_threshold: float, *, extra: bool = True
    ) -> Mapping[str, float]:
        """Merge views and processes, evaluate once, and return the figures by name, the same on every process.

        Frames are evaluated in the order of their sequence name and number, whatever process or lane saw them;
        for ``extra`` see :meth:`PropheseeEvaluator.compute`.
        """
        evaluator.reset()
        names = list(evaluator.compute(extra=extra))
        parts = gather_arrays(self._arrays(nms_threshold))
        figures = None
        if parts is not None:
            frames = {key: frame for part in parts for key, frame in _frames(part)}
            for key in sorted(frames):
                evaluator.add([frames[key][0]], [frames[key][1]])
            figures = evaluator.compute(extra=extra)
            self.kept = sorted(frames.items(), key=lambda item: item[0]) if self.keep else []
            evaluator.reset()
        return share_figures(figures, names)

    def by_recording(self, evaluator: PropheseeEvaluator) -> Recordings:
        """The evaluation whose frames were kept, by recordings, which are called as their folders are."""
        boxes = [frame for _, frame in self.kept]
        evaluator.reset()
        evaluator.add([labels for labels, _ in boxes], [detections for _, detections in boxes])
        found = evaluator.by_recording([Path(folder).name for (folder, _), _ in self.kept])
        evaluator.reset()
        return found

    def _arrays(self, nms_threshold: float) -> dict[str, npt.NDArray[Any]]:
        """Labels and merged detections of this process as flat arrays; ``_frames`` takes them apart."""
        keys, gt, dt = sorted(self.labels), [], []
        for key in keys:
            views = self.views.get(key, [np.zeros((0, len(Detection)), np.float32)])
            merged = views[0] if len(views) == 1 else merge_views(views, Detection, nms_threshold, self.agreement)
            gt.append(self.labels[key])
            dt.append(detections_to_boxes(merged, self.times[key]))
        names = [key[0].encode() for key in keys]
        empty = np.zeros(0, dtype=BBOX_DTYPE)
        return {
            "name": np.frombuffer(b"".join(names), np.uint8),
            "name_n": np.array([len(name) for name in names], np.int64),
            "number": np.array([key[1] for key in keys], np.int64),
            "gt": np.concatenate([empty, *gt]),
            "gt_n": np.array([len(boxes) for boxes in gt], np.int64),
            "dt": np.concatenate([empty, *dt]),
            "dt_n": np.array([len(boxes) for boxes in dt], np.int64),
        }


def _frames(part: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[FrameKey, tuple[BoxArray, BoxArray]]]:
    """Frames, labels and detections of one process."""
    ends = {key: np.cumsum(part[f"{key}_n"]) for key in ("name", "gt", "dt")}
    for index, number in enumerate(part["number"].tolist()):
        name, gt, dt = (part[key][end[index] - part[f"{key}_n"][index] : end[index]] for key, end in ends.items())
        yield (name.tobytes().decode(), number), (gt, dt)
