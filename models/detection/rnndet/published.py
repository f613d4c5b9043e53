"""Settings for weights that come without any, as RVT's and LEOD's: the network from the shapes of its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.detection.rnndet.weight_names import describe, in_words, model_name
from utils.errors import UserError

HEADS = {"RVT-T": 32, "RVT-S": 24, "RVT-B": 32, "RVT-S deep": 24, "RVT-B deep": 32}
"""Channels of an attention head, which no shape tells, by the papers' names."""

_MASK = "backbone.stages.0.mask_token"
_GATED = "backbone.stages.0.att_blocks.0.att_window.mlp.net.0.proj.weight"
_DEPTHWISE = "backbone.stages.0.lstm.conv3x3_dws.weight"


def section_of_weights(section: Mapping[str, Any], state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """The ``model`` section of the network that tensors belong to.

    Args:
        section: says what shapes do not tell.
        state: tensors by name; of another network than RVT's they change nothing.
        where: their file, for messages.

    Raises:
        UserError: a size whose attention heads neither the papers nor the section tell.
    """
    sizes = describe(state)
    chosen = copy.deepcopy(dict(section))
    if not {"embed_dim", "num_blocks", "fpn_bottlenecks"} <= sizes.keys():
        return chosen
    backbone, fpn = chosen["backbone"], chosen["fpn"]
    name = model_name(sizes)
    if name in HEADS:
        backbone["attention"]["dim_head"] = HEADS[name]
    elif backbone["embed_dim"] != sizes["embed_dim"]:
        raise UserError(
            expected="a size of the papers, whose attention heads are known, or a config for this size",
            got=f"{in_words(sizes, channels=False)}; the config has embed_dim {backbone['embed_dim']}",
            where=where,
            fix=f"add model.backbone.embed_dim={sizes['embed_dim']} and model.backbone.attention.dim_head=...",
        )
    backbone["embed_dim"] = int(sizes["embed_dim"])
    backbone["num_blocks"] = list(sizes["num_blocks"])
    backbone["enable_masking"] = _MASK in state
    backbone["attention"]["mlp_gated"] = _GATED in state
    backbone["lstm"]["dws_conv"] = sizes["depthwise_lstm"]
    if sizes["depthwise_lstm"]:
        channels, _, kernel, _ = state[_DEPTHWISE].shape
        backbone["lstm"]["dws_conv_only_hidden"] = channels == sizes["embed_dim"]
        backbone["lstm"]["dws_conv_kernel_size"] = int(kernel)
    fpn["depth"] = sizes["fpn_bottlenecks"] / 3
    return chosen
