"""The plan that streams a whole split for pseudo-labelling: fixed groups of sequences, shared out over processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.sampling.ranges import StreamRange
from data.sampling.specs import BatchSpec
from data.sampling.stream_lanes import StreamLane, longest_first


class LabelPlan:
    """Whole sequences in groups, one sequence a lane; a process plays its groups one after the other.

    Sequences, longest first, are cut into groups of as many as a batch has lanes. Which sequences share a batch, and
    in which lane each one lies, thus follows from the split and the number of lanes alone: a process computes the same
    batches for a group whoever does the other groups and whatever was finished before, so that the labels come out
    the same to the last bit. Groups in which nothing is left to do are not read at all.

    Args:
        ranges: one range per sequence of the split.
        length: frames per chunk, L.
        lanes: lanes of a batch.
        done: per range, whether nothing is left to do.
        rank: this process.
        world: number of processes.
        reverse: play everything in reversed time.
    """

    def __init__(
        self,
        ranges: Sequence[StreamRange],
        length: int,
        lanes: int,
        done: Sequence[bool],
        rank: int = 0,
        world: int = 1,
        reverse: bool = False,
    ) -> None:
        finished = {current.sequence for current, is_done in zip(ranges, done, strict=True) if is_done}
        ordered = longest_first(ranges, length)
        groups = [ordered[first : first + lanes] for first in range(0, len(ordered), lanes)]
        todo = [group for group in groups if any(current.sequence not in finished for current in group)]
        empty = StreamLane([], [], length)
        self._groups = [
            [StreamLane([current], [reverse], length) for current in group] + [empty] * (lanes - len(group))
            for group in todo[rank::world]
        ]
        chunks = [max(lane.num_chunks for lane in group) for group in self._groups]
        self._ends = np.cumsum(chunks, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def batch(self, epoch: int, index: int) -> BatchSpec:
        """Batch ``index``."""
        group = int(np.searchsorted(self._ends, index, side="right"))
        lanes = self._groups[group]
        chunk = index - (int(self._ends[group - 1]) if group else 0)
        return BatchSpec(epoch, index, 0, tuple(lane.spec(chunk) for lane in lanes))
