"""Focal and box loss of RetinaNet's kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from models.detection.dmanet.anchors import encode
from models.detection.dmanet.config import LossConfig

NEGATIVE, POSITIVE = 0.4, 0.5
"""Anchors whose best overlap (IoU) is below the first are background, those from the second on their box's; what lies
between counts for nothing."""
ALPHA, GAMMA = 0.25, 2.0
_BETA = 1 / 9


def frame_losses(
    logits: Tensor, offsets: Tensor, own: Tensor, boxes: Tensor, class_id: Tensor, config: LossConfig
) -> tuple[Tensor, Tensor]:
    """Class and box loss of one frame.

    Args:
        logits: [A, classes].
        offsets: [A, 4], see ``models.detection.dmanet.anchors.encode``.
        own: corners of the anchors [A, 4].
        boxes: corners [n, 4].
        class_id: int64 [n]; those of no class of the network mark places that count for nothing.
        config: how.
    """
    known = class_id < logits.shape[1]
    unsure, boxes, class_id = boxes[~known], boxes[known], class_id[known]
    targets = torch.zeros_like(logits, dtype=torch.float32)
    counts = torch.ones(len(own), dtype=torch.bool, device=own.device)
    if len(unsure):
        counts = box_iou(own, unsure).amax(dim=1) < NEGATIVE
    if not len(boxes):
        loss = torch.where(counts[:, None], _focal(logits, targets, config), 0).sum()
        return loss / len(own) if config.empty_frame_norm == "anchors" else loss, offsets.sum() * 0.0
    overlap, choice = box_iou(own, boxes).max(dim=1)
    positive = overlap >= POSITIVE
    counts = positive | (counts & (overlap < NEGATIVE))
    targets[positive, class_id[choice[positive]]] = 1
    number = positive.sum().clamp(min=1)
    class_loss = torch.where(counts[:, None], _focal(logits, targets, config), 0).sum() / number
    wanted = encode(boxes[choice], own)
    box_loss = F.smooth_l1_loss(offsets.float(), wanted, beta=_BETA, reduction="none")
    return class_loss, box_loss[positive].sum() / (4 * number)


def _focal(logits: Tensor, targets: Tensor, config: LossConfig) -> Tensor:
    """Focal loss [A, classes] for targets 0 and 1."""
    logits = logits.float() if config.precision == "fp32" else logits
    if config.from_logits:
        entropy, score = F.binary_cross_entropy_with_logits(logits, targets, reduction="none"), logits.sigmoid()
    else:
        entropy, score = cross_entropy(logits.sigmoid(), targets, config.clamp_eps)
    miss = torch.where(targets == 1, 1 - score, score)
    return torch.where(targets == 1, ALPHA, 1 - ALPHA) * miss**GAMMA * entropy


def cross_entropy(score: Tensor, targets: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Cross entropy of scores kept from 0 and 1, and these scores.

    In half precision 1 - 1e-4 is 1: there the clamp does nothing, and infinity times zero is no number.
    """
    score = score.clamp(eps, 1 - eps)
    return -(targets * score.log() + (1 - targets) * (1 - score).log()), score
