"""From decoded predictions to detections."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms


def postprocess(predictions: Tensor, num_classes: int, conf_thre: float = 0.1, nms_thre: float = 0.45) -> list[Tensor]:
    """Keep confident boxes and suppress overlapping ones of the same class.

    A box's score is objectness times the best class probability. The rows of an image come best score first.

    Args:
        predictions: [N, A, 5 + num_classes] decoded: cx, cy, w, h in pixels, objectness, class probabilities.
        num_classes: number of classes.
        conf_thre: smallest score that is kept.
        nms_thre: IoU above which the weaker of two boxes of one class goes.

    Returns:
        for each image float32 [n, 7] rows x1, y1, x2, y2, objectness, class probability, class; [0, 7] without one.
    """
    predictions = predictions.detach().float()
    centre, half = predictions[..., :2], predictions[..., 2:4] / 2
    corners = torch.cat((centre - half, centre + half), dim=-1)
    objectness = predictions[..., 4]
    class_conf, class_id = predictions[..., 5 : 5 + num_classes].max(dim=-1)
    scores = objectness * class_conf
    rows = torch.cat(
        (corners, objectness.unsqueeze(-1), class_conf.unsqueeze(-1), class_id.unsqueeze(-1).to(corners.dtype)), dim=-1
    )
    confident = scores >= conf_thre
    detections = []
    for image_rows, image_scores, mask in zip(rows, scores, confident, strict=True):
        kept = image_rows[mask]
        order = batched_nms(kept[:, :4], image_scores[mask], kept[:, 6], nms_thre)
        detections.append(kept[order])
    return detections
