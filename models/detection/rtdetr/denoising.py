"""Queries that begin as boxes with noise, in training alone (Zhang et al., DINO, 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.detection.rtdetr.config import SetHeadConfig
from models.detection.sets.boxes import Wanted, corners
from models.transfer import to_device


@dataclass(frozen=True)
class Noisy:
    """Queries in groups of twice M: for each box one with a little noise, then for each one with more.

    Args:
        content: [n, D, dim].
        box: [n, D, 4], cx, cy, w, h as shares.
        groups: D = groups · 2 M.
    """

    content: Tensor
    box: Tensor
    groups: int

    def apart(self, others: int) -> Tensor:
        """Who does not see whom, bool [D + others] twice: a group sees itself and the others, these see no group."""
        total = self.content.shape[1]
        group = torch.arange(total, device=self.content.device) // (total // self.groups)
        group = torch.cat((group, group.new_full((others,), -1)))
        return (group.unsqueeze(1) != group) & (group != -1)


def noisy_queries(wanted: Wanted, labels: nn.Embedding, cfg: SetHeadConfig) -> Noisy:
    """Boxes with noise, drawn from torch's generator of the host.

    Queries with a little noise lie within half a box's size of each edge, those with more from there to a whole one;
    the former are to find the box and the latter nothing. Of some the class is drawn anew.

    Args:
        wanted: of n frames; where there is no box, queries without meaning are made, too.
        labels: what a query of a class begins with.
        cfg: number of queries, and of the noise.
    """
    frames, most = wanted.class_id.shape
    groups = max(cfg.denoising // (2 * most), 1)
    shape = (frames, groups, 2, most)
    device = wanted.box.device
    anew = to_device(torch.rand(shape) < cfg.label_noise / 2, device)
    other = to_device(torch.randint(labels.num_embeddings, shape), device)
    part = torch.rand(*shape, 4)
    part[:, :, 1] += 1
    part = to_device(part * (torch.randint(2, part.shape) * 2 - 1), device)

    box = wanted.box.view(frames, 1, 1, most, 4)
    half = box[..., 2:].repeat(1, 1, 1, 1, 2) / 2
    edges = (corners(box) + part * half * cfg.box_noise).clamp(0, 1)
    low, high = torch.minimum(edges[..., :2], edges[..., 2:]), torch.maximum(edges[..., :2], edges[..., 2:])
    noisy = torch.cat(((low + high) / 2, high - low), -1).flatten(1, 3)
    class_id = torch.where(anew, other, wanted.class_id.view(frames, 1, 1, most)).flatten(1)
    return Noisy(labels(class_id), noisy, groups)
