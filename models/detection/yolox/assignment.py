"""SimOTA label assignment (YOLOX) for a batch of images at once, on padded targets.

Nothing here synchronises with the host: images, boxes and anchors are dense dimensions N, M and A, and absent
entries are masked.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.detection.yolox.anchors import Anchors
from models.detection.yolox.columns import Output, corners

CENTRE_RADIUS = 1.5
"""An anchor is a candidate for a box when its centre lies within this many strides of the box's centre."""

MAX_ANCHORS_PER_BOX = 10
IOU_COST_WEIGHT = 3.0
OUTSIDE_COST = 1e6
MAX_ELEMENTS = 1 << 25
"""Images are assigned in groups whose N * M * A stays below this, which bounds the memory."""


class Boxes(NamedTuple):
    """Target boxes of a batch of images; rows that are neither valid nor ignored are padding."""

    box: Tensor
    """[N, M, 4] cx, cy, w, h in pixels."""
    class_id: Tensor
    """int64 [N, M], within the classes (0 where not valid)."""
    valid: Tensor
    """bool [N, M]: to be found."""
    ignored: Tensor
    """bool [N, M]: neither to be found nor background."""


class Assignment(NamedTuple):
    """Which box every anchor is to predict."""

    foreground: Tensor
    """bool [N, A]: the anchor has a box."""
    box_index: Tensor
    """int64 [N, A]: its index in 0..M-1 (0 for background)."""
    iou: Tensor
    """[N, A]: overlap of its prediction with that box (0 for background)."""
    ignored: Tensor
    """bool [N, A]: near an ignored box and near no valid one."""
    num_skipped: Tensor
    """int64 []: valid boxes without any candidate anchor."""


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of boxes [N, M, 4] with boxes [N, A, 4] (cx, cy, w, h): [N, M, A].

    >>> pairwise_iou(torch.tensor([[[1.0, 1, 2, 2]]]), torch.tensor([[[1.0, 1, 2, 2], [2.0, 1, 2, 2]]]))
    tensor([[[1.0000, 0.3333]]])
    """
    a, b = a.unsqueeze(2), b.unsqueeze(1)
    (low_a, high_a), (low_b, high_b) = corners(a), corners(b)
    intersection = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(-1)
    union = a[..., Output.SIZE].prod(-1) + b[..., Output.SIZE].prod(-1) - intersection
    return intersection / union.clamp(min=1e-16)


def near_anchors(boxes: Tensor, anchors: Anchors) -> Tensor:
    """Anchors whose centre lies within 1.5 strides of a box's centre on both axes: bool [N, M, A]."""
    centre = anchors.centre
    reach = CENTRE_RADIUS * anchors.stride[:, 0]
    near_x = (centre[:, 0] - boxes[..., Output.CX, None]).abs() < reach
    near_y = (centre[:, 1] - boxes[..., Output.CY, None]).abs() < reach
    return near_x & near_y


def _class_cost(obj_logits: Tensor, cls_logits: Tensor, class_id: Tensor) -> Tensor:
    """Summed cross-entropy between sqrt(class * objectness) and each box's one-hot class: [N, M, A]."""
    score = (cls_logits.sigmoid() * obj_logits.sigmoid().unsqueeze(-1)).sqrt()
    absent = -torch.log1p(-score).clamp(min=-100)
    present = -score.log().clamp(min=-100)
    swap = (present - absent).transpose(1, 2)  # [N, classes, A]
    index = class_id.unsqueeze(-1).expand(-1, -1, swap.shape[-1])
    return absent.sum(-1).unsqueeze(1) + swap.gather(1, index)


@torch.no_grad()
def assign(boxes: Boxes, pred_boxes: Tensor, obj_logits: Tensor, cls_logits: Tensor, anchors: Anchors) -> Assignment:
    """Give every valid box its anchors.

    A valid box without any candidate anchor (its centre lies off all maps) is left out and counted.

    Args:
        boxes: targets.
        pred_boxes: decoded predictions [N, A, 4] cx, cy, w, h in pixels.
        obj_logits: [N, A].
        cls_logits: [N, A, classes].
        anchors: of all maps.
    """
    num_images, num_boxes = boxes.valid.shape
    per_group = max(1, MAX_ELEMENTS // max(1, num_boxes * pred_boxes.shape[1]))
    if num_images <= per_group:
        return _assign_group(boxes, pred_boxes, obj_logits, cls_logits, anchors)
    groups = []
    for start in range(0, num_images, per_group):
        part = slice(start, start + per_group)
        group = Boxes(*(tensor[part] for tensor in boxes))
        groups.append(_assign_group(group, pred_boxes[part], obj_logits[part], cls_logits[part], anchors))
    *columns, skipped = zip(*groups, strict=True)
    return Assignment(*(torch.cat(column) for column in columns), num_skipped=torch.stack(skipped).sum())


def _assign_group(
    boxes: Boxes, pred_boxes: Tensor, obj_logits: Tensor, cls_logits: Tensor, anchors: Anchors
) -> Assignment:
    near = near_anchors(boxes.box, anchors)
    near_valid = near & boxes.valid.unsqueeze(-1)
    candidate = near_valid.any(dim=1)
    ignored = (near & boxes.ignored.unsqueeze(-1)).any(dim=1) & ~candidate
    matchable = near_valid.any(dim=2)
    forbidden = ~(matchable.unsqueeze(-1) & candidate.unsqueeze(1))

    iou = pairwise_iou(boxes.box, pred_boxes).masked_fill(forbidden, 0.0)
    cost = _class_cost(obj_logits, cls_logits, boxes.class_id)
    cost = cost - IOU_COST_WEIGHT * (iou + 1e-8).log() + OUTSIDE_COST * (~near_valid)
    cost = cost.masked_fill(forbidden, float("inf"))

    matching = _dynamic_k(cost, iou)
    claims = matching.sum(dim=1)
    box_index = torch.where(claims > 1, cost.argmin(dim=1), matching.to(torch.uint8).argmax(dim=1))
    foreground, background = claims > 0, claims == 0
    box_index = box_index.masked_fill(background, 0)
    matched_iou = iou.gather(1, box_index.unsqueeze(1)).squeeze(1).masked_fill(background, 0.0)
    return Assignment(foreground, box_index, matched_iou, ignored, (boxes.valid & ~matchable).sum())


def _dynamic_k(cost: Tensor, iou: Tensor) -> Tensor:
    """Each box takes its k cheapest anchors, k from the sum of its ten largest overlaps: bool [N, M, A]."""
    limit = min(MAX_ANCHORS_PER_BOX, cost.shape[-1])
    k = iou.topk(limit, dim=-1).values.sum(-1, keepdim=True).int().clamp(min=1)
    cheapest = cost.topk(limit, dim=-1, largest=False)
    taken = (torch.arange(limit, device=cost.device) < k) & cheapest.values.isfinite()
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(2, cheapest.indices, taken)
