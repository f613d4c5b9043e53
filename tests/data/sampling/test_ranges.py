"""Ranges, shares and dealing: nothing lost, nothing twice, evenly spread."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sampling.ranges import range_indices
from data.sampling.stream_lanes import deal
from data.supervision.rules import evenly_spread, weak_indices


@settings(deadline=None)
@given(st.sets(st.integers(0, 120), max_size=20), st.integers(1, 21))
def test_ranges_hold_every_label_once(labels: set[int], length: int) -> None:
    ranges = range_indices(np.array(sorted(labels), dtype=np.int64), length)
    assert all(start < stop for start, stop in ranges)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))
    assert sum(sum(start <= label < stop for start, stop in ranges) for label in labels) == len(labels)


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0.001, 1))
def test_evenly_spread(count: int, ratio: float) -> None:
    kept = evenly_spread(count, ratio)
    assert len(kept) == max(round(count * ratio), 1)
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    steps = np.diff(kept)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_weak_indices_begin_where_a_sample_fits() -> None:
    repr_idx = np.array([2, 7, 9, 20, 30])
    assert weak_indices(repr_idx, 0.5, 8).tolist() == [1, 3]
    assert weak_indices(repr_idx, 0.5, 8, offset=1).tolist() == [2, 4]
    assert weak_indices(repr_idx, 0.5, 9).tolist() == [2, 4]  # frame 7 has seven before it, not eight
    assert weak_indices(repr_idx, 0.5, 99).tolist() == [0, 2, 4]  # a short recording


def test_dealing() -> None:
    assert deal(range(7), 3) == [[0, 5, 6], [1, 4], [2, 3]]
