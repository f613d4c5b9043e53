"""Batch normalisation over the batches of all processes on a CPU, where torch has none."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.layer_sync import LayerSync
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; so is its gradient, as every process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        total = grad_outputs[0].clone()
        dist.all_reduce(total)
        return total


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` whose training statistics are those of the batches of all processes together.

    ``torch.nn.SyncBatchNorm`` does the same on GPUs and refuses CPU tensors. Batches may differ in size, and be empty
    on some processes, as long as every process calls its layers in the same order.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [N, C, H, W]."""
        if not (self.training and dist.is_initialized()):
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = values.numel() // self.num_features
        first = torch.cat([values.sum(dim=(0, 2, 3)), values.new_tensor([count])])
        total = _SumOverProcesses.apply(first)
        number = total[-1].detach().clamp(min=1)
        mean = total[:-1] / number
        centred = values - mean[:, None, None]
        variance = _SumOverProcesses.apply((centred**2).sum(dim=(0, 2, 3))) / number
        self._follow(mean.detach(), variance.detach(), number)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, number: Tensor) -> None:
        """Move the running statistics; the variance without bias, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None, "batch norms of this project have a momentum"
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * number / (number - 1).clamp(min=1), self.momentum)


class CpuSyncBatchNorm(LayerSync):
    """Lightning's hook that makes every ``BatchNorm2d`` of a model a synced one, and back; parameters stay in place."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Sync all batch norms."""
        return _exchange(model, nn.BatchNorm2d, SyncedBatchNorm2d)

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo ``apply``."""
        return _exchange(model, SyncedBatchNorm2d, nn.BatchNorm2d)


def _exchange(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> nn.Module:
    for layer in model.modules():
        if type(layer) is old:
            layer.__class__ = new  # same attributes; parameters and buffers keep their identity
    return model
