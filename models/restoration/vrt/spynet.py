"""SpyNet (Ranjan and Black, CVPR 2017): optical flow, from coarse to fine by small networks."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.restoration.vrt.warping import warp

LEVELS = 6
STRIDE = 32
"""Frames are resized to multiples of it."""

SCALES = 4
"""Flow is given at 1, 1/2, 1/4 and 1/8 of the frame's size."""


class _Level(nn.Module):
    """What is to be added to the flow: five convolutions over both pictures and the flow so far."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 32, 64, 32, 16, 2)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 7, padding=3), nn.ReLU(inplace=False)]
        self.basic_module = nn.Sequential(*layers[:-1])

    def forward(self, first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
        return self.basic_module(torch.cat((first, second, flow), dim=1))


class SpyNet(nn.Module):
    """Flow from one picture to another at four sizes; it starts untrained unless weights are loaded."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(_Level() for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Where pixels of ``first`` lie in ``second``.

        Args:
            first: RGB in [0, 1], [n, 3, H, W].
            second: likewise.

        Returns:
            flow in pixels of its own size [n, 2 (x, y), H/2^k, W/2^k] for k = 0..3.
        """
        height, width = first.shape[-2:]
        size = (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
        pyramids = [_pyramid((_resized(picture, size) - self.mean) / self.std) for picture in (first, second)]
        coarsest = pyramids[0][0]
        rows, columns = (max(side // 2, 1) for side in coarsest.shape[-2:])
        flow = coarsest.new_zeros(len(first), 2, rows, columns)
        found: list[Tensor] = []
        for level, (ours, theirs, network) in enumerate(zip(*pyramids, self.basic_module, strict=True)):
            larger = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            missing = [have - got for have, got in zip(ours.shape[-2:], larger.shape[-2:], strict=True)]
            larger = F.pad(larger, (0, missing[1], 0, missing[0]), mode="replicate")
            flow = network(ours, warp(theirs, larger, padding="border"), larger) + larger
            shrink = 2 ** (LEVELS - 1 - level)
            if shrink < 2**SCALES:
                target = (height // shrink, width // shrink)
                units = [to / (whole // shrink) for to, whole in zip(target, size, strict=True)]
                scale = flow.new_tensor(units[::-1]).view(1, 2, 1, 1)
                found.insert(0, _resized(flow, target) * scale)
        return found


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)


def _pyramid(picture: Tensor) -> list[Tensor]:
    """The picture at all sizes, smallest first."""
    sizes = [picture]
    for _ in range(LEVELS - 1):
        sizes.insert(0, F.avg_pool2d(sizes[0], 2, 2))
    return sizes
