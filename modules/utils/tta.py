"""Views of a sequence for test-time augmentation: flipping boxes back and merging what the views found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import batched_nms

FloatArray = npt.NDArray[np.float32]

NMS_THRESHOLD = 0.45
"""Overlap above which the lower of two boxes of a class is dropped (LEOD)."""


def hflip_frames(frames: torch.Tensor) -> torch.Tensor:
    """Append the mirrored lanes: [L, B, C, H, W] to [L, 2B, C, H, W], mirrored left to right in the second half."""
    return torch.cat([frames, frames.flip(-1)], dim=1)


def hflip_detections(detections: torch.Tensor, width: int) -> torch.Tensor:
    """Mirror rows x1, y1, x2, y2, … [n, ≥4] in a frame of ``width`` pixels: x becomes width − 1 − x."""
    mirrored = detections.clone()
    mirrored[:, 0] = width - 1 - detections[:, 2]
    mirrored[:, 2] = width - 1 - detections[:, 0]
    return mirrored


def hflip_labels(labels: FloatArray, width: int) -> FloatArray:
    """Mirror label rows t, x, y, w, h, … [n, ≥5]: x becomes width − 1 − x − w."""
    mirrored = labels.copy()
    mirrored[:, 1] = np.float32(width - 1) - labels[:, 1] - labels[:, 3]
    return mirrored


def merge_detections(views: Sequence[FloatArray], threshold: float = NMS_THRESHOLD) -> FloatArray:
    """Merge rows x1, y1, x2, y2, objectness, class confidence, class of several views by class-aware NMS.

    Returns:
        The kept rows [n, 7], best objectness · class confidence first.
    """
    rows = torch.from_numpy(np.concatenate(views).astype(np.float32))
    keep = batched_nms(rows[:, :4], rows[:, 4] * rows[:, 5], rows[:, 6], threshold)
    return rows[keep].numpy()


def merge_labels(views: Sequence[FloatArray], threshold: float = NMS_THRESHOLD) -> FloatArray:
    """Merge label rows t, x, y, w, h, class, class confidence, objectness [n, 8] as ``merge_detections`` does."""
    rows = np.concatenate(views).astype(np.float32)
    corners = torch.from_numpy(np.concatenate([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:5]], axis=1))
    scores = torch.from_numpy(rows[:, 7] * rows[:, 6])
    return rows[batched_nms(corners, scores, torch.from_numpy(rows[:, 5]), threshold).numpy()]
