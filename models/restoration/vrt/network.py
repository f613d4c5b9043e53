"""VRT for deblurring: as many frames come out as go in."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.restoration.vrt.config import SPATIAL, STAGES, VrtConfig
from models.restoration.vrt.spynet import SCALES, SpyNet
from models.restoration.vrt.stage import LateStage, Reshape, Stage
from models.restoration.vrt.warping import four_nearest
from utils.errors import UserError

Flows = tuple[list[Tensor], list[Tensor]]
"""Flow to the frame after and to the frame before: for k = 0..3 [B, T-1, 2 (x, y), H/2^k, W/2^k], in pixels there."""

WAYS: tuple[Reshape, ...] = ("none", "down", "down", "down", "up", "up", "up")
SIZES = (0, 1, 2, 3, 2, 1, 0)
"""How often each stage's size is halved."""

REACH = 10.0
"""How far from the flow the first stage looks for neighbours, pixels."""

CHANNELS = 27
"""RGB of a frame, and of four pixels of each of its neighbours."""


class Vrt(nn.Module):
    """The video restoration transformer.

    Args:
        config: sizes.

    Parameters and buffers carry the names of the published weights. The flow network is always there; where flow
    comes from elsewhere it is not trained.
    """

    def __init__(self, config: VrtConfig) -> None:
        super().__init__()
        self.config = config
        blocks = sum(config.depths)
        rates = [config.drop_path * index / (blocks - 1) for index in range(blocks)]
        by_stage = [[rates.pop(0) for _ in range(depth)] for depth in config.depths]
        self.conv_first = nn.Conv3d(CHANNELS, config.embed_dim, (1, 3, 3), padding=(0, 1, 1))
        self.spynet = SpyNet().requires_grad_(config.flow == "spynet")
        for index, (way, halved) in enumerate(zip(WAYS, SIZES, strict=True)):
            self.add_module(f"stage{index + 1}", Stage(config, way, by_stage[index], REACH / 2**halved))
        dim, late_dim = config.embed_dim, config.late_dim
        widen = nn.Sequential(nn.Identity(), nn.LayerNorm(dim), nn.Linear(dim, late_dim))
        late = (LateStage(config, index, by_stage[index]) for index in range(STAGES, len(config.depths)))
        self.stage8 = nn.ModuleList([widen, *late])
        self.norm = nn.LayerNorm(late_dim)
        self.conv_after_body = nn.Linear(late_dim, dim)
        self.conv_last = nn.Conv3d(dim, 3, (1, 3, 3), padding=(0, 1, 1))
        if config.identity_init:
            for weight in self.conv_last.parameters():
                nn.init.zeros_(weight)

    def forward(
        self, clip: Tensor, flows: Flows | None = None, fuse: Callable[[int, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Sharpen a clip.

        Args:
            clip: RGB in [0, 1], [B, T, 3, H, W]; sides are multiples of 8.
            flows: where flow is ``given``.
            fuse: changes what the first four stages give: index 0..3 and features [B, T, H/2^i, W/2^i, C].

        Returns:
            RGB [B, T, 3, H, W], not limited to [0, 1].

        Raises:
            UserError: too few frames, or frames of a size that cannot be.
        """
        self._check(clip)
        backward, forward = self.flows(clip, flows)
        aligned = torch.cat((clip, *_neighbours(clip, backward[0], forward[0])), dim=2)
        first = self.conv_first(aligned.transpose(1, 2)).movedim(1, -1)
        features = self._features(first, (backward, forward), fuse)
        last = first + self.conv_after_body(features)
        return self.conv_last(last.movedim(-1, 1)).transpose(1, 2) + clip

    def flows(self, clip: Tensor, flows: Flows | None) -> Flows:
        """Flow as the settings say."""
        batch, length, _, height, width = clip.shape
        if self.config.flow == "given":
            if flows is None:
                raise UserError(
                    expected="flow between the frames",
                    got="none",
                    where="model.vrt.flow",
                    fix="pass flows to the network, or choose flow=spynet or flow=zero",
                )
            return flows
        if self.config.flow == "spynet":
            earlier, later = clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)
            pairs = ((earlier, later), (later, earlier))
            backward, forward = (
                [flow.unflatten(0, (batch, length - 1)) for flow in self.spynet(*pair)] for pair in pairs
            )
            return backward, forward
        none = [clip.new_zeros(batch, length - 1, 2, height >> k, width >> k) for k in range(SCALES)]
        return none, none

    def _features(self, x: Tensor, flows: Flows, fuse: Callable[[int, Tensor], Tensor] | None) -> Tensor:
        kept: list[Tensor] = []
        first = STAGES // 2 + 1
        for index in range(STAGES):
            size = SIZES[index]
            if index > first:  # the features of this size on the way down
                x = x + kept[SIZES[index - 1]]
            x = self.get_submodule(f"stage{index + 1}")(x, (flows[0][size], flows[1][size]))
            if index < first:
                x = x if fuse is None else fuse(index, x)
                kept.append(x)
        x = x + kept[0]
        for stage in self.stage8:
            x = stage(x)
        return self.norm(x)

    def _check(self, clip: Tensor) -> None:
        length, (height, width) = clip.shape[1], clip.shape[-2:]
        least = self.config.smallest_side
        right = length >= 2 and min(height, width) >= least and height % SPATIAL == width % SPATIAL == 0
        if not right:
            raise UserError(
                expected=f"clips of two frames or more whose sides are multiples of {SPATIAL}, {least} or more",
                got=f"{length} frames of {height}x{width}",
                where="the clip",
                fix="give longer clips or larger frames, or choose a smaller model.vrt.window",
            )


def _neighbours(clip: Tensor, backward: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    """Four pixels of the frame after and of the frame before, [B, T, 12, H, W] each; a missing frame is zero."""
    batch, length = clip.shape[:2]
    each = (0, 0, 0, 0, 0, 0)
    after = four_nearest(clip[:, 1:].flatten(0, 1), backward.flatten(0, 1)).unflatten(0, (batch, length - 1))
    before = four_nearest(clip[:, :-1].flatten(0, 1), forward.flatten(0, 1)).unflatten(0, (batch, length - 1))
    return F.pad(after, (*each, 0, 1)), F.pad(before, (*each, 1, 0))
