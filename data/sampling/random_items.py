"""Random access: every sample is the L frames that end at a labelled frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.sequences.sequence import EventSequence, boxes_per_class
from utils.errors import UserError


class RandomItems:
    """All samples of random access, in order of sequence and time.

    An item ends at a labelled frame (labels hidden by sub-sampling count as well) that has L-1 frames before it, and
    holds at least one labelled frame whose labels may be used.

    Args:
        sequences: the training sequences.
        length: L.
        tflip_offset: label offset of reversed samples.
    """

    def __init__(self, sequences: Sequence[EventSequence], length: int, tflip_offset: int = -1) -> None:
        self.sequences = sequences
        self.length = length
        self.tflip_offset = tflip_offset
        parts = [self._items_of(index) for index in range(len(sequences))]
        items = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)
        self._sequence: npt.NDArray[np.int64] = items[:, 0]
        self._frame: npt.NDArray[np.int64] = items[:, 1]

    def __len__(self) -> int:
        return len(self._sequence)

    @property
    def sequence_of(self) -> npt.NDArray[np.int64]:
        """Sequence of each item, ascending [N]."""
        return self._sequence

    def _items_of(self, index: int) -> npt.NDArray[np.int64]:
        """(sequence, labelled frame) of its items, int64 [n, 2]."""
        sequence = self.sequences[index]
        frame = np.arange(np.searchsorted(sequence.repr_idx, self.length - 1), sequence.num_labelled)
        stop = sequence.repr_idx[frame] + 1
        visible_before = np.concatenate(([0], np.cumsum(sequence.visible)))
        first = np.searchsorted(sequence.repr_idx, stop - self.length)
        frame = frame[visible_before[frame + 1] > visible_before[first]]
        return np.stack((np.full_like(frame, index), frame), axis=1)

    def require_items(self) -> None:
        """Raise a UserError that explains why there is nothing to sample."""
        if len(self):
            return
        labelled = sum(int(sequence.visible.sum()) for sequence in self.sequences)
        raise UserError(
            expected=f"a labelled frame with {self.length - 1} frames before it (sequence_length {self.length})",
            got=f"{len(self.sequences)} sequences with {labelled} labelled frames, none of them late enough",
            where="random sampling of the train split",
            fix="shorten dataset.sequence_length, or set dataset.train.sampling=stream, which needs no frames before",
        )

    def anchor(self, item: int, start: int, stop: int, reverse: bool) -> int:
        """The latest frame (in playing order) with usable labels of the item's window."""
        sequence = self.sequences[self._sequence[item]]
        shift = self.tflip_offset if reverse else 0
        labels = sequence.frames_between(start + shift, stop + shift)
        usable = sequence.repr_idx[labels][sequence.visible[labels]]
        return int(usable[0] if reverse else usable[-1])

    def sequence_index(self, item: int) -> int:
        """Which sequence the item belongs to."""
        return int(self._sequence[item])

    def window(self, item: int, reverse: bool) -> tuple[int, int, bool]:
        """Frames of an item.

        A reversed item plays the L frames that follow a label backwards, so that its last frame is labelled; where
        the sequence ends earlier the window moves back (LEOD).

        Returns:
            First frame, last frame + 1, and whether it is reversed: an item is not if no usable label would be left.
        """
        sequence, frame = self.sequences[self._sequence[item]], int(self._frame[item])
        forward = int(sequence.repr_idx[frame]) + 1
        if not reverse:
            return forward - self.length, forward, False
        late_enough = int(np.searchsorted(sequence.repr_idx, self.length - 1))
        start = int(sequence.repr_idx[frame - late_enough]) - self.tflip_offset
        start = min(max(start, 0), sequence.num_frames - self.length)
        labels = sequence.frames_between(start + self.tflip_offset, start + self.length + self.tflip_offset)
        if start < 0 or not sequence.visible[labels].any():
            return forward - self.length, forward, False
        return start, start + self.length, True

    def weights(self, num_classes: int) -> npt.NDArray[np.float64]:
        """Weight of each item: its boxes per class over all items' boxes of that class, summed over classes."""
        counts = np.zeros((len(self), num_classes), dtype=np.float64)
        for index in np.unique(self._sequence):
            sequence = self.sequences[index]
            per_frame = boxes_per_class(sequence, num_classes)
            before = np.concatenate((np.zeros((1, num_classes), dtype=np.int64), np.cumsum(per_frame, axis=0)))
            mine = self._sequence == index
            frame = self._frame[mine]
            first = np.searchsorted(sequence.repr_idx, sequence.repr_idx[frame] + 1 - self.length)
            counts[mine] = before[frame + 1] - before[first]
        total = counts.sum(axis=0)
        return (counts / np.where(total > 0, total, 1.0)).sum(axis=1)
