"""Same seed and stream groups, same batches: for any number of loader processes, and resumed anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batches.planned_dataset import PlannedDataset
from data.sampling.plan import TrainPlan
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import WILD, batch_hash, small_config

SAMPLING = ("random", "stream", "mixed")


def config(root: Path, sampling: str, **changes: Any) -> Any:
    return small_config(
        root,
        train_sampling=sampling,
        num_stream_groups=2,
        augmentation_random=WILD,
        augmentation_stream=WILD,
        **changes,
    )


@pytest.mark.parametrize("sampling", SAMPLING)
def test_loader_processes_do_not_change_batches(dataset: Path, sampling: str) -> None:
    hashes = [
        [batch_hash(batch) for batch in DataModule(config(dataset, sampling, num_workers_train=n)).train_dataloader()]
        for n in (0, 1, 2)
    ]
    assert len(set(hashes[0])) == len(hashes[0]) > 2
    assert hashes[0] == hashes[1] == hashes[2]


@cache
def whole(root: Path, sampling: str) -> tuple[TrainPlan, PlannedDataset, list[str]]:
    """Plan, dataset and the hashes of two epochs of a run that was never stopped."""
    module = DataModule(config(root, sampling))
    plan, dataset = module.train_plan(), module._dataset("train", training=True)
    return plan, dataset, [batch_hash(dataset[plan.batch(*divmod(k, len(plan)))]) for k in range(2 * len(plan))]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(SAMPLING), st.data())
def test_resumed_at_any_batch(dataset: Path, sampling: str, data: st.DataObject) -> None:
    plan, _, hashes = whole(dataset, sampling)
    k = data.draw(st.integers(0, len(plan) - 1))
    resumed = DataModule(config(dataset, sampling))
    resumed.load_state_dict({"epoch": k // len(plan), "batch": k % len(plan), "stream_groups": 2})
    loader = iter(resumed.train_dataloader())
    assert [batch_hash(next(loader)) for _ in range(min(3, len(plan)))] == hashes[k : k + min(3, len(plan))]


def test_epochs_do_not_repeat(dataset: Path) -> None:
    for sampling in SAMPLING:
        plan, _, hashes = whole(dataset, sampling)
        assert len(set(hashes)) == 2 * len(plan)
