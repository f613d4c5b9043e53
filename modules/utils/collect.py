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


def detections_to_structured(rows: npt.NDArray[np.float32], t_us: int) -> npt.NDArray[Any]:
    """Detections as label records.

    Args:
        rows: [n, 7] x1, y1, x2, y2, objectness, class confidence, class.
        t_us: time written to every record, microseconds.

    Returns:
        ``BBOX_DTYPE`` array [n]; x, y is the top-left corner.
    """
    out = np.zeros(len(rows), dtype=BBOX_DTYPE)
    out["t"] = t_us
    out["x"], out["y"] = rows[:, 0], rows[:, 1]
    out["w"], out["h"] = rows[:, 2] - rows[:, 0], rows[:, 3] - rows[:, 1]
    out["objectness"], out["class_confidence"], out["class_id"] = rows[:, 4], rows[:, 5], rows[:, 6]
    return out


def hflip_detections(detections: Tensor, width: int) -> Tensor:
    """Mirror rows x1, y1, x2, y2, ... [n, 7] in a frame of ``width`` pixels: x becomes width − 1 − x."""
    mirrored = detections.clone()
    mirrored[:, 0] = width - 1 - detections[:, 2]
    mirrored[:, 2] = width - 1 - detections[:, 0]
    return mirrored


def merge_detections(views: Sequence[npt.NDArray[np.float32]], nms_threshold: float) -> npt.NDArray[np.float32]:
    """Join the detections [n_i, 7] of several views of a frame by class-aware NMS on objectness·class confidence."""
    rows = torch.from_numpy(np.concatenate(views))
    keep = batched_nms(rows[:, :4], rows[:, 4] * rows[:, 5], rows[:, 6].long(), nms_threshold)
    return rows[keep].numpy()


@dataclass
class DetectionCollector:
    """Detections and labels by (sequence, frame), until an evaluation is due."""

    views: dict[FrameKey, list[npt.NDArray[np.float32]]] = field(default_factory=dict)
    labels: dict[FrameKey, npt.NDArray[Any]] = field(default_factory=dict)

    def add_detections(self, key: FrameKey, detections: Tensor) -> None:
        """Add one view of a frame, [n, 7]."""
        self.views.setdefault(key, []).append(detections.detach().cpu().float().numpy())

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
            views = self.views.get(key, [np.zeros((0, 7), np.float32)])
            merged = views[0] if len(views) == 1 else merge_detections(views, nms_threshold)
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
