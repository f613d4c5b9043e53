"""What the rest of the program knows of DETR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.detection.detr.config import DetrConfig
from models.detection.detr.detector import DetrDetector
from models.registry import ModelSpec

_STEM, _CLASSES, _QUERIES = "backbone.0.body.conv1.weight", "class_embed.weight", "query_embed.weight"


def build(section: Mapping[str, Any]) -> DetrDetector:
    """The network of a ``model`` section, with fresh weights."""
    return DetrDetector(DetrConfig.of(section))


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes that can be read off a state dict; those of parts that are absent are left out.

    >>> import torch
    >>> describe({"query_embed.weight": torch.zeros(100, 256), "class_embed.weight": torch.zeros(92, 256)})
    {'num_classes': 91, 'queries': 100, 'dim': 256}
    """
    sizes: dict[str, Any] = {}
    if _STEM in state:
        sizes["input_channels"] = state[_STEM].shape[1]
    if _CLASSES in state:
        sizes["num_classes"] = state[_CLASSES].shape[0] - 1
    if _QUERIES in state:
        sizes["queries"], sizes["dim"] = state[_QUERIES].shape
    return sizes


def in_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    """Width, queries, classes and, when they matter, input channels.

    >>> in_words({"num_classes": 91, "queries": 100, "dim": 256}, channels=False)
    'a DETR of width 256 with 100 queries for 91 classes'
    """
    if "dim" not in sizes:
        return "a model of another kind"
    parts = [f"{sizes['num_classes']} classes"] if "num_classes" in sizes else []
    if channels and "input_channels" in sizes:
        parts.append(f"{sizes['input_channels']} input channels")
    return f"a DETR of width {sizes['dim']} with {sizes['queries']} queries" + (
        f" for {' and '.join(parts)}" if parts else ""
    )


SPEC = ModelSpec(family=DetrDetector.family, build=build, describe_weights=describe, weights_in_words=in_words)
