"""From scores of anchors to the boxes of a frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms


def detections(predictions: Tensor, confidence: float, nms: float, most: int | None) -> Tensor:
    """Boxes of one frame, best first.

    Args:
        predictions: [A, 4 + classes], corners and class probabilities.
        confidence: scores have to be above it.
        nms: overlap (IoU) above which the weaker of two boxes of a class goes.
        most: candidates that are compared, best first; None for all.

    Returns:
        rows [n, 7] (``utils.boxes.Detection``), objectness 1.
    """
    scores = predictions[:, 4:]
    anchor, class_id = (scores > confidence).nonzero(as_tuple=True)
    score = scores[anchor, class_id]
    if most is not None and len(score) > most:
        score, chosen = score.topk(most)
        anchor, class_id = anchor[chosen], class_id[chosen]
    corners = predictions[anchor, :4]
    kept = batched_nms(corners, score, class_id, nms)
    columns = (corners, torch.ones_like(score)[:, None], score[:, None], class_id[:, None].to(score.dtype))
    return torch.cat(columns, dim=1)[kept]
