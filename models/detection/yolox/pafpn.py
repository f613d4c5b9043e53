"""Path aggregation feature pyramid of YOLOX over three backbone stages."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.yolox.blocks import BaseConv, CSPLayer, spatial_conv
from models.detection.yolox.config import FpnConfig


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest-exact")


class YOLOPAFPN(nn.Module):
    """Top-down, then bottom-up exchange between three scales; widths stay those of the backbone.

    Args:
        cfg: depth and stages.
        in_channels: channels of the three stages, finest first.
    """

    def __init__(self, cfg: FpnConfig, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.in_stages = cfg.in_stages
        self.in_channels = in_channels
        fine, mid, coarse = in_channels
        blocks = round(3 * cfg.depth)
        dw = cfg.depthwise
        self.lateral_conv0 = BaseConv(coarse, mid, 1)
        self.C3_p4 = CSPLayer(2 * mid, mid, blocks, dw)
        self.reduce_conv1 = BaseConv(mid, fine, 1)
        self.C3_p3 = CSPLayer(2 * fine, fine, blocks, dw)
        self.bu_conv2 = spatial_conv(fine, fine, 3, 2, dw)
        self.C3_n3 = CSPLayer(2 * fine, mid, blocks, dw)
        self.bu_conv1 = spatial_conv(mid, mid, 3, 2, dw)
        self.C3_n4 = CSPLayer(2 * mid, coarse, blocks, dw)

    def forward(self, features: dict[int, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Merge the stages.

        Args:
            features: by stage number [N, C, h, w]; all of ``in_stages`` must be there.

        Returns:
            three maps [N, C, h, w], finest first, with the shapes of the inputs.
        """
        fine, mid, coarse = (features[stage] for stage in self.in_stages)
        top = self.lateral_conv0(coarse)
        mid = self.C3_p4(torch.cat((_upsample(top), mid), dim=1))
        reduced = self.reduce_conv1(mid)
        out_fine = self.C3_p3(torch.cat((_upsample(reduced), fine), dim=1))
        out_mid = self.C3_n3(torch.cat((self.bu_conv2(out_fine), reduced), dim=1))
        out_coarse = self.C3_n4(torch.cat((self.bu_conv1(out_mid), top), dim=1))
        return out_fine, out_mid, out_coarse
