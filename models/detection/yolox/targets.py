"""From boxes of frames to the padded targets of the YOLOX loss."""

from __future__ import annotations

import torch
from torch import Tensor

from models.detection.interface import FrameBoxes
from models.detection.yolox.columns import Target
from utils.boxes import yolox_rows


def padded_targets(boxes: FrameBoxes) -> Tensor:
    """Targets [frames, M, 7] on the device of the boxes: M ≥ 1 is the largest number of boxes, zero rows are padding.

    Columns are those of :class:`Target`.
    """
    count = torch.bincount(boxes.frame, minlength=boxes.num_frames)
    start = torch.cumsum(count, 0) - count
    slot = torch.arange(len(boxes.frame)) - start[boxes.frame]
    most = max(int(count.max()) if len(count) else 0, 1)
    targets = torch.zeros(boxes.num_frames, most, len(Target))
    targets[boxes.frame, slot] = yolox_rows(boxes.rows)
    return targets
