"""Which clips a batch holds: a function of settings, seed, epoch, rank and number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.clips.config import ClipSettings
from data.clips.files import ClipSequence
from utils.errors import UserError


@dataclass(frozen=True)
class Clip:
    """A part of a sequence.

    Attributes:
        sequence: number of the sequence.
        start: first frame.
        top: first row.
        left: first column.
        side: rows and columns; None for whole frames.
        mirrored: columns, rows, and rows with columns change places.
        counted: from this frame of the clip on frames count in an evaluation; those before did already.
    """

    sequence: int
    start: int
    top: int = 0
    left: int = 0
    side: int | None = None
    mirrored: tuple[bool, bool, bool] = (False, False, False)
    counted: int = 0


@dataclass(frozen=True)
class ClipBatchSpec:
    """A batch: its place in the plan, and its clips."""

    epoch: int
    index: int
    clips: tuple[Clip, ...]


class TrainClips:
    """Every place of a clip once in an epoch, in another order each time; what does not fill a batch is dropped.

    Args:
        sequences: to be cut.
        cfg: settings.
        rank: this process.
        world: number of processes.

    Raises:
        UserError: sequences are too short or too small, or there are too few clips.
    """

    def __init__(self, sequences: Sequence[ClipSequence], cfg: ClipSettings, rank: int = 0, world: int = 1) -> None:
        self.sequences, self.cfg, self.rank, self.world = sequences, cfg, rank, world
        self.items = [
            (number, start)
            for number, sequence in enumerate(sequences)
            for start in range(sequence.frames - cfg.frames + 1)
        ]
        smallest = min(min(sequence.size) for sequence in sequences)
        if smallest < cfg.crop:
            raise UserError(
                expected=f"frames of {cfg.crop} rows and columns at least",
                got=str(smallest),
                where="model.clips.crop",
                fix="set a smaller model.clips.crop",
            )
        if len(self) == 0:
            raise UserError(
                expected=f"at least {cfg.batch_size_train * world} clips of {cfg.frames} frames",
                got=str(len(self.items)),
                where="the train split",
                fix="lower batch_size.train or model.clips.frames, or make more or longer sequences",
            )

    def __len__(self) -> int:
        return len(self.items) // (self.cfg.batch_size_train * self.world)

    def batch(self, epoch: int, index: int) -> ClipBatchSpec:
        """Batch ``index`` of ``epoch``."""
        order = np.random.default_rng([self.cfg.seed, epoch]).permutation(len(self.items))
        first = (index * self.world + self.rank) * self.cfg.batch_size_train
        return ClipBatchSpec(
            epoch, index, tuple(self._clip(epoch, first + lane, order) for lane in range(self.cfg.batch_size_train))
        )

    def _clip(self, epoch: int, place: int, order: np.ndarray) -> Clip:
        number, start = self.items[order[place]]
        rng = np.random.default_rng([self.cfg.seed, epoch, place])
        height, width = self.sequences[number].size
        top, left = (int(rng.integers(side - self.cfg.crop + 1)) for side in (height, width))
        first, second, third = (bool(self.cfg.mirror and draw < 0.5) for draw in rng.random(3))
        return Clip(number, start, top, left, self.cfg.crop, (first, second, third))


class EvalClips:
    """Every frame once, in clips of whole frames; the last clip of a sequence begins earlier, to be as long.

    All processes have equally many batches: clips that are repeated for that have no frame that counts.

    Args:
        sequences: to be cut.
        cfg: settings.
        rank: this process.
        world: number of processes.
    """

    def __init__(self, sequences: Sequence[ClipSequence], cfg: ClipSettings, rank: int = 0, world: int = 1) -> None:
        by_size: dict[tuple[int, int, int], list[Clip]] = {}
        for number, sequence in enumerate(sequences):
            length = min(cfg.frames, sequence.frames)
            for start in range(0, sequence.frames, length):
                first = min(start, sequence.frames - length)
                by_size.setdefault((*sequence.size, length), []).append(Clip(number, first, counted=start - first))
        lanes = cfg.batch_size_eval
        batches = [tuple(clips[at : at + lanes]) for clips in by_size.values() for at in range(0, len(clips), lanes)]
        self._mine = batches[rank::world]
        if len(self._mine) * world < len(batches):  # others have one more
            unseen = tuple(Clip(clip.sequence, clip.start, counted=cfg.frames) for clip in batches[0])
            self._mine.append(unseen)

    def __len__(self) -> int:
        return len(self._mine)

    def batch(self, epoch: int, index: int) -> ClipBatchSpec:
        """Batch ``index``; every epoch is the same."""
        return ClipBatchSpec(epoch, index, self._mine[index])
