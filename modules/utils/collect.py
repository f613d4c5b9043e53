"""Collects detections of labelled frames, merges test-time views, and hands them to the Prophesee evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torchvision.ops import batched_nms

from utils.boxes import BBOX_DTYPE
from utils.evaluation.prophesee import PropheseeEvaluator

FrameKey = tuple[str, int]


def detections_to_structured(detections: Tensor | npt.NDArray[np.float32], t_us: int) -> npt.NDArray[Any]:
    """Detections as label records.

    Args:
        detections: [n, 7] x1, y1, x2, y2, objectness, class confidence, class.
        t_us: time written to every record, microseconds.

    Returns:
        ``BBOX_DTYPE`` array [n]; x, y is the top-left corner.
    """
    rows = detections.detach().cpu().float().numpy() if isinstance(detections, Tensor) else detections
    out = np.zeros(len(rows), dtype=BBOX_DTYPE)
    out["t"] = t_us
    out["x"], out["y"] = rows[:, 0], rows[:, 1]
    out["w"], out["h"] = rows[:, 2] - rows[:, 0], rows[:, 3] - rows[:, 1]
    out["objectness"], out["class_confidence"], out["class_id"] = rows[:, 4], rows[:, 5], rows[:, 6]
    return out


def flip_detections(detections: Tensor, width: int) -> Tensor:
    """Mirror detections [n, 7] of a horizontally flipped frame back; pixel x becomes width − 1 − x."""
    flipped = detections.clone()
    flipped[:, 0] = width - 1 - detections[:, 2]
    flipped[:, 2] = width - 1 - detections[:, 0]
    return flipped


def merge_views(views: Sequence[Tensor], nms_threshold: float) -> Tensor:
    """Join the detections of several views of one frame by class-aware NMS on objectness·class confidence.

    Args:
        views: detections [n_i, 7] of each view.
        nms_threshold: IoU above which the weaker box goes.
    """
    if len(views) == 1:
        return views[0]
    rows = torch.cat(list(views))
    return rows[batched_nms(rows[:, :4], rows[:, 4] * rows[:, 5], rows[:, 6].long(), nms_threshold)]


@dataclass
class DetectionCollector:
    """Detections and labels by (sequence, frame), until an evaluation is due."""

    views: dict[FrameKey, list[Tensor]] = field(default_factory=dict)
    labels: dict[FrameKey, npt.NDArray[Any]] = field(default_factory=dict)

    def add_detections(self, key: FrameKey, detections: Tensor) -> None:
        """Add one view of a frame, [n, 7]."""
        self.views.setdefault(key, []).append(detections.detach().cpu().float())

    def add_labels(self, key: FrameKey, labels: npt.NDArray[Any]) -> None:
        """Add the ground truth of a frame, structured array [n]."""
        self.labels[key] = labels

    def clear(self) -> None:
        """Forget everything."""
        self.views.clear()
        self.labels.clear()

    def compute(self, evaluator: PropheseeEvaluator, nms_threshold: float) -> Mapping[str, float]:
        """Merge views and processes, evaluate once, and return the figures by name.

        Frames are evaluated in the order of their sequence name and number, whatever process or lane saw them.
        """
        frames: dict[FrameKey, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}
        for key, labels in self.labels.items():
            if len(labels) == 0:
                continue
            views = self.views.get(key)
            merged = merge_views(views, nms_threshold) if views else torch.zeros(0, 7)
            frames[key] = (labels, detections_to_structured(merged, int(labels["t"][0])))
        frames = _gather(frames)
        evaluator.reset()
        for key in sorted(frames):
            evaluator.add([frames[key][0]], [frames[key][1]])
        return evaluator.compute()


def _gather(
    frames: dict[FrameKey, tuple[npt.NDArray[Any], npt.NDArray[Any]]],
) -> dict[FrameKey, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return frames
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, frames)
    return {key: value for part in parts for key, value in part.items()}
