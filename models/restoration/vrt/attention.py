"""Attention within windows: of tokens among themselves, and of neighbouring frames with each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.restoration.vrt.windows import Size, relative_index, sine_positions


class WindowAttention(nn.Module):
    """Attention of the tokens of a window, with learned biases for their places.

    Args:
        dim: channels.
        window: frames, rows and columns of the largest window.
        num_heads: attention heads.
        mutual: also attend from the first frame of a window of two to the second, and back; the two halves of the
            tokens are the frames.
    """

    relative_position_index: Tensor
    position_bias: Tensor

    def __init__(self, dim: int, window: Size, num_heads: int, mutual: bool) -> None:
        super().__init__()
        self.num_heads, self.mutual = num_heads, mutual
        frames, rows, columns = window
        entries = (2 * frames - 1) * (2 * rows - 1) * (2 * columns - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(entries, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_index(window))
        self.qkv_self = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(2 * dim if mutual else dim, dim)
        if mutual:
            self.register_buffer("position_bias", sine_positions(rows, columns, dim))
            self.qkv_mut = nn.Linear(dim, 3 * dim)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Attend.

        Args:
            tokens: [B·windows, N, C], windows of one volume together.
            mask: added to scores, [windows, N, N], or None.

        Returns:
            tokens of the same shape.
        """
        count = tokens.shape[1]
        table = self.relative_position_bias_table
        bias = table[self.relative_position_index[:count, :count]].permute(2, 0, 1)
        query, key, value = self._heads(self.qkv_self(tokens))
        found = _attend(query, key, value, bias, mask)
        if self.mutual:
            placed = tokens + self.position_bias.repeat(1, 2, 1)
            (q1, q2), (k1, k2), (v1, v2) = (part.chunk(2, dim=2) for part in self._heads(self.qkv_mut(placed)))
            half = None if mask is None else mask[:, : count // 2, : count // 2]
            first, second = _attend(q2, k1, v1, None, half), _attend(q1, k2, v2, None, half)
            found = torch.cat((torch.cat((first, second), dim=1), found), dim=2)
        return self.proj(found)

    def _heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [B·windows, heads, N, C/heads]."""
        query, key, value = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    """Attention [B·windows, N, C]; ``bias`` [heads, N, N] and ``mask`` [windows, N, N] are added to the scores."""
    added = bias
    if mask is not None:
        by_window = mask[:, None] if bias is None else mask[:, None] + bias
        repeats = len(query) // len(mask)
        added = by_window.repeat(repeats, 1, 1, 1) if repeats > 1 else by_window
    elif bias is not None:
        added = bias[None]
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=added)
    return found.transpose(1, 2).flatten(2)
