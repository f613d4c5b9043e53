"""Three scales of the backbone become one memory: attention within the coarsest, then fusion both ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.detection.detr.backbone import SinePosition
from models.detection.detr.config import TransformerConfig
from models.detection.detr.transformer import EncoderLayer
from models.detection.rtdetr.attention import Sizes
from models.detection.rtdetr.config import RtdetrConfig
from models.detection.yolox.pafpn import YOLOPAFPN


class HybridEncoder(nn.Module):
    """Attention where cells are few and say the most, convolutions between scales (Zhao et al., RT-DETR, 2024).

    Args:
        cfg: of the detector.
        dims: channels of the three stages.
    """

    def __init__(self, cfg: RtdetrConfig, dims: tuple[int, ...]) -> None:
        super().__init__()
        dim = cfg.head.dim
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(own, dim, 1, bias=False), nn.BatchNorm2d(dim)) for own in dims
        )
        layer = TransformerConfig(
            dim=dim, heads=cfg.head.heads, feedforward=cfg.head.feedforward * dim, dropout=cfg.head.dropout
        )
        self.layers = nn.ModuleList(EncoderLayer(layer) for _ in range(cfg.head.encoder_layers))
        self.position = SinePosition(dim // 2)
        self.fusion = YOLOPAFPN(cfg.fpn, (dim, dim, dim))

    def forward(self, features: dict[int, Tensor]) -> tuple[Tensor, Sizes]:
        """Stages by number [n, C, h, w] -> cells [n, tokens, dim], finest map first, and the sizes of the maps."""
        stages = self.fusion.in_stages
        maps = [project(features[stage]) for project, stage in zip(self.project, stages, strict=True)]
        if len(self.layers):
            coarse = maps[-1]
            size = coarse.shape[-2:]
            nowhere = torch.zeros((1, *size), dtype=torch.bool, device=coarse.device)
            position = self.position(nowhere).flatten(2).transpose(1, 2).to(coarse.dtype)
            tokens = coarse.flatten(2).transpose(1, 2)
            for layer in self.layers:
                tokens = layer(tokens, position, None)
            maps[-1] = tokens.transpose(1, 2).unflatten(2, size)
        fused = self.fusion(dict(zip(stages, maps, strict=True)))
        sizes = [(int(x.shape[-2]), int(x.shape[-1])) for x in fused]
        return torch.cat([x.flatten(2).transpose(1, 2) for x in fused], 1), sizes


def anchors_of(sizes: Sizes, device: torch.device) -> Tensor:
    """A box for each cell [tokens, 4], centred there and 0.05, 0.1, 0.2 of the frame wide, before the sigmoid."""
    boxes = []
    for level, (height, width) in enumerate(sizes):
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        side = torch.full((height, width), 0.05 * 2.0**level, device=device)
        boxes.append(
            torch.stack((x.expand(height, -1), y.unsqueeze(1).expand(-1, width), side, side), -1).flatten(0, 1)
        )
    return unsigmoid(torch.cat(boxes))


def unsigmoid(share: Tensor) -> Tensor:
    """What the sigmoid makes these shares of, as far as that is finite."""
    share = share.float().clamp(1e-5, 1 - 1e-5)
    return share.log() - (1 - share).log()
