"""From decoded predictions to detections."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from models.detection.yolox.columns import Output, corners
from utils.boxes import Detection


def postprocess(predictions: Tensor, num_classes: int, conf_thre: float = 0.1, nms_thre: float = 0.45) -> list[Tensor]:
    """Keep confident boxes and suppress overlapping ones of the same class.

    A box's score is objectness times the best class probability. The rows of an image come best score first.

    Args:
        predictions: [N, A, 5 + num_classes] decoded: cx, cy, w, h in pixels, objectness, class probabilities.
        num_classes: number of classes.
        conf_thre: smallest score that is kept.
        nms_thre: IoU above which the weaker of two boxes of one class goes.

    Returns:
        for each image float32 rows [n, 7] (``utils.boxes.Detection``); [0, 7] without one.
    """
    predictions = predictions.detach().float()
    box = torch.cat(corners(predictions), dim=-1)
    objectness = predictions[..., Output.OBJECTNESS]
    class_conf, class_id = predictions[..., Output.CLASSES][..., :num_classes].max(dim=-1)
    scores = objectness * class_conf
    rows = torch.cat(
        (box, objectness.unsqueeze(-1), class_conf.unsqueeze(-1), class_id.unsqueeze(-1).to(box.dtype)), dim=-1
    )
    confident = scores >= conf_thre
    detections = []
    for image_rows, image_scores, mask in zip(rows, scores, confident, strict=True):
        kept = image_rows[mask]
        order = batched_nms(kept[:, Detection.CORNERS], image_scores[mask], kept[:, Detection.CLASS_ID], nms_thre)
        detections.append(kept[order])
    return detections
