"""What the rest of the program knows of the recurrent detector."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.recurrent_backbone.timm_weights import load_pretrained
from models.detection.rnndet.build import detector_config
from models.detection.rnndet.detector import YoloXDetector
from models.detection.rnndet.published import section_of_weights
from models.detection.rnndet.weight_names import describe, in_words
from models.registry import ModelSpec
from utils.padding import padded_size, window_size


def build(section: Mapping[str, Any]) -> YoloXDetector:
    """The network of a ``model`` section, with fresh weights."""
    return YoloXDetector(detector_config(section))


def for_frames(section: Mapping[str, Any], frame_hw: tuple[int, int]) -> dict[str, Any]:
    """The section with padding and attention windows for frames of this size; weights depend on neither."""
    chosen = copy.deepcopy(dict(section))
    backbone = chosen["backbone"]
    split = int(backbone["partition_split_32"])
    size = padded_size(frame_hw, False, split)
    backbone["in_res_hw"], backbone["partition_size"] = list(size), list(window_size(size, split))
    return chosen


def start_from_pretrained(network: nn.Module, section: Mapping[str, Any]) -> None:
    """Start a timm backbone from ``backbone.pretrained_file``, if one is given.

    Raises:
        UserError: the file is missing or does not fit the network.
    """
    path = section["backbone"].get("pretrained_file")
    if path:
        backbone = network.get_submodule("backbone")
        assert isinstance(backbone, TimmRnnDetector), "only timm backbones have the key"
        load_pretrained(backbone, path)


SPEC = ModelSpec(
    family=YoloXDetector.family,
    build=build,
    describe_weights=describe,
    weights_in_words=in_words,
    for_frames=for_frames,
    for_weights=section_of_weights,
    start_from_pretrained=start_from_pretrained,
    saves_memory={"backbone.use_gradient_checkpointing": True},
)
