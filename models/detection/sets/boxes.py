"""Boxes of set prediction: centre and size as shares of the frame, and what is wanted of each frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.detection.interface import FrameBoxes
from models.detection.yolox.columns import corners as low_and_high
from models.transfer import to_device
from utils.boxes import Label


@dataclass(frozen=True)
class Wanted:
    """Boxes of some frames, padded to the most that one of them has.

    Args:
        box: float32 [n, M, 4], cx, cy, w, h as shares of the frame; zero where there is none.
        class_id: int64 [n, M]; 0 where there is none.
        real: bool [n, M], boxes that are to be found.
        ignored: bool [n, M], boxes that are neither object nor background.
        counts: of the boxes to be found, by frame, known on the host.
        weight: float32 [n], what a frame counts in the losses against others; None for equal.
    """

    box: Tensor
    class_id: Tensor
    real: Tensor
    ignored: Tensor
    counts: list[int]
    weight: Tensor | None = None

    def weigh(self, terms: Tensor) -> Tensor:
        """Terms of a loss [layers, n, ...], each by what its frame counts."""
        return terms if self.weight is None else terms * self.weight.view(-1, *(1,) * (terms.dim() - 2))


def wanted_of(boxes: FrameBoxes, num_classes: int, unit_hw: tuple[int, int], device: torch.device) -> Wanted:
    """Sort the boxes of frames into those to be found, which come first, and ignored ones.

    Args:
        boxes: on the host; classes that are none, and boxes without a size, are not to be found.
        num_classes: number of classes.
        unit_hw: height and width in pixels of what shares are of.
        device: where the tensors are to lie.
    """
    rows = boxes.rows
    sized = (rows[:, Label.WH] > 0).all(dim=1)
    known = (rows[:, Label.CLASS_ID] >= 0) & (rows[:, Label.CLASS_ID] < num_classes)
    real = sized & known
    order = torch.argsort(boxes.frame * 2 + (~real).long(), stable=True)
    rows, frame, real, sized = rows[order], boxes.frame[order], real[order], sized[order]
    count = torch.bincount(frame, minlength=boxes.num_frames)
    slot = torch.arange(len(frame)) - (torch.cumsum(count, 0) - count)[frame]
    shape = (boxes.num_frames, max(int(count.max()) if len(count) else 0, 1))
    box, class_id = torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.int64)
    found, ignored = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    height, width = unit_hw
    size = rows[:, Label.WH]
    box[frame, slot] = torch.cat((rows[:, Label.XY] + size / 2, size), 1) / torch.tensor([width, height] * 2)
    class_id[frame, slot] = torch.where(real, rows[:, Label.CLASS_ID], 0).long()
    found[frame, slot], ignored[frame, slot] = real, sized & ~real
    parts = (to_device(part, device) for part in (box, class_id, found, ignored))
    weight = None if boxes.weight is None else to_device(boxes.weight, device)
    return Wanted(*parts, counts=found.sum(dim=1).tolist(), weight=weight)


def corners(box: Tensor) -> Tensor:
    """Boxes [..., 4] cx, cy, w, h as x0, y0, x1, y1."""
    return torch.cat(low_and_high(box), dim=-1)


def generalised_iou(box: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Overlap (IoU) and generalised overlap (Rezatofighi et al., 2019) of corners [..., 4] with others, broadcast.

    >>> unit, beside = torch.tensor([0.0, 0, 1, 1]), torch.tensor([1.0, 0, 2, 1])
    >>> [round(float(x), 3) for x in (*generalised_iou(unit, unit), *generalised_iou(unit, beside))]
    [1.0, 1.0, 0.0, 0.0]
    """
    low, high = torch.maximum(box[..., :2], other[..., :2]), torch.minimum(box[..., 2:], other[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    area, other_area = ((b[..., 2:] - b[..., :2]).prod(dim=-1) for b in (box, other))
    union = area + other_area - common
    iou = common / union.clamp(min=1e-12)
    low, high = torch.minimum(box[..., :2], other[..., :2]), torch.maximum(box[..., 2:], other[..., 2:])
    hull = (high - low).clamp(min=0).prod(dim=-1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-12)
