"""Attention to a few points of several maps, whose places each query chooses (Zhu et al., Deformable DETR, 2021)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = list[tuple[int, int]]
"""Height and width of each map."""


class PointAttention(nn.Module):
    """Each head of a query looks at ``points`` places of every map, near and within the query's box."""

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(dim, heads * levels * points * 2)
        self.weights = nn.Linear(dim, heads * levels * points)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self._init()

    def _init(self) -> None:
        """Each head looks in a direction of its own, the farther the higher the number of the point."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        way = torch.stack((angle.cos(), angle.sin()), -1)
        way = way / way.abs().amax(-1, keepdim=True)
        far = torch.arange(1, self.points + 1) / self.points
        places = way.view(-1, 1, 1, 2) * far.view(1, 1, -1, 1).expand(-1, self.levels, -1, -1)
        with torch.no_grad():
            self.offsets.weight.zero_()
            self.offsets.bias.copy_(places.flatten())
            self.weights.weight.zero_()
            self.weights.bias.zero_()
            for layer in (self.value, self.out):
                nn.init.xavier_uniform_(layer.weight)
                layer.bias.zero_()

    def forward(self, query: Tensor, box: Tensor, memory: Tensor, sizes: Sizes) -> Tensor:
        """Look.

        Args:
            query: [n, Q, dim].
            box: [n, Q, 4], cx, cy, w, h as shares of the maps.
            memory: [n, tokens, dim], the cells of all maps, one map after the other.
            sizes: of the maps.

        Returns:
            [n, Q, dim].
        """
        frames, queries, dim = query.shape
        shape = (frames, queries, self.heads, self.levels, self.points)
        offsets = self.offsets(query).view(*shape, 2).float()
        around = box.float().view(frames, queries, 1, 1, 1, 4)
        places = around[..., :2] + offsets * around[..., 2:] / 2
        grid = (2 * places - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)  # [n heads, levels, Q, points, 2]
        weight = self.weights(query).float().view(frames, queries, self.heads, -1).softmax(-1)
        value = self.value(memory).transpose(1, 2).unflatten(1, (self.heads, -1)).flatten(0, 1)
        seen = []
        for level, (cells, size) in enumerate(zip(value.split([h * w for h, w in sizes], -1), sizes, strict=True)):
            maps = cells.float().unflatten(-1, size)  # places in half precision would be off by cells
            seen.append(F.grid_sample(maps, grid[:, level], align_corners=False))  # bilinear, zero outside
        values = torch.cat(seen, -1)  # [n heads, dim / heads, Q, levels points]
        weight = weight.transpose(1, 2).flatten(0, 1).unsqueeze(1)
        told = (values * weight).sum(-1).view(frames, dim, queries)
        return self.out(told.transpose(1, 2))
