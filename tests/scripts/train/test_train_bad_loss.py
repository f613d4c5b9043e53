"""Losses that are not finite: the batch is named, weights and checkpoints stay good, or the batch is left out."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

import modules.training.trainer
from modules.callbacks.bad_loss import MOST_IN_A_ROW, all_finite, describe_batch
from tests.helpers.commands import failure, run
from tests.helpers.forked_processes import together
from tests.helpers.stopped_training import TINY
from tests.helpers.tiny_dataset import write_tiny_dataset
from tests.helpers.training_faults import at_batch, not_a_number

SKIP = "training.on_bad_loss=skip"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    dataset = write_tiny_dataset(tmp_path_factory.mktemp("data"), train=2, val=1, test=0)
    quick = ("validation.limit_val_batches=1", "checkpointing.every_n_steps=1", "dataset.train.sampling=stream")
    return (*TINY, *quick, f"dataset.path={dataset}", "training.max_steps=4")


def last(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.ckpt", weights_only=True)


def finite(checkpoint: dict[str, Any]) -> bool:
    return all_finite(checkpoint["state_dict"].values())


def with_callback(monkeypatch: pytest.MonkeyPatch, callback: Callback) -> None:
    build = modules.training.trainer.build_trainer

    def with_one_more(*arguments: Any, **more: Any) -> pl.Trainer:
        trainer = build(*arguments, **more)
        trainer.callbacks.append(callback)  # type: ignore[attr-defined] # set by a connector
        return trainer

    monkeypatch.setattr(modules.training.trainer, "build_trainer", with_one_more)


def test_the_batch_is_named_and_the_last_good_checkpoint_kept(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at_batch(patch, 2, not_a_number)
        message = failure(capsys, "train.py", *start, f"output.dir={tmp_path}")
    for part in ("a finite loss", "loss nan", "in step 3", "batch 2 of pass 0", "train_01 frames 8 to 11", SKIP):
        assert part in message, message
    kept = last(tmp_path)
    assert kept["global_step"] == 2
    assert finite(kept)
    assert run("train.py", *start, f"output.dir={tmp_path}") == 0  # mended: the same command goes on from there
    assert last(tmp_path)["global_step"] == 4


def test_left_out(
    start: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Look(Callback):
        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **more: Any
        ) -> None:
            seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    with_callback(monkeypatch, Look())
    at_batch(monkeypatch, 2, not_a_number)
    assert run("train.py", *start, f"output.dir={tmp_path}", SKIP) == 0
    assert "its optimiser step is left out (number 1 so far)" in caplog.text
    assert "train_01 frames 8 to 11" in caplog.text
    assert "1 batches were left out" in caplog.text
    assert all(torch.equal(seen[1][name], seen[2][name]) for name in seen[1]), "weights and statistics as before"
    assert not all(torch.equal(seen[2][name], seen[3][name]) for name in seen[2]), "and then they learn on"
    kept = last(tmp_path)
    assert finite(kept)
    assert all(bool(torch.isfinite(state).all()) for state in tensors(kept["resume"]["ranks"][0]["module"]))
    assert skipped(tmp_path) == ["1"]


def skipped(folder: Path) -> list[str]:
    """What the log says of batches that were left out."""
    with (folder / "logs" / "version_0" / "metrics.csv").open() as handle:
        return [row["train/skipped_batches"] for row in csv.DictReader(handle) if row["train/skipped_batches"]]


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def test_within_an_accumulation_the_whole_step_is_left_out(
    start: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_batch(monkeypatch, 2, not_a_number)
    more = ("training.accumulate_grad_batches=2", "training.max_steps=2")
    assert run("train.py", *start, *more, f"output.dir={tmp_path}", SKIP) == 0
    kept = last(tmp_path)
    assert finite(kept)
    assert {int(state["step"]) for state in kept["optimizer_states"][0]["state"].values()} == {1}, "one step of two"


def test_nothing_but_such_batches_ends_the_run(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modules.callbacks.bad_loss.MOST_IN_A_ROW", 1)
    for number in range(4):
        at_batch(monkeypatch, number, not_a_number)
    assert "batch number 2 of such ones in a row" in failure(capsys, "train.py", *start, f"output.dir={tmp_path}", SKIP)
    assert MOST_IN_A_ROW == 50


class Spoil(Callback):
    """Weights after step 2 as gradients beyond all bounds leave them, at a loss that was finite."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **more: Any
    ) -> None:
        if trainer.global_step == 2:
            next(pl_module.parameters()).data.fill_(float("inf"))


def test_weights_that_are_not_finite_are_never_saved(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_callback(monkeypatch, Spoil())
    message = failure(capsys, "train.py", *start, f"output.dir={tmp_path}")
    assert "expected: finite weights" in message
    assert "NaN or infinite ones after step 2" in message
    assert finite(last(tmp_path))
    assert last(tmp_path)["global_step"] == 1


def _one_of_two(arguments: tuple[str, ...]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        if os.environ["LOCAL_RANK"] == "1":
            at_batch(patch, 1, not_a_number)
        return run("train.py", *arguments)


def test_all_processes_agree(start: tuple[str, ...], tmp_path: Path) -> None:
    command = (*start, "hardware.num_processes=2", "training.max_steps=3")
    for more, wanted in (((), [2, 2]), ((SKIP,), [0, 0])):
        folder = tmp_path / str(wanted[0])
        folder.mkdir()
        assert together(2, folder, _one_of_two, (*command, *more, f"output.dir={folder}")) == wanted
        assert finite(last(folder))
    assert "batch 1 of pass 0: " in (tmp_path / "2" / "rank0.txt").read_text(), "the first process names the batch"
    assert "train_01 frames 4 to 7" in (tmp_path / "2" / "rank0.txt").read_text()
    assert skipped(tmp_path / "0") == ["1"]


def test_a_batch_in_words() -> None:
    batch = {
        "path": ["/data/a", "/data/b", ""],
        "ev_idx": torch.tensor([[3, 9, -1], [4, 8, -1], [-1, 7, -1]]),
        "is_reversed": torch.tensor([False, True, False]),
    }
    assert describe_batch(batch) == "/data/a frames 3 to 4; /data/b frames 7 to 9, in reversed time"


def test_choices(start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "train.py", *start, f"output.dir={tmp_path / 'run'}", "training.on_bad_loss=ignore")
    assert "stop or skip" in message
    assert not (tmp_path / "run").exists()
