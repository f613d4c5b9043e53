"""Stages of VRT: frames at one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from models.restoration.vrt.alignment import FlowGuidedConv, with_neighbours
from models.restoration.vrt.blocks import GatedMlp, Group
from models.restoration.vrt.config import VrtConfig

Reshape = Literal["none", "down", "up"]


class _Rearranged(nn.Module):
    """Pixels of 2x2 become channels (down), or channels pixels (up); channels last."""

    def __init__(self, way: Reshape) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, H, W, C]; channels are ordered by column, row and channel."""
        batch, frames, rows, columns, channels = x.shape
        if self.way == "down":
            x = x.view(batch, frames, rows // 2, 2, columns // 2, 2, channels)
            return x.permute(0, 1, 2, 4, 5, 3, 6).flatten(4)
        if self.way == "up":
            x = x.view(batch, frames, rows, columns, 2, 2, channels // 4)
            return x.permute(0, 1, 2, 5, 3, 4, 6).flatten(4, 5).flatten(2, 3)
        return x


class Stage(nn.Module):
    """Blocks that compare neighbouring frames, blocks over all frames of a window, and neighbours brought into place.

    Args:
        config: sizes.
        way: how the size changes first.
        depth: number of blocks.
        drop_path: of every block.
        reach: how far from the flow neighbours are looked for, pixels.
    """

    def __init__(self, config: VrtConfig, way: Reshape, drop_path: Sequence[float], reach: float) -> None:
        super().__init__()
        dim, heads = config.embed_dim, config.num_heads
        incoming = {"none": dim, "down": 4 * dim, "up": dim // 4}[way]
        layers: list[nn.Module] = [_Rearranged(way), nn.LayerNorm(incoming)]
        if way != "none":
            layers.append(nn.Linear(incoming, dim))
        self.reshape = nn.Sequential(*layers)
        mutual = int(len(drop_path) * config.mutual_share)
        shared = {"mlp_ratio": config.mlp_ratio, "checkpointed": config.checkpoint_blocks}
        pairs = (2, *config.window[1:])
        self.residual_group1 = Group(dim, heads, pairs, drop_path[:mutual], mutual=True, **shared)
        self.linear1 = nn.Linear(dim, dim)
        self.residual_group2 = Group(dim, heads, config.window, drop_path[mutual:], mutual=False, **shared)
        self.linear2 = nn.Linear(dim, dim)
        self.pa_deform = FlowGuidedConv(dim, config.deformable_groups, reach)
        self.pa_fuse = GatedMlp(3 * dim, 3 * dim, dim)

    def forward(self, x: Tensor, flows: tuple[Tensor, Tensor]) -> Tensor:
        """Volumes [B, T, H, W, C]; flows at the size after the change, see :func:`with_neighbours`."""
        x = self.reshape(x)
        x = self.linear1(self.residual_group1(x)) + x
        x = self.linear2(self.residual_group2(x)) + x
        return with_neighbours(x, flows, self.pa_deform, self.pa_fuse)


class LateStage(nn.Module):
    """Blocks over all frames of a window, added to what comes in.

    Args:
        config: sizes.
        index: number of the stage among all, from 0.
        drop_path: of every block.
    """

    def __init__(self, config: VrtConfig, index: int, drop_path: Sequence[float]) -> None:
        super().__init__()
        window = (1, *config.window[1:]) if index in config.single_frame_stages else config.window
        self.residual_group = Group(
            config.late_dim,
            config.num_heads,
            window,
            drop_path,
            mutual=False,
            mlp_ratio=config.mlp_ratio,
            checkpointed=config.checkpoint_blocks,
        )
        self.linear = nn.Linear(config.late_dim, config.late_dim)

    def forward(self, x: Tensor) -> Tensor:
        """A volume [B, T, H, W, C]."""
        return x + self.linear(self.residual_group(x))
