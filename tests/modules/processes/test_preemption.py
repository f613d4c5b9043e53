"""Stops by signal that only one of several processes gets; all of them stop at the same place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from modules.training.preemption import Preemption
from tests.helpers.forked_processes import together
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, Undisturbed, everything, train_here


def _signal_one(rank: int, at: StopAt | None, arguments: tuple[str, ...]) -> int:
    return train_here(at if os.environ["LOCAL_RANK"] == str(rank) else None, arguments)


def test_one_of_two_processes_is_signalled(made_once: MadeOnce, tmp_path: Path) -> None:
    dataset = made_once.dataset(train=1)
    settings = ("dataset.train.sampling=mixed",)
    start = (*TINY, *settings, f"dataset.path={dataset}", "hardware.num_processes=2", f"output.dir={tmp_path}")
    places = [
        (1, StopAt("on_train_batch_start", 2, signal.SIGTERM), "after step 2"),
        (1, StopAt("on_validation_batch_start", 1, signal.SIGUSR2), "in the validation after step 3"),
    ]
    for rank, at, text in places:
        statuses = together(2, tmp_path, _signal_one, rank, at, start)
        said = (tmp_path / "rank0.txt").read_text()
        assert statuses == [128 + at.signum, 0], said
        assert f"stopped by {signal.Signals(at.signum).name} {text}" in said
    assert together(2, tmp_path, _signal_one, 0, None, start) == [0, 0]
    assert everything(tmp_path) == Undisturbed(made_once, dataset)(2, *settings)


def _interrupt(times: int) -> int:
    preemption = Preemption(lambda trainer: Path())
    signal.signal(signal.SIGINT, preemption._handle)
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
    return 7


@pytest.mark.parametrize(("times", "status"), [(1, 7), (2, -signal.SIGINT)])
def test_second_interrupt_ends_at_once(tmp_path: Path, times: int, status: int) -> None:
    assert together(1, tmp_path, _interrupt, times) == [status]
