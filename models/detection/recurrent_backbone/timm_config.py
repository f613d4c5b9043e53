"""Checked settings of the recurrent wrapper around a timm network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.checks import require

RECURRENCES = ("convlstm", "convgru", "none")


@dataclass(frozen=True, kw_only=True)
class TimmBackboneConfig:
    """Backbone made of any timm network that gives features at several strides, with a memory at each of them.

    Args:
        timm_name: name of the network in timm, e.g. ``resnet50``.
        embed_dim: channels of stage 1; features are projected to ``embed_dim * dim_multiplier[i]`` in stage i.
        in_res_hw: height and width of the padded input in pixels.
        recurrence: what links the frames of a stage: ``convlstm``, ``convgru`` or ``none``.
        input_channels: channels of a frame.
        dim_multiplier: channel factor of stages 1 to 4.
        use_gradient_checkpointing: recompute the network's blocks in the backward pass, where timm can.
        timm_args: further arguments of timm's network, e.g. ``{"drop_path_rate": 0.1}``.
    """

    timm_name: str
    embed_dim: int
    in_res_hw: tuple[int, int]
    recurrence: str = "convlstm"
    input_channels: int = 20
    dim_multiplier: tuple[int, ...] = (1, 2, 4, 8)
    use_gradient_checkpointing: bool = False
    timm_args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_res_hw", tuple(self.in_res_hw))
        object.__setattr__(self, "dim_multiplier", tuple(self.dim_multiplier))
        known = f"one of {', '.join(RECURRENCES)}"
        require(self.recurrence in RECURRENCES, "backbone.recurrence", known, self.recurrence, "choose one of them")
        for name, values in (
            ("embed_dim", (self.embed_dim,)),
            ("input_channels", (self.input_channels,)),
            ("in_res_hw", self.in_res_hw),
            ("dim_multiplier", self.dim_multiplier),
        ):
            positive = bool(values) and min(values) > 0
            require(positive, f"backbone.{name}", "numbers above 0", values, "give positive numbers")

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of stages 1 to 4."""
        return tuple(self.embed_dim * factor for factor in self.dim_multiplier)

    @property
    def enable_masking(self) -> bool:
        """Padded pixels are zeros for these networks; there is no token for them."""
        return False
