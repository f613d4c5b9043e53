"""Views of a sequence for test-time augmentation: mirrored lanes, mirrored boxes, and merging what views found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import batched_nms

FloatArray = npt.NDArray[np.float32]

NMS_THRESHOLD = 0.45
"""Overlap above which the weaker of two boxes of a class is dropped (LEOD)."""


def hflip_lanes(frames: torch.Tensor) -> torch.Tensor:
    """Append the mirrored lanes: [L, B, C, H, W] to [L, 2B, C, H, W], the second half mirrored left to right."""
    return torch.cat([frames, frames.flip(-1)], dim=1)


def hflip_labels(labels: FloatArray, width: int) -> FloatArray:
    """Mirror label rows t, x, y, w, h, … [n, ≥5]: x becomes width − 1 − x − w."""
    mirrored = labels.copy()
    mirrored[:, 1] = np.float32(width - 1) - labels[:, 1] - labels[:, 3]
    return mirrored


def merge_labels(views: Sequence[FloatArray], threshold: float = NMS_THRESHOLD) -> FloatArray:
    """Merge label rows t, x, y, w, h, class, class confidence, objectness of several views by class-aware NMS.

    Returns:
        The kept rows [n, 8], best objectness · class confidence first.
    """
    rows = np.concatenate(views).astype(np.float32)
    corners = torch.from_numpy(np.concatenate([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:5]], axis=1))
    scores = torch.from_numpy(rows[:, 7] * rows[:, 6])
    return rows[batched_nms(corners, scores, torch.from_numpy(rows[:, 5]), threshold).numpy()]
