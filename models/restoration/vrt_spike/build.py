"""From the ``model`` section of a config to the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.restoration.vrt.config import VrtConfig
from models.restoration.vrt_spike.config import RestorerConfig, SpikeConfig
from models.restoration.vrt_spike.restorer import VrtSpike

_STEM = "vrt.conv_first.weight"
_LATE = "vrt.norm.weight"
_SPIKES = "spike_encoder.in_proj.weight"
_TABLE = "vrt.stage1.residual_group2.blocks.0.attn.relative_position_index"


def build(section: Mapping[str, Any]) -> VrtSpike:
    """The network of a ``model`` section, with fresh weights.

    Raises:
        UserError: a value that the network cannot have, with the name of its key.
    """
    config = RestorerConfig(
        vrt=VrtConfig(**section["vrt"]), spikes=SpikeConfig(**section["spikes"]), delta=section["loss"]["delta"]
    )
    return VrtSpike(config)


def own_names(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors of VRT alone, as it is published, as part of the whole network.

    >>> import torch
    >>> list(own_names({"conv_first.bias": torch.zeros(1)}))
    ['vrt.conv_first.bias']
    """
    alone = "conv_first.bias" in state
    return {f"vrt.{name}": value for name, value in state.items()} if alone else state


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes that can be read off a state dict; those of parts that are absent are left out."""
    sizes: dict[str, Any] = {}
    if _STEM in state:
        sizes["embed_dim"] = state[_STEM].shape[0]
        sizes["spike_bins"] = state[_SPIKES].shape[1] if _SPIKES in state else 0
    if _LATE in state:
        sizes["late_dim"] = state[_LATE].shape[0]
    if _TABLE in state:
        sizes["window_tokens"] = state[_TABLE].shape[0]
    return sizes


def in_words(sizes: Mapping[str, Any], *, channels: bool) -> str:
    """Sizes in words.

    >>> in_words({"embed_dim": 96, "spike_bins": 32, "late_dim": 120}, channels=True)
    'a VRT with embed_dim 96, late_dim 120, spike_bins 32'
    """
    keys = ("embed_dim", "late_dim", "window_tokens", "spike_bins")
    words = ", ".join(f"{key} {sizes[key]}" for key in keys if key in sizes)
    return f"a VRT with {words}" if words else "a model of another kind"
