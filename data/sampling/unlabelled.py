"""Lanes of recordings whose labels are hidden, beside those with labels: for a detector with a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from data.sampling.specs import AugmentSpec, LaneSpec
from data.sampling.training_lanes import StreamLanes
from data.sequences.sequence import EventSequence
from utils.errors import UserError

_ORDER, _FLIP, _MOVE = 7, 8, 9
"""First words of the generators' entropies; ``data.sampling.training_lanes`` has those below."""


class UnlabelledLanes(Protocol):
    """Some lanes of every batch."""

    def specs(self, batch: int) -> tuple[LaneSpec, ...]:
        """Lanes of the ``batch``-th batch since the beginning of training."""
        ...


def unlabelled_recordings(sequences: Sequence[EventSequence]) -> list[int]:
    """Indices of the training sequences without a label that may be used.

    Raises:
        UserError: there are none.
    """
    found = [index for index, sequence in enumerate(sequences) if not sequence.visible.any()]
    if found:
        return found
    raise UserError(
        expected="training recordings whose labels are hidden: a teacher labels them (semi)",
        got=f"none: each of {len(sequences)} has labels that may be used",
        where="dataset.train_ratio",
        fix="hide those of some recordings, e.g. dataset.train_ratio=0.05 or dataset.split_file=FILE, or leave semi",
    )


class UnlabelledWindows:
    """Random access: endless passes over all windows of L frames, shuffled and dealt over ranks without repeats.

    Args:
        sequences: the training sequences.
        hidden: indices of those to look at.
        length: frames of a window, L.
        lanes: of a batch on one rank.
        seed: of order and augmentation.
        rank: which share this process draws.
        world: number of ranks.
        tflip: probability of reversed time.

    Raises:
        UserError: every recording is shorter than a window.
    """

    def __init__(
        self,
        sequences: Sequence[EventSequence],
        hidden: Sequence[int],
        length: int,
        lanes: int,
        seed: int,
        rank: int,
        world: int,
        tflip: float,
    ) -> None:
        self.hidden, self.length, self.lanes, self.seed = hidden, length, lanes, seed
        self.rank, self.world, self.tflip = rank, world, tflip
        counts = [max(sequences[index].num_frames - length + 1, 0) for index in hidden]
        self._ends = np.cumsum(counts, dtype=np.int64)
        if len(self) == 0:
            raise UserError(
                expected=f"a recording without labels of at least {length} frames (sequence_length)",
                got=f"{len(hidden)} recordings without labels, all shorter",
                where="dataset.sequence_length",
                fix="shorten dataset.sequence_length",
            )
        self._pass_length = len(self) // (lanes * world) * lanes * world or len(self)
        self._cached: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        """Number of windows."""
        return int(self._ends[-1])

    def specs(self, batch: int) -> tuple[LaneSpec, ...]:
        """Lanes of the ``batch``-th batch since the beginning of training."""
        first = (batch * self.world + self.rank) * self.lanes
        return tuple(self._spec(first + lane) for lane in range(self.lanes))

    def _spec(self, draw: int) -> LaneSpec:
        number, place = divmod(draw, self._pass_length)
        if self._cached[0] != number:
            self._cached = number, np.random.default_rng((_ORDER, self.seed, number)).permutation(len(self))
        window = int(self._cached[1][place])
        recording = int(np.searchsorted(self._ends, window, side="right"))
        start = window - (int(self._ends[recording - 1]) if recording else 0)
        flip = np.random.default_rng((_FLIP, self.seed, draw)).random() < self.tflip
        return LaneSpec(
            sequence=self.hidden[recording],
            start=start,
            stop=start + self.length,
            reverse=bool(flip),
            is_first=True,
            augment=AugmentSpec("random", (_MOVE, self.seed, draw), start, start + self.length),
        )


class UnlabelledStreams:
    """Streams: each lane plays all recordings in an order of its own, again and again, whatever an epoch is.

    Args:
        lanes: over the recordings, with as many groups as the labelled streams.
    """

    def __init__(self, lanes: StreamLanes) -> None:
        self._lanes = lanes

    def specs(self, batch: int) -> tuple[LaneSpec, ...]:
        """Lanes of the ``batch``-th batch since the beginning of training; of the same group as the labelled ones."""
        return self._lanes.specs(*divmod(batch, self._lanes.batches_per_epoch))
