"""Weights made ready for detecting alone: what does not depend on the frame is computed once.

The numbers are those of the network in evaluation mode but for rounding. Names and weights are others afterwards, so a
network that is frozen is neither trained nor saved nor loaded into any more.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models.detection.yolox.blocks import BaseConv
from models.layers.attention import AttentionBlock, LayerScale
from models.layers.lstm import ConvLstm


@torch.no_grad()
def freeze(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Fold batch norms into their convolutions and factors into the linear layers before them; order LSTM weights.

    Args:
        network: in evaluation mode; it is changed.
        dtype: of its weights from now on; None leaves it.
    """
    for part in network.modules():
        if isinstance(part, BaseConv) and isinstance(part.bn, nn.BatchNorm2d):
            _fold_norm(part)
        elif isinstance(part, AttentionBlock):
            _fold_scale(part, "ls1", part.self_attn.proj)
            _fold_scale(part, "ls2", part.mlp.net[-1])
    for part in list(network.modules()):
        for name, weight in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(weight.to(dtype or weight.dtype), requires_grad=False))
    for part in network.modules():
        if isinstance(part, ConvLstm):
            part.keep_weights()


def _fold_norm(block: BaseConv) -> None:
    conv, norm = block.conv, block.bn
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = weight, bias
    block.bn = nn.Identity()  # type: ignore[assignment]


def _fold_scale(block: AttentionBlock, name: str, linear: nn.Module) -> None:
    scale = block.get_submodule(name)
    if not isinstance(scale, LayerScale):
        return
    assert isinstance(linear, nn.Linear)
    linear.weight.mul_(scale.gamma[:, None])
    if linear.bias is not None:
        linear.bias.mul_(scale.gamma)
    setattr(block, name, nn.Identity())
