"""Losses of sets: every box has one query, all other queries say that there is nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.detection.detr.config import LossConfig
from models.detection.sets.boxes import Wanted, corners, generalised_iou
from models.detection.sets.matching import boxes_over_processes, match, matched, near_ignored


@dataclass(frozen=True)
class SetLosses:
    """Losses of each layer, and what was matched.

    Args:
        by_name: ``loss_ce``, ``loss_bbox``, ``loss_giou`` and, without gradient, ``class_error`` in per cent and
            ``cardinality_error``: each [layers], the last layer's last.
        query: int64 [layers, n, M], see :func:`models.detection.sets.matching.match`.
    """

    by_name: dict[str, Tensor]
    query: Tensor


def class_cost(logits: Tensor, wanted: Wanted) -> Tensor:
    """Less for a query [layers, n, Q, classes + 1] the more it holds the class for likely: [layers, n, Q, M]."""
    index = wanted.class_id.unsqueeze(-2).expand(*logits.shape[:-1], -1)
    return -logits.float().softmax(-1).gather(-1, index)


def set_losses(logits: Tensor, box: Tensor, wanted: Wanted, cfg: LossConfig) -> SetLosses:
    """Losses of all layers, each with an assignment of its own.

    Queries that lie on a box which is to be ignored, and have no other, take no part.

    Args:
        logits: [layers, n, Q, classes + 1]; the last class is none.
        box: [layers, n, Q, 4], cx, cy, w, h as shares.
        wanted: of the n frames.
        cfg: weights.
    """
    logits, box = logits.float(), box.float()
    layers, _, queries, classes = logits.shape
    query = match(class_cost(logits, wanted), box, wanted, cfg.weights)
    real = matched(wanted, queries)

    layer, frame, slot = torch.where(real.expand(layers, -1, -1))
    own = query[layer, frame, slot]
    target = torch.full(logits.shape[:-1], classes - 1, device=logits.device)
    target[layer, frame, own] = wanted.class_id[frame, slot]
    weight = torch.where(target == classes - 1, cfg.no_object, 1.0)
    weight = weight.masked_fill(near_ignored(box, wanted) & (target == classes - 1), 0.0)
    weight = wanted.weigh(weight)
    terms = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view_as(weight) * weight
    class_loss = terms.sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-12)

    number = boxes_over_processes(wanted)
    index = query.unsqueeze(-1).expand(-1, -1, -1, 4)
    found, aim = box.gather(2, index), wanted.box.expand(layers, -1, -1, -1)
    apart = wanted.weigh((found - aim).abs().sum(-1).masked_fill(~real, 0))
    _, overlap = generalised_iou(corners(found), corners(aim))
    with torch.no_grad():
        said = logits.argmax(-1)
        right = ((said.gather(2, query.flatten(2)) == wanted.class_id) & real).sum((1, 2))
        error = torch.where(real.any(), 100 - 100 * right / real.sum().clamp(min=1), 100.0)
        counted = (said != classes - 1).sum(-1) - real.sum(-1)
    return SetLosses(
        {
            "loss_ce": class_loss,
            "loss_bbox": apart.sum((1, 2)) / number,
            "loss_giou": wanted.weigh((1 - overlap).masked_fill(~real, 0)).sum((1, 2)) / number,
            "class_error": error,
            "cardinality_error": counted.abs().float().mean(-1),
        },
        query,
    )


def weighted(losses: SetLosses, cfg: LossConfig) -> dict[str, Tensor]:
    """The sum that is minimised as ``loss``, and the last layer's terms."""
    terms = zip(("loss_ce", "loss_bbox", "loss_giou"), cfg.weights, strict=True)
    total = sum(weight * losses.by_name[name] for name, weight in terms)
    assert isinstance(total, Tensor), "there are terms"
    return {"loss": total.sum() if cfg.auxiliary else total[-1], **{k: v[-1] for k, v in losses.by_name.items()}}
