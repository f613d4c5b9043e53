"""Cut sequences into ranges that are streamed without a break, and ranges into chunks of L frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.sequences.sequence import EventSequence


@dataclass(frozen=True)
class StreamRange:
    """Frames ``start`` to ``stop`` (exclusive) of a sequence, streamed with one recurrent state.

    Attributes:
        sequence: index into the list of sequences.
        start: first frame.
        stop: the one after the last.
        anchor: first frame with usable labels, where another range is aligned to mix the two.
    """

    sequence: int
    start: int
    stop: int
    anchor: int = 0

    def num_chunks(self, length: int) -> int:
        """Chunks of ``length`` frames, the last one perhaps shorter."""
        return -(-(self.stop - self.start) // length)

    def chunk(self, index: int, length: int, reverse: bool) -> tuple[int, int]:
        """First and last-plus-one frame of chunk ``index`` in playing order; reversed chunks are cut from the end.

        >>> [StreamRange(0, 3, 10).chunk(i, 4, False) for i in (0, 1)]
        [(3, 7), (7, 10)]
        >>> [StreamRange(0, 3, 10).chunk(i, 4, True) for i in (0, 1)]
        [(6, 10), (3, 6)]
        """
        if reverse:
            stop = self.stop - index * length
            return max(stop - length, self.start), stop
        start = self.start + index * length
        return start, min(start + length, self.stop)


def range_indices(repr_idx: npt.NDArray[np.int64], length: int) -> list[tuple[int, int]]:
    """Ranges [first label - L + 1, last label + 1) of runs of labels that lie at most L frames apart.

    Args:
        repr_idx: ascending frame numbers of labels [F].
        length: L. Ranges that would start before frame 0 start there.

    >>> range_indices(np.array([1, 6, 20]), 5)
    [(0, 7), (16, 21)]
    """
    if len(repr_idx) == 0:
        return []
    runs = np.split(repr_idx, np.nonzero(np.diff(repr_idx) > length)[0] + 1)
    return [(max(int(run[0]) - length + 1, 0), int(run[-1]) + 1) for run in runs]


def whole_range(sequences: Sequence[EventSequence], index: int, length: int, from_zero: bool = False) -> StreamRange:
    """A whole sequence, from L-1 frames before its first stored label (from 0 without labels) to its end.

    Its anchor is its first usable label, if it has one.
    """
    sequence = sequences[index]
    start = 0
    if not from_zero and sequence.num_labelled:
        start = max(int(sequence.repr_idx[0]) - length + 1, 0)
    visible = sequence.repr_idx[sequence.visible]
    anchor = int(visible[0]) if len(visible) else start
    return StreamRange(index, min(start, sequence.num_frames), sequence.num_frames, anchor)


def training_ranges(sequences: Sequence[EventSequence], length: int, whole: bool) -> list[StreamRange]:
    """All ranges to train on, in order; sequences without visible labels are left out.

    Args:
        sequences: the training sequences.
        length: L.
        whole: stream whole sequences (when labels are sub-sampled within sequences, LEOD).
    """
    ranges: list[StreamRange] = []
    for index, sequence in enumerate(sequences):
        visible = sequence.repr_idx[sequence.visible]
        if len(visible) == 0:
            continue
        if whole:
            ranges.append(whole_range(sequences, index, length))
        else:
            found = range_indices(visible, length)
            anchors = visible[np.searchsorted(visible, [start for start, _ in found])]
            ranges.extend(
                StreamRange(index, start, stop, int(anchor))
                for (start, stop), anchor in zip(found, anchors, strict=True)
            )
    return ranges
