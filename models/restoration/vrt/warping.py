"""Look up pixels where optical flow points to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows [n, H, W], in pixels, that each pixel's flow [n, 2 (x, y), H, W] points to."""
    height, width = flow.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    return columns + flow[:, 0], rows[:, None] + flow[:, 1]


def sample(images: Tensor, x: Tensor, y: Tensor, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    """Values of images [n, C, H, W] at columns ``x`` and rows ``y`` [n, H, W], in pixels."""
    height, width = images.shape[-2:]
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    return F.grid_sample(images, grid, mode=mode, padding_mode=padding, align_corners=True)


def warp(images: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Images [n, C, H, W] sampled between pixels where the flow [n, 2, H, W] points to."""
    return sample(images, *places(flow), padding=padding)


@torch.no_grad()
def four_nearest(images: Tensor, flow: Tensor) -> Tensor:
    """The four pixels around the place each flow points to, side by side as channels [n, 4C, H, W].

    Order: left upper, left lower, right upper, right lower. Nothing is learnt through it.
    """
    x, y = places(flow)
    left, right, upper, lower = x.floor(), x.ceil(), y.floor(), y.ceil()
    corners = ((left, upper), (left, lower), (right, upper), (right, lower))
    return torch.cat([sample(images, column, row, mode="nearest") for column, row in corners], dim=1)
