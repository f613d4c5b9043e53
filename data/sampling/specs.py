"""What the plan says of a batch: lanes, their frames, augmentation and partners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LaneKind = Literal["random", "stream"]


@dataclass(frozen=True, slots=True)
class AugmentSpec:
    """Which random numbers augment a lane; the same for all chunks of one streamed range.

    Attributes:
        kind: whose probabilities apply.
        entropy: seed of the lane's own generator, never a global one.
        start: first frame of the item or range ...
        stop: ... and the one after its last: zoom-in targets a box of its latest labelled frame.
    """

    kind: LaneKind
    entropy: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class PartnerSpec:
    """Frames of another sequence that are laid over a lane, in the lane's direction of time.

    Attributes:
        sequence: index into the list of sequences.
        start: first frame.
        stop: the one after the last.
        position: position in the lane of the one played first.
        augment: random numbers of its own augmentation.
    """

    sequence: int
    start: int
    stop: int
    position: int
    augment: AugmentSpec


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """One lane of one batch: frames ``start`` to ``stop`` (exclusive, at most L) of a sequence.

    Attributes:
        sequence: index into the list of sequences; -1 for padding (a lane that ran out).
        start: first frame.
        stop: the one after the last; a chunk shorter than L is padded at its end (after reversal).
        reverse: time-reversed, frames and channels.
        is_first: the recurrent state starts anew.
        is_last: the sequence or range ends with this chunk.
        augment: random numbers of the augmentation; None for none.
        partner: what is laid over it; None for nothing.
    """

    sequence: int
    start: int = 0
    stop: int = 0
    reverse: bool = False
    is_first: bool = False
    is_last: bool = False
    augment: AugmentSpec | None = None
    partner: PartnerSpec | None = None

    @property
    def is_padding(self) -> bool:
        """Whether the lane holds nothing."""
        return self.sequence < 0


PADDING_LANE = LaneSpec(sequence=-1)


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """All of a batch, before any file is read.

    Attributes:
        epoch: pass of the plan.
        index: number of the batch in the epoch.
        worker_id: stream group whose recurrent states belong to the lanes.
        lanes: stream lanes, then random lanes, then unlabelled ones ...
        unlabelled: ... of which there are so many.
    """

    epoch: int
    index: int
    worker_id: int
    lanes: tuple[LaneSpec, ...]
    unlabelled: int = 0
