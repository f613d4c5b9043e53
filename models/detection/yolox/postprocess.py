"""From decoded predictions to detections."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from models.detection.yolox.columns import Output, corners
from utils.boxes import Detection

MAX_TOGETHER = 1 << 15
"""Most boxes in one suppression on a GPU, whose table of overlaps takes a bit for each pair of them: 128 MiB."""

_REACH, _APART = 2.0**18, 2.0**20
"""Pixels that boxes are cut to for their overlaps, and between the boxes of two images or classes."""


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
    if rows.device.type == "cuda":
        return suppress_together(rows, scores, confident, nms_thre)
    detections = []
    for image_rows, image_scores, mask in zip(rows, scores, confident, strict=True):
        kept = image_rows[mask]
        order = batched_nms(kept[:, Detection.CORNERS], image_scores[mask], kept[:, Detection.CLASS_ID], nms_thre)
        detections.append(kept[order])
    return detections


def suppress_together(
    rows: Tensor, scores: Tensor, confident: Tensor, nms_thre: float, most: int = MAX_TOGETHER
) -> list[Tensor]:
    """Suppress in all images with one call: a GPU is waited for three times, not twice for each image.

    Boxes of different images or classes are moved so far apart that they do not meet; float64 has room for that.

    Args:
        rows: [N, A, 7] (``utils.boxes.Detection``).
        scores: [N, A].
        confident: bool [N, A], the boxes to look at.
        nms_thre: IoU above which the weaker of two boxes of one class in one image goes.
        most: images are halved until no more boxes come together.

    Returns:
        for each image the rows that stay, best score first.
    """
    image, anchor = confident.nonzero(as_tuple=True)
    if len(image) > most and len(rows) > 1:
        half = len(rows) // 2
        parts = ((rows[part], scores[part], confident[part]) for part in (slice(half), slice(half, None)))
        return [found for part in parts for found in suppress_together(*part, nms_thre, most)]
    kept, images = rows[image, anchor], len(rows)
    place = kept[:, Detection.CLASS_ID] * images + image
    boxes = kept[:, Detection.CORNERS].double().clamp(-_REACH, _REACH) + place[:, None].double() * _APART
    order = nms(boxes, scores[image, anchor].double(), nms_thre)
    order = order[image[order].argsort(stable=True)]
    counts = torch.zeros(images, dtype=torch.int64, device=rows.device)
    counts.scatter_add_(0, image[order], torch.ones_like(order))
    return list(kept[order].split(counts.tolist()))
