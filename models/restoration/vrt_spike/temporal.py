"""Attention over time, pixel by pixel: of spikes among themselves, and of frames to spikes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_PIXELS = 49152
"""Pixels, of all clips of a batch, that attention looks at in one go."""

MAX_SIDE = 64
"""Largest side of a square of them."""


def square_side(batch: int) -> int:
    """Side of the squares in which a batch of so many clips is worked through.

    >>> [square_side(batch) for batch in (1, 12, 48, 100_000)]
    [64, 64, 32, 1]
    """
    return max(1, min(MAX_SIDE, math.isqrt(min(MAX_PIXELS // batch, MAX_SIDE**2))))


def by_squares(function: Callable[..., Tensor], *volumes: Tensor) -> Tensor:
    """Apply a function of pixels' sequences square by square: memory stays bounded, the result is the same.

    Args:
        function: from sequences [n, T, C] of each volume to sequences [n, T, C].
        volumes: [B, T, H, W, C], of equal batch, height and width.

    Returns:
        the volume [B, T, H, W, C].
    """
    batch, _, height, width, _ = volumes[0].shape
    side = square_side(batch)

    def square(top: int, left: int) -> Tensor:
        parts = [volume[:, :, top : top + side, left : left + side] for volume in volumes]
        rows, columns = parts[0].shape[2:4]
        sequences = [part.permute(0, 2, 3, 1, 4).flatten(0, 2) for part in parts]
        return function(*sequences).unflatten(0, (batch, rows, columns)).permute(0, 3, 1, 2, 4)

    bands = [torch.cat([square(top, left) for left in range(0, width, side)], 3) for top in range(0, height, side)]
    return torch.cat(bands, dim=2)


def feed_forward(dim: int, ratio: float) -> nn.Sequential:
    """Two layers with a GELU between."""
    hidden = int(dim * ratio)
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class _TemporalBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.mlp = feed_forward(dim, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        own = self.ln1(x)
        x = x + self.attn(own, own, own, need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class SpikeTemporalSA(nn.Module):
    """Self-attention over time at every size.

    Args:
        dim: channels.
        num_heads: attention heads.
        mlp_ratio: width of the feed-forward part.
        scales: number of sizes.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, scales: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_TemporalBlock(dim, num_heads, mlp_ratio) for _ in range(scales))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features [B, C, T, h, w] of every size to [B, T, h, w, C]."""
        return [by_squares(block, x.movedim(1, -1)) for block, x in zip(self.blocks, features, strict=True)]


class _Attention(nn.Module):
    """Attention to other sequences; a module of its own for the sake of its name."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        return self.attn(query, other, other, need_weights=False)[0]


class _FuseBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, zero_init: bool) -> None:
        super().__init__()
        self.ln_q, self.ln_kv, self.ln_ffn = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = _Attention(dim, num_heads)
        self.ffn = feed_forward(dim, mlp_ratio)
        if zero_init:
            for layer in (self.attn.attn.out_proj, self.ffn[-1]):
                for weight in layer.parameters():
                    nn.init.zeros_(weight)

    def forward(self, frames: Tensor, spikes: Tensor) -> Tensor:
        x = frames + self.attn(self.ln_q(frames), self.ln_kv(spikes))
        return x + self.ffn(self.ln_ffn(x))


class CrossAttentionFuse(nn.Module):
    """Frames attend to spikes, at every size.

    Args:
        dim: channels.
        num_heads: attention heads.
        mlp_ratio: width of the feed-forward part.
        scales: number of sizes.
        zero_init: give the frames back as they are until something is learnt.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, scales: int, zero_init: bool) -> None:
        super().__init__()
        self.fuse_blocks = nn.ModuleList(_FuseBlock(dim, num_heads, mlp_ratio, zero_init) for _ in range(scales))

    def forward(self, scale: int, frames: Tensor, spikes: Tensor) -> Tensor:
        """Features of frames [B, T, h, w, C] with those of spikes [B, T', h', w', C], resized where they differ."""
        size = frames.shape[2:4]
        if spikes.shape[2:4] != size:
            flat = F.interpolate(spikes.flatten(0, 1).movedim(-1, 1), size=size, mode="bilinear", align_corners=False)
            spikes = flat.movedim(1, -1).unflatten(0, spikes.shape[:2])
        return by_squares(self.fuse_blocks[scale], frames, spikes)
