"""Residual layers, the pyramid over three of them, and the two heads; parts have their published names."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, dim_in: int, dim_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim_in, dim_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(dim_out)
        self.conv2 = nn.Conv2d(dim_out, dim_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or dim_in != dim_out:
            self.downsample = nn.Sequential(nn.Conv2d(dim_in, dim_out, 1, stride, bias=False), nn.BatchNorm2d(dim_out))

    def forward(self, x: Tensor) -> Tensor:
        """[n, in, h, w] -> [n, out, h / stride, w / stride]."""
        around = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + around)


def residual_layer(dim_in: int, dim_out: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks of which the first one changes the size."""
    return nn.Sequential(*(BasicBlock(dim_out if i else dim_in, dim_out, 1 if i else stride) for i in range(blocks)))


class Pyramid(nn.Module):
    """Five levels of ``dim`` channels over three maps of strides 8, 16 and 32."""

    def __init__(self, dims: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        c3, c4, c5 = dims
        self.P5_1, self.P5_2 = nn.Conv2d(c5, dim, 1), nn.Conv2d(dim, dim, 3, 1, 1)
        self.P4_1, self.P4_2 = nn.Conv2d(c4, dim, 1), nn.Conv2d(dim, dim, 3, 1, 1)
        self.P3_1, self.P3_2 = nn.Conv2d(c3, dim, 1), nn.Conv2d(dim, dim, 3, 1, 1)
        self.P6, self.P7_2 = nn.Conv2d(c5, dim, 3, 2, 1), nn.Conv2d(dim, dim, 3, 2, 1)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Levels of strides 8 to 128."""
        c3, c4, c5 = maps
        p5 = self.P5_1(c5)
        p4 = self.P4_1(c4) + F.interpolate(p5, scale_factor=2.0)
        p3 = self.P3_1(c3) + F.interpolate(p4, scale_factor=2.0)
        p6 = self.P6(c5)
        return [self.P3_2(p3), self.P4_2(p4), self.P5_2(p5), p6, self.P7_2(F.relu(p6))]


class Head(nn.Module):
    """Four convolutions and an output of ``values`` numbers for each anchor; shared by all levels."""

    def __init__(self, dim_in: int, dim: int, anchors: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1 = nn.Conv2d(dim_in, dim, 3, 1, 1)
        self.conv2 = nn.Conv2d(dim, dim, 3, 1, 1)
        self.conv3 = nn.Conv2d(dim, dim, 3, 1, 1)
        self.conv4 = nn.Conv2d(dim, dim, 3, 1, 1)
        self.output = nn.Conv2d(dim, anchors * values, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, h, w] -> [n, h * w * anchors, values], by rows of cells, the anchors of a cell together."""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        return self.output(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.values)
