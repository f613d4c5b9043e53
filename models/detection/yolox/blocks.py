"""Convolution blocks of YOLOX: convolution with norm and SiLU, bottleneck, CSP layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BaseConv(nn.Module):
    """Convolution without bias, BatchNorm, SiLU; padding keeps the size at stride 1."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim_in, dim_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C_in, h, w] -> [N, C_out, h / stride, w / stride]``."""
        # With gradients, in place means a copy of what it began with.
        return F.silu(self.bn(self.conv(x)), inplace=not torch.is_grad_enabled())


class DWConv(nn.Module):
    """Depthwise separable convolution: depthwise k x k, then pointwise."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = BaseConv(dim_in, dim_in, kernel, stride, groups=dim_in)
        self.pconv = BaseConv(dim_in, dim_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C_in, h, w] -> [N, C_out, h / stride, w / stride]``."""
        return self.pconv(self.dconv(x))


def spatial_conv(dim_in: int, dim_out: int, kernel: int, stride: int, depthwise: bool) -> nn.Module:
    """A k x k block, plain or depthwise separable."""
    return DWConv(dim_in, dim_out, kernel, stride) if depthwise else BaseConv(dim_in, dim_out, kernel, stride)


class Bottleneck(nn.Module):
    """1x1 then 3x3 block of equal width, without a shortcut (as in the pyramid)."""

    def __init__(self, dim: int, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = BaseConv(dim, dim, 1)
        self.conv2 = spatial_conv(dim, dim, 3, 1, depthwise)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, h, w] -> [N, C, h, w]``."""
        return self.conv2(self.conv1(x))


class CSPLayer(nn.Module):
    """Cross-stage partial layer: one half through bottlenecks, one half around them, then merged."""

    def __init__(self, dim_in: int, dim_out: int, num_bottlenecks: int, depthwise: bool) -> None:
        super().__init__()
        hidden = dim_out // 2
        self.conv1 = BaseConv(dim_in, hidden, 1)
        self.conv2 = BaseConv(dim_in, hidden, 1)
        self.conv3 = BaseConv(2 * hidden, dim_out, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, depthwise) for _ in range(num_bottlenecks)))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C_in, h, w] -> [N, C_out, h, w]``."""
        return self.conv3(torch.cat((self.m(self.conv1(x)), self.conv2(x)), dim=1))
