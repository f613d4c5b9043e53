"""Losses of RT-DETR: scores that say how well the box fits (varifocal), boxes, denoised queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.detection.rtdetr.config import SetHeadConfig
from models.detection.rtdetr.decoder import Found
from models.detection.sets.boxes import Wanted, corners, generalised_iou
from models.detection.sets.matching import boxes_over_processes, match, matched, near_ignored

_ALPHA, _GAMMA = 0.75, 2.0  # of the varifocal loss (Zhang et al., 2021)
_COST_ALPHA, _COST_CLASS = 0.25, 2.0  # of the focal cost of matching


def focal_cost(logits: Tensor, wanted: Wanted) -> Tensor:
    """Cost of a wanted class at queries [layers, n, Q, classes], by the change of the focal loss: [layers, n, Q, M]."""
    likely = logits.sigmoid()
    here = _COST_ALPHA * (1 - likely) ** 2 * -F.logsigmoid(logits)
    nothing = (1 - _COST_ALPHA) * likely**2 * -F.logsigmoid(-logits)
    index = wanted.class_id.unsqueeze(-2).expand(*logits.shape[:-1], -1)
    return (here - nothing).gather(-1, index)


def varifocal(logits: Tensor, target: Tensor, wanted_here: Tensor) -> Tensor:
    """The loss [...]; ``target`` is the overlap that a score is to say, ``wanted_here`` whether there is a box."""
    weight = torch.where(wanted_here, target, _ALPHA * logits.detach().sigmoid() ** _GAMMA)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight


def set_terms(
    logits: Tensor, box: Tensor, query: Tensor, real: Tensor, wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of the varifocal loss, of L1 distances and of 1 - generalised overlap, each [layers]; weighed by frame.

    Args:
        logits: [layers, n, Q, classes].
        box: [layers, n, Q, 4].
        query: int64 [layers, n, M], the query of each box.
        real: bool [n, M], boxes that have one.
        wanted: the boxes [n, M].
    """
    layers = len(logits)
    found = box.gather(2, query.unsqueeze(-1).expand(-1, -1, -1, 4))
    aim = wanted.box.expand(layers, -1, -1, -1)
    overlap, generalised = generalised_iou(corners(found), corners(aim))
    layer, frame, slot = torch.where(real.expand(layers, -1, -1))
    target = torch.zeros_like(logits)
    here = torch.zeros_like(logits, dtype=torch.bool)
    place = layer, frame, query[layer, frame, slot], wanted.class_id[frame, slot]
    target[place] = overlap.detach()[layer, frame, slot].clamp(0, 1)
    here[place] = True
    terms = varifocal(logits, target, here)
    left_out = near_ignored(box, wanted) & ~here.any(-1)
    scores = wanted.weigh(terms.masked_fill(left_out.unsqueeze(-1), 0)).sum((1, 2, 3))
    apart = wanted.weigh((found - aim).abs().sum(-1).masked_fill(~real, 0)).sum((1, 2))
    return scores, apart, wanted.weigh((1 - generalised).masked_fill(~real, 0)).sum((1, 2))


def detection_losses(found: Found, wanted: Wanted, cfg: SetHeadConfig, groups: int) -> dict[str, Tensor]:
    """All losses; every layer, the choice among the cells included, has an assignment of its own.

    Args:
        found: of the decoder.
        wanted: of the same frames.
        cfg: weights.
        groups: of denoised queries; 0 for none.

    Returns:
        scalars: ``loss``, and of the last layer ``class_loss``, ``l1_loss``, ``giou_loss``, of the choice
        ``choice_loss``, of denoised queries ``denoising_loss``.
    """
    number = boxes_over_processes(wanted)
    weights = cfg.class_weight, cfg.l1_weight, cfg.giou_weight
    weighted = _matched_terms(found.logits[1:], found.box[1:], wanted, cfg)
    named = {f"{name}_loss": term[-1] / number for name, term in zip(("class", "l1", "giou"), weighted, strict=True)}
    several = beside(wanted, cfg.choice_copies)
    choice = torch.stack(_matched_terms(found.logits[:1], found.box[:1], several, cfg)).sum()
    choice = choice / (number * cfg.choice_copies)
    losses = {"loss": torch.stack(weighted).sum() / number + choice, **named, "choice_loss": choice}
    if found.noisy_logits is None or found.noisy_box is None:
        return losses
    most = wanted.class_id.shape[1]
    first = torch.arange(most, device=wanted.box.device).expand(len(found.noisy_box), *wanted.class_id.shape)
    logits = found.noisy_logits.unflatten(2, (groups, 2 * most)).transpose(1, 2).flatten(1, 2)
    box = found.noisy_box.unflatten(2, (groups, 2 * most)).transpose(1, 2).flatten(1, 2)
    several = repeated(wanted, groups)
    meant = several.real.repeat(1, 2).expand(len(logits), -1, -1)  # queries of boxes that are none mean nothing
    logits = logits.masked_fill(~meant.unsqueeze(-1), -30.0)
    terms = set_terms(logits, box, first.repeat(1, groups, 1), several.real, several)
    noisy = sum(weight * term.sum() / (number * groups) for weight, term in zip(weights, terms, strict=True))
    assert isinstance(noisy, Tensor), "there are terms"
    return {**losses, "loss": losses["loss"] + noisy, "denoising_loss": noisy}


def _matched_terms(logits: Tensor, box: Tensor, wanted: Wanted, cfg: SetHeadConfig) -> list[Tensor]:
    """Weighted sums of the three terms of layers with an assignment each, every one [layers]."""
    with torch.no_grad():
        query = match(focal_cost(logits, wanted), box, wanted, (_COST_CLASS, cfg.l1_weight, cfg.giou_weight))
    terms = set_terms(logits, box, query, matched(wanted, box.shape[2]), wanted)
    return [w * term for w, term in zip((cfg.class_weight, cfg.l1_weight, cfg.giou_weight), terms, strict=True)]


def beside(wanted: Wanted, copies: int) -> Wanted:
    """Every box so many times in its frame; those to be found stay first."""
    order = torch.argsort(wanted.real.repeat(1, copies).logical_not().int(), dim=1, stable=True)
    class_id, real, ignored = (
        part.repeat(1, copies).gather(1, order) for part in (wanted.class_id, wanted.real, wanted.ignored)
    )
    box = wanted.box.repeat(1, copies, 1).gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    return Wanted(box, class_id, real, ignored, [count * copies for count in wanted.counts], wanted.weight)


def repeated(wanted: Wanted, times: int) -> Wanted:
    """The same boxes for ``times`` copies of the n frames, all frames of a copy together."""
    box, class_id, real, ignored = (
        part.repeat(times, *(1,) * (part.dim() - 1))
        for part in (wanted.box, wanted.class_id, wanted.real, wanted.ignored)
    )
    weight = None if wanted.weight is None else wanted.weight.repeat(times)
    return Wanted(box, class_id, real, ignored, wanted.counts * times, weight)
