"""Which query is to find which box."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from models.detection.sets.boxes import Wanted, corners, generalised_iou
from models.detection.yolox.losses import mean_over_processes

_NO_NUMBER = 1e6  # a cost for what is not a number; the loss, which is none either, tells of it


def match(class_cost: Tensor, box: Tensor, wanted: Wanted, weights: tuple[float, float, float]) -> Tensor:
    """The cheapest assignment of each frame, layer by layer, with one wait for the device for all of them.

    Args:
        class_cost: [layers, n, Q, M], of query and wanted box.
        box: [layers, n, Q, 4], predicted cx, cy, w, h.
        wanted: of the n frames.
        weights: of the costs of class, L1 distance and generalised overlap.

    Returns:
        int64 [layers, n, M], the query of each box that :func:`matched` names, on the device; 0 for the others.
    """
    with torch.no_grad():
        apart = torch.cdist(box.flatten(0, 1).float(), wanted.box.repeat(len(box), 1, 1), p=1).view(class_cost.shape)
        _, overlap = generalised_iou(corners(box.float()).unsqueeze(-2), corners(wanted.box).unsqueeze(-3))
        cost = weights[0] * class_cost.float() + weights[1] * apart - weights[2] * overlap
    table = np.nan_to_num(cost.cpu().numpy(), nan=_NO_NUMBER, posinf=_NO_NUMBER, neginf=-_NO_NUMBER)
    query = torch.zeros(table.shape[0], table.shape[1], table.shape[3], dtype=torch.int64)
    for layer, frames in enumerate(table):
        for frame, count in enumerate(wanted.counts):
            count = min(count, box.shape[2])
            query[layer, frame, :count] = torch.from_numpy(linear_sum_assignment(frames[frame, :, :count].T)[1])
    return query.to(box.device)


def matched(wanted: Wanted, queries: int) -> Tensor:
    """Boxes that have a query, bool [n, M]: all that are to be found, as far as there are queries."""
    return wanted.real & (torch.arange(wanted.real.shape[1], device=wanted.real.device) < queries)


def boxes_over_processes(wanted: Wanted) -> Tensor:
    """Boxes to be found per process, of all processes that train together, at least one: what losses are divided by.

    Each counts what its frame does.
    """
    return mean_over_processes(wanted.weigh(wanted.real.unsqueeze(0)).sum().float()).clamp(min=1)


def near_ignored(box: Tensor, wanted: Wanted, least: float = 0.5) -> Tensor:
    """Predicted boxes [layers, n, Q, 4] that overlap an ignored one by at least so much: bool [layers, n, Q]."""
    iou, _ = generalised_iou(corners(box.detach().float()).unsqueeze(-2), corners(wanted.box).unsqueeze(-3))
    return ((iou >= least) & wanted.ignored.unsqueeze(-2)).any(dim=-1)
