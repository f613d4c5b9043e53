"""Recurrences over the pixels of a map in cuDNN: in which type, in how many pieces, with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MAX_PIXELS = 65_535
"""Most sequences in one call: kernels that count them in the second or third dimension of a grid take no more."""

BFLOAT16_SINCE = 91_300
"""Version of cuDNN from which its recurrences take bfloat16."""

Kernel = Callable[[Tensor, list[Tensor], list[Tensor]], tuple[Tensor, ...]]
"""From inputs [L, N, C], states [1, N, C] and weights to outputs [L, N, C] and the last states [1, N, C]."""


def lstm(x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, ...]:
    """Torch's LSTM of one layer; states are hidden and cell state."""
    return torch.lstm(x, states, weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)


def gru(x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, ...]:
    """Torch's GRU of one layer; the state is the hidden state."""
    return torch.gru(x, states[0], weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Type that autocast gives the results of products, that of ``x`` without autocast."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def cudnn_dtype(wanted: torch.dtype) -> torch.dtype:
    """Type in which cuDNN runs a recurrence: the one wanted, float32 where it has no kernels for that."""
    if wanted == torch.bfloat16 and (torch.backends.cudnn.version() or 0) < BFLOAT16_SINCE:
        return torch.float32
    return wanted


def one_piece(weights: Sequence[Tensor]) -> list[Tensor]:
    """The same weights as views into one buffer, in cuDNN's order: it would copy them together at every call."""
    if all(weight.untyped_storage()._cdata == weights[0].untyped_storage()._cdata for weight in weights):
        return list(weights)  # they are already
    flat = torch.cat([weight.flatten() for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


def recur(kernel: Kernel, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Run a recurrence on a GPU in autocast's type.

    Within autocast torch would cast everything to float16, whatever type is asked for. So this leaves autocast, and
    casts inputs, states and weights itself.

    Args:
        kernel: :func:`lstm` or :func:`gru`.
        x: inputs [L, N, C], one sequence a pixel.
        states: before the first step, [1, N, C] each.
        weights: of inputs and hidden state, then both biases, with gates in torch's order.

    Returns:
        outputs [L, N, C] and the states after the last step, [1, N, C] each, in autocast's type.
    """
    wanted = autocast_dtype(x)
    dtype = cudnn_dtype(wanted)
    with torch.autocast(x.device.type, enabled=False):
        params = one_piece([weight.to(dtype) for weight in weights])
        pieces = math.ceil(x.shape[1] / MAX_PIXELS)
        parts = zip(*(tensor.to(dtype).chunk(pieces, dim=1) for tensor in (x, *states)), strict=True)
        results = [kernel(part[0].contiguous(), [s.contiguous() for s in part[1:]], params) for part in parts]
        joined = results[0] if pieces == 1 else [torch.cat(column, dim=1) for column in zip(*results, strict=True)]
    return tuple(tensor.to(wanted) for tensor in joined)
