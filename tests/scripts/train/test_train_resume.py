"""A training that is stopped anywhere and started again ends as one that never was, bit for bit."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest

from modules.training.stopping import TRY_AGAIN
from tests.helpers.commands import run
from tests.helpers.forked_processes import together
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, Undisturbed, everything, train, train_here

SOAK = pytest.mark.soak
# Two processes are stopped in every way below; the other rows are for the soak.
ROWS = {("mixed", 2, 1)}
TABLE = [
    pytest.param(*row, marks=() if row in ROWS else SOAK)
    for row in itertools.product(("random", "stream", "mixed"), (0, 2), (1, 2))
]
MIXED = ("dataset.train.sampling=mixed",)


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce, warm: None) -> Path:
    """One short sequence, so that epochs of the plan end within the run."""
    return made_once.dataset(train=1)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, made_once: MadeOnce) -> Undisturbed:
    return Undisturbed(made_once, dataset)


@pytest.mark.parametrize(("sampling", "workers", "world"), TABLE)
def test_killed_again_and_again(
    undisturbed: Undisturbed, tmp_path: Path, sampling: str, workers: int, world: int
) -> None:
    settings = (f"dataset.train.sampling={sampling}",)
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *settings, f"hardware.num_workers.train={workers}")
    places = [
        StopAt("on_validation_batch_end", 1),  # of step 3
        StopAt("on_before_optimizer_step", 3),  # of step 6, saved at 4
        StopAt("on_validation_end", 1),  # of step 6
    ]
    for place in places:
        assert train(tmp_path, *start, world=world, stop=place) == -signal.SIGKILL
    assert train(tmp_path, *start, world=world) == 0
    assert everything(tmp_path) == undisturbed(world, *settings)


@pytest.mark.parametrize("hook", ["save", pytest.param("rename", marks=SOAK)])
def test_killed_while_a_checkpoint_is_written_and_asked_to_stop(
    undisturbed: Undisturbed, tmp_path: Path, hook: str
) -> None:
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *MIXED)
    assert train(tmp_path, *start, stop=StopAt("on_train_batch_end", 1)) == -signal.SIGKILL  # nothing is saved yet
    assert train(tmp_path, *start, stop=StopAt(hook, 1)) == -signal.SIGKILL
    _ask_twice(tmp_path, start, signal.SIGTERM)
    assert train(tmp_path, *start, stop=StopAt(hook, 2)) == -signal.SIGKILL
    assert list(tmp_path.glob(".*.tmp-*"))
    assert train(tmp_path, *start) == 0
    assert everything(tmp_path) == undisturbed(1, *MIXED)
    assert not list(tmp_path.glob(".*.tmp-*")), "what a killed process left is tidied up"


def _ask_twice(folder: Path, start: tuple[str, ...], signum: signal.Signals) -> None:
    for place in (StopAt("on_train_batch_start", 1, signum), StopAt("on_validation_batch_start", 1, signum)):
        assert train(folder, *start, stop=place) == 128 + signum
        assert (folder / "last.ckpt").is_file()


# Which signals stop a command is told by tests/utils/test_signals.py.
@SOAK
@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGINT])
def test_asked_to_stop(undisturbed: Undisturbed, tmp_path: Path, signum: signal.Signals) -> None:
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *MIXED)
    _ask_twice(tmp_path, start, signum)
    assert train(tmp_path, *start) == 0
    assert everything(tmp_path) == undisturbed(1, *MIXED)


def _signal_one(rank: int, at: StopAt, arguments: tuple[str, ...]) -> int:
    return train_here(at if os.environ["LOCAL_RANK"] == str(rank) else None, arguments)


def test_two_processes_are_stopped_in_every_way(
    undisturbed: Undisturbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed; one of them is asked to; out of time: both stop at the same place and go on from it."""
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *MIXED)
    assert train(tmp_path, *start, world=2, stop=StopAt("on_train_batch_start", 2)) == -signal.SIGKILL
    own = (*start, "hardware.num_processes=2", f"output.dir={tmp_path}")
    for rank, at, text in (
        (1, StopAt("on_train_batch_start", 2, signal.SIGTERM), "after step 2"),
        (1, StopAt("on_validation_batch_start", 1, signal.SIGUSR2), "in the validation after step 3"),
    ):
        statuses = together(2, tmp_path, _signal_one, rank, at, own)
        said = (tmp_path / "rank0.txt").read_text()
        assert statuses == [128 + at.signum, 0], said
        assert f"stopped by {signal.Signals(at.signum).name} {text}" in said
    assert train(tmp_path, *start, "training.max_time=0.001", world=2) == TRY_AGAIN
    assert "max_time" in (tmp_path / "rank0.txt").read_text()

    alone = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-alone"))
    shorter = ("training.max_steps=5", "training.lr_scheduler.total_steps=6")
    assert run("train.py", *start, *shorter, f"output.dir={alone}") == 0
    assert "saved by 2 processes and goes on with 1" in caplog.text

    assert train(tmp_path, *start, world=2) == 0
    assert everything(tmp_path) == undisturbed(2, *MIXED)


@SOAK
@pytest.mark.parametrize("world", [1, 2])
def test_stopped_by_max_time_at_every_step(undisturbed: Undisturbed, tmp_path: Path, world: int) -> None:
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *MIXED)
    for _ in range(4):  # steps 1 to 3 and within the validation that follows
        assert train(tmp_path, *start, "training.max_time=0.001", world=world) == TRY_AGAIN
    assert "max_time" in (tmp_path / "rank0.txt").read_text()
    assert train(tmp_path, *start, world=world) == 0
    assert everything(tmp_path) == undisturbed(world, *MIXED)


def test_gradients_under_accumulation_are_kept(undisturbed: Undisturbed, tmp_path: Path) -> None:
    # Ten batches an epoch: the optimiser steps after 4, 8, 10, 14; the third validation comes after batch 12, within.
    more = (
        "dataset.train.sampling=random", "training.accumulate_grad_batches=4", "validation.val_check_interval=1",
        "training.max_steps=4", "validation.limit_val_batches=1",
    )  # fmt: skip
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *more)
    assert train(tmp_path, *start, stop=StopAt("on_validation_end", 3)) == -signal.SIGKILL
    assert train(tmp_path, *start, stop=StopAt("on_train_batch_start", 2)) == -signal.SIGKILL
    assert train(tmp_path, *start) == 0
    assert everything(tmp_path) == undisturbed(1, *more)


def test_more_steps_later_are_as_if_asked_for_at_once(undisturbed: Undisturbed, tmp_path: Path) -> None:
    cycle = "training.lr_scheduler.total_steps=6"  # as many as six steps have of themselves
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *MIXED, cycle)
    assert train(tmp_path, *start, "training.max_steps=3") == 0
    before = (tmp_path / "last.ckpt").stat().st_mtime_ns
    assert train(tmp_path, *start, "training.max_steps=3") == 0
    assert (tmp_path / "last.ckpt").stat().st_mtime_ns == before, "a finished run does not start again"
    assert train(tmp_path, *start) == 0
    assert everything(tmp_path) == undisturbed(1, *MIXED)


@SOAK
def test_more_passes_later_too(undisturbed: Undisturbed, tmp_path: Path) -> None:
    more = ("dataset.train.sampling=stream", "training.max_steps=20", "training.lr_scheduler.total_steps=20")
    start = (*TINY, f"dataset.path={undisturbed.dataset}", *more)
    assert train(tmp_path, *start, "training.max_epochs=1") == 0
    assert train(tmp_path, *start, "training.max_epochs=2") == 0
    assert everything(tmp_path) == undisturbed(1, *more, "training.max_epochs=2")
