"""From scores and boxes of queries to detections; nothing is suppressed."""

from __future__ import annotations

import torch
from torch import Tensor


def found(predictions: Tensor, confidence: float) -> list[Tensor]:
    """Detections of queries with one class each.

    Args:
        predictions: [n, Q, 4 + classes], corners in pixels and class probabilities.
        confidence: least probability.

    Returns:
        for each frame float32 [m, 7] (``utils.boxes.Detection``) with objectness 1, best first.
    """
    predictions = predictions.detach().float()
    score, class_id = predictions[..., 4:].max(dim=-1, keepdim=True)
    rows = torch.cat((predictions[..., :4], torch.ones_like(score), score, class_id.to(predictions.dtype)), dim=-1)
    order = score.argsort(dim=1, descending=True, stable=True)
    rows = rows.gather(1, order.expand_as(rows))
    counts = (score >= confidence).sum(dim=(1, 2)).tolist()
    return [frame[:count] for frame, count in zip(rows, counts, strict=True)]
