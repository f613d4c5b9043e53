"""What a state dict is, in the papers' words: RVT-T, RVT-S, RVT-B, for so many classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_STEM = "backbone.stages.0.downsample_cf2cl.conv.weight"
_CLASSES = "yolox_head.cls_preds.0.weight"
_BOTTLENECK = re.compile(r"fpn\.C3_p4\.m\.(\d+)\.")
_BLOCK = re.compile(r"backbone\.stages\.(\d+)\.att_blocks\.(\d+)\.")
_DEPTHWISE = "backbone.stages.0.lstm.conv3x3_dws.weight"
_FLAT = (1, 1, 1, 1)

MODELS = {
    (32, _FLAT, 1, False): "RVT-T",
    (48, _FLAT, 1, False): "RVT-S",
    (64, _FLAT, 2, False): "RVT-B",
    (48, (2, 3, 3, 2), 1, True): "RVT-S deep",
    (96, (2, 3, 6, 2), 2, True): "RVT-B deep",
}
"""Names by embed_dim, blocks a stage, bottlenecks of a pyramid layer, and whether the LSTM has its depthwise layer."""


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes that can be read off a state dict; those of parts that are absent are left out.

    >>> import torch
    >>> describe({"backbone.stages.0.downsample_cf2cl.conv.weight": torch.zeros(32, 20, 7, 7)})
    {'embed_dim': 32, 'input_channels': 20, 'depthwise_lstm': False}
    """
    sizes: dict[str, Any] = {}
    if _STEM in state:
        sizes["embed_dim"], sizes["input_channels"] = state[_STEM].shape[:2]
        sizes["depthwise_lstm"] = _DEPTHWISE in state
    if _CLASSES in state:
        sizes["num_classes"] = state[_CLASSES].shape[0]
    found = [match.groups() for name in state if (match := _BLOCK.match(name))]
    if found:
        stages = sorted({int(stage) for stage, _ in found})
        sizes["num_blocks"] = tuple(len({block for own, block in found if int(own) == stage}) for stage in stages)
    bottlenecks = {match.group(1) for name in state if (match := _BOTTLENECK.match(name))}
    if bottlenecks:
        sizes["fpn_bottlenecks"] = len(bottlenecks)
    return sizes


def model_name(sizes: Mapping[str, Any]) -> str:
    """Name of a size in the papers, or its sizes in words.

    >>> model_name({"embed_dim": 64, "num_blocks": (1, 1, 1, 1), "fpn_bottlenecks": 2, "depthwise_lstm": False})
    'RVT-B'
    >>> model_name({"embed_dim": 16, "fpn_bottlenecks": 1})
    'a detector with embed_dim 16, fpn_bottlenecks 1'
    """
    keys = ("embed_dim", "num_blocks", "fpn_bottlenecks", "depthwise_lstm")
    known = MODELS.get(tuple(sizes.get(key) for key in keys))  # type: ignore[arg-type] # absent sizes match nothing
    if known is not None:
        return known
    words = [f"{key} {_plain(sizes[key])}" for key in keys if key in sizes and sizes[key] is not False]
    return f"a detector with {', '.join(words)}" if words else "a detector of another kind"


def in_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    """Model, classes and, when they matter, input channels.

    >>> in_words({"num_classes": 2, "input_channels": 20}, channels=True)
    'a detector of another kind for 2 classes and 20 input channels'
    """
    parts = []
    if "num_classes" in sizes:
        parts.append(f"{sizes['num_classes']} classes")
    if channels and "input_channels" in sizes:
        parts.append(f"{sizes['input_channels']} input channels")
    return model_name(sizes) + (f" for {' and '.join(parts)}" if parts else "")


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
