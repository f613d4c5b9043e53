"""The plan: pure, complete, one state for each stream lane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.augmentation.config import AugmentationConfig
from data.sampling.plan import PlanSampler, StreamLanes
from data.sampling.ranges import StreamRange
from data.sampling.specs import LaneSpec
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import WILD, make_dataset, small_config
from utils.errors import UserError


def test_seeds_and_epochs_differ(dataset: Path) -> None:
    def specs(epoch: int, **changes: Any) -> list[Any]:
        plan = DataModule(small_config(dataset, **changes)).train_plan()
        return [plan.batch(epoch, k).lanes for k in range(len(plan))]

    assert specs(0) == specs(0)
    assert specs(0) != specs(1)
    assert specs(0) != specs(0, seed=1)


def test_mixed_lanes_and_groups(dataset: Path) -> None:
    module = DataModule(small_config(dataset, batch_size_train=5, w_random=3, w_stream=2, num_stream_groups=3))
    plan = module.train_plan()
    assert plan.stream is not None
    assert len(plan) == 3 * plan.stream.num_chunks
    assert module.cfg.num_random_lanes == 3
    for k in range(len(plan)):
        batch = plan.batch(0, k)
        assert batch.worker_id == k % 3
        kinds = [lane.augment.kind for lane in batch.lanes if lane.augment]
        assert kinds == ["stream"] * 2 + ["random"] * 3


@pytest.mark.parametrize(("batch", "w_random", "w_stream", "expected"), [(8, 1, 1, 4), (2, 9, 1, 1), (2, 1, 9, 1)])
def test_split_of_a_mixed_batch(batch: int, w_random: float, w_stream: float, expected: int) -> None:
    config = small_config(Path("x"), batch_size_train=batch, w_random=w_random, w_stream=w_stream)
    assert config.num_random_lanes == expected


def test_stream_lane_state_is_continuous(dataset: Path) -> None:
    """A chunk that is not the first of a range begins where the lane's last one ended; one augmentation per range."""
    flips = AugmentationConfig(tflip=0.5)
    config = small_config(dataset, train_sampling="stream", num_stream_groups=2, augmentation_stream=flips)
    module = DataModule(config)
    plan = module.train_plan()
    directions = set()
    for group in range(2):
        for lane in range(2):
            before: LaneSpec | None = None
            for k in range(group, len(plan), 2):
                spec = plan.batch(0, k).lanes[lane]
                directions.add(spec.reverse)
                if not spec.is_first:
                    assert before is not None
                    assert (spec.sequence, spec.reverse, spec.augment) == (
                        before.sequence,
                        before.reverse,
                        before.augment,
                    )
                    assert (before.start if spec.reverse else spec.start) == (
                        spec.stop if spec.reverse else before.stop
                    )
                else:
                    assert before is None or before.is_last
                before = spec
            assert before is not None
            assert before.is_last
    assert directions == {True, False}


def test_resuming_is_slicing(dataset: Path) -> None:
    config = small_config(dataset, augmentation_random=WILD, augmentation_stream=WILD)
    sampler = PlanSampler(DataModule(config).train_plan())
    assert [(b.epoch, b.index) for b in sampler] == [(0, k) for k in range(len(sampler))]
    whole = list(sampler)
    assert {b.epoch for b in whole} == {1}
    late = DataModule(config)
    late.set_start_batch(5, epoch=1)
    loader = late.train_dataloader()
    assert len(loader) == len(whole)
    rest = list(loader.sampler)
    assert rest[: len(whole) - 5] == whole[5:]
    assert [(b.epoch, b.index) for b in rest[-5:]] == [(2, k) for k in range(5)]


def test_fewer_items_than_lanes(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(8, [4, 7]))
    with pytest.raises(UserError, match=r"batch_size\.train"):
        DataModule(small_config(root, train_sampling="random", batch_size_train=3)).train_plan()
    plan = DataModule(small_config(root, train_sampling="mixed", batch_size_train=8)).train_plan()
    assert len(plan.batch(0, 0).lanes) == 8


def test_time_flip_is_decided_per_lane() -> None:
    lanes = StreamLanes([StreamRange(0, 0, 40)], 4, groups=1, lanes=64, seed=0, rank=0, tflip=0.5)
    first, second = lanes.specs(0, 0), lanes.specs(0, 1)
    assert 16 < sum(spec.reverse for spec in first) < 48
    assert [spec.reverse for spec in first] == [spec.reverse for spec in second]


def test_weighted_sampling_prefers_rare_classes(dataset: Path) -> None:
    plan = DataModule(small_config(dataset, train_sampling="random", weighted_sampling=True)).train_plan()
    assert plan.random is not None
    plan.random.weights = np.zeros(len(plan.random.items))
    plan.random.weights[3] = 1.0
    lanes = {(s.sequence, s.stop) for k in range(len(plan)) for s in plan.batch(0, k).lanes}
    assert len(lanes) == 1


@pytest.mark.parametrize(
    ("sampling", "workers", "weights", "expected"),
    [
        ("mixed", 8, (1, 1), 4),
        ("mixed", 8, (3, 1), 2),
        ("mixed", 1, (1, 1), 1),
        ("mixed", 0, (1, 1), 1),
        ("mixed", 3, (1, 1), 1),
        ("stream", 8, (1, 1), 8),
        ("stream", 0, (1, 1), 1),
    ],
)
def test_stream_groups_follow_the_stream_workers(
    sampling: str, workers: int, weights: tuple[int, int], expected: int
) -> None:
    """Unless a number is given."""
    changes = {"w_random": weights[0], "w_stream": weights[1], "train_sampling": sampling}
    assert small_config(Path("x"), num_workers_train=workers, **changes).stream_groups == expected
    assert small_config(Path("x"), num_workers_train=workers, num_stream_groups=3, **changes).stream_groups == 3


def test_a_resumed_run_keeps_its_stream_groups(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = small_config(dataset, train_sampling="stream", num_workers_train=3)
    state = DataModule(config).state_dict()
    moved = DataModule(small_config(dataset, train_sampling="stream", num_workers_train=0))
    moved.load_state_dict(state)
    one, other = DataModule(config).train_plan(), moved.train_plan()
    assert [one.batch(0, k) for k in range(len(one))] == [other.batch(0, k) for k in range(len(other))]
    assert not caplog.records
    DataModule(small_config(dataset, train_sampling="stream", num_stream_groups=2)).load_state_dict(state)
    assert "2 stream groups" in caplog.text
