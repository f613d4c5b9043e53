"""Attention over very few tokens on the CPU, where torch's kernels spend most time on overhead.

torch's softmax leaves its vectorised path below 16 elements and the fused attention kernel works window by window;
for windows of six tokens both are several times slower than the same arithmetic on whole batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MAX_TOKENS = 15


class SmallWindowAttention(torch.autograd.Function):
    """``softmax(q k^T * scale) v`` by batched products: qkv [3, N, T, d] -> [N, T, d]."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, scale: float) -> Tensor:
        """Attend; keeps qkv and the attention weights [N, T, T] for the backward pass."""
        q, k, v = qkv.unbind(0)
        weights = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
        weights.sub_(weights.amax(dim=-1, keepdim=True)).exp_()
        weights.div_(weights.sum(dim=-1, keepdim=True))
        ctx.save_for_backward(qkv, weights)
        ctx.scale = scale
        return torch.bmm(weights, v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradient of qkv in one buffer."""
        qkv, weights = ctx.saved_tensors
        q, k, v = qkv.unbind(0)
        grad = grads[0].contiguous()
        result = torch.empty_like(qkv)
        torch.bmm(weights.transpose(1, 2), grad, out=result[2])
        logits = torch.bmm(grad, v.transpose(1, 2)).mul_(weights)
        logits.addcmul_(weights, logits.sum(dim=-1, keepdim=True), value=-1).mul_(ctx.scale)
        torch.bmm(logits, k, out=result[0])
        torch.bmm(logits.transpose(1, 2), q, out=result[1])
        return result, None


def use_small_window(qkv: Tensor, tokens: int) -> bool:
    """Whether :class:`SmallWindowAttention` is the faster way: on the CPU, without autocast, for few tokens."""
    return (
        tokens <= MAX_TOKENS
        and qkv.device.type == "cpu"
        and qkv.dtype in (torch.float32, torch.float64)
        and not torch.compiler.is_compiling()
    )
