"""Loss of the YOLOX head with LEOD's soft anchor assignment."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from models.detection.yolox.anchors import Anchors
from models.detection.yolox.assignment import Assignment, Boxes, assign
from models.detection.yolox.columns import Output, Target, corners
from models.detection.yolox.config import HeadConfig

IOU_LOSS_WEIGHT = 5.0
FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0


def split_targets(targets: Tensor, cfg: HeadConfig) -> Boxes:
    """Sort target rows into valid, ignored and padding.

    Args:
        targets: [N, M, 7] rows class_id, cx, cy, w, h, objectness, class_confidence; zero rows are padding.
        cfg: a box is ignored if its class id is none of the classes or, with ``ignore_bbox_thresh``, if its
            objectness or class confidence lies below the threshold of its class.
    """
    box = targets[..., Target.BOX]
    real = (box[..., Output.W] > 0) & (box[..., Output.H] > 0)
    class_id = targets[..., Target.CLASS_ID].long()
    known = class_id < cfg.num_classes
    class_id = torch.where(known, class_id, 0)
    valid = real & known
    if cfg.ignore_bbox_thresh is not None:
        threshold = class_thresholds(class_id, cfg.ignore_bbox_thresh, targets.dtype)
        objectness, class_conf = targets[..., Target.OBJECTNESS], targets[..., Target.CLASS_CONFIDENCE]
        valid = valid & (objectness >= threshold) & (class_conf >= threshold)
    return Boxes(box, class_id, valid, real & ~valid)


def class_thresholds(class_id: Tensor, thresholds: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """The threshold of each box's class, without a copy from the host.

    >>> class_thresholds(torch.tensor([1, 0]), (0.5, 0.25), torch.float32)
    tensor([0.2500, 0.5000])
    """
    chosen = torch.full_like(class_id, thresholds[0], dtype=dtype)
    for number, threshold in enumerate(thresholds[1:], 1):
        chosen = chosen.masked_fill(class_id == number, threshold)
    return chosen


def box_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Overlap of boxes with their own target: [..., 4], [..., 4] (cx, cy, w, h) -> [...]."""
    (low_p, high_p), (low_t, high_t) = corners(pred), corners(target)
    width, height = (torch.minimum(high_p, high_t) - torch.maximum(low_p, low_t)).clamp(min=0).unbind(-1)
    intersection = width * height
    area_p, area_t = (box[..., Output.W] * box[..., Output.H] for box in (pred, target))
    union = area_p + area_t - intersection
    return intersection / (union + 1e-16)


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary focal loss (Lin et al., 2017), elementwise."""
    p = logits.sigmoid()
    p_t = p * target + (1 - p) * (1 - target)
    alpha_t = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return alpha_t * (1 - p_t) ** FOCAL_GAMMA * bce


def box_weights(targets: Tensor, assignment: Assignment, cfg: HeadConfig) -> Tensor | None:
    """Weight of each foreground anchor [N, A] from its box's confidence, mean 1 over the batch; None for equal."""
    kind, power = cfg.loss_weighting()
    if not kind:
        return None
    objectness, class_conf = targets[..., Target.OBJECTNESS], targets[..., Target.CLASS_CONFIDENCE]
    weight = {"obj": objectness, "cls": class_conf, "objxcls": objectness * class_conf}[kind] ** power
    weight = weight.gather(1, assignment.box_index) * assignment.foreground
    mean = mean_over_processes(weight.sum()) / count_over_processes(assignment.foreground)
    return weight / mean.clamp(min=1e-8)


def soft_targets(targets: Tensor, assignment: Assignment, cfg: HeadConfig) -> tuple[Tensor, Tensor] | None:
    """What objectness and class are to become at each anchor, from the scores of the box it is assigned to.

    With temperature T, weight w and a score p of the box: (1 - w) + w · sigmoid(logit(p) / T). Ground truth has p = 1
    and keeps 1; a box of score 0 gets 1 - w. T > 1 draws scores towards 1/2, T < 1 away from it.

    Args:
        targets: [N, M, 7] as in :func:`split_targets`.
        assignment: of the anchors.
        cfg: loss settings.

    Returns:
        objectness and class targets, each [N, A] in [1 - w, 1] and meaningless at background anchors; None with
        ``use_soft_labels`` off.
    """
    if not cfg.use_soft_labels:
        return None
    weight = cfg.soft_label_weight
    tempered = (targets[..., Target.SCORES].clamp(0, 1).logit() / cfg.temperature).sigmoid()
    soft = (1 - weight) + weight * tempered
    objectness, class_conf = (part.gather(1, assignment.box_index) for part in soft.unbind(-1))
    return objectness, class_conf


def mean_over_processes(value: Tensor) -> Tensor:
    """Mean of a number over the processes that train together, without gradient; of a single process, the number."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def count_over_processes(marks: Tensor) -> Tensor:
    """Marked elements per process, or the sum of weights, at least one over all processes.

    Losses divided by it, and gradients averaged over the processes as DDP does, are those of all processes' batches
    in one; divided by each process's own count they would not be.
    """
    world = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    return mean_over_processes(marks.sum().float()).clamp(min=1 / world)


def confident_background(obj_logits: Tensor, assignment: Assignment, share: float) -> Tensor:
    """The most confident share of background anchors of each image, bool [N, A]: perhaps objects without a label."""
    background = ~(assignment.foreground | assignment.ignored)
    count = (background.sum(dim=1, keepdim=True) * share).long()
    scores = obj_logits.detach().masked_fill(~background, float("-inf"))
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (rank < count) & background


def detection_losses(
    raw: Tensor,
    boxes_pred: Tensor,
    anchors: Anchors,
    targets: Tensor,
    cfg: HeadConfig,
    frame_weight: Tensor | None = None,
) -> dict[str, Tensor]:
    """All loss terms of a batch, without host synchronisation; with several processes all of them must call it.

    Args:
        raw: undecoded outputs [N, A, 5 + classes].
        boxes_pred: decoded boxes [N, A, 4] cx, cy, w, h in pixels.
        anchors: of all maps.
        targets: [N, M, 7] as in :func:`split_targets`.
        cfg: loss settings.
        frame_weight: [N], what the terms and the foreground anchors of a frame count; None for equal.

    Returns:
        scalars loss, iou_loss (weighted), conf_loss, cls_loss, l1_loss, num_fg (foreground anchors per valid box)
        and num_skipped (valid boxes that no anchor can see).
    """
    obj_logits, cls_logits = raw[..., Output.OBJECTNESS], raw[..., Output.CLASSES]
    boxes = split_targets(targets, cfg)
    match = assign(boxes, boxes_pred.detach(), obj_logits.detach(), cls_logits.detach(), anchors)
    foreground = match.foreground
    fg = foreground.to(raw.dtype)
    each = None if frame_weight is None else frame_weight.to(raw.dtype).unsqueeze(-1)
    num_fg = count_over_processes(foreground if each is None else fg * each)
    weight = box_weights(targets, match, cfg)
    box_weight = fg if weight is None else weight
    if each is not None:
        box_weight = box_weight * each
    index = match.box_index.unsqueeze(-1)
    target_box = boxes.box.gather(1, index.expand(-1, -1, 4))

    # Background anchors are replaced before the arithmetic, so that no overflow of theirs reaches a gradient.
    iou = box_iou(torch.where(foreground.unsqueeze(-1), boxes_pred, target_box + 1), target_box)
    iou_loss = IOU_LOSS_WEIGHT * (((1 - iou**2) * box_weight).sum() / num_fg)
    soft = soft_targets(targets, match, cfg)
    obj_target = fg if soft is None else torch.where(foreground, soft[0].to(raw.dtype), 0.0)
    obj_loss = _objectness_loss(obj_logits, match, obj_target, cfg, each) / num_fg
    one_hot = F.one_hot(boxes.class_id.gather(1, match.box_index), cfg.num_classes).to(raw.dtype)
    overlap = match.iou if soft is None else match.iou * soft[1].to(match.iou.dtype)
    cls_target = one_hot * overlap.unsqueeze(-1)
    cls_terms = F.binary_cross_entropy_with_logits(cls_logits, cls_target, reduction="none").sum(-1)
    cls_loss = (cls_terms * box_weight).sum() / num_fg
    l1_loss = raw.new_zeros(())
    if cfg.use_l1:
        l1_loss = (_l1_terms(raw[..., Output.BOX], target_box, foreground, anchors) * box_weight).sum() / num_fg
    return {
        "loss": iou_loss + obj_loss + cls_loss + l1_loss,
        "iou_loss": iou_loss,
        "conf_loss": obj_loss,
        "cls_loss": cls_loss,
        "l1_loss": l1_loss,
        "num_fg": fg.sum().clamp(min=1) / boxes.valid.sum().clamp(min=1),
        "num_skipped": match.num_skipped,
    }


def _objectness_loss(
    obj_logits: Tensor, match: Assignment, target: Tensor, cfg: HeadConfig, weight: Tensor | None
) -> Tensor:
    if cfg.obj_focal_loss:
        terms = focal_loss(obj_logits, target)
    else:
        terms = F.binary_cross_entropy_with_logits(obj_logits, target, reduction="none")
    ignored = match.ignored
    if cfg.ignore_bg_k > 0:
        ignored = ignored | confident_background(obj_logits, match, cfg.ignore_bg_k)
    terms = terms.masked_fill(ignored, 0.0)
    return terms.sum() if weight is None else (terms * weight).sum()


def _l1_terms(raw_box: Tensor, target_box: Tensor, foreground: Tensor, anchors: Anchors) -> Tensor:
    """Distance between raw outputs and the outputs that would give the target exactly: [N, A]."""
    centre = target_box[..., Output.CENTRE] / anchors.stride - anchors.grid
    size = (target_box[..., Output.SIZE] / anchors.stride + 1e-8).log()
    terms = (raw_box - torch.cat((centre, size), dim=-1)).abs().sum(-1)
    return torch.where(foreground, terms, 0.0)
