"""The sampling plan: what batch k of an epoch holds, as a pure function of (config, seed, epoch, rank, world, k).

Loader processes only carry the plan out, so their number never changes a batch, and resuming is slicing.

**An epoch.** *Random*: one pass over all items, ``items // (B * world)`` batches (the rest of a pass is dropped).
*Stream* and *mixed*: every stream lane plays all ranges once in its own order; with G stream groups that is
``G * chunks`` batches, so two groups see the data twice as often per epoch as one (as in LEOD, where each training
worker streams the whole set). In mixed sampling the random lanes go on through their own passes, whose borders do not
coincide with epochs, so no item is lost.

Batch k belongs to stream group ``k mod G``; its recurrent states are the group's (``worker_id``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from torch.utils.data import Sampler

from data.sampling.ranges import StreamRange
from data.sampling.specs import PADDING_LANE, BatchSpec, LaneSpec
from data.sampling.stream_lanes import StreamLane, deal, longest_first
from data.sampling.training_lanes import RandomLanes, StreamLanes
from data.sampling.unlabelled import UnlabelledLanes
from utils.errors import UserError

__all__ = ["BatchPlan", "EvalPlan", "PlanSampler", "RandomLanes", "StreamLanes", "TrainPlan"]


class BatchPlan(Protocol):
    """All batches of a run, by number."""

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Any:
        """What a dataset makes batch ``index`` of ``epoch`` of: a ``BatchSpec``, or that of clips."""
        ...


class TrainPlan:
    """Training batches: the stream lanes, then the random lanes, then those without labels.

    Args:
        stream: stream lanes, or None for random sampling.
        random: random lanes, or None for stream sampling.
        unlabelled: lanes of recordings whose labels are hidden, None for none; an epoch is that of the others.
    """

    def __init__(
        self, stream: StreamLanes | None, random: RandomLanes | None, unlabelled: UnlabelledLanes | None = None
    ) -> None:
        self.stream, self.random, self.unlabelled = stream, random, unlabelled
        if stream is not None:
            self._length = stream.batches_per_epoch
        elif random is not None and random.batches_per_pass > 0:
            self._length = random.batches_per_pass
        else:
            items = 0 if random is None else len(random.items)
            lanes = 0 if random is None else random.lanes * random.world
            raise UserError(
                expected=f"at least {lanes} samples, one for every lane of a batch on every rank",
                got=f"{items} samples",
                where="random sampling of the train split",
                fix="lower batch_size.train, or set dataset.train.sampling=stream",
            )

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, index: int) -> BatchSpec:
        """Batch ``index`` of ``epoch``."""
        lanes: tuple[LaneSpec, ...] = ()
        group = 0
        if self.stream is not None:
            lanes = self.stream.specs(epoch, index)
            group = index % self.stream.groups
        if self.random is not None:
            lanes += self.random.specs(epoch * len(self) + index)
        labelled = len(lanes)
        if self.unlabelled is not None:
            lanes += self.unlabelled.specs(epoch * len(self) + index)
        return BatchSpec(epoch=epoch, index=index, worker_id=group, lanes=lanes, unlabelled=len(lanes) - labelled)


class EvalPlan:
    """Whole sequences in order, each exactly once over all ranks, groups and lanes; every epoch is the same.

    Sequences, longest first, are dealt over all groups of all ranks and again over the lanes of a group. Lanes that
    ran out are padded, and so are ranks that finish early, so that all ranks have equally many batches.

    Args:
        ranges: one range per sequence.
        length: frames per chunk, L.
        lanes: lanes of a batch.
        groups: groups of lanes on each rank; their batches alternate.
        rank: this process.
        world: number of ranks.
        reverse: play everything in reversed time.
    """

    def __init__(
        self,
        ranges: Sequence[StreamRange],
        length: int,
        lanes: int,
        groups: int = 1,
        rank: int = 0,
        world: int = 1,
        reverse: bool = False,
    ) -> None:
        dealt = deal(longest_first(ranges, length), groups * world)
        per_rank = [self._schedule(dealt[r * groups : (r + 1) * groups], length, lanes, reverse) for r in range(world)]
        self._lanes, self._batches = per_rank[rank]
        self._length = max(len(batches) for _, batches in per_rank)
        self._num_lanes = lanes

    @staticmethod
    def _schedule(
        groups: list[list[StreamRange]], length: int, lanes: int, reverse: bool
    ) -> tuple[list[list[StreamLane]], list[tuple[int, int]]]:
        """Lanes of each group, and (chunk, group) of each batch."""
        streams = [[StreamLane(part, [reverse] * len(part), length) for part in deal(g, lanes)] for g in groups]
        chunks = [max(lane.num_chunks for lane in stream) for stream in streams]
        order = sorted((chunk, group) for group, count in enumerate(chunks) for chunk in range(count))
        return streams, order

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, index: int) -> BatchSpec:
        """Batch ``index``."""
        if index >= len(self._batches):
            return BatchSpec(epoch, index, 0, (PADDING_LANE,) * self._num_lanes)
        chunk, group = self._batches[index]
        return BatchSpec(epoch, index, group, tuple(lane.spec(chunk) for lane in self._lanes[group]))


class PlanSampler(Sampler[Any]):
    """Hands the batches of a plan to a DataLoader (as ``sampler`` with ``batch_size=None``).

    Every iteration yields as many batches as an epoch has, from a position on and across the end of an epoch if it
    begins in the middle. It counts epochs by itself (it has no ``set_epoch``): a Trainer that was stopped by its
    number of steps counts an unfinished epoch as done, and the plan must not skip the rest of it.

    Args:
        plan: all batches.
        position: tells epoch and batch to begin an iteration with; by default (0, 0) and then where the last
            complete iteration ended.
    """

    def __init__(self, plan: BatchPlan, position: Callable[[], tuple[int, int]] | None = None) -> None:
        self.plan = plan
        self._position = position
        self._next = 0

    def set_position(self, epoch: int, batch: int) -> None:
        """Begin the next iteration there, unless ``position`` was given."""
        self._next = epoch * len(self.plan) + batch

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Any]:
        if self._position is not None:
            self.set_position(*self._position())
        first, length = self._next, len(self.plan)
        for number in range(first, first + length):
            yield self.plan.batch(*divmod(number, length))
        self._next = first + length
