"""Queries chosen among the cells, refined layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.detection.rtdetr.attention import PointAttention, Sizes
from models.detection.rtdetr.config import RtdetrConfig
from models.detection.rtdetr.denoising import Noisy
from models.detection.rtdetr.encoder import anchors_of, unsigmoid
from models.detection.sets.box_head import BoxHead

_PRIOR = -math.log((1 - 0.01) / 0.01)
"""Bias of class scores that begin at 0.01."""


@dataclass(frozen=True)
class Found:
    """What queries say.

    Args:
        logits: [layers, n, Q, classes]; the first layer is the choice among the cells.
        box: [layers, n, Q, 4], cx, cy, w, h as shares of the padded frame.
        noisy_logits: of the denoised queries [decoder layers, n, D, classes]; None without any.
        noisy_box: of these, [decoder layers, n, D, 4].
    """

    logits: Tensor
    box: Tensor
    noisy_logits: Tensor | None = None
    noisy_box: Tensor | None = None


class DecoderLayer(nn.Module):
    """Attention among queries, attention to points of the maps, feed-forward part; norms after each."""

    def __init__(self, cfg: RtdetrConfig) -> None:
        super().__init__()
        head, dim = cfg.head, cfg.head.dim
        self.self_attn = nn.MultiheadAttention(dim, head.heads, head.dropout, batch_first=True)
        self.cross_attn = PointAttention(dim, head.heads, len(cfg.fpn.in_stages), head.points)
        self.linear1, self.linear2 = nn.Linear(dim, head.feedforward * dim), nn.Linear(head.feedforward * dim, dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(head.dropout)

    def forward(
        self, x: Tensor, position: Tensor, box: Tensor, memory: Tensor, sizes: Sizes, apart: Tensor | None
    ) -> Tensor:
        """``[n, Q, dim] -> [n, Q, dim]``; ``apart`` bool [Q, Q], True where a query does not see another."""
        asked = x + position
        x = self.norm1(x + self.dropout(self.self_attn(asked, asked, x, attn_mask=apart, need_weights=False)[0]))
        x = self.norm2(x + self.dropout(self.cross_attn(x + position, box, memory, sizes)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(self.linear1(x).relu()))))


class Decoder(nn.Module):
    """Choice of queries and layers; every layer has a class head and a box head of its own."""

    def __init__(self, cfg: RtdetrConfig) -> None:
        super().__init__()
        self.queries = cfg.head.queries
        dim, classes = cfg.head.dim, cfg.num_classes
        self.choose = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))
        self.choose_class, self.choose_box = nn.Linear(dim, classes), BoxHead(dim)
        self.position = nn.Sequential(nn.Linear(4, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.layers = nn.ModuleList(DecoderLayer(cfg) for _ in range(cfg.head.decoder_layers))
        self.class_heads = nn.ModuleList(nn.Linear(dim, classes) for _ in self.layers)
        self.box_heads = nn.ModuleList(BoxHead(dim) for _ in self.layers)
        for name, weight in self.named_parameters():
            if name.startswith(("choose_class", "class_heads")) and name.endswith("bias"):
                nn.init.constant_(weight, _PRIOR)
            elif "box" in name and ".layers.2." in name:  # boxes begin where the query is
                nn.init.zeros_(weight)

    def forward(self, memory: Tensor, sizes: Sizes, noisy: Noisy | None = None) -> Found:
        """Find boxes in memory [n, tokens, dim]; ``noisy`` queries come before the others and are given apart."""
        cells = self.choose(memory)
        scores = self.choose_class(cells)
        count = min(self.queries, memory.shape[1])
        best = scores.detach().float().amax(-1).topk(count, dim=1).indices
        x = cells.gather(1, best.unsqueeze(-1).expand(-1, -1, cells.shape[-1]))
        start = anchors_of(sizes, memory.device)[best]
        logits = [scores.gather(1, best.unsqueeze(-1).expand(-1, -1, scores.shape[-1]))]
        boxes = [(self.choose_box(x).float() + start).sigmoid()]
        x, box = x.detach(), boxes[0].detach()
        first, apart = 0, None
        if noisy is not None:
            first = noisy.content.shape[1]
            x, box = torch.cat((noisy.content.to(x.dtype), x), 1), torch.cat((noisy.box, box), 1)
            apart = noisy.apart(count)
        noisy_logits, noisy_boxes = [], []
        for layer, class_head, box_head in zip(self.layers, self.class_heads, self.box_heads, strict=True):
            x = layer(x, self.position(box.to(x.dtype)), box, memory, sizes, apart)
            refined = (box_head(x).float() + unsigmoid(box)).sigmoid()
            said = class_head(x)
            logits.append(said[:, first:])
            boxes.append(refined[:, first:])
            noisy_logits.append(said[:, :first])
            noisy_boxes.append(refined[:, :first])
            box = refined.detach()
        found = Found(torch.stack(logits).float(), torch.stack(boxes))
        if noisy is None:
            return found
        return Found(found.logits, found.box, torch.stack(noisy_logits).float(), torch.stack(noisy_boxes))
