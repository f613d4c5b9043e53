"""From boxes of frames to the padded targets of the YOLOX loss."""

from __future__ import annotations

import torch
from torch import Tensor

from models.detection.interface import FrameBoxes
from utils.boxes import LABEL_COLUMNS

_X, _W = LABEL_COLUMNS.index("x"), LABEL_COLUMNS.index("w")
_TAIL = [LABEL_COLUMNS.index(name) for name in ("class_id", "objectness", "class_confidence")]


def padded_targets(boxes: FrameBoxes) -> Tensor:
    """Targets [frames, M, 7] on the device of the boxes: M ≥ 1 is the largest number of boxes, zero rows are padding.

    Columns: class_id, cx, cy, w, h, objectness, class_confidence.
    """
    count = torch.bincount(boxes.frame, minlength=boxes.num_frames)
    start = torch.cumsum(count, 0) - count
    slot = torch.arange(len(boxes.frame)) - start[boxes.frame]
    most = max(int(count.max()) if len(count) else 0, 1)
    targets = torch.zeros(boxes.num_frames, most, 7)
    corner, size = boxes.rows[:, _X : _X + 2], boxes.rows[:, _W : _W + 2]
    class_id, objectness, confidence = (boxes.rows[:, column : column + 1] for column in _TAIL)
    targets[boxes.frame, slot] = torch.cat((class_id, corner + size / 2, size, objectness, confidence), dim=1)
    return targets
