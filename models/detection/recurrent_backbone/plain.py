"""One frame through a stage in plain arithmetic: every formula written out, nothing fused or rearranged.

The published programs computed in this order, so that rounding, too, is theirs: on a processor like the one that made
the golden numbers, states are equal to the last bit. Slower than the stages' own forward, which gives the same numbers
to float precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.layers.attention import AttentionBlock, PartitionAttention
from models.layers.lstm import ConvLstm, LstmState

if TYPE_CHECKING:
    from models.detection.recurrent_backbone.maxvit_stage import RNNDetectorStage


def plain_stage(
    stage: RNNDetectorStage, x: Tensor, state: LstmState | None, token_mask: Tensor | None = None
) -> LstmState:
    """Downsampling, attention blocks, recurrence.

    Args:
        stage: holds the weights.
        x: one frame a lane [B, C_in, H, W].
        state: hidden and cell state [B, C, h, w], None for zeros.
        token_mask: bool [B, h, w] or None; needs ``enable_masking``.

    Returns:
        the new hidden state, which is the feature, and cell state.
    """
    tokens = stage.replace_masked(stage.downsample_cf2cl(x.contiguous()), token_mask)
    for pair in stage.att_blocks:
        tokens = plain_block(pair.get_submodule("att_window"), tokens)
        tokens = plain_block(pair.get_submodule("att_grid"), tokens)
    return plain_lstm(stage.lstm, tokens.permute(0, 3, 1, 2).contiguous(), state)


def plain_block(block: torch.nn.Module, x: Tensor) -> Tensor:
    """``[N, h, w, C] -> [N, h, w, C]``: as the block itself, with attention window by window."""
    assert isinstance(block, AttentionBlock)
    x = x + block.drop_path1(block.ls1(plain_attention(block.self_attn, block.norm1(x))))
    return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))


def plain_attention(layer: PartitionAttention, x: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d)) v`` in every window (or on the dilated grid): ``[N, h, w, C] -> [N, h, w, C]``."""
    n, h, w, c = x.shape
    rows, columns = layer.partition_size
    if layer.grid:
        windows = x.view(n, rows, h // rows, columns, w // columns, c).permute(0, 2, 4, 1, 3, 5)
        back = (0, 3, 1, 4, 2, 5)
    else:
        windows = x.view(n, h // rows, rows, w // columns, columns, c).permute(0, 1, 3, 2, 4, 5)
        back = (0, 1, 3, 2, 4, 5)
    tokens = windows.reshape(-1, rows * columns, c)
    dim = c // layer.num_heads
    query, key, value = layer.qkv(tokens).unflatten(-1, (layer.num_heads, 3 * dim)).transpose(1, 2).chunk(3, dim=-1)
    weights = ((query @ key.transpose(-2, -1)) * dim**-0.5).softmax(dim=-1)
    tokens = layer.proj((weights @ value).transpose(1, 2).reshape(tokens.shape))
    return tokens.view(n, h // rows, w // columns, rows, columns, c).permute(back).reshape(n, h, w, c)


def plain_lstm(cell: ConvLstm, x: Tensor, state: LstmState | None) -> LstmState:
    """One step with the gates as one convolution over input and hidden state: x [B, C, h, w] -> the new state."""
    hidden, memory = (torch.zeros_like(x),) * 2 if state is None else (part.to(x.dtype) for part in state)
    if cell.conv3x3_dws is not None and not cell.conv_input:
        hidden = cell.conv3x3_dws(hidden)
    both = torch.cat((x, hidden), dim=1)
    if cell.conv3x3_dws is not None and cell.conv_input:
        both = cell.conv3x3_dws(both)
    mixed = cell.conv1x1(both)
    forget, inp, out = mixed[:, : 3 * cell.dim].sigmoid().chunk(3, dim=1)
    memory = forget * memory + inp * cell.cell_update_dropout(mixed[:, 3 * cell.dim :].tanh())
    return out * memory.tanh(), memory
