"""Windows of attention over frames, rows and columns."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

Size = tuple[int, int, int]
"""Frames, rows, columns."""

BLOCKED = -100.0
"""Added to the score of two tokens that came together only by the shift."""


def fitted(size: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """Window and shift for a volume of this size: no larger than it, and not shifted where one window is all.

    >>> fitted((5, 16, 8), (6, 8, 8), (3, 4, 4))
    ((5, 8, 8), (0, 4, 0))
    """
    sides = [(min(n, w), s if n > w else 0) for n, w, s in zip(size, window, shift, strict=True)]
    return tuple(w for w, _ in sides), tuple(s for _, s in sides)  # type: ignore[return-value] # three of each


def split(volume: Tensor, window: Size) -> Tensor:
    """Tokens of every window [B·windows, d·h·w, C] of a volume [B, T, H, W, C] of whole windows."""
    batch, *size, channels = volume.shape
    parts = [side for n, w in zip(size, window, strict=True) for side in (n // w, w)]
    volume = volume.view(batch, *parts, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return volume.reshape(-1, math.prod(window), channels)


def join(tokens: Tensor, window: Size, size: Size) -> Tensor:
    """The volume [B, T, H, W, C] of this size whose windows :func:`split` gave."""
    counts = [n // w for n, w in zip(size, window, strict=True)]
    volume = tokens.view(-1, *counts, *window, tokens.shape[-1]).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return volume.reshape(-1, *size, tokens.shape[-1])


def shift_mask(size: Size, window: Size, shift: Size, like: Tensor) -> Tensor | None:
    """What is added to the scores within each window of a shifted volume [windows, N, N]; None without a shift."""
    if not any(shift):
        return None
    region = torch.zeros(1, *size, 1)
    for axis, (n, w, s) in enumerate(zip(size, window, shift, strict=True)):
        place = torch.arange(n)
        own = (place >= n - w).long() + (place >= n - s).long() if s else torch.zeros_like(place)
        region = region * 3 + own.view(*(-1 if at == axis else 1 for at in range(3)), 1)
    regions = split(region, window).squeeze(-1)
    apart = regions[:, None, :] != regions[:, :, None]
    return torch.zeros(apart.shape).masked_fill(apart, BLOCKED).to(like)


def relative_index(window: Size) -> Tensor:
    """Which row of a table of (2d-1)(2h-1)(2w-1) biases belongs to two tokens of a window, int64 [N, N]."""
    places = torch.tensor(list(product(*(range(side) for side in window))))
    apart = places[:, None] - places[None] + torch.tensor(window) - 1
    _, rows, columns = (2 * side - 1 for side in window)
    return apart[..., 0] * rows * columns + apart[..., 1] * columns + apart[..., 2]


def sine_positions(rows: int, columns: int, channels: int) -> Tensor:
    """Sines and cosines of rows (first half of the channels) and columns, from 0 to one turn [1, rows·columns, C]."""
    half = channels // 2
    period = 10000 ** (2 * (torch.arange(half, dtype=torch.float32) // 2) / half)

    def waves(count: int) -> Tensor:
        angles = torch.arange(1, count + 1, dtype=torch.float32) / (count + 1e-6) * 2 * math.pi
        angles = angles[:, None] / period
        return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)

    down, across = waves(rows)[:, None].expand(-1, columns, -1), waves(columns)[None].expand(rows, -1, -1)
    return torch.cat((down, across), dim=-1).reshape(1, rows * columns, channels)
