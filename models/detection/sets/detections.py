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
    score, class_id = predictions[..., 4:].max(dim=-1)
    score, order = score.sort(dim=-1, descending=True, stable=True)
    rows = torch.cat(
        (
            predictions[..., :4],
            torch.ones_like(score).unsqueeze(-1),
            predictions[..., 4:].amax(dim=-1, keepdim=True),
            class_id.unsqueeze(-1).to(predictions.dtype),
        ),
        dim=-1,
    )
    rows = rows.gather(1, order.unsqueeze(-1).expand_as(rows))
    counts = (score >= confidence).sum(dim=-1).tolist()
    return [frame[:count] for frame, count in zip(rows, counts, strict=True)]
