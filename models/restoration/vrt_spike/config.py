"""Checked settings of the spike branch and of the whole network."""

from __future__ import annotations

from dataclasses import dataclass

from models.checks import require, require_positive, whole_numbers
from models.restoration.vrt.config import VrtConfig

SCALES = 4
"""Stages of VRT that are told of spikes: those on the way down."""


@dataclass(frozen=True, kw_only=True)
class SpikeConfig:
    """The branch that looks at spikes.

    Args:
        enable: False leaves it out: VRT alone.
        bins: parts of an exposure in which spikes were counted.
        num_heads: attention heads over time.
        mlp_ratio: width of feed-forward parts, in channels.
        temporal_strides: how much shorter in time each of the last three sizes is than the one before.
        logarithm: log(1 + count) in place of counts.
        mean: subtracted then.
        std: divided by then.
        fuse_zero_init: at the start nothing of spikes gets into the frames: weights of VRT alone stay what they were.

    Raises:
        UserError: a value that the network cannot have.
    """

    enable: bool
    bins: int
    num_heads: int
    mlp_ratio: float
    temporal_strides: tuple[int, ...]
    logarithm: bool
    mean: float
    std: float
    fuse_zero_init: bool

    def __post_init__(self) -> None:
        at = "model.spikes."
        for name in ("bins", "num_heads", "mlp_ratio", "std"):
            require_positive(getattr(self, name), at + name)
        strides = whole_numbers(
            self.temporal_strides,
            at + "temporal_strides",
            f"{SCALES - 1} whole numbers from 1 on, one for every size but the largest",
            "[1,1,1]",
            least=1,
            right=lambda strides: len(strides) == SCALES - 1,
        )
        object.__setattr__(self, "temporal_strides", strides)


@dataclass(frozen=True, kw_only=True)
class RestorerConfig:
    """The whole network.

    Args:
        vrt: sizes of VRT.
        spikes: the branch that looks at spikes.
        delta: below this error, of 1, the loss is smooth.

    Raises:
        UserError: a value that the network cannot have.
    """

    vrt: VrtConfig
    spikes: SpikeConfig
    delta: float

    def __post_init__(self) -> None:
        require_positive(self.delta, "model.loss.delta")
        heads = self.spikes.num_heads
        require(
            not self.spikes.enable or self.vrt.embed_dim % heads == 0,
            "model.spikes.num_heads",
            f"a divisor of model.vrt.embed_dim={self.vrt.embed_dim}",
            heads,
            "choose another number",
        )
