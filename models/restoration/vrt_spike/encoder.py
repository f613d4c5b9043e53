"""Features of spikes at four sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock3D(nn.Module):
    """Two convolutions over time and space, added to what comes in."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv3d(dim, dim, 3, padding=1), nn.Conv3d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T, H, W]."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class SpikeEncoder3D(nn.Module):
    """Convolutions over time and space.

    Args:
        bins: parts of an exposure.
        dim: channels at every size.
        temporal_strides: how much shorter in time each smaller size is than the one before.
    """

    def __init__(self, bins: int, dim: int, temporal_strides: Sequence[int]) -> None:
        super().__init__()
        self.in_proj = nn.Conv3d(bins, dim, 3, padding=1)
        self.res0 = _pair(dim)
        self.downs = nn.ModuleList(nn.Conv3d(dim, dim, 3, (stride, 2, 2), 1) for stride in temporal_strides)
        self.residuals = nn.ModuleList(_pair(dim) for _ in temporal_strides)

    def forward(self, spikes: Tensor) -> list[Tensor]:
        """Spikes [B, T, K, H, W] to features [B, C, T, H/2^i, W/2^i], i = 0..3."""
        # oneDNN leaves parts of the weights' gradients unwritten in bfloat16, where there are as few as two frames
        with torch.autocast("cpu", enabled=False):
            found = [self.res0(F.relu(self.in_proj(spikes.transpose(1, 2).to(self.in_proj.weight.dtype))))]
            for down, residual in zip(self.downs, self.residuals, strict=True):
                found.append(residual(F.relu(down(found[-1]))))
        return found


def _pair(dim: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock3D(dim), ResidualBlock3D(dim))
