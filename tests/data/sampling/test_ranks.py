"""Several processes: no sample twice, none lost, equally many batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sampling.plan import EvalPlan, RandomLanes, TrainPlan
from data.sampling.random_items import RandomItems
from data.sampling.ranges import StreamRange
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import small_config, with_rank


@pytest.mark.parametrize("world", [1, 2, 3])
def test_random_items_over_ranks(dataset: Path, world: int) -> None:
    """Over one epoch and all ranks no item comes twice, and all but the rest of a pass come."""
    module = DataModule(small_config(dataset, train_sampling="random"))
    drawn: Counter[tuple[int, int]] = Counter()
    plans = [with_rank(module, rank, world).train_plan() for rank in range(world)]
    for plan in plans:
        for k in range(len(plan)):
            drawn.update((lane.sequence, lane.stop) for lane in plan.batch(0, k).lanes)
    assert plans[0].random is not None
    total = len(plans[0].random.items)
    assert max(drawn.values()) == 1
    assert sum(drawn.values()) == total // (2 * world) * 2 * world


def test_ranks_stream_in_different_orders(dataset: Path) -> None:
    module = DataModule(small_config(dataset, train_sampling="stream"))
    plans = [with_rank(module, rank, 2).train_plan() for rank in range(2)]
    assert len(plans[0]) == len(plans[1])
    orders = [[plan.batch(0, k).lanes for k in range(len(plan))] for plan in plans]
    assert orders[0] != orders[1]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=0, max_size=12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_evaluation_plays_every_frame_once(
    lengths: list[int], lanes: int, groups: int, world: int, reverse: bool
) -> None:
    ranges = [StreamRange(i, 2, 2 + n) for i, n in enumerate(lengths)]
    seen: list[tuple[int, int]] = []
    sizes = set()
    for rank in range(world):
        plan = EvalPlan(ranges, 4, lanes, groups, rank, world, reverse)
        sizes.add(len(plan))
        for k in range(len(plan)):
            batch = plan.batch(0, k)
            assert len(batch.lanes) == lanes
            for spec in batch.lanes:
                seen.extend((spec.sequence, frame) for frame in range(spec.start, spec.stop))
                assert spec.is_padding or (spec.reverse == reverse and spec.augment is None)
    assert len(sizes) == 1
    assert sorted(seen) == [(i, frame) for i, n in enumerate(lengths) for frame in range(2, 2 + n)]


class Items:
    """Stands for N random-access items, each of a sequence of its own."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.sequence_of = np.arange(count)

    def __len__(self) -> int:
        return self.count

    def require_items(self) -> None:
        """There are items."""

    def window(self, item: int, reverse: bool) -> tuple[int, int, bool]:
        return item, item + 4, reverse

    def sequence_index(self, item: int) -> int:
        return item


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.sampled_from([1, 2, 3]), st.integers(0, 3), st.booleans())
def test_random_passes_over_ranks(count: int, lanes: int, world: int, seed: int, mixed: bool) -> None:
    """Whatever the counts: within a pass every item comes at most once over all ranks, and at most a batch is lost."""
    items = cast(RandomItems, Items(count))
    ranks = [RandomLanes(items, lanes, seed, rank, world, tflip=0.5) for rank in range(world)]
    if count < lanes * world and not mixed:
        return  # refused (test_fewer_items_than_lanes)
    if count >= lanes * world:
        lengths = {len(TrainPlan(None, each)) for each in ranks}
        assert lengths == {count // (lanes * world)}
    batches = 3 * max(count // (lanes * world), 1)
    drawn = [spec.sequence for k in range(batches) for each in ranks for spec in each.specs(k)]
    size = ranks[0].pass_length
    for first in range(0, len(drawn) - size + 1, size):
        assert max(Counter(drawn[first : first + size]).values()) == 1
    assert count - size < lanes * world


@settings(deadline=None)
@given(st.integers(1, 30), st.sampled_from([1, 2, 3]))
def test_weighted_draws_over_ranks(count: int, world: int) -> None:
    """All ranks draw from one list: together they are what one process with as many lanes would draw."""
    items, weights = cast(RandomItems, Items(count)), np.arange(1.0, count + 1)
    ranks = [RandomLanes(items, 2, 0, rank, world, 0.0, weights) for rank in range(world)]
    one = RandomLanes(items, 2 * world, 0, 0, 1, 0.0, weights)
    for k in range(4):
        assert [s for each in ranks for s in each.specs(k)] == list(one.specs(k))


def test_weights_are_frequencies() -> None:
    weights = np.array([1.0, 2.0, 0.0, 5.0])
    lanes = RandomLanes(cast(RandomItems, Items(4)), 4, 0, 0, 1, 0.0, weights)
    drawn = Counter(spec.sequence for k in range(2000) for spec in lanes.specs(k))
    np.testing.assert_allclose([drawn[i] / 8000 for i in range(4)], weights / 8, atol=0.02)
