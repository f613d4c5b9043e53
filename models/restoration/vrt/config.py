"""Checked settings of VRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from models.checks import require, require_positive, require_share, whole_numbers
from utils.settings import number, whole

Flow = Literal["zero", "given", "spynet"]
"""Where optical flow comes from: nowhere, the caller, or the network inside."""

FLOWS = get_args(Flow)

SPATIAL = 8
"""Frames are downsampled so often: their sides are multiples of it."""

STAGES = 7
"""Stages at 1, 1/2, 1/4, 1/8, 1/4, 1/2 and 1 of the frame's size; those after them keep it."""


@dataclass(frozen=True, kw_only=True)
class VrtConfig:
    """Sizes of VRT.

    Args:
        embed_dim: channels of the seven stages.
        late_dim: channels of those after them.
        depths: attention blocks of every stage, of the seven and of those after them.
        num_heads: attention heads everywhere.
        window: frames, rows and columns of an attention window.
        mutual_share: share of a stage's blocks that compare neighbouring frames.
        mlp_ratio: width of the feed-forward part, in channels.
        drop_path: stochastic depth of the last block; the first has none.
        deformable_groups: groups of channels with offsets of their own.
        single_frame_stages: stages, counted from 0 over all, whose windows hold one frame.
        flow: where optical flow comes from.
        identity_init: at the start frames come out as they went in; published networks begin at random.
        checkpoint_blocks: compute attention blocks twice and keep less memory in training.

    Raises:
        UserError: a value that the network cannot have.
    """

    embed_dim: int
    late_dim: int
    depths: tuple[int, ...]
    num_heads: int
    window: tuple[int, int, int]
    mutual_share: float
    mlp_ratio: float
    drop_path: float
    deformable_groups: int
    single_frame_stages: tuple[int, ...]
    flow: Flow
    identity_init: bool = False
    checkpoint_blocks: bool = False

    def __post_init__(self) -> None:
        at, fix = "model.vrt.", "choose another value"
        require(self.flow in FLOWS, at + "flow", f"one of {', '.join(FLOWS)}", self.flow, "choose one of them")
        self._check_lists(at)
        whole(self.num_heads, at + "num_heads")
        number(self.mutual_share, at + "mutual_share", most=1)
        require_positive(self.mlp_ratio, at + "mlp_ratio")
        heads = f"a multiple of num_heads={self.num_heads} and of 4"
        for name in ("embed_dim", "late_dim"):
            width = getattr(self, name)
            require(width > 0 and width % self.num_heads == 0 and width % 4 == 0, at + name, heads, width, fix)
        groups = f"a divisor of embed_dim={self.embed_dim}"
        right = self.deformable_groups > 0 and self.embed_dim % self.deformable_groups == 0
        require(right, at + "deformable_groups", groups, self.deformable_groups, fix)
        require_share(self.drop_path, at + "drop_path")

    def _check_lists(self, at: str) -> None:
        """Lists become tuples, and agree with each other."""
        depths = whole_numbers(
            self.depths,
            at + "depths",
            f"more than {STAGES} numbers of blocks, one for every stage, from 1 on",
            "[8,8,8,8,8,8,8,4,4,4,4]",
            least=1,
            right=lambda blocks: len(blocks) > STAGES,
        )
        window = whole_numbers(
            self.window,
            at + "window",
            "frames, rows and columns, from 2 on, as many rows as columns",
            "[6,8,8]",
            least=2,
            right=lambda sides: len(sides) == 3 and sides[1] == sides[2],
        )
        last = len(depths) - 1
        single = whole_numbers(
            self.single_frame_stages,
            at + "single_frame_stages",
            f"different numbers from {STAGES} to {last}, late ones of the {last + 1} stages of {at}depths",
            "[]",
            least=STAGES,
            right=lambda chosen: len(set(chosen)) == len(chosen) and max(chosen, default=last) <= last,
        )
        for name, value in (("depths", depths), ("window", window), ("single_frame_stages", single)):
            object.__setattr__(self, name, value)

    @property
    def smallest_side(self) -> int:
        """Least height and width of a frame: an eighth of it must hold a window."""
        return SPATIAL * self.window[1]
