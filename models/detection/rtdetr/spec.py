"""What the rest of the program knows of RT-DETR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.detection.rnndet import weight_names
from models.detection.rnndet.spec import for_frames, start_from_pretrained
from models.detection.rtdetr.config import RtdetrConfig
from models.detection.rtdetr.detector import RtdetrDetector
from models.registry import ModelSpec

_CLASSES = "labels.weight"


def build(section: Mapping[str, Any]) -> RtdetrDetector:
    """The network of a ``model`` section, with fresh weights."""
    return RtdetrDetector(RtdetrConfig.of(section))


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes that can be read off a state dict; those of parts that are absent are left out.

    >>> import torch
    >>> describe({"labels.weight": torch.zeros(2, 128)})
    {'num_classes': 2, 'dim': 128}
    """
    if _CLASSES not in state:
        return {}
    classes, dim = state[_CLASSES].shape
    backbone = weight_names.describe({name: x for name, x in state.items() if name.startswith("backbone.")})
    return {**backbone, "num_classes": classes, "dim": dim}


def in_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    """Widths, classes and, when they matter, input channels.

    >>> in_words({"embed_dim": 32, "dim": 128, "num_classes": 2}, channels=False)
    'an RT-DETR of width 128 on a backbone with embed_dim 32 for 2 classes'
    """
    if "dim" not in sizes:
        return "a model of another kind"
    backbone = f" on a backbone with embed_dim {sizes['embed_dim']}" if "embed_dim" in sizes else ""
    more = f" and {sizes['input_channels']} input channels" if channels and "input_channels" in sizes else ""
    return f"an RT-DETR of width {sizes['dim']}{backbone} for {sizes['num_classes']} classes{more}"


SPEC = ModelSpec(
    family=RtdetrDetector.family,
    build=build,
    describe_weights=describe,
    weights_in_words=in_words,
    for_frames=for_frames,
    start_from_pretrained=start_from_pretrained,
    saves_memory={"backbone.use_gradient_checkpointing": True},
)
