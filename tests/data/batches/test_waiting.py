"""Loader processes that bring nothing: too little shared memory is told before they begin, and no wait is for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from data.batches import loader as loader_module
from data.batches import shared_memory
from data.batches.loader import PlanLoader
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import make_dataset, small_config
from utils.commands import signals
from utils.commands.signals import CommandStopped
from utils.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), a=(30, list(range(2, 30, 3))))


def with_free(monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: number)


def test_what_is_needed_is_computed_and_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = DataModule(small_config(root, num_workers_train=3, prefetch_factor=4))
    batch = next(iter(DataModule(small_config(root)).train_dataloader()))
    one = batch["inputs"].data.nbytes + shared_memory._LABELS_BYTES
    with_free(monkeypatch, 13 * one)
    module.train_dataloader()
    with_free(monkeypatch, 13 * one - 1)
    with pytest.raises(UserError, match="3 loader processes read 4 batches of") as refused:
        module.train_dataloader()
    assert "hardware.num_workers.train=11 hardware.prefetch_factor=1" in refused.value.fix
    with_free(monkeypatch, one)
    with pytest.raises(UserError, match=r"or set hardware\.num_workers\.train=0"):
        module.train_dataloader()
    with_free(monkeypatch, None)
    module.train_dataloader()
    assert shared_memory.loader_bytes(one, 0, 4) == 0


@pytest.fixture
def hanging(root: Path, monkeypatch: pytest.MonkeyPatch) -> PlanLoader:
    """A loader whose process never brings a batch."""
    monkeypatch.setattr(loader_module, "_LOOK_UP_S", 0.05)
    module = DataModule(small_config(root, num_workers_train=1, loader_timeout_s=0.2))
    loader = module.train_dataloader()
    assert isinstance(loader, PlanLoader)

    class Hanging(type(loader.dataset)):  # type: ignore[misc]
        def __getitem__(self, spec: Any) -> Any:
            time.sleep(1)

    loader.dataset.__class__ = Hanging
    return loader


def test_a_batch_that_does_not_come_is_told(hanging: PlanLoader) -> None:
    with pytest.raises(UserError, match="a batch of the loader processes") as told:
        next(iter(hanging))
    assert "MiB are free in /dev/shm" in told.value.got
    assert "hardware.loader_timeout_s" in told.value.where


def test_a_stop_signal_ends_the_wait(hanging: PlanLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_LONGEST_ANSWER_S", 0.0)
    signals.note_stop(15)
    try:
        with pytest.raises(CommandStopped, match="stopped by SIGTERM while waiting for a batch") as stop:
            next(iter(hanging))
    finally:
        signals.forget_stops()
    assert stop.value.exit_status == 143
    assert stop.value.requeue
