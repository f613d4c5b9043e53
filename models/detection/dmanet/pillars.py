"""From pillars to pictures: a small network makes eight numbers of each pillar, which go to its pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 8
"""Channels of a pillar; a picture has as many for each polarity."""
POLARITIES = 2


def columns(max_points: int) -> int:
    """Numbers of a pillar in memory: x, y and t of each point, the number of points, row and column of its pixel."""
    return 3 * max_points + 3


class PillarLayer(nn.Module):
    """Features of pillars, of one set of pillars in training, so that its norm sees no others."""

    def __init__(self) -> None:
        super().__init__()
        # Published checkpoints hold it; nothing reads it.
        self.linear = nn.Linear(6, FEATURES, bias=False)
        self.linear.requires_grad_(False)
        self.norm = nn.BatchNorm2d(FEATURES, eps=1e-3, momentum=0.01)
        self.conv1 = nn.Conv2d(6, FEATURES, 1)
        self.conv3 = nn.Conv2d(FEATURES, FEATURES, (1, 4), stride=(1, 2))

    def forward(self, points: Tensor, count: Tensor) -> Tensor:
        """Features [S, 8, N] of points [S, N, K, 3] (x, y, t), of which the first ``count`` [S, N] are there."""
        values = points.permute(0, 3, 1, 2).contiguous()  # a norm over channels that lie last rounds worse
        mean = values.sum(dim=3, keepdim=True) / count.clamp(min=1)[:, None, :, None]
        there = torch.arange(points.shape[2], device=points.device) < count[..., None]
        features = torch.cat((values, values - mean), dim=1) * there[:, None]
        return self._joined(F.relu(self.norm(self.conv1(features))))

    def _joined(self, features: Tensor) -> Tensor:
        """Features [S, 8, N] of those of single points [S, 8, N, K].

        On a CPU in float32 whatever they come in: of bfloat16, a processor with AMX (oneDNN of torch 2.15.0) makes NaN
        where the last column, which this stride leaves out, is followed by memory that holds no numbers.
        """
        if features.device.type != "cpu" or features.dtype == torch.float32:
            return self.conv3(features).squeeze(3)
        with torch.autocast("cpu", enabled=False):
            return self.conv3(features.float()).squeeze(3).to(features.dtype)


class PillarNet(nn.Module):
    """Holds the layer under its published name."""

    def __init__(self) -> None:
        super().__init__()
        self.pfn_layers = nn.ModuleList([PillarLayer()])

    def forward(self, pillars: Tensor, size: int) -> Tensor:
        """Pictures [n, 16, size, size] of pillars [n, 2, P, columns]; brighter events first."""
        sets = pillars.flatten(0, 1)
        points, count = sets[..., :-3].unflatten(-1, (-1, 3)), sets[..., -3]
        layer = self.pfn_layers[0]
        features = self._one_by_one(points, count) if self.training else layer(points, count)
        # What is no pillar goes to one pixel too many.
        place = torch.where(count > 0, sets[..., -2] * size + sets[..., -1], size * size).long()
        canvas = features.new_zeros(len(sets), FEATURES, size * size + 1)
        canvas = canvas.scatter(2, place[:, None].expand(-1, FEATURES, -1), features)
        return canvas[..., :-1].reshape(len(pillars), POLARITIES * FEATURES, size, size)

    def _one_by_one(self, points: Tensor, count: Tensor) -> Tensor:
        """Each set by itself, without what fills it up; sets without any pillar leave the norm as it is."""
        layer, features = self.pfn_layers[0], []
        most = points.shape[1]
        for number, own, counts in zip((count > 0).sum(dim=1).tolist(), points, count, strict=True):
            found = layer(own[None, :number], counts[None, :number])[0] if number else own.new_zeros(FEATURES, 0)
            features.append(F.pad(found, (0, most - number)))
        joined = torch.stack(features)
        if not count.any():  # weights without a gradient would stop several processes from going on together
            joined = joined + 0.0 * sum(weight.sum() for weight in layer.parameters() if weight.requires_grad)
        return joined
