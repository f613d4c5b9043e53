"""Anchors of the five levels, and boxes relative to them; x and y are pixels of the canvas."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = (3, 4, 5, 6, 7)
RATIOS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
"""Height by width."""
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
PER_CELL = len(RATIOS) * len(SCALES)
SPREAD = (0.1, 0.1, 0.2, 0.2)
"""What outputs are multiplied by: shifts in sides of the anchor, logarithms of sides."""


def anchors(height: int, width: int) -> Tensor:
    """Corners float32 [A, 4] of all anchors of a canvas, level by level, row by row, the anchors of a cell together."""
    levels = []
    for level in LEVELS:
        stride, base = 2**level, 2 ** (level + 2)
        area = torch.tensor([(base * scale) ** 2 for _ in RATIOS for scale in SCALES], dtype=torch.float64)
        ratio = torch.tensor([ratio for ratio in RATIOS for _ in SCALES], dtype=torch.float64)
        w = (area / ratio).sqrt()
        half = torch.stack((-w, -w * ratio, w, w * ratio), dim=1) / 2
        rows, columns = (torch.arange(-(-side // stride), dtype=torch.float64) for side in (height, width))
        y, x = torch.meshgrid((rows + 0.5) * stride, (columns + 0.5) * stride, indexing="ij")
        centre = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
        levels.append((centre + half).reshape(-1, 4))
    return torch.cat(levels).float()


def _centres(corners: Tensor) -> tuple[Tensor, Tensor]:
    size = corners[..., 2:] - corners[..., :2]
    return corners[..., :2] + size / 2, size


def encode(boxes: Tensor, own: Tensor) -> Tensor:
    """What a head should say [n, 4] for boxes [n, 4] (corners) of anchors [n, 4]."""
    (centre, size), (at, side) = _centres(boxes), _centres(own)
    target = torch.cat(((centre - at) / side, (size.clamp(min=1) / side).log()), dim=1)
    return target / target.new_tensor(SPREAD)


def decode(outputs: Tensor, own: Tensor, height: int, width: int) -> Tensor:
    """Corners [n, A, 4] for a head's outputs [n, A, 4] and anchors [A, 4], cut at the sides of the canvas."""
    at, side = _centres(own)
    shift, stretch = (outputs.float() * outputs.new_tensor(SPREAD, dtype=torch.float32)).split(2, dim=-1)
    centre, half = at + shift * side, stretch.exp() * side / 2
    low = (centre - half).clamp(min=0)
    high = torch.minimum(centre + half, centre.new_tensor((width, height)))
    return torch.cat((low, high), dim=-1)
