"""Lanes of recordings whose labels are hidden: all of their frames, none of the others, beside labelled lanes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import make_dataset, small_config, with_rank
from utils.errors import UserError

FRAMES = {"a": 12, "b": 9, "c": 14}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    return make_dataset(folder, **{name: (count, [3, 4, 6, 7]) for name, count in FRAMES.items()})


def module(root: Path, **changes: Any) -> DataModule:
    """Labels of the first of three recordings alone; two lanes of four show the others."""
    settings = {"train_ratio": 0.34, "unlabelled_share": 0.5, "batch_size_train": 4} | changes
    return DataModule(small_config(root, **settings))


@pytest.mark.parametrize("world", [1, 2])
def test_every_window_once_in_a_pass(root: Path, world: int) -> None:
    plans = [with_rank(module(root, train_sampling="random"), rank, world).train_plan() for rank in range(world)]
    windows = (9 - 3) + (14 - 3)
    drawn: Counter[tuple[int, int, int]] = Counter()
    for number in range(windows // (2 * world)):
        for plan in plans:
            batch = plan.batch(*divmod(number, len(plan)))
            assert batch.unlabelled == 2
            assert [lane.sequence for lane in batch.lanes[:2]] == [0, 0]
            drawn.update((lane.sequence, lane.start, lane.stop) for lane in batch.lanes[2:])
    assert {sequence for sequence, _, _ in drawn} == {1, 2}
    assert all(stop - start == 4 for _, start, stop in drawn)
    assert set(drawn.values()) == {1}
    assert sum(drawn.values()) == windows // (2 * world) * 2 * world


@pytest.mark.parametrize("sampling", ["stream", "mixed"])
def test_streams_go_on_from_batch_to_batch(root: Path, sampling: str) -> None:
    plan = module(root, train_sampling=sampling, num_stream_groups=2).train_plan()
    chunks = 2 * (3 + 4)  # of both groups until each lane has played both recordings
    batches = [plan.batch(*divmod(number, len(plan))) for number in range(chunks)]
    for group in range(2):
        mine = [batch.lanes[-1] for batch in batches if batch.worker_id == group]
        assert sum(lane.is_first for lane in mine) == 2
        frames = [(lane.sequence, frame) for lane in mine for frame in range(lane.start, lane.stop)]
        assert sorted(frames) == [(number, frame) for number, count in ((1, 9), (2, 14)) for frame in range(count)]


def test_labels_stay_with_their_lanes(root: Path) -> None:
    batch = next(iter(module(root, train_sampling="random").train_dataloader()))
    assert batch["unlabelled"] == 2
    assert batch["labels"].labelled.any(0).tolist() == [True, True, False, False]
    assert batch["skipped_labels"].labelled.any(0).tolist()[:2] == [False, False]


def test_mistakes(root: Path) -> None:
    for changes, said in (
        ({"train_ratio": None}, "labels are hidden"),
        ({"batch_size_train": 1}, "labelled and unlabelled"),
        ({"batch_size_train": 2, "train_sampling": "mixed"}, "3 lanes or more"),
        ({"unlabelled_share": 1.0}, "semi.unlabelled_share"),
    ):
        with pytest.raises(UserError, match=said):
            module(root, **{"train_sampling": "random", **changes}).train_plan()
    long = module(root, train_sampling="random", sequence_length=12)
    long.sequences("train")[2].hidden[:] = False  # of the longer one of the two
    with pytest.raises(UserError, match="all shorter"):
        long._unlabelled()
