"""The labelling plan: every sequence once, and batches that depend on nothing but the split and the lanes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from data.sampling.labelling_plan import LabelPlan
from data.sampling.ranges import StreamRange
from data.sampling.specs import BatchSpec

LENGTH = 4


def batches(plan: LabelPlan) -> list[BatchSpec]:
    return [plan.batch(0, index) for index in range(len(plan))]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 5),
    st.booleans(),
    st.data(),
)
def test_processes_share_the_groups_and_restarts_skip_them(
    frames: list[int], lanes: int, world: int, reverse: bool, data: st.DataObject
) -> None:
    ranges = [StreamRange(index, 0, count) for index, count in enumerate(frames)]
    nothing = [False] * len(ranges)
    whole = batches(LabelPlan(ranges, LENGTH, lanes, nothing, reverse=reverse))
    played = sorted(
        (lane.sequence, frame)
        for batch in whole
        for lane in batch.lanes
        for frame in range(lane.start, lane.stop)
        if not lane.is_padding
    )
    assert played == [(index, frame) for index, count in enumerate(frames) for frame in range(count)]
    assert all(len(batch.lanes) == lanes for batch in whole)

    done = data.draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames)))
    shares = [batches(LabelPlan(ranges, LENGTH, lanes, done, rank, world, reverse)) for rank in range(world)]
    contents = {batch.lanes for batch in whole}
    remaining = [batch.lanes for share in shares for batch in share]
    assert set(remaining) <= contents
    assert len(set(remaining)) == len(remaining)
    left = {lane.sequence for batch in remaining for lane in batch if not lane.is_padding}
    assert left >= {index for index, is_done in enumerate(done) if not is_done}
    if all(done):
        assert not remaining
    groups = [{lane.sequence for batch in share for lane in batch.lanes if not lane.is_padding} for share in shares]
    assert sum(map(len, groups)) == len(left)
