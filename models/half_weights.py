"""Weights of a part of a network cast for autocast with one launch, where autocast takes one for every weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class _CastTogether(torch.autograd.Function):
    """Weights in another type, and their gradients back."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.dtype = weights[0].dtype
        return tuple(_cast(weights, dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> Any:
        given = [grad for grad in grad_outputs if grad is not None]
        cast = iter(_cast(given, ctx.dtype) if given else [])
        return None, *(None if grad is None else next(cast) for grad in grad_outputs)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    cast = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(cast, list(tensors))  # pyright: ignore[reportPrivateImportUsage]
    return cast


def pays(device: torch.device) -> bool:
    """Whether launches are what a step waits for: on a GPU, in autocast."""
    return device.type == "cuda" and torch.is_autocast_enabled("cuda") and not torch.compiler.is_compiling()


def call_cast(part: nn.Module, *arguments: Any) -> Any:
    """``part(*arguments)`` in autocast with weights that are cast together; the numbers are the same.

    Args:
        part: weights of its convolutions and linear layers are cast, which autocast would cast; not those of norms. It
            is a part of the network, as its gradients are there together, for DDP to average while others are computed.
        arguments: of its ``forward``.
    """
    layers = [(name, layer) for name, layer in part.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = {
        f"{name}.{key}": weight
        for name, layer in layers
        for key, weight in layer.named_parameters(recurse=False)
        if weight.dtype == torch.float32
    }
    if not weights or not pays(next(iter(weights.values())).device):
        return part(*arguments)
    cast = _CastTogether.apply(torch.get_autocast_dtype("cuda"), *weights.values())
    return functional_call(part, dict(zip(weights, cast, strict=True)), arguments)  # type: ignore[arg-type]
