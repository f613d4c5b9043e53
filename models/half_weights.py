"""Weights of a part of a network cast for autocast with one launch, where autocast takes one for every weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Cast(torch.autograd.Function):
    """Weights in another type, and their gradients back."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.dtype = weights[0].dtype
        return tuple(_cast(weights, dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        given = [grad for grad in grad_outputs if grad is not None]
        cast = iter(_cast(given, ctx.dtype) if given else [])
        return None, *(None if grad is None else next(cast) for grad in grad_outputs)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    cast = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(cast, list(tensors))  # pyright: ignore[reportPrivateImportUsage]
    return cast


def pays(part: nn.Module) -> bool:
    """Whether launches are what a step waits for: on a GPU, in autocast."""
    if torch.compiler.is_compiling() or not torch.is_autocast_enabled("cuda"):
        return False
    return next(part.parameters()).device.type == "cuda"


class CastTogether:
    """Calls a part of a network, in autocast with weights that are cast together; the numbers are the same.

    Args:
        part: weights of its convolutions and linear layers are cast, which autocast would cast; not those of norms. It
            is a part of the network, as its gradients are there together, for DDP to average while others are computed.
    """

    def __init__(self, part: nn.Module) -> None:
        self._part = part
        self._layers = [layer for layer in part.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]

    def __call__(self, *arguments: Any) -> Any:
        """``part(*arguments)``."""
        places = self._places() if pays(self._part) else []
        if not places:
            return self._part(*arguments)
        cast = _Cast.apply(torch.get_autocast_dtype("cuda"), *(weight for *_, weight in places))
        try:
            # torch.func.functional_call does this too, in more time than a hundred launches take.
            for (parameters, key, _), weight in zip(places, cast, strict=True):  # type: ignore[arg-type]
                parameters[key] = weight
            return self._part(*arguments)
        finally:
            for parameters, key, weight in places:
                parameters[key] = weight

    def _places(self) -> list[tuple[dict[str, Any], str, nn.Parameter]]:
        """Where weights to be cast lie: a layer's parameters, the name in there, and the weight."""
        return [
            (layer._parameters, key, weight)
            for layer in self._layers
            for key, weight in layer._parameters.items()
            if weight is not None and weight.dtype == torch.float32
        ]
