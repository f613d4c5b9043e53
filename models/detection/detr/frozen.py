"""Norms of a ResNet folded into the convolutions before them, for detecting alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d


@torch.no_grad()
def fold_norms(network: nn.Module) -> None:
    """Fold every norm whose convolution stands before it among its neighbours; the numbers are those but for rounding.

    Args:
        network: in evaluation mode; it is changed.
    """
    for part in list(network.modules()):
        before: nn.Conv2d | None = None
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d | FrozenBatchNorm2d) and before is not None:
                state = child.state_dict()
                mean, var, scale, shift = (state[key] for key in ("running_mean", "running_var", "weight", "bias"))
                before.weight, before.bias = fuse_conv_bn_weights(
                    before.weight, before.bias, mean, var, child.eps, scale, shift
                )
                setattr(part, name, nn.Identity())
            before = child if isinstance(child, nn.Conv2d) else None
