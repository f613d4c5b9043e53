"""ResNet and positions, under the names that DETR's weights have: ``backbone.0.body`` and ``backbone.1``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.ops import FrozenBatchNorm2d

from models.detection.detr.config import ResnetConfig
from utils.errors import UserError

_CELLS = 50  # of a learned encoding, along each axis


class Body(nn.Module):
    """A ResNet without pooling and classifier, and perhaps without its last stages, which gives its last map."""

    def __init__(self, cfg: ResnetConfig) -> None:
        super().__init__()
        norm = FrozenBatchNorm2d if cfg.norm == "frozen" else nn.BatchNorm2d
        dilated = [False, False, cfg.dilation]
        network = getattr(resnet, cfg.resnet)(
            weights=None, norm_layer=norm, replace_stride_with_dilation=dilated if cfg.dilation else None
        )
        if cfg.input_channels != network.conv1.in_channels:
            network.conv1 = nn.Conv2d(cfg.input_channels, network.conv1.out_channels, 7, 2, 3, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.channels: int = network.fc.in_features >> (4 - cfg.stages)
        left_out = {"avgpool", "fc", *(f"layer{number}" for number in range(cfg.stages + 1, 5))}
        for name, part in network.named_children():
            if name not in left_out:
                self.add_module(name, part)
        for name in cfg.frozen:
            self.get_submodule(name).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, C, H, W] -> [n, channels, H / 32, W / 32]``, rounded up; / 16 with dilation or 3 stages."""
        for part in self.children():
            x = part(x)
        return x


class Extractor(nn.Module):
    """The body, one floor down."""

    def __init__(self, cfg: ResnetConfig) -> None:
        super().__init__()
        self.body = Body(cfg)

    def forward(self, x: Tensor) -> Tensor:
        """As :meth:`Body.forward`."""
        return self.body(x)


class SinePosition(nn.Module):
    """Waves along both axes: half of the channels for y, then half for x, sine and cosine in turn.

    Args:
        dim: channels of one axis.
        normalise: positions are shares of the frame, in radians; otherwise the numbers of cells, from 1.
    """

    def __init__(self, dim: int, normalise: bool = True) -> None:
        super().__init__()
        self.dim, self.normalise = dim, normalise

    def forward(self, padding: Tensor) -> Tensor:
        """``[n, h, w]``, True where cells are padding -> ``[n, 2 dim, h, w]``."""
        inside = (~padding).float()
        pairs = torch.arange(self.dim, device=padding.device) // 2
        length = 10000.0 ** (2 * pairs.float() / self.dim)
        waves = []
        for axis in (1, 2):
            place = inside.cumsum(axis)
            if self.normalise:
                place = place / (place.narrow(axis, place.shape[axis] - 1, 1) + 1e-6) * (2 * math.pi)
            angle = place.unsqueeze(-1) / length
            waves.append(torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(3))
        return torch.cat(waves, dim=-1).permute(0, 3, 1, 2)


class LearnedPosition(nn.Module):
    """A vector for each column and each row, at most 50; half of the channels for x, then half for y."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.row_embed, self.col_embed = nn.Embedding(_CELLS, dim), nn.Embedding(_CELLS, dim)
        for table in (self.row_embed, self.col_embed):
            nn.init.uniform_(table.weight)

    def forward(self, padding: Tensor) -> Tensor:
        """``[n, h, w] -> [n, 2 dim, h, w]``; cells count where they lie, padding or not.

        Raises:
            UserError: more cells than there are vectors.
        """
        frames, height, width = padding.shape
        if max(height, width) > _CELLS:
            raise UserError(
                expected=f"at most {_CELLS} x {_CELLS} cells of a frame, for learned positions",
                got=f"{height} x {width}",
                where="model.transformer.position",
                fix="set model.transformer.position=sine, or a larger stride: model.backbone.stages=4",
            )
        x = self.col_embed.weight[:width].expand(height, -1, -1)
        y = self.row_embed.weight[:height].unsqueeze(1).expand(-1, width, -1)
        return torch.cat((x, y), dim=-1).permute(2, 0, 1).expand(frames, -1, -1, -1)
