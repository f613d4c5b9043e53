"""Blocks of attention over windows and of channels, and groups of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.restoration.vrt.attention import WindowAttention
from models.restoration.vrt.windows import Size, fitted, join, shift_mask, split


class GatedMlp(nn.Module):
    """Two layers, the first of them a product of two (GEGLU)."""

    def __init__(self, dim: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc11, self.fc12, self.fc2 = nn.Linear(dim, hidden), nn.Linear(dim, hidden), nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Channels last, [..., dim] to [..., out]."""
        return self.fc2(F.gelu(self.fc11(x)) * self.fc12(x))


class DropPath(nn.Module):
    """Leave a branch out for whole samples in training (stochastic depth).

    Args:
        rate: share of the samples.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...], others scaled so that the mean stays."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *(1,) * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Block(nn.Module):
    """Attention within windows, then a feed-forward part, both added to what comes in.

    Args:
        dim: channels.
        num_heads: attention heads.
        window: frames, rows and columns.
        shifted: windows begin half a window later.
        mutual: neighbouring frames attend to each other as well.
        mlp_ratio: width of the feed-forward part.
        drop_path: share of samples without a branch in training.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Size,
        *,
        shifted: bool,
        mutual: bool,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.window = window
        self.shift: Size = (window[0] // 2, window[1] // 2, window[2] // 2) if shifted else (0, 0, 0)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, num_heads, mutual)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = GatedMlp(dim, int(dim * mlp_ratio), dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, masks: dict[Size, Tensor | None]) -> Tensor:
        """A volume [B, T, H, W, C]; ``masks`` keeps those of shifts for the blocks that follow."""
        x = x + self.drop_path(self._attend(self.norm1(x), masks))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, masks: dict[Size, Tensor | None]) -> Tensor:
        frames, rows, columns = x.shape[1:4]
        window, shift = fitted((frames, rows, columns), self.window, self.shift)
        missing = [-side % w for side, w in zip((frames, rows, columns), window, strict=True)]
        x = F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
        size: Size = (x.shape[1], x.shape[2], x.shape[3])
        if shift not in masks:
            masks[shift] = shift_mask(size, window, shift, x)
        if any(shift):
            x = torch.roll(x, shifts=[-side for side in shift], dims=(1, 2, 3))
        x = join(self.attn(split(x, window), masks[shift]), window, size)
        if any(shift):
            x = torch.roll(x, shifts=shift, dims=(1, 2, 3))
        return x[:, :frames, :rows, :columns]


class Group(nn.Module):
    """Blocks one after another; every other one is shifted.

    Args:
        dim: channels.
        num_heads: attention heads.
        window: frames, rows and columns.
        drop_path: of every block.
        mutual: see :class:`Block`.
        mlp_ratio: see :class:`Block`.
        checkpointed: compute blocks again in the backward pass instead of keeping what is in them.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Size,
        drop_path: Sequence[float],
        *,
        mutual: bool,
        mlp_ratio: float,
        checkpointed: bool,
    ) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.blocks = nn.ModuleList(
            Block(
                dim,
                num_heads,
                window,
                shifted=index % 2 == 1,
                mutual=mutual,
                mlp_ratio=mlp_ratio,
                drop_path=rate,
            )
            for index, rate in enumerate(drop_path)
        )

    def forward(self, x: Tensor) -> Tensor:
        """A volume [B, T, H, W, C]."""
        masks: dict[Size, Tensor | None] = {}
        for block in self.blocks:
            if self.checkpointed and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x, masks, use_reentrant=False)
            else:
                x = block(x, masks)
        return x
