"""VRT that is told of spikes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.restoration.interface import Restorer, charbonnier
from models.restoration.vrt.config import SPATIAL
from models.restoration.vrt.network import Flows, Vrt
from models.restoration.vrt_spike.config import SCALES, RestorerConfig
from models.restoration.vrt_spike.encoder import SpikeEncoder3D
from models.restoration.vrt_spike.temporal import CrossAttentionFuse, SpikeTemporalSA
from utils.errors import UserError


class VrtSpike(Restorer):
    """VRT whose first four stages attend to features of spikes.

    Args:
        config: settings.
    """

    family: ClassVar[str] = "vrt_spike"

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        dim, spikes = config.vrt.embed_dim, config.spikes
        self.spike_bins = spikes.bins if spikes.enable else 0
        self.vrt = Vrt(config.vrt)
        if spikes.enable:
            self.spike_encoder = SpikeEncoder3D(spikes.bins, dim, spikes.temporal_strides)
            self.spike_temporal_sa = SpikeTemporalSA(dim, spikes.num_heads, spikes.mlp_ratio, SCALES)
            self.cross_attn_fuse = CrossAttentionFuse(
                dim, spikes.num_heads, spikes.mlp_ratio, SCALES, spikes.fuse_zero_init
            )

    def check_alone(self) -> None:
        """See :meth:`Restorer.check_alone`: flow that is given comes with no clip."""
        if self.config.vrt.flow == "given":
            raise UserError(
                expected="optical flow that comes from nowhere (zero) or from the network itself (spynet)",
                got="'given', which is for programs that call the network with flows: clips hold none",
                where="model.vrt.flow",
                fix="set model.vrt.flow=zero, or model.vrt.flow=spynet",
            )

    def restore(self, blurred: Tensor, spikes: Tensor | None) -> Tensor:
        """See :meth:`Restorer.restore`; frames are mirrored at their edges to a size the network takes."""
        height, width = blurred.shape[-2:]
        least = self.config.vrt.smallest_side
        target = [max(least, -(-side // SPATIAL) * SPATIAL) for side in (height, width)]
        counts = None if spikes is None or self.spike_bins == 0 else self.scaled(spikes)
        if target != [height, width]:
            blurred = _mirrored(blurred, target)
            counts = None if counts is None else _mirrored(counts, target)
        return self(blurred, counts)[..., :height, :width]

    def forward(self, clip: Tensor, spikes: Tensor | None, flows: Flows | None = None) -> Tensor:
        """As :meth:`restore`, of frames of a size that VRT takes, with spikes of :meth:`scaled`.

        Raises:
            UserError: spikes are missing, or of another number of bins or frames.
        """
        if self.spike_bins == 0:
            return self.vrt(clip, flows)
        wanted = (*clip.shape[:2], self.spike_bins)
        if spikes is None or tuple(spikes.shape[:3]) != wanted:
            raise UserError(
                expected=f"spikes of {wanted[1]} frames in {wanted[2]} bins",
                got="none" if spikes is None else f"{spikes.shape[1]} frames in {spikes.shape[2]} bins",
                where="model.spikes.bins",
                fix="choose the bins of the clips, or leave spikes out with model.spikes.enable=false",
            )
        features = self.spike_temporal_sa(self.spike_encoder(spikes))
        return self.vrt(clip, flows, fuse=lambda scale, x: self.cross_attn_fuse(scale, x, features[scale]))

    def scaled(self, spikes: Tensor) -> Tensor:
        """Counts as the network takes them."""
        settings = self.config.spikes
        counts = torch.log1p(spikes) if settings.logarithm else spikes
        return (counts - settings.mean) / settings.std

    def losses(self, restored: Tensor, sharp: Tensor) -> dict[str, Tensor]:
        """The Charbonnier loss."""
        return {"loss": charbonnier(restored - sharp, self.config.delta)}


def _mirrored(volume: Tensor, size: list[int]) -> Tensor:
    """Lengthen [B, T, C, H, W] below and on the right, going back and forth over it."""
    for axis, side in zip((-2, -1), size, strict=True):
        have = volume.shape[axis]
        place = torch.arange(side, device=volume.device)
        turn = max(2 * have - 2, 1)
        place = place % turn
        volume = volume.index_select(axis, torch.where(place < have, place, turn - place))
    return volume
