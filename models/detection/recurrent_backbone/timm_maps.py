"""Whether a network of timm gives the maps that the stages need."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import nn

from models.detection.recurrent_backbone.config import STAGE_STRIDES
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from utils.errors import UserError

TIMM_ERRORS = (
    RuntimeError, TypeError, AttributeError, NotImplementedError, AssertionError, ValueError, LookupError,
)  # fmt: skip
"""What networks of timm raise when they cannot be built with some arguments, or cannot take a size."""

FIX = "choose a network with four scales for any size, e.g. resnet50, efficientnet_b0 or swin_tiny_patch4_window7_224"


def refuse(cfg: TimmBackboneConfig, got: str, error: Exception | None = None) -> NoReturn:
    """Raise the one message for networks that do not fit; of an error its first line, or its name, is told."""
    if error is not None:
        got += f": {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    height, width = cfg.in_res_hw
    strides = ", ".join(str(stride) for stride in STAGE_STRIDES)
    arguments = f" with backbone.timm_args={dict(cfg.timm_args)}" if cfg.timm_args else ""
    raise UserError(
        expected=f"a network of timm that gives maps at strides {strides} of frames of {height}x{width} pixels",
        got=got,
        where=f"backbone.timm_name={cfg.timm_name}{arguments}",
        fix=FIX,
    ) from error


def maps_of_stages(extractor: nn.Module, cfg: TimmBackboneConfig, channels_last: bool) -> list[int]:
    """Index of the last map at each of the stages' strides, seen by looking at one empty frame.

    Raises:
        UserError: there is none at some stride, the network cannot take frames of this size, or its maps have others.
    """
    strides = [int(stride) for stride in extractor.feature_info.reduction()]  # type: ignore[union-attr,operator]
    if not set(STAGE_STRIDES) <= set(strides):
        refuse(cfg, f"strides {', '.join(str(stride) for stride in sorted(set(strides)))}")
    chosen = [len(strides) - 1 - strides[::-1].index(stride) for stride in STAGE_STRIDES]
    weight = next(extractor.parameters())
    frame = torch.zeros((1, cfg.input_channels, *cfg.in_res_hw), dtype=weight.dtype, device=weight.device)
    training = extractor.training
    try:
        with torch.no_grad():
            maps = extractor.eval()(frame)
    except TIMM_ERRORS as error:
        refuse(cfg, "an error at the first frame", error)
    extractor.train(training)
    axes = slice(1, 3) if channels_last else slice(2, 4)
    for stride, index in zip(STAGE_STRIDES, chosen, strict=True):
        size, wanted = tuple(maps[index].shape[axes]), tuple(side // stride for side in cfg.in_res_hw)
        if size != wanted:
            refuse(cfg, f"a map of {'x'.join(map(str, size))} for {'x'.join(map(str, wanted))} at stride {stride}")
    return chosen
