"""Lanes of training batches: random access and streams, each a pure function of its seed and number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.sampling.partners import PARTNER_WORD, Partner, choose_other
from data.sampling.random_items import RandomItems
from data.sampling.ranges import StreamRange
from data.sampling.specs import AugmentSpec, LaneSpec
from data.sampling.stream_lanes import StreamLane
from utils.errors import UserError

_ORDER, _STREAM, _RANDOM, _FLIP, _MIX_RANDOM, _MIX_STREAM = (
    1,
    2,
    3,
    4,
    5,
    6,
)  # first word of each generator's entropy, so that none repeats another


class RandomLanes:
    """Random-access lanes: endless passes over shuffled (or weighted) items, dealt over ranks without repeats.

    Args:
        items: what to draw from.
        lanes: random lanes of a batch on one rank.
        seed: of order and augmentation.
        rank: which share this process draws.
        world: number of ranks.
        tflip: probability of reversed time.
        weights: draw with replacement by these weights [N] instead of shuffling.
        mix: probability that an item of another sequence is laid over.
    """

    def __init__(
        self,
        items: RandomItems,
        lanes: int,
        seed: int,
        rank: int,
        world: int,
        tflip: float,
        weights: npt.NDArray[np.float64] | None = None,
        mix: float = 0.0,
    ) -> None:
        items.require_items()
        self.mix = mix
        self.items, self.lanes, self.seed, self.rank, self.world, self.tflip = items, lanes, seed, rank, world, tflip
        self.weights = None if weights is None else weights / weights.sum()
        whole_batches = len(items) // (lanes * world) * lanes * world
        self.pass_length = whole_batches or len(items)
        self._cached: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    @property
    def batches_per_pass(self) -> int:
        """Whole batches of one pass; 0 if there are fewer items than lanes."""
        return self.pass_length // (self.lanes * self.world)

    def _order(self, number: int) -> npt.NDArray[np.int64]:
        if self._cached[0] != number:
            rng = np.random.default_rng((_ORDER, self.seed, number))
            if self.weights is None:
                order = rng.permutation(len(self.items))
            else:
                order = rng.choice(len(self.items), size=self.pass_length, p=self.weights)
            self._cached = number, order
        return self._cached[1]

    def specs(self, batch: int) -> tuple[LaneSpec, ...]:
        """Lanes of the ``batch``-th batch since the beginning of training."""
        first = (batch * self.world + self.rank) * self.lanes
        return tuple(self._spec(first + lane) for lane in range(self.lanes))

    def _spec(self, draw: int) -> LaneSpec:
        number, place = divmod(draw, self.pass_length)
        item = int(self._order(number)[place])
        flip = np.random.default_rng((_FLIP, self.seed, draw)).random() < self.tflip if self.tflip > 0 else False
        start, stop, reverse = self.items.window(item, bool(flip))
        other = self._partner(draw, item, start, stop, reverse)
        return LaneSpec(
            sequence=self.items.sequence_index(item),
            start=start,
            stop=stop,
            reverse=reverse,
            is_first=True,
            is_last=False,
            augment=AugmentSpec("random", (_RANDOM, self.seed, draw), start, stop),
            partner=None if other is None else other.over(start, stop, reverse),
        )

    def _partner(self, draw: int, item: int, start: int, stop: int, reverse: bool) -> Partner | None:
        """An item of another sequence, aligned at the latest usable labels of both."""
        if self.mix == 0.0:
            return None
        chance, choice = np.random.default_rng((_MIX_RANDOM, self.seed, draw)).random(2)
        if chance >= self.mix:
            return None
        other = choose_other(self.items.sequence_of, item, float(choice))
        if other is None:
            return None
        first, last, reversed_too = self.items.window(other, reverse)
        if reversed_too != reverse:
            return None
        shift = self.items.anchor(other, first, last, reverse) - self.items.anchor(item, start, stop, reverse)
        augment = AugmentSpec("random", (_RANDOM, self.seed, draw, PARTNER_WORD), first, last)
        return Partner(self.items.sequence_index(other), first, last, shift, augment)


class StreamLanes:
    """Stream lanes for training: each walks its own permutation of all ranges, once per epoch.

    Args:
        ranges: what to stream.
        length: frames per chunk, L.
        groups: number of independent groups G.
        lanes: stream lanes of a group on one rank.
        seed: of order and augmentation.
        rank: which lanes of all this process plays: rank · lanes and those that follow.
        tflip: probability that a range is played in reversed time; decided per lane and range.
        mix: probability that a range of another sequence is laid over a range.
        kind: number of these lanes among those of a batch that stream; others draw other random numbers.
    """

    def __init__(
        self,
        ranges: Sequence[StreamRange],
        length: int,
        groups: int,
        lanes: int,
        seed: int,
        rank: int,
        tflip: float,
        mix: float = 0.0,
        kind: int = 0,
    ) -> None:
        if not ranges:
            raise UserError(
                expected="labelled frames in the train split",
                got="none",
                where="stream sampling of the train split",
                fix="check dataset.path and the settings ratio, train_ratio and split_file",
            )
        self.ranges, self.length, self.groups, self.lanes = ranges, length, groups, lanes
        self.seed, self.rank, self.tflip, self.mix, self.kind = seed, rank, tflip, mix, kind
        self._sequence_of = np.array([r.sequence for r in ranges], dtype=np.int64)
        self.num_chunks = sum(r.num_chunks(length) for r in ranges)
        self._cached: tuple[int, list[list[StreamLane]]] = (-1, [])

    @property
    def batches_per_epoch(self) -> int:
        """Batches until every lane of every group has played all ranges."""
        return self.groups * self.num_chunks

    def _lane(self, epoch: int, group: int, lane: int) -> StreamLane:
        # Lanes are numbered over all ranks: two ranks with two lanes each hold what one with four would hold.
        entropy = (_STREAM, self.seed, epoch, self.kind, group, self.rank * self.lanes + lane)
        rng = np.random.default_rng(entropy)
        order = rng.permutation(len(self.ranges))
        reverse = rng.random(len(order)) < self.tflip
        partners = self._partners(order, entropy[1:]) if self.mix > 0.0 else None
        return StreamLane([self.ranges[i] for i in order], reverse.tolist(), self.length, entropy, partners)

    def _partners(self, order: npt.NDArray[np.int64], lane: tuple[int, ...]) -> list[StreamRange | None]:
        """A range of another sequence for each range in ``order``, None where nothing is mixed."""
        draws = np.random.default_rng((_MIX_STREAM, *lane)).random((len(order), 2))
        mixed = [
            choose_other(self._sequence_of, int(index), float(choice)) if chance < self.mix else None
            for index, (chance, choice) in zip(order, draws, strict=True)
        ]
        return [None if other is None else self.ranges[other] for other in mixed]

    def specs(self, epoch: int, index: int) -> tuple[LaneSpec, ...]:
        """Stream lanes of batch ``index`` of an epoch."""
        if self._cached[0] != epoch:
            lanes = [[self._lane(epoch, g, lane) for lane in range(self.lanes)] for g in range(self.groups)]
            self._cached = epoch, lanes
        chunk, group = divmod(index, self.groups)
        return tuple(lane.spec(chunk) for lane in self._cached[1][group])
