"""What the rest of the program knows of DMANet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.detection.dmanet.anchors import PER_CELL
from models.detection.dmanet.config import BLOCKS, from_section
from models.detection.dmanet.detector import DmaNet
from models.registry import ModelSpec


def build(section: Mapping[str, Any]) -> DmaNet:
    """The network of a ``model`` section, with fresh weights."""
    return DmaNet(from_section(section))


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Depth, channels and classes that a state dict is for; nothing for a stranger's."""
    output, first = state.get("classificationModel.output.weight"), state.get("input_layer.0.weight")
    if output is None or first is None:
        return {}
    blocks = tuple(len({n.split(".")[1] for n in state if n.startswith(f"layer{i}.")}) for i in (1, 2, 3, 4))
    depth = next((depth for depth, known in BLOCKS.items() if known == blocks), 0)
    return {"depth": depth, "channels": len(first), "num_classes": len(output) // PER_CELL}


def in_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    """These sizes in words."""
    if not sizes:
        return "a model of another kind"
    return f"DMANet{sizes['depth']} of {sizes['channels']} channels for {sizes['num_classes']} classes"


def for_frames(section: Mapping[str, Any], frame_hw: tuple[int, int]) -> dict[str, Any]:
    """The section for frames of this size: the canvas stays, and they are stretched to it."""
    return {**section, "frame_hw": list(frame_hw)}


SPEC = ModelSpec(
    family=DmaNet.family,
    payload="events",
    build=build,
    describe_weights=describe,
    weights_in_words=in_words,
    for_frames=for_frames,
)
