"""Anchor points of the head: one per cell of each map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Anchors(NamedTuple):
    """Cell indices and strides of all anchors, maps in order, rows first.

    ``grid`` [A, 2] are x and y cell indices, ``stride`` [A, 1] pixels of a cell, ``centre`` [A, 2] cell centres in
    pixels.
    """

    grid: Tensor
    stride: Tensor

    @property
    def centre(self) -> Tensor:
        """Centres of the cells in pixels [A, 2]."""
        return (self.grid + 0.5) * self.stride


def make_anchors(
    sizes: tuple[tuple[int, int], ...], strides: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Anchors:
    """Anchors of maps with the given heights and widths.

    >>> anchors = make_anchors(((1, 2), (1, 1)), (8, 16), torch.float32, torch.device("cpu"))
    >>> anchors.centre.tolist()
    [[4.0, 4.0], [12.0, 4.0], [8.0, 8.0]]
    """
    grids, scales = [], []
    for (height, width), stride in zip(sizes, strides, strict=True):
        y, x = torch.meshgrid(
            torch.arange(height, dtype=dtype, device=device),
            torch.arange(width, dtype=dtype, device=device),
            indexing="ij",
        )
        grids.append(torch.stack((x, y), dim=-1).view(-1, 2))
        scales.append(torch.full((height * width, 1), float(stride), dtype=dtype, device=device))
    return Anchors(torch.cat(grids), torch.cat(scales))
