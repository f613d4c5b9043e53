"""Configurations for weight files that hold none, as RVT's and LEOD's: the network from the shapes of its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from models.detection.rnndet.weight_names import describe, in_words, model_name
from utils.errors import UserError

HEADS = {"RVT-T": 32, "RVT-S": 24, "RVT-B": 32, "RVT-S deep": 24, "RVT-B deep": 32}
"""Channels of an attention head, which no shape tells, by the papers' names."""

_MASK = "backbone.stages.0.mask_token"
_GATED = "backbone.stages.0.att_blocks.0.att_window.mlp.net.0.proj.weight"
_DEPTHWISE = "backbone.stages.0.lstm.conv3x3_dws.weight"


def config_for(state: Mapping[str, Tensor], config: Mapping[str, Any] | None, where: Path | str) -> dict[str, Any]:
    """The configuration of a file's network: dataset and everything that shapes do not tell from ``config``.

    Args:
        state: tensors of the file by name.
        config: composed as for ``val.py``, plain containers; a copy is changed.
        where: the file, for messages.

    Raises:
        UserError: there is no configuration, or one that does not tell the attention heads of an unknown size.
    """
    sizes = describe(state)
    if config is None:
        raise UserError(
            expected="a checkpoint that holds its configuration, or overrides that say its dataset",
            got=f"weights only: {in_words(sizes, channels=True)}",
            where=str(where),
            fix="add the dataset it was trained on, e.g. dataset=gen1 (2 classes) or dataset=gen4 (3 classes)",
        )
    chosen = copy.deepcopy(dict(config))
    if not {"embed_dim", "num_blocks", "fpn_bottlenecks"} <= sizes.keys():
        return chosen
    backbone, fpn = chosen["model"]["backbone"], chosen["model"]["fpn"]
    name = model_name(sizes)
    if name in HEADS:
        backbone["attention"]["dim_head"] = HEADS[name]
    elif backbone["embed_dim"] != sizes["embed_dim"]:
        raise UserError(
            expected="a size of the papers, whose attention heads are known, or a config for this size",
            got=f"{in_words(sizes, channels=False)}; the config has embed_dim {backbone['embed_dim']}",
            where=str(where),
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
