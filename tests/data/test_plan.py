"""The plan: pure, complete, without repeats, the same for any number of loader processes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augmentation.config import AugmentationConfig, RotationConfig, ZoomConfig
from data.genx_utils.dataset_streaming import deal
from data.genx_utils.labels import BatchedLabels
from data.genx_utils.plan import EvalPlan, PlanSampler, StreamLanes
from data.genx_utils.sequence_ranges import StreamRange, range_indices
from data.genx_utils.sequence_split import evenly_spread, weak_indices
from data.genx_utils.types import LaneSpec
from modules.data.genx import DataModule
from tests.data.sampling_helpers import make_dataset, make_sequence, small_config
from utils.errors import UserError

WILD = AugmentationConfig(0.5, 0.5, RotationConfig(prob=0.5), ZoomConfig(prob=0.8))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("dataset"),
        a=(30, list(range(2, 30, 3))),
        b=(18, [3, 5, 17]),
        c=(9, [1, 8]),
        d=(5, [4]),
    )


def batches_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    for key, value in one.items():
        if isinstance(value, BatchedLabels):
            same = all(torch.equal(getattr(value, n), getattr(other[key], n)) for n in ("rows", "frame_id", "labelled"))
        else:
            same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        if not same:
            return False
    return True


@pytest.mark.parametrize("sampling", ["random", "stream", "mixed"])
def test_loader_processes_do_not_change_batches(dataset: Path, sampling: str) -> None:
    settings_ = {
        "train_sampling": sampling,
        "num_stream_groups": 2,
        "augmentation_random": WILD,
        "augmentation_stream": WILD,
    }
    plain = list(DataModule(small_config(dataset, **settings_)).train_dataloader())
    with_workers = list(DataModule(small_config(dataset, num_workers_train=2, **settings_)).train_dataloader())
    assert len(plain) == len(with_workers) > 2
    assert all(batches_equal(dict(a), dict(b)) for a, b in zip(plain, with_workers, strict=True))


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


@pytest.mark.parametrize("world", [1, 2, 3])
def test_random_items_over_ranks(dataset: Path, world: int) -> None:
    """Over one epoch and all ranks no item comes twice, and all but the rest of a pass come."""
    module = DataModule(small_config(dataset, train_sampling="random"))
    drawn: Counter[tuple[int, int]] = Counter()
    for rank in range(world):
        plan = with_rank(module, rank, world).train_plan()
        for k in range(len(plan)):
            drawn.update((lane.sequence, lane.stop) for lane in plan.batch(0, k).lanes)
    assert plan.random is not None
    total = len(plan.random.items)
    assert max(drawn.values()) == 1
    assert sum(drawn.values()) == total // (2 * world) * 2 * world


def with_rank(module: DataModule, rank: int, world: int) -> DataModule:
    class Ranked(DataModule):
        @property
        def rank(self) -> int:
            return rank

        @property
        def world_size(self) -> int:
            return world

    return Ranked(module.cfg)


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
    assert weak_indices(repr_idx, 0.5, 99).tolist() == [0, 2, 4]  # a short recording


def test_dealing() -> None:
    assert deal(range(7), 3) == [[0, 5, 6], [1, 4], [2, 3]]


# What recordings hold.
def frame_numbers(batch: Any, lane: int) -> list[int]:
    return batch["frames"][:, lane, 0, 0, 0].tolist()


def test_frames_and_labels_of_a_short_last_chunk(dataset: Path) -> None:
    loader = DataModule(small_config(dataset, batch_size_eval=1)).val_dataloader()[0]
    batches = [b for b in loader if Path(b["path"][0]).name == "c"]
    assert [frame_numbers(b, 0) for b in batches] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 0, 0]]
    assert [b["ev_idx"][:, 0].tolist() for b in batches][-1] == [8, -1, -1, -1]
    assert batches[-1]["is_padded"][:, 0].tolist() == [False, True, True, True]
    assert [b["labels"].labelled_indices().tolist() for b in batches] == [[1], [], [0]]
    assert [b["is_first"].item() for b in batches] == [True, False, False]
    assert [b["is_last"].item() for b in batches] == [False, False, True]


def test_reversed_lane(dataset: Path) -> None:
    loader = DataModule(small_config(dataset, batch_size_eval=1)).predict_dataloader(reverse=True)
    batches = [b for b in loader if Path(b["path"][0]).name == "c"]
    assert [frame_numbers(b, 0) for b in batches] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0, 0, 0]]
    # Position p shows frame 8 - p and takes the label of the frame before: label 1 shows with frame 2.
    assert [b["labels"].labelled_indices().tolist() for b in batches] == [[], [2], []]
    assert all(b["is_reversed"].item() for b in batches)


def test_fewer_sequences_than_lanes(dataset: Path) -> None:
    batches = list(DataModule(small_config(dataset, batch_size_eval=7)).test_dataloader()[0])
    assert {Path(p).name for p in batches[0]["path"]} == {"a", "b", "c", "d", ""}
    empty = [lane for lane, path in enumerate(batches[0]["path"]) if not path]
    assert batches[0]["is_padded"][:, empty].all()
    assert not batches[0]["frames"][:, empty].any()
    assert not batches[0]["is_first"][empty].any()


def test_recordings_shorter_than_a_sample(tmp_path: Path) -> None:
    """Streaming needs no frames before a label; random access says why it cannot work."""
    root = make_dataset(tmp_path, a=(3, [1]), b=(2, [0, 1]))
    batches = list(DataModule(small_config(root, train_sampling="stream")).train_dataloader())
    assert len(batches) == 2
    assert sum(len(b["labels"].labelled_indices()) for b in batches) == 2 * 3
    for sampling in ("random", "mixed"):
        with pytest.raises(UserError, match="sampling=stream"):
            DataModule(small_config(root, train_sampling=sampling)).train_dataloader()


def test_samples_of_exactly_the_sequence_length(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, **{f"s{i}": (4, [3]) for i in range(6)})
    for sampling, expected in (("random", 3), ("stream", 6), ("mixed", 6)):
        batches = list(DataModule(small_config(root, train_sampling=sampling)).train_dataloader())
        assert len(batches) == expected
        assert all(frame_numbers(b, lane) == [1, 2, 3, 4] for b in batches for lane in range(2))
    assert len(list(DataModule(small_config(root)).predict_dataloader())) == 3


def test_fewer_items_than_lanes(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(8, [4, 7]))
    with pytest.raises(UserError, match=r"batch_size\.train"):
        DataModule(small_config(root, train_sampling="random", batch_size_train=3)).train_plan()
    plan = DataModule(small_config(root, train_sampling="mixed", batch_size_train=8)).train_plan()
    assert len(plan.batch(0, 0).lanes) == 8


def test_unlabelled_data(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(8, []), b=(6, []))
    with pytest.raises(UserError, match="labelled frames"):
        DataModule(small_config(root, train_sampling="stream")).train_plan()
    batches = list(DataModule(small_config(root)).predict_dataloader())
    assert sum(int((~b["is_padded"]).sum()) for b in batches) == 14


def test_semi_supervision_hides_whole_sequences(dataset: Path) -> None:
    module = DataModule(small_config(dataset, train_ratio=0.5, train_sampling="mixed"))
    plan = module.train_plan()
    trained = {lane.sequence for k in range(len(plan)) for lane in plan.batch(0, k).lanes}
    assert trained == {0, 2}
    seen: dict[str, list[int]] = {}
    for batch in module.predict_dataloader():
        for lane, path in enumerate(batch["path"]):
            counts = seen.setdefault(Path(path).name, [0, 0])
            counts[0] += int(batch["labels"].labelled[:, lane].sum())
            counts[1] += int(batch["skipped_labels"].labelled[:, lane].sum())
    assert [seen[name] for name in "abcd"] == [[10, 0], [0, 3], [2, 0], [0, 1]]
    names = {Path(p).name for b in module.predict_dataloader(exclude=("a", "b")) for p in b["path"]}
    assert names - {""} == {"c", "d"}


def test_time_flip_is_decided_per_lane() -> None:
    lanes = StreamLanes([StreamRange(0, 0, 40)], 4, groups=1, lanes=64, seed=0, rank=0, tflip=0.5)
    first, second = lanes.specs(0, 0), lanes.specs(0, 1)
    assert 16 < sum(spec.reverse for spec in first) < 48
    assert [spec.reverse for spec in first] == [spec.reverse for spec in second]


def test_halved_labels_and_pseudo_labels(tmp_path: Path) -> None:
    make_sequence(tmp_path / "train" / "a", 9, list(range(9)), (8, 10), pseudo=True, downsampled=True)
    module = DataModule(
        small_config(tmp_path, downsample_by_factor_2=True, train_sampling="stream", use_label_every=2)
    )  # fmt: skip
    batch = next(iter(module.train_dataloader()))
    assert batch["frames"].shape == (4, 2, 4, 8, 10)
    assert {i // 2 for i in batch["labels"].labelled_indices().tolist()} == {1, 3}
    assert batch["labels"].rows[0, 1:5].tolist() == [1.0, 1.5, 3.0, 2.5]


def test_only_labels_and_only_end_labels(dataset: Path) -> None:
    batch = next(iter(DataModule(small_config(dataset, only_load_labels=True)).predict_dataloader()))
    assert batch["frames"].shape == (4, 2, 0, 0, 0)
    module = DataModule(small_config(dataset, only_load_end_labels=True, train_sampling="random"))
    for batch in module.train_dataloader():
        assert batch["labels"].labelled_indices().tolist() == [6, 7]


def test_weighted_sampling_prefers_rare_classes(dataset: Path) -> None:
    plan = DataModule(small_config(dataset, train_sampling="random", weighted_sampling=True)).train_plan()
    assert plan.random is not None
    plan.random.weights = np.zeros(len(plan.random.items))
    plan.random.weights[3] = 1.0
    lanes = {(s.sequence, s.stop) for k in range(len(plan)) for s in plan.batch(0, k).lanes}
    assert len(lanes) == 1
