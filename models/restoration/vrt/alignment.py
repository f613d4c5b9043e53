"""Neighbouring frames brought into place: by flow, and by offsets that are learnt around it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from models.restoration.vrt.blocks import GatedMlp
from models.restoration.vrt.warping import warp

TAPS = 9
"""Places that a deformable convolution of 3x3 looks at."""


class FlowGuidedConv(nn.Module):
    """A deformable convolution whose offsets lie around the flow.

    Args:
        dim: channels.
        groups: groups of channels with offsets of their own.
        reach: how far from the flow offsets may be, pixels.
    """

    def __init__(self, dim: int, groups: int, reach: float) -> None:
        super().__init__()
        self.reach = reach
        bound = 1 / math.sqrt(dim * TAPS)
        self.weight = nn.Parameter(torch.empty(dim, dim, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(dim))
        last = nn.Conv2d(dim, 3 * TAPS * groups, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.conv_offset = nn.Sequential(
            nn.Conv2d(2 * dim + 2, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            last,
        )

    def forward(self, neighbour: Tensor, current: Tensor, flow: Tensor) -> Tensor:
        """The neighbour [n, C, H, W] as seen from the current frame; flow [n, 2 (x, y), H, W] points to it."""
        seen = torch.cat((warp(neighbour, flow), current, flow), dim=1)
        exact = self.weight.dtype  # torchvision has no half types on a CPU, and offsets need their fractions
        first, second, mask = self.conv_offset(seen).to(exact).chunk(3, dim=1)
        offset = self.reach * torch.tanh(torch.cat((first, second), dim=1))
        offset = offset + flow.flip(1).repeat(1, offset.shape[1] // 2, 1, 1).to(exact)
        offset = offset.nan_to_num()  # places are always numbers; the mask hands NaN on
        with torch.autocast(neighbour.device.type, enabled=False):
            found = deform_conv2d(
                neighbour.to(exact), offset, self.weight, self.bias, padding=(1, 1), mask=mask.sigmoid()
            )
        return found.to(neighbour.dtype)


def with_neighbours(x: Tensor, flows: tuple[Tensor, Tensor], deform: FlowGuidedConv, fuse: GatedMlp) -> Tensor:
    """Every frame joined with the ones after and before it; a missing one is zero.

    Args:
        x: frames [B, T, H, W, C].
        flows: to the frame after and to the frame before, both [B, T-1, 2, H, W].
        deform: brings a neighbour into place.
        fuse: from three frames' channels to those of one.

    Returns:
        frames [B, T, H, W, C].
    """
    frames = x.movedim(-1, 2)
    batch, length = frames.shape[:2]
    earlier, later = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    to_later, to_earlier = (flow.flatten(0, 1) for flow in flows)
    after = deform(later, earlier, to_later).unflatten(0, (batch, length - 1))
    before = deform(earlier, later, to_earlier).unflatten(0, (batch, length - 1))
    each = (0, 0, 0, 0, 0, 0)
    joined = torch.cat((frames, F.pad(after, (*each, 0, 1)), F.pad(before, (*each, 1, 0))), dim=2)
    return fuse(joined.movedim(2, -1))
