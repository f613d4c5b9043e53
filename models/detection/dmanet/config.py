"""Checked settings of DMANet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.checks import require, require_positive
from utils.settings import choice, number, settings_of, whole

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks of the four layers, by the depth that the network is called after."""


@dataclass(frozen=True)
class MemoryConfig:
    """``model.memory``.

    Attributes:
        cell: adaptive (the old state is weighted by how alike two windows are) or plain (weight 1).
        first_hidden: the hidden state of a lane's first window: its own input, or zero.
        weight_eps: added to the norms that the weight is divided by.
        detach_weight: no gradient through the weight.
        reset: when lanes begin anew: with every call (clip), with a recording, or never after the first one.
    """

    cell: str = "adaptive"
    first_hidden: str = "input"
    weight_eps: float = 1e-6
    detach_weight: bool = False
    reset: str = "recording"

    def __post_init__(self) -> None:
        choice(self.cell, ("adaptive", "plain"), "model.memory.cell")
        choice(self.first_hidden, ("input", "zero"), "model.memory.first_hidden")
        require_positive(self.weight_eps, "model.memory.weight_eps")
        choice(self.reset, ("clip", "recording", "never"), "model.memory.reset")


@dataclass(frozen=True)
class LossConfig:
    """``model.loss``.

    Attributes:
        precision: fp32: scores are taken in float32 whatever the network computes in; autocast: as it computes.
        clamp_eps: scores are kept this far from 0 and 1 before the logarithm.
        from_logits: the logarithm of the sigmoid at once, without a clamp.
        empty_frame_norm: none: frames without boxes count with their whole sum; anchors: with its mean.
        box_weight: of the box loss against the class loss.
    """

    precision: str = "fp32"
    clamp_eps: float = 1e-4
    from_logits: bool = False
    empty_frame_norm: str = "none"
    box_weight: float = 1.0

    def __post_init__(self) -> None:
        choice(self.precision, ("fp32", "autocast"), "model.loss.precision")
        number(self.clamp_eps, "model.loss.clamp_eps", most=0.5)
        choice(self.empty_frame_norm, ("none", "anchors"), "model.loss.empty_frame_norm")
        number(self.box_weight, "model.loss.box_weight")


@dataclass(frozen=True)
class DmaNetConfig:
    """The ``model`` section.

    Attributes:
        num_classes: of the dataset.
        frame_hw: height and width of the frames that boxes are told in.
        size: side of the square canvas that pillars lie on.
        max_points: points of a pillar; the pillar network takes 4 or 5.
        depth: 18 or 34.
        channels: of the four layers.
        head_channels: of pyramid and heads.
        memory, loss: see there.
        max_candidates: boxes of a frame that are compared in the suppression, best scores first; None for all.
    """

    num_classes: int
    frame_hw: tuple[int, int]
    size: int = 512
    max_points: int = 5
    depth: int = 18
    channels: tuple[int, int, int, int] = (64, 128, 256, 256)
    head_channels: int = 256
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    max_candidates: int | None = None

    def __post_init__(self) -> None:
        right = isinstance(self.size, int) and self.size >= 64 and self.size % 32 == 0
        require(right, "model.pillars.size", "a multiple of 32 from 64 on", self.size, "set it to 512")
        right = self.max_points in (4, 5)
        require(right, "model.pillars.max_points", "4 or 5", self.max_points, "leave it at 5, as published")
        require(self.depth in BLOCKS, "model.depth", "18 or 34", self.depth, "take one of them")
        right = len(self.channels) == 4 and all(isinstance(n, int) and n > 0 and n % 2 == 0 for n in self.channels)
        require(right, "model.channels", "four even numbers", self.channels, "set model.channels=[64,128,256,256]")
        whole(self.head_channels, "model.head_channels")
        if self.max_candidates is not None:
            whole(self.max_candidates, "model.max_candidates")


def from_section(section: Mapping[str, Any]) -> DmaNetConfig:
    """Settings from the ``model`` section as plain containers.

    Raises:
        UserError: a value that the network cannot have, with the name of its key.
    """
    frame_hw = section["frame_hw"]
    right = isinstance(frame_hw, Sequence) and len(frame_hw) == 2
    require(right, "model.frame_hw", "height and width", frame_hw, "leave it out: it follows the dataset")
    return DmaNetConfig(
        num_classes=int(section["num_classes"]),
        frame_hw=(whole(frame_hw[0], "model.frame_hw"), whole(frame_hw[1], "model.frame_hw")),
        size=section["pillars"]["size"],
        max_points=section["pillars"]["max_points"],
        depth=section["depth"],
        channels=tuple(section["channels"]),  # type: ignore[arg-type] # checked by the dataclass
        head_channels=section["head_channels"],
        memory=settings_of(MemoryConfig, section, "memory"),
        loss=settings_of(LossConfig, section, "loss"),
        max_candidates=section["max_candidates"],
    )
