"""Overlapping downsampling and window/grid attention on channels-last tokens (MaxViT as used in RVT)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.config import AttentionConfig
from models.layers.small_window import SmallWindowAttention, use_small_window

MAX_WINDOWS = 65_535
"""Most windows in one call on a GPU, whose attention kernels count them in the third dimension of a grid."""

HALVES = (torch.bfloat16, torch.float16)
"""Types in which a CPU runs attention in float32: its kernel's backward pass takes four times as long in bfloat16."""


class LayerScale(nn.Module):
    """Multiply each channel by a learned factor ``gamma`` (Touvron et al., 2021)."""

    def __init__(self, dim: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_value)))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C] -> [..., C]``."""
        return x * self.gamma


class DropPath(nn.Module):
    """Stochastic depth: drop the residual branch of whole frames (Huang et al., 2016)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """``[N, ...] -> [N, ...]``; identity in evaluation."""
        if not self.training or self.share == 0.0:
            return x
        keep = 1.0 - self.share
        mask = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(keep)
        return x * mask.div_(keep)


class GatedLinear(nn.Module):
    """Linear layer whose second half of outputs gates the first through GELU."""

    def __init__(self, dim: int, dim_out: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * dim_out, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., dim] -> [..., dim_out]``."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class Mlp(nn.Module):
    """Two linear layers with GELU between, or the gated form."""

    def __init__(self, dim: int, cfg: AttentionConfig) -> None:
        super().__init__()
        inner = int(dim * cfg.mlp_ratio)
        if cfg.mlp_gated:
            inner = max(32, math.floor(inner * 2 / 3 / 32) * 32)
            first: nn.Module = GatedLinear(dim, inner, cfg.mlp_bias)
        else:
            first = nn.Sequential(nn.Linear(dim, inner, bias=cfg.mlp_bias), nn.GELU())
        self.net = nn.Sequential(first, nn.Dropout(cfg.drop_mlp), nn.Linear(inner, dim, bias=cfg.mlp_bias))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C] -> [..., C]``."""
        return self.net(x)


class PartitionAttention(nn.Module):
    """Multi-head self-attention inside windows, or over a dilated grid, of a token map.

    The qkv projection is laid out per head as (q, k, v) of ``dim_head`` channels each. Projections do not depend on
    the partition, so they run on the token map and only q, k, v are rearranged.
    """

    def __init__(self, dim: int, partition_size: tuple[int, int], grid: bool, cfg: AttentionConfig) -> None:
        super().__init__()
        self.num_heads = dim // cfg.dim_head
        self.partition_size = partition_size
        self.grid = grid
        self.qkv = nn.Linear(dim, 3 * dim, bias=cfg.attention_bias)
        self.proj = nn.Linear(dim, dim, bias=cfg.attention_bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, h, w, C] -> [N, h, w, C]``; h and w are multiples of the partition size."""
        n, h, w, c = x.shape
        heads, d = self.num_heads, c // self.num_heads
        ph, pw = self.partition_size
        if self.grid:  # tokens that attend to each other lie h/ph rows and w/pw columns apart
            split, order = (n, ph, h // ph, pw, w // pw), (0, 2, 4, 5, 1, 3)
            back = (0, 4, 1, 5, 2, 3, 6)
        else:
            split, order = (n, h // ph, ph, w // pw, pw), (0, 1, 3, 5, 2, 4)
            back = (0, 1, 4, 2, 5, 3, 6)
        qkv = self.qkv(x).view(*split, heads, 3, d).permute(6, *order, 7)
        if use_small_window(qkv, ph * pw):
            out: Tensor = SmallWindowAttention.apply(qkv.reshape(3, -1, ph * pw, d), d**-0.5)  # pyright: ignore[reportAssignmentType]
        else:
            out = attend_windows(qkv, heads, ph * pw)
        out = out.view(n, h // ph, w // pw, heads, ph, pw, d).permute(back).reshape(n, h, w, c)
        return self.proj(out)


def attend_windows(qkv: Tensor, heads: int, tokens: int) -> Tensor:
    """Torch's attention in the type and the groups that suit the device: ``[3, ..., d] -> [N, heads, tokens, d]``."""
    d, device = qkv.shape[-1], qkv.device.type
    if device == "cuda":
        return attend(qkv.reshape(3, -1, heads, tokens, d), MAX_WINDOWS)
    if qkv.dtype not in HALVES:
        windows = qkv.reshape(3, -1, heads, tokens, d)
        return attend(windows, windows.shape[1])
    with torch.autocast(device, enabled=False):  # cast and brought in order in one pass
        windows = qkv.to(torch.float32, memory_format=torch.contiguous_format).view(3, -1, heads, tokens, d)
        return attend(windows, windows.shape[1]).to(qkv.dtype)


def attend(qkv: Tensor, most: int) -> Tensor:
    """Torch's attention in groups of at most ``most`` windows: ``[3, N, heads, T, d] -> [N, heads, T, d]``."""
    groups = []
    for part in qkv.chunk(math.ceil(qkv.shape[1] / most), dim=1):
        query, key, value = part.unbind(0)
        groups.append(F.scaled_dot_product_attention(query, key, value))
    return groups[0] if len(groups) == 1 else torch.cat(groups)


class AttentionBlock(nn.Module):
    """Pre-norm transformer block: ``x + ls1 * attention(norm1 x)``, then ``x + ls2 * mlp(norm2 x)``."""

    def __init__(
        self, dim: int, partition_size: tuple[int, int], grid: bool, skip_first_norm: bool, cfg: AttentionConfig
    ) -> None:
        super().__init__()
        self.norm1 = nn.Identity() if skip_first_norm else nn.LayerNorm(dim, eps=cfg.norm_eps)
        self.self_attn = PartitionAttention(dim, partition_size, grid, cfg)
        self.ls1 = LayerScale(dim, cfg.ls_init_value)
        self.drop_path1 = DropPath(cfg.drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=cfg.norm_eps)
        self.mlp = Mlp(dim, cfg)
        self.ls2 = LayerScale(dim, cfg.ls_init_value)
        self.drop_path2 = DropPath(cfg.drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, h, w, C] -> [N, h, w, C]``."""
        x = x + self.drop_path1(self.ls1(self.self_attn(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class WindowGridPair(nn.Module):
    """Window attention followed by grid attention."""

    def __init__(self, dim: int, partition_size: tuple[int, int], skip_first_norm: bool, cfg: AttentionConfig) -> None:
        super().__init__()
        self.att_window = AttentionBlock(dim, partition_size, False, skip_first_norm, cfg)
        self.att_grid = AttentionBlock(dim, partition_size, True, False, cfg)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, h, w, C] -> [N, h, w, C]``."""
        return self.att_grid(self.att_window(x))


def dense_channels_last(x: Tensor) -> Tensor:
    """The same values [N, C, H, W]; of a single map in channels-last memory, its batch stride is told as one expects.

    Torch takes a single map with another stride there, which is as good, for channels first, and copies it. Compilers
    and exporters know strides better.
    """
    n, c, height, width = x.shape
    if n != 1 or torch.compiler.is_compiling() or x.stride()[1:] != (1, width * c, c):
        return x
    return x.as_strided(x.shape, (c * height * width, 1, width * c, c))


class OverlappingDownsample(nn.Module):
    """Strided convolution with overlapping kernel, then LayerNorm; channels first in, channels last out."""

    def __init__(self, dim_in: int, dim_out: int, factor: int, norm_eps: float) -> None:
        super().__init__()
        kernel = 2 * (factor - 1) + 1
        self.conv = nn.Conv2d(dim_in, dim_out, kernel, stride=factor, padding=kernel // 2, bias=False)
        self.norm = nn.LayerNorm(dim_out, eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C_in, H, W] -> [N, H / factor, W / factor, C_out]``."""
        return self.norm(self.conv(x).permute(0, 2, 3, 1))
